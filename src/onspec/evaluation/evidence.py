"""What a number of defective parts can prove about the escape rate, whatever the distribution of their scores.

Order statistics give distribution-free tolerance limits (Wilks, Annals of Mathematical Statistics 12 (1941) 91): with
the threshold at the k-th lowest score of n defective parts, drawn independently, the share of all defective parts that
score lower exceeds R with probability P(Binomial(n, R) ≤ k − 1) at most. Ties only make it less.
"""

import math

from onspec.domain import EvidenceError, MissingExtraError, UsageError


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


def rank_for(parts: int, max_escape_rate: float, confidence: float) -> int:
    """The largest k for which a threshold at the k-th lowest of `parts` defective scores supports the claim.

    Raises:
        EvidenceError: none does; says how many more parts it takes.
        UsageError: a claim that no data could support.
        MissingExtraError: scipy is not installed.
    """
    check_claim(max_escape_rate, confidence)
    rank = rank_allowed(parts, max_escape_rate, confidence)
    if rank == 0:
        raise EvidenceError(_too_few(parts, max_escape_rate, confidence))
    return rank


def rank_allowed(parts: int, max_escape_rate: float, confidence: float) -> int:
    """The largest k of `rank_for`; 0 for none.

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


def worst_rate(missed: int, parts: int, confidence: float) -> float:
    """The share that `missed` of `parts` bound from above, one-sided and exact: a quantile of Beta(k + 1, n − k).

    It holds for a threshold put at a rank of these very parts, too (order statistics, as above).

    Raises:
        MissingExtraError: scipy is not installed.
    """
    if missed == 0:
        return best_rate(parts, confidence)
    if missed >= parts:
        return 1.0
    try:
        from scipy.stats import beta
    except ModuleNotFoundError:
        raise MissingExtraError("A bound", "evaluate") from None
    return float(beta.ppf(confidence, missed + 1, parts - missed))


def _too_few(parts: int, max_escape_rate: float, confidence: float) -> str:
    needed = parts_needed(max_escape_rate, confidence)
    best = f"support at best {_over(best_rate(parts, confidence), max_escape_rate)}" if parts else "support nothing"
    return (
        f"The data cannot support an escape rate of at most {percent(max_escape_rate)} with {percent(confidence)} "
        f"confidence: {parts} defective part{'' if parts == 1 else 's'} {best}; it takes {needed} defective parts "
        f"without a miss, {needed - parts} more"
    )


def percent(share: float) -> str:
    """`1 %`, `0.05 %`: a share that the user gave."""
    return f"{share * 100.0:.6g} %"


def _over(share: float, limit: float) -> str:
    """`4.1 %`: two digits, or as many as it takes to show that the share is over the limit."""
    for digits in range(2, 16):
        shown = f"{share * 100.0:.{digits}g}"
        if float(shown) > limit * 100.0:
            break
    return f"{shown} %"
