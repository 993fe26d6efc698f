"""Acceptance rules: what the plant says about a defect that the network found."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from onspec.decision.conditions import NAME, Condition
from onspec.decision.given import Given
from onspec.decision.inspectable import Inspectable
from onspec.decision.rules_text import fault, parse_rules, read_text
from onspec.decision.zones import Zone
from onspec.domain.pixel_size import PixelSizeMm
from onspec.imaging.part_spec import PartSpec

GROUP_LIMITS: dict[str, str] = {
    "max_count": "count",
    "max_total_area_px": "total_area_px",
    "max_total_area_mm2": "total_area_mm2",
}
"""Limit of a rule → the figure of all defects that it is about, which must not exceed it."""

SCOPES = ("within_px", "within_mm", "per_px", "per_mm2", "per_cm2")
"""What group limits can be about, other than the whole image; one at a time."""

OUTCOMES = ("NG", "REVIEW", "OK", "GRADE")
At = tuple[int | str, ...]
"""Keys and indices of a place in a rules file."""


def _outcome(value: object) -> object:
    if value not in OUTCOMES:
        raise fault(f"got {value!r}; allowed: 'NG' or 'REVIEW', 'OK' to accept, 'GRADE' to give a grade only")
    return value


Outcome = Annotated[
    Literal["NG", "REVIEW", "OK", "GRADE"], BeforeValidator(_outcome), WithJsonSchema({"enum": list(OUTCOMES)})
]
Least = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Over = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Rule(Given):
    """What follows from the defects that meet a condition.

    Attributes:
        outcome: `NG` or `REVIEW`: fires when a limit is exceeded; without one, when there is any such defect. `OK`:
            such defects are accepted, and the rules further down do not see them. `GRADE`: they only get the grade.
        grade: such defects get it unless they have one.
        max_count, max_total_area_px, max_total_area_mm2: so much is accepted, of all such defects of the image.
        within_px, within_mm: the limits are about each defect together with those no further from it than this.
        per_px, per_mm2, per_cm2: the limits are about so much area of the zones of `when`, or of the image.
    """

    name: str = Field(pattern=NAME)
    when: Condition = Condition()
    max_count: int | None = Field(None, ge=0)
    max_total_area_px: Least | None = None
    max_total_area_mm2: Least | None = None
    within_px: Least | None = None
    within_mm: Least | None = None
    per_px: Over | None = None
    per_mm2: Over | None = None
    per_cm2: Over | None = None
    outcome: Outcome = "NG"
    grade: str | None = Field(None, pattern=NAME)

    @property
    def limits(self) -> dict[str, float]:
        """Figure of the group → the most that is accepted. Without any, no defect is."""
        given = {figure: getattr(self, name) for name, figure in GROUP_LIMITS.items()}
        return {figure: limit for figure, limit in given.items() if limit is not None} or {"count": 0}

    @property
    def scope(self) -> tuple[str, float] | None:
        """What its limits are about, `within_mm` and how much of it; `None` for all of the image."""
        return next(((name, getattr(self, name)) for name in SCOPES if getattr(self, name) is not None), None)

    @property
    def rejects(self) -> bool:
        """Whether it can make a part NG or REVIEW."""
        return self.outcome in ("NG", "REVIEW")

    @property
    def in_mm(self) -> bool:
        """Whether it takes a pixel size to apply it."""
        asked = {*self.when.measures, *(self.limits if self.rejects else ()), *([self.scope[0]] if self.scope else ())}
        return any(name.endswith(("mm", "mm2", "cm2")) for name in asked)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        limited = [name for name in GROUP_LIMITS if getattr(self, name) is not None]
        scopes = [name for name in SCOPES if getattr(self, name) is not None]
        if len(scopes) > 1:
            raise fault(f"a rule's limits are about one scope; got {' and '.join(scopes)}", scopes[1])
        if not self.rejects and (limited or scopes):
            extra = (limited or scopes)[0]
            raise fault(f"outcome {self.outcome} is about each defect for itself; remove {extra}", extra)
        if scopes and not limited:
            raise fault(f"{scopes[0]} needs a limit: {', '.join(GROUP_LIMITS)}", scopes[0])
        if self.outcome == "GRADE" and self.grade is None:
            raise fault("outcome GRADE gives a grade; add grade: NAME", "outcome")
        self._check_ways()
        return self

    def _check_ways(self) -> None:
        """One more defect must never make a verdict better, so nearness may only count against a part."""
        ways = self.when.ways()
        if self.grade is not None and ways:
            raise fault("a grade must not depend on other defects; remove distance_to_defect", "when")
        if "farther" in ways and self.rejects:
            raise fault(
                "one more defect nearby would make a part acceptable; to reject use max_distance_to_defect, and "
                "min_distance_to_defect to accept (outcome OK)",
                "when",
            )
        if "nearer" in ways and self.outcome == "OK":
            raise fault(
                "one more defect nearby would make a part acceptable; to accept use min_distance_to_defect, and "
                "max_distance_to_defect to reject (outcome NG)",
                "when",
            )


NO_RULES = Rule(name="defect")
"""What holds without rules: every defect rejects the part."""

DEFAULT = "default"
"""What the default is called in reasons."""


class RuleSet(BaseModel):
    """A plant's acceptance rules for one part type. `RuleSet()` has none: every defect is NG.

    Attributes:
        default: the outcome for defects that no rule but a grading one is about; without it OK, and NG where there are
            no rules.
        inspectable: what is said of images that do not look like those of the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    pixel_size_mm: PixelSizeMm | None = None
    part: PartSpec | None = None
    zones: dict[str, Zone] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    default: Literal["NG", "REVIEW", "OK"] | None = None
    inspectable: Inspectable | None = None

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
        if self.default is not None and DEFAULT in seen:
            raise fault(f"a rule is called {DEFAULT!r}, as the default is; give it another name", "default")
        for name, zone in self.zones.items():
            if zone.relative_to == "part" and self.part is None:
                raise fault(
                    f"zone {name} lies on the part, and the rules do not say how to find it; add part:",
                    *("zones", name, "relative_to"),
                )
        self._check_names()
        return self

    def _check_names(self) -> None:
        """Refuse what a rule names and nobody defines."""
        grades: list[str] = []
        for index, rule in enumerate(self.rules):
            for condition, at in rule.when.walk("rules", index, "when"):
                for key in ("zone", "inside"):
                    for name in getattr(condition, key) or ():
                        self._check_zone(rule, name, (*at, key))
                for grade in condition.grade or ():
                    if grade not in grades:
                        known = ", ".join(grades) or "none"
                        raise fault(
                            f"rule {rule.name} is about grade {grade!r}, which no rule above it gives; given: {known}",
                            *(*at, "grade"),
                        )
            if rule.grade is not None:
                grades.append(rule.grade)

    def _check_zone(self, rule: Rule, name: str, at: At) -> None:
        zone = self.zones.get(name)
        if zone is None:
            known = ", ".join(self.zones) or "none is defined"
            raise fault(f"rule {rule.name} names the zone {name!r}; zones: {known}", *at)
        if zone.use == "ignore":
            raise fault(f"rule {rule.name} is about zone {name!r}, which is ignored: it never fires", *at)

    @property
    def default_rule(self) -> Rule | None:
        """What rejects the defects that no rule is about, if anything does."""
        if self.default is None:
            return None if self.rules else NO_RULES
        return None if self.default == "OK" else Rule(name=DEFAULT, outcome=self.default)

    @property
    def needs_pixel_size(self) -> bool:
        """Whether limits or zones are in mm and the rules themselves do not say how large a pixel is."""
        in_mm = any(rule.in_mm for rule in self.rules) or any(zone.unit == "mm" for zone in self.zones.values())
        return in_mm and self.pixel_size_mm is None

    @property
    def needs_image(self) -> bool:
        """Whether a rule asks what the image shows where a defect is, beyond what the model says of it."""
        return "contrast" in self.measures

    @property
    def measures(self) -> frozenset[str]:
        """Every measure of single defects that a rule asks for."""
        return frozenset().union(*(rule.when.measures for rule in self.rules))

    def classes(self) -> Iterator[tuple[str, str]]:
        """Each class that a rule names, with the rule's name."""
        for rule in self.rules:
            for condition, _ in rule.when.walk():
                yield from ((cls, rule.name) for cls in condition.cls or ())

    def zones_of(self, use: Literal["ignore", "forbid"]) -> dict[str, Zone]:
        """The zones of one use, by name."""
        return {name: zone for name, zone in self.zones.items() if zone.use == use}


def read_rules(path: Path) -> RuleSet:
    """Read a rules file (YAML 1.2).

    Raises:
        RulesError: absent, not YAML, or not rules; names file, line and column, what was got and what is allowed.
    """
    return parse_rules(read_text(path), str(path), RuleSet)
