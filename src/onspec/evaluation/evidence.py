"""What a number of defective parts can prove about the escape rate, whatever the distribution of their scores.

Order statistics give distribution-free tolerance limits (Wilks, Annals of Mathematical Statistics 12 (1941) 91): with
the threshold at the k-th lowest score of n defective parts, drawn independently, the share of all defective parts that
score lower exceeds R with probability P(Binomial(n, R) ≤ k − 1) at most. Ties only make it less.
"""

import math

from onspec.domain import MissingExtraError, UsageError


def check_claim(max_escape_rate: float, confidence: float) -> None:
    """Refuse a claim that no data could support or that says nothing.

    Raises:
        UsageError: a rate or confidence that does not lie between 0 and 1.
    """
    if not 0 < max_escape_rate < 1:
        raise UsageError(
            f"an escape rate of {max_escape_rate:g} cannot be claimed; allowed: over 0 and under 1, as 0.01 for 1 %"
        )
    if not 0 < confidence < 1:
        raise UsageError(
            f"a confidence of {confidence:g} cannot be reached; allowed: over 0 and under 1, as 0.95 for 95 %"
        )


def rank_allowed(parts: int, max_escape_rate: float, confidence: float) -> int:
    """The largest k for which a threshold at the k-th lowest defective score supports the claim; 0 for none.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.stats import binom
    except ModuleNotFoundError:
        raise MissingExtraError("A threshold with a bound", "evaluate") from None
    low, high = 0, parts  # P(Binomial ≤ k − 1) rises with k
    while low < high:
        k = (low + high + 1) // 2
        if binom.cdf(k - 1, parts, max_escape_rate) <= 1.0 - confidence:
            low = k
        else:
            high = k - 1
    return low


def parts_needed(max_escape_rate: float, confidence: float) -> int:
    """Defective parts that it takes for the claim if none is missed: (1 − R)^n ≤ 1 − C."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-max_escape_rate) - 1e-9)


def best_rate(parts: int, confidence: float) -> float:
    """The lowest escape rate that `parts` defective parts can bound if none is missed; 1 for no part."""
    return 1.0 if parts == 0 else -math.expm1(math.log1p(-confidence) / parts)
