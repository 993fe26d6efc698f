"""A threshold whose escape rate is bounded, though the data themselves chose it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onspec.domain import EvidenceError, UsageError


@dataclass(frozen=True, slots=True)
class Bound:
    """An operating point and what it promises.

    With confidence `confidence`, at most `escape_bound` of future defective parts score below `threshold`, given that
    they come from where the `defective` parts of the data came from. `misses` of those score below it.
    """

    threshold: float
    escape_bound: float
    confidence: float
    misses: int
    defective: int
    false_rejects: int
    good: int


def bounded(
    good: NDArray[np.float64], defective: NDArray[np.float64], max_escape_rate: float, confidence: float
) -> Bound:
    """The highest threshold whose escape rate is at most `max_escape_rate` with the wanted confidence.

    Scores are of independent parts. Wilks' distribution-free tolerance limit (Ann. Math. Statist. 12 (1941) 91): of n
    defective parts, the share of the population below the k-th lowest score exceeds R with a probability of at most
    BinomCDF(k − 1; n, R), whatever the distribution. So the largest k that keeps it within 1 − C is taken, and the
    choice needs no data of its own.

    Raises:
        UsageError: a rate or confidence that is not within (0, 1).
        EvidenceError: too few defective parts for the claim; says how many it takes.
    """
    from scipy.stats import beta, binom

    for name, value in (("escape rate", max_escape_rate), ("confidence", confidence)):
        if not 0 < value < 1:
            raise UsageError(f"the {name} must lie between 0 and 1, both excluded; got {value:g}")
    n = len(defective)
    allowed = [k for k in range(1, n + 1) if binom.cdf(k - 1, n, max_escape_rate) <= 1 - confidence]
    if not allowed:
        raise EvidenceError(_refusal(n, max_escape_rate, confidence))
    k = max(allowed)
    threshold = float(np.sort(defective)[k - 1])
    return Bound(
        threshold=threshold,
        escape_bound=float(beta.ppf(confidence, k, n - k + 1)),
        confidence=confidence,
        misses=int((defective < threshold).sum()),
        defective=n,
        false_rejects=int((good >= threshold).sum()),
        good=len(good),
    )


def parts_needed(max_escape_rate: float, confidence: float) -> int:
    """Defective parts that support the claim if none is missed: the least n with (1 − R)^n ≤ 1 − C."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-max_escape_rate) - 1e-9)


def _refusal(n: int, max_escape_rate: float, confidence: float) -> str:
    needed = parts_needed(max_escape_rate, confidence)
    best = 1.0 - (1.0 - confidence) ** (1.0 / n) if n else 1.0
    return (
        f"The data cannot support an escape rate of at most {max_escape_rate:.3g} with {confidence:.0%} confidence: "
        f"{n} defective parts support {best:.3g} at best; it takes {needed} without a miss, {needed - n} more"
    )
