"""The image threshold by a bound on the escape rate."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from onspec.domain import EvidenceError
from onspec.evaluation.evidence import percent, rank_for
from onspec.evaluation.gaps import Floats, middle
from onspec.evaluation.results import ImageResult, by_part


@dataclass(frozen=True, slots=True)
class Bounded:
    """A threshold whose escape rate is bounded, and what it costs on the same parts.

    Attributes:
        image: the image threshold.
        parts: defective parts that were counted.
        rank: the threshold lies at or under the score of the `rank`-th lowest of them.
        escapes, false_rejects, good: parts at this threshold.
    """

    image: float
    max_escape_rate: float
    confidence: float
    parts: int
    rank: int
    escapes: int
    false_rejects: int
    good: int

    @property
    def claim(self) -> str:
        """What is claimed, as a sentence's beginning."""
        rate, confidence = percent(self.max_escape_rate), percent(self.confidence)
        return f"at most {rate} of defective parts escape, with {confidence} confidence"


def bounded(results: Iterable[ImageResult], max_escape_rate: float, confidence: float) -> Bounded:
    """The threshold with the fewest false rejects of those of which the parts prove that at most `max_escape_rate` of
    all defective parts score under them; of equal ones that with the fewest escapes.

    Parts are counted, not images: several images of one part are no independent evidence.

    Raises:
        EvidenceError: the defective parts are too few for the claim, or too many of them score 0.
        UsageError: a claim that no data could support.
    """
    good, bad = part_scores(results)
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
    return Bounded(
        image=image,
        max_escape_rate=max_escape_rate,
        confidence=confidence,
        parts=len(bad),
        rank=rank,
        escapes=int((bad < image).sum()),
        false_rejects=int((good >= image).sum()),
        good=len(good),
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


def part_scores(results: Iterable[ImageResult]) -> tuple[Floats, Floats]:
    """Scores of the good and of the defective parts, rising.

    A part of which an image could not be judged is left out, whatever its other images say: to keep it only where they
    reject it would prefer high scores.
    """
    results = list(results)
    incomplete = {result.part for result in results if result.score is None}
    parts = [part for part in by_part(results) if part.part not in incomplete]
    good, bad = ([part.score or 0.0 for part in parts if part.defective is kind] for kind in (False, True))
    return np.sort(np.array(good, np.float64)), np.sort(np.array(bad, np.float64))
