"""The band under the image threshold in which a part goes to a person instead of passing as OK."""

import math
from dataclasses import dataclass

import numpy as np

from onspec.domain import EvidenceError, MissingExtraError, UsageError
from onspec.evaluation.evidence import at_most, percent, rate_anywhere, share_of_error
from onspec.evaluation.gaps import Floats, middle
from onspec.evaluation.part_scores import PartScores


@dataclass(frozen=True, slots=True)
class ReviewBand:
    """Where REVIEW begins, how many parts it takes, and what escapes then.

    Attributes:
        review: scores from here up to the image threshold are REVIEW.
        share: of the good parts that was wanted at most.
        good, of_good: good parts in the band, and all of them.
        low, high: the share of all good parts that lies in it, with `confidence`, wherever the threshold was put.
        defective, of_defective: defective parts in the band, and all of them.
        escapes_review_caught: defective parts under the band: what escapes if the person finds every defect.
        escapes_review_passed: those under the image threshold: what escapes if the person passes every part.
        bound_review_caught: upper bound of the rate of the first, with `confidence`; `None` without a defective part.
    """

    review: float
    share: float
    confidence: float
    good: int
    of_good: int
    low: float
    high: float
    defective: int
    of_defective: int
    escapes_review_caught: int
    escapes_review_passed: int
    bound_review_caught: float | None

    def basis(self) -> str:
        """The end of the recipe's sentence."""
        bound = self.bound_review_caught
        escapes = (
            f"escapes: {self.escapes_review_caught} where a REVIEW counts as caught"
            f"{'' if bound is None else f' ({at_most(bound)} at most)'}, {self.escapes_review_passed} where not"
        )
        return (
            f"REVIEW from {self.review:g}: {self.good} of {self.of_good} good parts ({100 * self.low:.2g} … "
            f"{at_most(self.high)}) and {self.defective} of {self.of_defective} defective ones; {escapes}"
        )


def check_share(share: float, good: int) -> None:
    """Refuse a share that cannot be, and one that not a single part makes up.

    Raises:
        UsageError: a share that does not lie between 0 and 1.
        EvidenceError: the good parts are too few; says how many more it takes.
    """
    if not 0 < share < 1:
        raise UsageError(
            f"a review share of {share:g} cannot be aimed at; allowed: over 0 and under 1, as 0.05 for 5 %"
        )
    if _wanted(share, good) == 0:
        needed = math.ceil(1.0 / share - 1e-9)
        raise EvidenceError(
            f"The data cannot support a review band for {percent(share)} of the good parts: one of {good} good "
            f"part{'' if good == 1 else 's'} is more than that; it takes {needed} good parts, {needed - good} more"
        )


def review_band(scores: PartScores, image: float, share: float, confidence: float) -> ReviewBand:
    """The widest band under `image` that takes at most `share` of the good parts, which production mostly is.

    Of thresholds that take the same good parts, those that also take the defective ones next to them; of the gap that
    is left the middle.

    Raises:
        EvidenceError: too few good parts, none of them under the threshold, or too many with one score.
        UsageError: a share that cannot be.
        MissingExtraError: scipy is not installed.
    """
    check_share(share, len(scores.good))
    below = scores.good[scores.good < image]
    wanted = min(_wanted(share, len(scores.good)), len(below))
    taken = _untied(below, wanted)
    if taken == 0:
        raise EvidenceError(_none_fits(below, len(scores.good), share))
    low = float(below[-taken - 1]) if taken < len(below) else 0.0
    every = np.concatenate(scores)
    review = middle(low, float(every[every > low].min()))
    caught, passed = scores.errors(review)[0], scores.errors(image)[0]
    n, m = len(scores.bad), len(scores.good)
    interval = _interval(taken, wanted, m, m - len(below), confidence)
    return ReviewBand(
        review=review,
        share=share,
        confidence=confidence,
        good=taken,
        of_good=m,
        low=interval[0],
        high=interval[1],
        defective=passed - caught,
        of_defective=n,
        escapes_review_caught=caught,
        escapes_review_passed=passed,
        bound_review_caught=rate_anywhere(caught, n, confidence) if n else None,
    )


def _wanted(share: float, good: int) -> int:
    return math.floor(share * good + 1e-9)


def _untied(below: Floats, wanted: int) -> int:
    """How many of the highest scores, `wanted` at most, a threshold over 0 parts from the rest."""
    rest = np.concatenate([[0.0], below])  # nothing that scores 0 is ever a question
    return next((k for k in range(wanted, 0, -1) if rest[-k - 1] < rest[-k]), 0)


def _none_fits(below: Floats, good: int, share: float) -> str:
    begins = f"The data cannot support a review band for {percent(share)} of the good parts: "
    if not below.any():
        found = (
            f"all {len(below)} that score under the threshold score 0"
            if len(below)
            else "none scores under the threshold"
        )
        return f"{begins}{found}, so there is nothing to tell apart; leave --review-share out"
    tied = int((below == below[-1]).sum())
    return (
        f"{begins}the highest {tied} under the threshold score the same ({below[-1]:.4g}); the least band takes "
        f"{at_most(tied / good)} of them, so choose that share or more"
    )


def _interval(taken: int, wanted: int, good: int, over: int, confidence: float) -> tuple[float, float]:
    """The share of all good parts in a band of `taken` of them that has `over` of them above it.

    The share between two ranks that are set beforehand has a beta distribution, whatever that of the scores is (Wilks,
    as for `evidence`). The band covers at most `wanted` + 1 steps from rank to rank, and at least `taken` − 1.
    Which ranks it is, the data chose with the image threshold, so all possible `over` share the allowed error. Where
    ties made the band smaller than wanted, its size was no choice made beforehand, and nothing is claimed from below.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.stats import beta
    except ModuleNotFoundError:
        raise MissingExtraError("A review band", "evaluate") from None
    tail = (1.0 - confidence) * share_of_error(over) / 2.0
    low = float(beta.ppf(tail, taken - 1, good - taken + 2)) if 1 < taken == wanted else 0.0
    high = float(beta.isf(tail, wanted + 1, good - wanted)) if wanted < good else 1.0
    return low, high
