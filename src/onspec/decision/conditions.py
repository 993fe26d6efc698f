"""Which defects a rule is about."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from onspec.decision.given import Given
from onspec.decision.rules_text import fault
from onspec.domain.fired import Relation

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Names of rules, zones and grades: they stand in reasons, in CSV columns and in file names."""

MEASURES = (
    "score",
    "area_px",
    "area_mm2",
    "length_px",
    "length_mm",
    "width_px",
    "width_mm",
    "elongation",
    "contrast",
    "distance_to_edge_px",
    "distance_to_edge_mm",
    "distance_to_defect_px",
    "distance_to_defect_mm",
)
"""What a rule can limit, as `min_…` and `max_…`. Each is a field of `Defect`; a new one is two of `Condition`, too."""

Way = Literal["nearer", "farther"]
"""Whether a condition comes to hold when another defect comes nearer, or ceases to."""


def _listed(value: object) -> object:
    """One name is a list of one."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise fault(f"got {value!r}; allowed: a name, or a list of names")


def _unlisted(names: tuple[str, ...] | None) -> str | list[str] | None:
    return None if names is None else names[0] if len(names) == 1 else list(names)


Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    PlainSerializer(_unlisted),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
"""A name or several, any of which will do."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Angle = Annotated[float, Field(ge=0, le=180)]


_ALIKE = 1e-9
"""Share by which a figure may miss its limit: 6 px of 0.1 mm are 0.6 mm, whatever binary fractions make of it."""


def reaches(figure: float, limit: float) -> bool:
    """Whether a figure is at or over a limit."""
    return figure >= limit - _ALIKE * abs(limit)


@dataclass(frozen=True, slots=True)
class Limit:
    """A measure and what it must be: `length_mm >= 3`."""

    measure: str
    relation: Relation
    value: float | tuple[float, float]

    def holds(self, figure: float) -> bool:
        """Whether a figure keeps to it; a limit that is met exactly holds."""
        if isinstance(self.value, tuple):
            low, high = self.value
            if low <= high:
                return low <= figure <= high or (figure == 0 and high == 180)
            return figure >= low or figure <= high
        return reaches(figure, self.value) if self.relation == ">=" else reaches(self.value, figure)


class Condition(Given):
    """Which defects a rule is about. All that is given must hold; nothing given means every defect.

    Attributes:
        cls: of one of these classes.
        grade: to which a rule further up gave one of these grades.
        zone: any of its pixels lies in one of these zones.
        inside: all of its pixels lie in one of these zones.
        tone: brighter or darker than what is around it.
        orientation_deg: from … to …, both included, counter-clockwise; from 170 to 10 goes through 180, which is 0.
        all, any, not: conditions in it. All of the first hold, at least one of the second, and the third does not.
    """

    cls: Names | None = Field(None, alias="class")
    grade: Names | None = None
    zone: Names | None = None
    inside: Names | None = None
    tone: Literal["bright", "dark"] | None = None
    min_score: Share | None = None
    max_score: Share | None = None
    min_area_px: Amount | None = None
    max_area_px: Amount | None = None
    min_area_mm2: Amount | None = None
    max_area_mm2: Amount | None = None
    min_length_px: Amount | None = None
    max_length_px: Amount | None = None
    min_length_mm: Amount | None = None
    max_length_mm: Amount | None = None
    min_width_px: Amount | None = None
    max_width_px: Amount | None = None
    min_width_mm: Amount | None = None
    max_width_mm: Amount | None = None
    min_elongation: Ratio | None = None
    max_elongation: Ratio | None = None
    orientation_deg: tuple[Angle, Angle] | None = None
    min_contrast: Share | None = None
    max_contrast: Share | None = None
    min_distance_to_edge_px: Amount | None = None
    max_distance_to_edge_px: Amount | None = None
    min_distance_to_edge_mm: Amount | None = None
    max_distance_to_edge_mm: Amount | None = None
    min_distance_to_defect_px: Amount | None = None
    max_distance_to_defect_px: Amount | None = None
    min_distance_to_defect_mm: Amount | None = None
    max_distance_to_defect_mm: Amount | None = None
    all_of: tuple["Condition", ...] | None = Field(None, alias="all", min_length=1)
    any_of: tuple["Condition", ...] | None = Field(None, alias="any", min_length=1)
    none_of: "Condition | None" = Field(None, alias="not")

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        for measure in MEASURES:
            low, high = getattr(self, f"min_{measure}"), getattr(self, f"max_{measure}")
            if low is not None and high is not None and low > high:
                raise fault(
                    f"min_{measure} {low:g} is over max_{measure} {high:g}, so no defect is meant", f"min_{measure}"
                )
        return self

    @cached_property
    def limits(self) -> tuple[Limit, ...]:
        """Its own, in the order of `MEASURES`, not those of conditions in it."""
        found = []
        for measure in MEASURES:
            for name, relation in ((f"min_{measure}", ">="), (f"max_{measure}", "<=")):
                value = getattr(self, name)
                if value is not None:
                    found.append(Limit(measure, relation, value))  # type: ignore[arg-type]
        if self.orientation_deg is not None:
            found.append(Limit("orientation_deg", "in", self.orientation_deg))
        return tuple(found)

    def walk(self, *at: int | str) -> Iterator[tuple["Condition", tuple[int | str, ...]]]:
        """This condition and all in it, with where each stands in a rules file."""
        yield self, at
        for key, inner in (("all", self.all_of), ("any", self.any_of)):
            for index, condition in enumerate(inner or ()):
                yield from condition.walk(*at, key, index)
        if self.none_of is not None:
            yield from self.none_of.walk(*at, "not")

    def ways(self, negated: bool = False) -> frozenset[Way]:
        """What another defect that comes nearer does to it; empty where it depends on the defect alone."""
        found: set[Way] = set()
        for limit in self.limits:
            if limit.measure.startswith("distance_to_defect"):
                found.add("nearer" if (limit.relation == "<=") != negated else "farther")
        for condition in (*(self.all_of or ()), *(self.any_of or ())):
            found |= condition.ways(negated)
        return frozenset(found | (self.none_of.ways(not negated) if self.none_of is not None else set()))

    @cached_property
    def measures(self) -> frozenset[str]:
        """Every measure that it or a condition in it asks for; `contrast` for the tone, too."""
        asked = {limit.measure for condition, _ in self.walk() for limit in condition.limits}
        return frozenset(asked | {"contrast" for condition, _ in self.walk() if condition.tone is not None})
