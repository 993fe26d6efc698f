"""Up to which image threshold an image is rejected: its score, unless the plant's rules accept what scores so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from onspec.domain import Verdict
from onspec.evaluation.gaps import logit, sigmoid

NEVER: Final = -1.0
"""Of an image that no threshold rejects."""

LOWEST: Final = 1e-3
"""The rules are not asked at lower thresholds: of a map of nearly nothing, everything would be one region."""

_STEPS = 10
"""Halvings of a stretch of the logit scale: a thousandth of it is left."""

Ask = Callable[[float], Verdict]
"""The verdict at an image threshold, without a review band."""


@dataclass(frozen=True, slots=True)
class RejectScores:
    """An image is NG at every threshold up to `ng`, and not OK at every one up to `not_ok`; `NEVER` at none.

    Without rules both are the image's score.
    """

    ng: float
    not_ok: float


def reject_scores(ask: Ask, score: float, image: float, review: float | None) -> RejectScores:
    """What the rules leave of an image's score.

    It is taken that a lower threshold never makes a part better, which holds of rules that limit single defects and of
    those that count them. The verdicts at the recipe's own thresholds are exact, others to a thousandth of the way.

    Args:
        ask: what the recipe with its rules says at another threshold.
        image, review: the recipe's thresholds.
    """
    known: dict[float, Verdict] = {}

    def told(threshold: float) -> Verdict:
        if threshold not in known:
            known[threshold] = ask(threshold)
        return known[threshold]

    ng = _highest(lambda t: told(t) is Verdict.NG, score, image)
    not_ok = _highest(lambda t: told(t) is not Verdict.OK, score, image if review is None else review)
    return RejectScores(ng, max(ng, not_ok))


def _highest(holds: Callable[[float], bool], score: float, own: float) -> float:
    """The highest threshold, no higher than the score, at which it holds."""
    if score <= LOWEST or holds(score):
        return score
    low, high = LOWEST, score
    if own < score and holds(own):
        low = own
    elif own < score:
        high = own
    if high <= low or not holds(low):
        return NEVER
    for _ in range(_STEPS):
        middle = sigmoid((logit(low) + logit(high)) / 2.0)
        if not low < middle < high:
            break
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
