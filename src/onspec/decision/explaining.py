"""What every rule made of every defect, whether it fired or not: for people who ask why."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from onspec.decision.acceptance import Applied, apply_rules
from onspec.decision.judge import Sighting
from onspec.decision.meeting import Scene, grounds, misfits
from onspec.decision.rules import RuleSet
from onspec.decision.wording import default_in_words, in_words
from onspec.domain.fired import Ground


class Reading(BaseModel):
    """One defect under one rule.

    Attributes:
        defect: its place in the list of defects, from 0.
        meant: whether the rule is about it.
        grounds: the figures by which it is, or is not.
        not_so: what else keeps it from being meant, in words.
        accepted_above: a rule further up accepted it, so that this one does not see it.
    """

    model_config = ConfigDict(frozen=True)

    defect: int
    meant: bool
    grounds: tuple[Ground, ...] = ()
    not_so: tuple[str, ...] = ()
    accepted_above: bool = False

    def __str__(self) -> str:
        """`length_mm 4.2 >= 3.0`, or what is not so."""
        if self.accepted_above:
            return "accepted further up"
        told = ", ".join([*self.not_so, *map(str, self.grounds)])
        return told or ("any defect" if self.meant else "another rule is about it")


class RuleReading(BaseModel):
    """One rule, forbidden zone or default on this part.

    Attributes:
        effect: `fired`; `unsure`, where it fires only if defects of the review band are taken as certain; or `none`.
        figures: the counts and sums that it limits, with the limit.
    """

    model_config = ConfigDict(frozen=True)

    rule: str
    source: Literal["rule", "zone", "default"]
    outcome: str
    words: str
    effect: Literal["fired", "unsure", "none"]
    figures: tuple[Ground, ...] = ()
    defects: tuple[Reading, ...] = Field((), description="every defect under it")

    @property
    def meant(self) -> tuple[int, ...]:
        """The defects that it is about."""
        return tuple(reading.defect for reading in self.defects if reading.meant)


def read_rules_on(seen: Sighting, rules: RuleSet) -> tuple[RuleReading, ...]:
    """Every rule, in the order in which they are applied. Raises RulesError as `acceptance.accept`."""
    every = Scene(seen.found, seen.site)
    certain = Scene([f for f in seen.found if f.certain], seen.site)
    sure = apply_rules(certain, rules)
    return tuple(_reading(one, other, every) for one, other in zip(sure, apply_rules(every, rules), strict=True))


def _reading(sure: Applied, maybe: Applied, scene: Scene) -> RuleReading:
    seen, about = set(maybe.seen), set(maybe.about)
    return RuleReading(
        rule=maybe.rule.name,
        source=maybe.source,
        outcome=maybe.rule.outcome,
        words=_words(maybe),
        effect="fired" if sure.fires else "unsure" if maybe.fires else "none",
        figures=tuple(group.ground for group in maybe.groups),
        defects=tuple(
            _under(place, maybe, scene, meant=f in about)
            if f in seen
            else Reading(defect=place, meant=False, accepted_above=True)
            for place, f in enumerate(scene.found)
        ),
    )


def _words(applied: Applied) -> str:
    if applied.source == "zone":
        return "NG for any defect that touches this forbidden zone"
    return in_words(applied.rule) if applied.source == "rule" else default_in_words(applied.rule)


def _under(place: int, applied: Applied, scene: Scene, *, meant: bool) -> Reading:
    f, condition = scene.found[place], applied.rule.when
    if applied.source != "rule":
        words = () if meant or applied.source == "default" else (f"not in zone {applied.rule.name}",)
        return Reading(defect=place, meant=meant, not_so=words)
    return Reading(
        defect=place,
        meant=meant,
        grounds=tuple(grounds(f, condition, scene, meant)),
        not_so=() if meant else tuple(misfits(f, condition, scene)),
    )
