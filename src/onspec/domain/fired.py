"""A rule that fired: on what grounds, about which defects."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Relation = Literal[">=", "<=", ">", "<", "in", "not in"]

_DECIMALS = {
    "score": 2, "contrast": 2, "count": 0, "area_px": 0, "total_area_px": 0, "orientation_deg": 0,
    "distance_to_edge_px": 0,
}  # fmt: skip
"""Least decimals in a text; 1 for every other measure."""


class Ground(BaseModel):
    """A figure and the limit that it is held against: `length_mm 4.2 >= 3.0`."""

    model_config = ConfigDict(frozen=True)

    measure: str
    figure: float | None = Field(description="null for the distance to another defect where there is none")
    relation: Relation
    limit: float | tuple[float, float] = Field(description="two for a range, which may wrap around")
    scope: str = Field("", description="what a count or a sum is about, as `within 2 mm`, `per 100 mm2`")

    def __str__(self) -> str:
        """As reasons say it, with as many decimals as it takes to tell figure and limit apart."""
        scope = f" {self.scope}" if self.scope else ""
        if self.figure is None:
            return f"{self.measure} (no other) {self.relation} {self.limit}"
        if isinstance(self.limit, tuple):
            low, high = (f"{side:g}" for side in self.limit)
            return (
                f"{self.measure} {self.figure:.{_DECIMALS.get(self.measure, 1)}f} {self.relation} {low}…{high}{scope}"
            )
        least = 2 if scope.startswith(" per") else _DECIMALS.get(self.measure, 1)
        # A score's limit is a chosen threshold of many digits; any other a person wrote, and it is shown as it is.
        exact = self.measure != "score"
        return f"{self.measure} {_told_apart(self.figure, self.relation, self.limit, least, exact)}{scope}"


def _told_apart(value: float, relation: str, limit: float, least: int, exact: bool) -> str:
    same = math.isclose(value, limit, rel_tol=1e-9)
    for decimals in range(least, 7):
        shown, border = f"{value:.{decimals}f}", f"{limit:.{decimals}f}"
        faithful = math.isclose(float(border), limit, rel_tol=1e-6) if exact else float(border) != 0 or limit == 0
        if (shown != border or same) and faithful:
            break
    return f"{shown} {relation} {border}"


class Fired(BaseModel):
    """A rule that had its effect on this part; the zone's name where a forbidden zone was touched."""

    model_config = ConfigDict(frozen=True)

    rule: str
    outcome: Literal["NG", "REVIEW", "OK", "GRADE"]
    grade: str | None = Field(None, description="that it gave to its defects")
    grounds: tuple[Ground, ...] = Field((), description="of the worst defect, or of the count or sum")
    defects: tuple[int, ...] = Field((), description="that it fired for, by their place in `defects`, from 0")
    unsure: bool = Field(False, description="it fires only if defects of the review band are taken as certain")
