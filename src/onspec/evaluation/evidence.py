"""What a number of parts can prove about a rate of errors, whatever the distribution of their scores.

Order statistics give distribution-free tolerance limits (Wilks, Annals of Mathematical Statistics 12 (1941) 91): with
the threshold at the k-th lowest score of n defective parts, drawn independently, the share of all defective parts that
score lower exceeds R with probability P(Binomial(n, R) ≤ k − 1) at most. Ties only make it less. The same holds of good
parts that score higher than the k-th highest of them.
"""

import math
from typing import NamedTuple

from onspec.domain import EvidenceError, MissingExtraError, UsageError


class Claim(NamedTuple):
    """How sentences name the rate, the parts that it is a share of, and one that counts."""

    rate: str
    parts: str
    error: str


ESCAPES = Claim("an escape rate", "defective", "a miss")
FALSE_REJECTS = Claim("a false-reject rate", "good", "a false reject")


def check_claim(max_rate: float, confidence: float, claim: Claim = ESCAPES) -> None:
    """Refuse a claim that no data could support or that says nothing.

    Raises:
        UsageError: a rate or confidence that does not lie between 0 and 1.
    """
    if not 0 < max_rate < 1:
        raise UsageError(
            f"{claim.rate} of {max_rate:g} cannot be claimed; allowed: over 0 and under 1, as 0.01 for 1 %"
        )
    check_confidence(confidence)


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence.

    Raises:
        UsageError: it does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise UsageError(
            f"a confidence of {confidence:g} cannot be reached; allowed: over 0 and under 1, as 0.95 for 95 %"
        )


def rank_for(parts: int, max_rate: float, confidence: float, claim: Claim = ESCAPES) -> int:
    """The largest k for which a threshold at the k-th lowest of `parts` defective scores supports the claim; of good
    parts at the k-th highest.

    Raises:
        EvidenceError: none does; says how many more parts it takes.
        UsageError: a claim that no data could support.
        MissingExtraError: scipy is not installed.
    """
    check_claim(max_rate, confidence, claim)
    rank = rank_allowed(parts, max_rate, confidence)
    if rank == 0:
        raise EvidenceError(_too_few(parts, max_rate, confidence, claim))
    return rank


def rank_allowed(parts: int, max_rate: float, confidence: float) -> int:
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
        if binom.cdf(k - 1, parts, max_rate) <= 1.0 - confidence:
            low = k
        else:
            high = k - 1
    return low


def parts_needed(max_rate: float, confidence: float) -> int:
    """Parts that it takes for the claim if none is judged wrongly: (1 − R)^n ≤ 1 − C."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-max_rate) - 1e-9)


def best_rate(parts: int, confidence: float) -> float:
    """The lowest rate that `parts` can bound if none is judged wrongly; 1 for no part."""
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


def share_of_error(errors: int) -> float:
    """The share of the allowed error that a bound for k wrong parts may use up: 1 / ((k + 1)·(k + 2)).

    Over all k it adds up to 1. Few errors, where operating points lie, get most of it.
    """
    return 1.0 / ((errors + 1) * (errors + 2))


def rate_anywhere(errors: int, parts: int, confidence: float) -> float:
    """The share that `errors` of `parts` bound from above for whichever threshold, also one that these very parts chose
    by a rule as free as one likes.

    With k escapes the threshold lies at or under the (k + 1)-th lowest score. That each of these scores bounds the rate
    as `worst_rate` says is a statement of its own; they share out the allowed error (`share_of_error`), so that with
    `confidence` all hold at once, and with them the one for the threshold that was chosen. This is learn-then-test with
    a weighted Bonferroni correction (Angelopoulos et al., arXiv:2110.01052); where few parts are wrong it is far closer
    than the bound of Dvoretzky, Kiefer, Wolfowitz and Massart, which is as wide everywhere.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    return worst_rate(errors, parts, 1.0 - share_of_error(errors) * (1.0 - confidence))


def _too_few(parts: int, max_rate: float, confidence: float, claim: Claim) -> str:
    needed = parts_needed(max_rate, confidence)
    best = f"support at best {_over(best_rate(parts, confidence), max_rate)}" if parts else "support nothing"
    return (
        f"The data cannot support {claim.rate} of at most {percent(max_rate)} with {percent(confidence)} "
        f"confidence: {parts} {claim.parts} part{'' if parts == 1 else 's'} {best}; it takes {needed} {claim.parts} "
        f"parts without {claim.error}, {needed - parts} more"
    )


def percent(share: float) -> str:
    """`1 %`, `0.05 %`: a share that the user gave."""
    return f"{share * 100.0:.6g} %"


def at_most(share: float) -> str:
    """`4.2 %`: a bound, in two digits that are never too good."""
    if share <= 0:
        return "0 %"
    step = 10.0 ** (math.floor(math.log10(share * 100.0)) - 1)
    return f"{math.ceil(share * 100.0 / step - 1e-9) * step:.6g} %"


def _over(share: float, limit: float) -> str:
    """`4.1 %`: two digits, or as many as it takes to show that the share is over the limit."""
    for digits in range(2, 16):
        shown = f"{share * 100.0:.{digits}g}"
        if float(shown) > limit * 100.0:
            break
    return f"{shown} %"
