"""The image threshold by a bound on the escape rate, or on the false-reject rate."""

from dataclasses import dataclass

from onspec.domain import EvidenceError
from onspec.evaluation.evidence import FALSE_REJECTS, at_most, percent, rank_for, rate_anywhere, worst_rate
from onspec.evaluation.gaps import Floats, logit, middle, sigmoid
from onspec.evaluation.part_scores import PartScores

_NO_FURTHER = 1.0
"""Where no defective score says where to stop, the gap of a threshold ends at most this far up on the logit scale."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A threshold whose escape rate is bounded, and what it costs on the same parts.

    Attributes:
        image: the image threshold.
        parts: defective parts that were counted.
        rank: the threshold lies at or under the score of the `rank`-th lowest of them.
        escapes, false_rejects, good: parts at this threshold.
        escape_bound: what the rank bounds the escape rate by, `max_escape_rate` at most.
        false_reject_bound: for a threshold that these parts chose (`rate_anywhere`); `None` without a good part.
    """

    image: float
    max_escape_rate: float
    confidence: float
    parts: int
    rank: int
    escapes: int
    false_rejects: int
    good: int
    escape_bound: float
    false_reject_bound: float | None

    @property
    def claim(self) -> str:
        """What is claimed, as a sentence's beginning."""
        rate, confidence = percent(self.max_escape_rate), percent(self.confidence)
        return f"at most {rate} of defective parts escape, with {confidence} confidence"

    def basis(self, split: str) -> str:
        """The recipe's sentence."""
        lower = f"{self.escapes or 'none'} of them score{'s' if self.escapes < 2 else ''} lower"
        bound = "" if self.false_reject_bound is None else f" ({at_most(self.false_reject_bound)} at most, as surely)"
        return (
            f"{self.claim}: {self.parts} defective parts of the {split} split, {lower} (order statistics of their "
            f"scores, Wilks 1941); false rejects: {self.false_rejects} of {self.good} good parts{bound}"
        )


@dataclass(frozen=True, slots=True)
class Spared:
    """A threshold whose false-reject rate is bounded, and what escapes it on the same parts.

    Attributes:
        image: the image threshold.
        good: good parts that were counted.
        rank: the threshold lies over the score of the `rank`-th highest of them.
        escapes, false_rejects, parts: parts at this threshold; `parts` are the defective ones.
        escape_bound: for a threshold that these parts chose (`rate_anywhere`); `None` without a defective part.
        false_reject_bound: what the rank bounds the rate by, `max_false_reject_rate` at most.
    """

    image: float
    max_false_reject_rate: float
    confidence: float
    parts: int
    rank: int
    escapes: int
    false_rejects: int
    good: int
    escape_bound: float | None
    false_reject_bound: float

    @property
    def claim(self) -> str:
        """What is claimed, as a sentence's beginning."""
        rate, confidence = percent(self.max_false_reject_rate), percent(self.confidence)
        return f"at most {rate} of good parts are rejected falsely, with {confidence} confidence"

    def basis(self, split: str) -> str:
        """The recipe's sentence."""
        higher = f"{self.false_rejects or 'none'} of them score{'s' if self.false_rejects < 2 else ''} as high"
        bound = f"escapes: {self.escapes} of {self.parts} defective parts"
        bound += ", so nothing is known about them" if self.escape_bound is None else ""
        bound += "" if self.escape_bound is None else f" ({at_most(self.escape_bound)} at most, as surely)"
        return (
            f"{self.claim}: {self.good} good parts of the {split} split, {higher} (order statistics of their scores, "
            f"Wilks 1941); {bound}"
        )


def bounded(scores: PartScores, max_escape_rate: float, confidence: float) -> Bounded:
    """The threshold with the fewest false rejects of those of which the parts prove that at most `max_escape_rate` of
    all defective parts score under them; of equal ones that with the fewest escapes.

    Raises:
        EvidenceError: the defective parts are too few for the claim, or too many of them score 0.
        UsageError: a claim that no data could support.
    """
    good, bad = scores
    rank = rank_for(len(bad), max_escape_rate, confidence)
    limit = float(bad[rank - 1])
    if limit <= 0.0:
        raise EvidenceError(
            f"The data cannot support an escape rate of at most {percent(max_escape_rate)} with "
            f"{percent(confidence)} confidence: {int((bad <= 0).sum())} of {len(bad)} defective parts score 0, as a "
            "surface without any sign of a defect does, so the threshold would reject every part; check their labels, "
            "or train again with them"
        )
    image = middle(*_gap_under(limit, good, bad))
    escapes, false_rejects = scores.errors(image)
    return Bounded(
        image=image,
        max_escape_rate=max_escape_rate,
        confidence=confidence,
        parts=len(bad),
        rank=rank,
        escapes=escapes,
        false_rejects=false_rejects,
        good=len(good),
        escape_bound=worst_rate(rank - 1, len(bad), confidence),
        false_reject_bound=rate_anywhere(false_rejects, len(good), confidence) if len(good) else None,
    )


def spared(scores: PartScores, max_false_reject_rate: float, confidence: float) -> Spared:
    """The threshold with the fewest escapes of those of which the parts prove that at most `max_false_reject_rate` of
    all good parts score as high; of equal ones that with the fewest false rejects.

    Raises:
        EvidenceError: the good parts are too few for the claim, or too many of them score 1.
        UsageError: a claim that no data could support.
    """
    good, bad = scores
    rank = rank_for(len(good), max_false_reject_rate, confidence, FALSE_REJECTS)
    limit = float(good[-rank])
    if limit >= 1.0:
        raise EvidenceError(
            f"The data cannot support a false-reject rate of at most {percent(max_false_reject_rate)} with "
            f"{percent(confidence)} confidence: {int((good >= 1).sum())} of {len(good)} good parts score 1, as the "
            "surest defect does, so every threshold rejects them; check their labels, or train again with them"
        )
    image = middle(*_gap_over(limit, good, bad))
    escapes, false_rejects = scores.errors(image)
    return Spared(
        image=image,
        max_false_reject_rate=max_false_reject_rate,
        confidence=confidence,
        parts=len(bad),
        rank=rank,
        escapes=escapes,
        false_rejects=false_rejects,
        good=len(good),
        escape_bound=rate_anywhere(escapes, len(bad), confidence) if len(bad) else None,
        false_reject_bound=worst_rate(rank - 1, len(good), confidence),
    )


def _gap_under(limit: float, good: Floats, bad: Floats) -> tuple[float, float]:
    """The gap in which a threshold of at most `limit` has the fewest false rejects, and then the fewest escapes.

    It begins at the highest good score under the limit, and ends at the defective score that follows: a higher
    threshold would let defective parts go and spare no good one. Without good parts it ends at the limit.
    """
    if len(good) == 0:
        return float(bad[bad < limit].max(initial=0.0)), limit
    low = float(good[good < limit].max(initial=0.0))
    return low, float(bad[bad > low].min())


def _gap_over(limit: float, good: Floats, bad: Floats) -> tuple[float, float]:
    """The gap in which a threshold over `limit` has the fewest escapes, and then the fewest false rejects.

    It ends at the lowest defective score over the limit, and begins at the good score before it. Where none scores
    higher, or none is known, what is to be caught is unknown: then it ends near the limit.
    """
    higher = bad[bad > limit]
    if len(higher):
        high = float(higher.min())
        return float(good[good < high].max()), high
    following = float(good[good > limit].min(initial=1.0))
    near = sigmoid(logit(limit) + _NO_FURTHER)
    return limit, min(near, following) if near > limit else following
