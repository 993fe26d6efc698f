"""Measured defects + rules → verdict and reasons: the plant's own logic on top of the network."""

from collections.abc import Sequence
from dataclasses import dataclass

from onspec.decision.rules import Condition, Rule, RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Defect, Verdict

_DECIMALS = {"score": 2, "area_px": 0}
"""Least decimals in a reason; 1 for every other measure."""

DEFAULT = Rule(name="defect")
"""What holds without rules: every defect rejects the part."""


@dataclass(frozen=True, slots=True)
class Found:
    """A measured defect, the zones it touches, and whether it is certain or in the review band."""

    defect: Defect
    zones: frozenset[str] = frozenset()
    certain: bool = True

    def sort_key(self) -> tuple[float, int, int, str, int, int]:
        """By falling score, then position, class and size, so that no result depends on the order of detection."""
        x, y, width, height = self.defect.bbox
        return -self.defect.score, y, x, self.defect.cls, width, height


def accept(found: Sequence[Found], rules: RuleSet, thresholds: Thresholds) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and a reason for each rule that fired, NG first.

    Without rules every defect is NG. With rules a part is rejected only by a rule that fires or a forbidden zone that
    is touched. Defects of the review band count as a question: where the part would be rejected if they were
    certain, the verdict is REVIEW.
    """
    ordered = sorted(found, key=Found.sort_key)
    fired: list[tuple[Verdict, str]] = []
    for name in rules.zones_of("forbid"):
        fired += _forbidden(name, [f for f in ordered if name in f.zones], thresholds)
    for rule in rules.rules or (DEFAULT,):
        fired += _apply(rule, [f for f in ordered if meets(f, rule.when)], thresholds)
    for verdict in (Verdict.NG, Verdict.REVIEW):
        if any(v is verdict for v, _ in fired):
            reasons = [text for v, text in fired if v is Verdict.NG] + [
                text for v, text in fired if v is Verdict.REVIEW
            ]
            return verdict, tuple(dict.fromkeys(reasons))
    return Verdict.OK, ()


def meets(found: Found, condition: Condition) -> bool:
    """Whether a defect is one that the rule is about. A measure that is not known never reaches its limit."""
    if condition.cls is not None and found.defect.cls != condition.cls:
        return False
    if condition.zone is not None and condition.zone not in found.zones:
        return False
    return all(_measure(found, measure) >= limit for measure, limit in condition.limits.items())


def figures(value: float, limit: float, measure: str = "score") -> str:
    """`0.97 >= 0.50`, with as many decimals as it takes to tell the two apart."""
    least = _DECIMALS.get(measure, 1)
    for decimals in range(least, 7):
        shown, border = f"{value:.{decimals}f}", f"{limit:.{decimals}f}"
        if (shown != border or value == limit) and (float(border) > 0 or limit == 0):
            break
    return f"{shown} >= {border}"


def _apply(rule: Rule, matches: Sequence[Found], thresholds: Thresholds) -> list[tuple[Verdict, str]]:
    certain = [f for f in matches if f.certain]
    if len(certain) > rule.max_count:
        if rule.max_count:
            return [(Verdict(rule.outcome), f"{rule.name}: count {len(certain)} > {rule.max_count}")]
        return [(Verdict(rule.outcome), f"{rule.name}: {_grounds(rule.when, certain, thresholds)}")]
    if len(matches) > rule.max_count:
        return [(Verdict.REVIEW, _review_band(matches, thresholds))]
    return []


def _forbidden(name: str, touching: Sequence[Found], thresholds: Thresholds) -> list[tuple[Verdict, str]]:
    certain = [f for f in touching if f.certain]
    if certain:
        worst = figures(certain[0].defect.score, thresholds.image)
        return [(Verdict.NG, f"{name}: forbidden zone touched by a defect, score {worst}")]
    return [(Verdict.REVIEW, _review_band(touching, thresholds))] if touching else []


def _grounds(condition: Condition, matches: Sequence[Found], thresholds: Thresholds) -> str:
    """Figures and limits of the worst match: the one that exceeds the first limit by most."""
    limits = condition.limits or {"score": thresholds.image}
    first = next(iter(limits))
    worst = max(matches, key=lambda f: _measure(f, first))
    return ", ".join(f"{m} {figures(_measure(worst, m), limit, m)}" for m, limit in limits.items())


def _review_band(matches: Sequence[Found], thresholds: Thresholds) -> str:
    score = max(f.defect.score for f in matches if not f.certain)
    low = thresholds.image if thresholds.review is None else thresholds.review
    return f"review band: score {score:.2f} in {low:.2f}…{thresholds.image:.2f}"


def _measure(found: Found, name: str) -> float:
    value = getattr(found.defect, name)
    return float("-inf") if value is None else float(value)
