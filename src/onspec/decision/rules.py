"""Acceptance rules: what the plant says about a defect that the network found."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from onspec.decision.rules_text import fault, parse_rules, read_text
from onspec.decision.zones import Zone

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
"""Names of rules and zones: they stand in reasons, in CSV columns and in file names."""

LIMITS: dict[str, str] = {
    "min_score": "score",
    "min_area_px": "area_px",
    "min_area_mm2": "area_mm2",
    "min_length_px": "length_px",
    "min_length_mm": "length_mm",
}
"""Condition → the defect's measure that must reach it. A new limit is a field of `Condition` and a line here."""


class Condition(BaseModel):
    """Which defects a rule is about. All that is given must hold; nothing given means every defect.

    A defect is in a zone when any of its pixels is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    cls: str | None = Field(None, alias="class")
    zone: str | None = None
    min_score: float | None = Field(None, ge=0, le=1)
    min_area_px: float | None = Field(None, ge=0, allow_inf_nan=False)
    min_area_mm2: float | None = Field(None, ge=0, allow_inf_nan=False)
    min_length_px: float | None = Field(None, ge=0, allow_inf_nan=False)
    min_length_mm: float | None = Field(None, ge=0, allow_inf_nan=False)

    @property
    def limits(self) -> dict[str, float]:
        """Measure → least value, in the order of `LIMITS`."""
        given = {measure: getattr(self, name) for name, measure in LIMITS.items()}
        return {measure: limit for measure, limit in given.items() if limit is not None}


class Rule(BaseModel):
    """Fires when more than `max_count` defects of the part meet its condition."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    name: str = Field(pattern=NAME)
    when: Condition = Condition()
    max_count: int = Field(0, ge=0, description="so many such defects are accepted")
    outcome: Literal["NG", "REVIEW"] = "NG"


class RuleSet(BaseModel):
    """A plant's acceptance rules for one part type. `RuleSet()` has none: every defect is NG."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    pixel_size_mm: float | None = Field(None, gt=0, allow_inf_nan=False)
    zones: dict[str, Zone] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @field_validator("zones")
    @classmethod
    def _zone_names(cls, zones: dict[str, Zone]) -> dict[str, Zone]:
        for name in zones:
            if not re.fullmatch(NAME, name):
                raise fault(f"zone names are letters, digits, '.', '_' and '-'; got {name!r}", name)
        return zones

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set()
        for index, rule in enumerate(self.rules):
            if rule.name in seen:
                raise fault(f"rule names must differ; got {rule.name!r} more than once", "rules", index, "name")
            seen.add(rule.name)
            self._check_zone(rule, "rules", index, "when", "zone")
        return self

    def _check_zone(self, rule: Rule, *at: int | str) -> None:
        if rule.when.zone is None:
            return
        zone = self.zones.get(rule.when.zone)
        if zone is None:
            known = ", ".join(self.zones) or "none is defined"
            raise fault(f"rule {rule.name} names the zone {rule.when.zone!r}; zones: {known}", *at)
        if zone.use == "ignore":
            raise fault(f"rule {rule.name} is about zone {rule.when.zone!r}, which is ignored: it never fires", *at)

    @property
    def needs_pixel_size(self) -> bool:
        """Whether limits are in mm and the rules themselves do not say how large a pixel is."""
        in_mm = any(measure.endswith(("mm", "mm2")) for rule in self.rules for measure in rule.when.limits)
        return in_mm and self.pixel_size_mm is None

    def zones_of(self, use: Literal["ignore", "forbid"]) -> dict[str, Zone]:
        """The zones of one use, by name."""
        return {name: zone for name, zone in self.zones.items() if zone.use == use}


def read_rules(path: Path) -> RuleSet:
    """Read a rules file (YAML 1.2).

    Raises:
        RulesError: absent, not YAML, or not rules; names file, line and column, what was got and what is allowed.
    """
    return parse_rules(read_text(path), str(path), RuleSet)
