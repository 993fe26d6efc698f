"""What chance alone does to a window of images: tests that hold for a reference of few quantiles and images in a row.

All of it in numpy: the service judges drift, and needs no scipy for it.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_TERMS = 101
_ENOUGH = 4
"""Windows of the past that tell how long images remember."""


def distance(values: Values, quantiles: Values, images: int) -> float:
    """How far the distribution of `values` is from one of which only evenly spaced quantiles are known, 0…1.

    Kolmogorov's D between the window and the `images` that the quantiles are of, as far as they show it: never more
    than D between the images themselves, ties included, so that a test by it errs to the safe side. Of a quantile q of
    order s among n images, at least a share of s - s / n is at most q, and at most s + (1 - s) / n is less than q.
    """
    order = np.sort(values)
    share = np.linspace(0, 1, len(quantiles))
    at_most = np.searchsorted(order, quantiles, side="right") / len(order)
    below = np.searchsorted(order, quantiles, side="left") / len(order)
    later = np.max(share - share / images - at_most)
    earlier = np.max(below - share - (1 - share) / images)
    # Both ends are known exactly: no image was less than the first or greater than the last.
    return float(max(later, earlier, below[0], 1 - at_most[-1], 0.0))


def kolmogorov(d: float, images: int, others: int) -> float:
    """Chance of a distance of at least `d` between two samples of one distribution: Kolmogorov's limit law.

    2 Σ (-1)^(k-1) exp(-2 k² x²) with x = d √(nm / (n + m)). Where it is at most 0.1, as every p that decides is, it
    exceeds the exact chance for any two sizes, and the more the smaller they are: it errs to the safe side.
    """
    x = d * math.sqrt(images * others / (images + others))
    if x < 0.2:  # 1 to fifteen digits, and the series converges slowly
        return 1.0
    terms = (math.exp(-2 * k * k * x * x) * (1 if k % 2 else -1) for k in range(1, _TERMS))
    return min(1.0, 2 * sum(terms))


def independent(values: Sequence[float] | Values, past: Sequence[float] | Values = ()) -> int:
    """How many independent images those of a window are worth, in their order: light and place drift slowly on a line.

    Their number over the time that they remember. How long that is the images before the window, `past`, say best: they
    show what goes to and fro more slowly than a window, and a window that jumps must not pass for one that remembers.
    What goes one way in them, as a lamp that ages, is drift and no memory, and taken out. Where they are fewer than
    four windows the window itself has a say.
    """
    count, before = len(values), np.asarray(past, np.float64)
    remembered = 1.0
    if len(before) < _ENOUGH * count:
        remembered = _memory(_ranks(np.asarray(values, np.float64)))
    if len(before) >= max(count, 4):
        ranks = _ranks(before)
        ranks -= ranks.mean()
        at = np.linspace(-1, 1, len(ranks))
        remembered = max(remembered, _memory(ranks - at * float(at @ ranks) / float(at @ at)))
    return max(1, math.floor(count / remembered)) if count else 0


def _memory(ranks: Values) -> float:
    """Over how many images values remember, 1 for none: the larger of two estimates.

    That of a process of first order, from the correlation of neighbours corrected for its bias (Kendall, Biometrika 41
    (1954) 403) and a standard error up; and Geyer's initial positive sequence (Statistical Science 7 (1992) 473), which
    also sees a slow part under noise. Values that are all equal tell of no memory.
    """
    count = len(ranks)
    if count < 4:
        return 1.0
    centred = ranks - ranks.mean()
    power = float(centred @ centred)
    if power == 0:
        return 1.0
    spectrum = np.fft.rfft(centred, 2 * count)
    lags = np.fft.irfft(spectrum * np.conj(spectrum))[:count] / power
    first = float(lags[1])
    first += (1 + 3 * first) / count + math.sqrt(max(0.0, 1 - first * first) / count)
    first = min(max(first, 0.0), 1 - 1 / count)
    pairs = lags[: count // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    positive = pairs[: ends[0]] if len(ends) else pairs
    return max((1 + first) / (1 - first), 2 * float(positive.sum()) - 1, 1.0)


def _ranks(values: Values) -> Values:
    """Mean ranks, equal for equal values."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[place], np.float64)


def as_rare(found: int, of: int, before: int, of_before: int) -> float:
    """Chance of a share this far from the one before, either way, if both are one: exact (Fisher), doubled tail.

    Args:
        found, of: such a verdict in the window, of all.
        before, of_before: in the windows before.
    """
    marked, total = found + before, of + of_before
    least, most = max(0, of - (total - marked)), min(of, marked)
    counts = np.arange(least, most + 1)
    logs = np.array([_choose(marked, int(k)) + _choose(total - marked, of - int(k)) for k in counts])
    chances = np.exp(logs - _choose(total, of))
    lower = float(chances[counts <= found].sum())
    upper = float(chances[counts >= found].sum())
    return min(1.0, 2 * min(lower, upper))


def _choose(n: int, k: int) -> float:
    """Logarithm of n over k."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm(chances: Sequence[float]) -> list[float]:
    """Each p as it stands among all that were looked at (Holm, Scandinavian Journal of Statistics 6 (1979) 65).

    Calling out those of at most a is a false alarm with chance a at most, however the figures hang together.
    """
    order = sorted(range(len(chances)), key=lambda at: chances[at])
    adjusted, highest = [1.0] * len(chances), 0.0
    for place, at in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - place) * chances[at]))
        adjusted[at] = highest
    return adjusted
