"""Measured defects + rules → verdict and reasons: the plant's own logic on top of the network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from onspec.decision.conditions import Condition
from onspec.decision.found import Found, Site
from onspec.decision.groups import Group, groups
from onspec.decision.meeting import Scene, grounds, meets
from onspec.decision.rules import Rule, RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Verdict
from onspec.domain.fired import Fired, Ground


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """What a rule made of the defects that count.

    Attributes:
        source: where it stands: among the rules, or for a forbidden zone or the default.
        about: the defects that meet its condition, in their order.
        seen: those that no rule further up accepted.
        groups: the figures that it limits, where it rejects.
    """

    rule: Rule
    source: Literal["rule", "zone", "default"]
    about: tuple[Found, ...]
    seen: tuple[Found, ...]
    groups: tuple[Group, ...] = ()

    @property
    def fires(self) -> bool:
        """Whether it has its effect: a limit is exceeded, or there are defects to accept or to grade."""
        return any(group.exceeded for group in self.groups) if self.rule.rejects else bool(self.about)

    @property
    def by(self) -> tuple[Found, ...]:
        """The defects that it fires for."""
        members = {f for group in self.groups if group.exceeded for f in group.members}
        return tuple(f for f in self.about if not members or f in members)


@dataclass(frozen=True, slots=True, eq=False)
class Ruling:
    """What the rules say of a part.

    Attributes:
        reasons: a sentence for each rule that fired, NG first, then REVIEW, then what was accepted.
        fired: the same for machines, and rules that gave grades.
        grades: defect → its grade.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    fired: tuple[Fired, ...] = ()
    grades: dict[Found, str] = field(default_factory=dict)


def accept(
    found: Sequence[Found],
    rules: RuleSet,
    thresholds: Thresholds,
    site: Site | None = None,
) -> Ruling:
    """The verdict on the defects of a part.

    Without rules every defect is NG. With rules a part is rejected only by a rule that fires, a forbidden zone that is
    touched, or the default. The rules are applied to the certain defects; then to all of them, as if those of the
    review band were certain: what fires only then is a question, so the verdict is REVIEW. One more defect never makes
    a rejecting rule cease to fire (see `Rule._check_ways`), so what fires first also fires then.

    Raises:
        RulesError: a rule asks for a measure that is not known.
    """
    site = Site() if site is None else site
    ordered = sorted(found, key=Found.sort_key)
    certain = Scene([f for f in ordered if f.certain], site)
    every = certain if len(certain.found) == len(ordered) else Scene(ordered, site)
    sure = apply_rules(certain, rules)
    maybe = sure if every is certain else apply_rules(every, rules)
    told = []
    for one, other in zip(sure, maybe, strict=True):
        if one.fires and (one.rule.rejects or not other.fires):
            told.append(_told(one, certain, every, thresholds))
        elif other.fires:
            told.append(_told(other, every, every, thresholds, unsure=other.rule.rejects))
    outcomes = ["REVIEW" if fired.unsure else fired.outcome for fired, _ in told]
    reasons = [
        reason
        for wanted in ("NG", "REVIEW", "OK")
        for (_, reason), outcome in zip(told, outcomes, strict=True)
        if outcome == wanted
    ]
    verdict = next((v for v in (Verdict.NG, Verdict.REVIEW) if v in outcomes), Verdict.OK)
    return Ruling(verdict, tuple(dict.fromkeys(reasons)), tuple(fired for fired, _ in told), every.grades)


def apply_rules(scene: Scene, rules: RuleSet) -> list[Applied]:
    """Forbidden zones, the rules from the top, and the default, each with the defects that it is about.

    What a rule with outcome OK accepts, the rules below it do not see; a forbidden zone does.
    """
    applied = []
    for name in rules.zones_of("forbid"):
        rule, touching = Rule(name=name), tuple(f for f in scene.found if name in f.zones)
        applied.append(Applied(rule, "zone", touching, scene.found, groups(rule, touching, scene)))
    left, dealt_with = list(scene.found), set[Found]()
    for rule in rules.rules:
        about = tuple(f for f in left if meets(f, rule.when, scene))
        if rule.outcome == "OK" or (rule.rejects and not rule.when.ways()):
            dealt_with |= set(about)
        if rule.grade is not None:
            scene.grades.update((f, rule.grade) for f in about if f not in scene.grades)
        applied.append(Applied(rule, "rule", about, tuple(left), groups(rule, about, scene)))
        if rule.outcome == "OK":
            accepted = set(about)
            left = [f for f in left if f not in accepted]
    default = rules.default_rule
    if default is not None:
        about = tuple(f for f in scene.found if f not in dealt_with)
        applied.append(Applied(default, "default", about, scene.found, groups(default, about, scene)))
    return applied


def _told(
    applied: Applied, scene: Scene, every: Scene, thresholds: Thresholds, unsure: bool = False
) -> tuple[Fired, str]:
    """A rule that fired, and the sentence for it."""
    rule, told, by = applied.rule, _grounds(applied, scene, thresholds), set(applied.by)
    fired = Fired(
        rule=rule.name,
        outcome=rule.outcome,
        grade=rule.grade,
        grounds=told,
        defects=tuple(place for place, f in enumerate(every.found) if f in by),
        unsure=unsure,
    )
    if unsure:
        return fired, _review_band(applied, scene, thresholds)
    figures = ", ".join(map(str, told))
    if rule.outcome == "OK":
        count = "" if len(applied.about) == 1 else f" {len(applied.about)} defects"
        return fired, f"{rule.name}: accepted{count}{', ' if figures else ''}{figures}"
    if applied.source == "zone":
        return fired, f"{rule.name}: forbidden zone touched by a defect, {figures}"
    return fired, f"{rule.name}: {figures}"


def _grounds(applied: Applied, scene: Scene, thresholds: Thresholds) -> tuple[Ground, ...]:
    """Of the group where a rule tolerates some, else of the worst defect."""
    exceeded = tuple(group.ground for group in applied.groups if group.exceeded and not group.single)
    if exceeded:
        return exceeded
    worst = _worst(applied.by, applied.rule.when, scene)
    told = tuple(grounds(worst, applied.rule.when, scene))
    if told or not applied.rule.rejects:
        return told
    return (Ground(measure="score", figure=worst.defect.score, relation=">=", limit=thresholds.image),)


def _worst(matches: Sequence[Found], condition: Condition, scene: Scene) -> Found:
    """The one that exceeds the first limit by most; without limits, the one that scores most."""
    limits = [limit for limit in condition.limits if limit.relation != "in"]
    if not limits:
        return matches[0]
    sign = 1.0 if limits[0].relation == ">=" else -1.0
    return max(matches, key=lambda f: sign * scene.figure(f, limits[0].measure))


def _review_band(applied: Applied, scene: Scene, thresholds: Thresholds) -> str:
    unsure = [f for f in applied.about if not f.certain] or [f for f in scene.found if not f.certain]
    score = max(f.defect.score for f in unsure)
    low = thresholds.image if thresholds.review is None else thresholds.review
    return f"review band: score {score:.2f} in {low:.2f}…{thresholds.image:.2f}"
