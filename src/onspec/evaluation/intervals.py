"""Exact confidence intervals for a share."""

from onspec.domain import MissingExtraError


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval (low, high) for a binomial share of which `k` of `n` were seen; (0, 1) for n = 0.

    Clopper & Pearson, Biometrika 26 (1934) 404: quantiles of Beta(k, n − k + 1) and Beta(k + 1, n − k).

    Raises:
        ValueError: k is not within 0…n, or the confidence not within (0, 1).
        MissingExtraError: scipy is not installed.
    """
    try:
        from scipy.stats import beta
    except ModuleNotFoundError:
        raise MissingExtraError("A confidence interval", "evaluate") from None
    if not 0 <= k <= n or not 0 < confidence < 1:
        raise ValueError(f"needs 0 <= k <= n and 0 < confidence < 1; got k={k}, n={n}, confidence={confidence}")
    tail = (1.0 - confidence) / 2.0
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1.0 - tail, k + 1, n - k)) if k < n else 1.0
    return low, high
