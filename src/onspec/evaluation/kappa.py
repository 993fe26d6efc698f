"""Agreement beyond chance: Cohen's kappa of two, Fleiss' kappa of many. Own arithmetic; what is undefined is `None`."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from onspec.domain import MissingExtraError


class Kappa(BaseModel):
    """Kappa with its interval: 1 is full agreement, 0 what chance alone gives; all `null` where chance explains all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None = None
    standard_error: float | None = None
    low: float | None = Field(None, description="null where the standard error is 0: a sample cannot prove that")
    high: float | None = None
    confidence: float
    z: float | None = Field(None, description="value ÷ the standard error that chance alone would give it")


def cohen(table: NDArray[np.int64], confidence: float = 0.95) -> Kappa:
    """Kappa of two appraisers from their cross table of counts, (K, K): the one's categories down, the other's across.

    Cohen, Educational and Psychological Measurement 20 (1960) 37; large-sample standard errors, also that under chance,
    by Fleiss, Cohen & Everitt, Psychological Bulletin 72 (1969) 323.

    Raises:
        ValueError: the table is not square, holds a negative count, or the confidence is not within (0, 1).
    """
    counts = np.asarray(table)
    _require(counts.ndim == 2 and counts.shape[0] == counts.shape[1] and bool((counts >= 0).all()), counts, confidence)
    n = int(counts.sum())
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    if n * n == int(rows @ columns):  # nothing was judged, or both always said the same one word
        return Kappa(confidence=confidence)
    p, down, across = counts / n, rows / n, columns / n
    chance = float(down @ across)
    value = float((np.trace(p) - chance) / (1 - chance))
    both = across[:, None] + down[None, :]
    off = p * both**2
    right = float(np.diag(p) @ (1 - (down + across) * (1 - value)) ** 2)
    wrong = float(off.sum() - np.trace(off)) * (1 - value) ** 2
    variance = (right + wrong - (value - chance * (1 - value)) ** 2) / (n * (1 - chance) ** 2)
    by_chance = chance + chance**2 - float((down * across) @ (down + across))
    agreed = int(np.trace(counts)) == n
    return _kappa(
        value,
        0.0 if agreed else _root(variance),
        _root(by_chance / (n * (1 - chance) ** 2)),
        NormalDist().inv_cdf((1 + confidence) / 2),
        confidence,
    )


def fleiss(counts: NDArray[np.int64], confidence: float = 0.95) -> Kappa:
    """Kappa of several ratings a part: counts (parts, K) of how often each part was put into each category.

    Fleiss, Psychological Bulletin 76 (1971) 378. The standard error under chance is that of Fleiss, Nee & Landis,
    Psychological Bulletin 86 (1979) 974, which holds for no interval. That is by the linearised variance over parts of
    Gwet, Educational and Psychological Measurement 81 (2021) 781, with Student's t of parts − 1 degrees of freedom: it
    takes parts, not single ratings, as independent.

    Raises:
        ValueError: a count is negative, parts differ in ratings, or the confidence is not within (0, 1).
        MissingExtraError: scipy is not installed.
    """
    counts = np.asarray(counts)
    ratings = counts.sum(axis=1) if counts.ndim == 2 else np.zeros(0, np.int64)
    _require(counts.ndim == 2 and bool((counts >= 0).all()) and len(set(ratings.tolist())) <= 1, counts, confidence)
    n, each = len(counts), int(ratings[0]) if len(ratings) else 0
    if each < 2 or int((counts.sum(axis=0) > 0).sum()) < 2:
        return Kappa(confidence=confidence)
    share = counts.sum(axis=0) / (n * each)
    chance = float(share @ share)
    same = (counts * (counts - 1)).sum(axis=1) / (each * (each - 1))
    value = float((same.mean() - chance) / (1 - chance))
    pq = share * (1 - share)
    spread = float(pq.sum() ** 2 - pq @ (1 - 2 * share))
    by_chance = 2 * spread / (n * each * (each - 1) * float(pq.sum()) ** 2)
    of_part = (same - chance) / (1 - chance) - 2 * (1 - value) * (counts @ share / each - chance) / (1 - chance)
    agreed = bool((same == 1).all())
    error = 0.0 if agreed else _root(float(((of_part - value) ** 2).sum()) / (n * (n - 1))) if n > 1 else None
    return _kappa(value, error, _root(by_chance), _student(n - 1, confidence) if n > 1 else 0.0, confidence)


def _require(sound: bool, counts: NDArray[np.int64], confidence: float) -> None:
    if not sound or not 0 < confidence < 1:
        raise ValueError(
            "kappa needs counts of at least 0, square for two appraisers and with equal sums of rows for several, and "
            f"0 < confidence < 1; got {counts.shape} {counts.tolist()}, confidence {confidence}"
        )


def _kappa(value: float, error: float | None, by_chance: float, quantile: float, confidence: float) -> Kappa:
    """The interval is cut to −1…1."""
    spread = None if not error else quantile * error
    return Kappa(
        value=value,
        standard_error=error,
        low=None if spread is None else max(-1.0, value - spread),
        high=None if spread is None else min(1.0, value + spread),
        confidence=confidence,
        z=value / by_chance if by_chance else None,
    )


def _root(variance: float) -> float:
    """Rounding may leave a variance of 0 just under it."""
    return math.sqrt(max(0.0, variance))


def _student(freedom: int, confidence: float) -> float:
    try:
        from scipy.stats import t
    except ModuleNotFoundError:
        raise MissingExtraError("A confidence interval", "evaluate") from None
    return float(t.ppf((1 + confidence) / 2, freedom))
