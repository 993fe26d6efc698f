"""Where between two scores a threshold lies."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_NEAR_END = 1e-4
"""Scores nearer to 0 or 1 than this count as equally sure when the middle of a gap is sought."""


def logit(score: float) -> float:
    """log(s / (1 − s)), on which 0.99 and 0.999 are as far apart as 0.5 and 0.91; finite at both ends."""
    p = min(max(score, _NEAR_END), 1.0 - _NEAR_END)
    return math.log(p / (1.0 - p))


def middle(low: float, high: float) -> float:
    """A threshold t with low < t ≤ high, in the middle of the two on the logit scale, with as few digits as do.

    Raises:
        ValueError: low is not under high, or they do not lie in [0, 1].
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"needs 0 <= low < high <= 1; got {low} and {high}")
    exact = sigmoid((logit(low) + logit(high)) / 2.0)
    if not low < exact <= high:  # both lie nearer to 0 or to 1 than _NEAR_END
        exact = low + (high - low) / 2.0
    for digits in range(3, 17):
        rounded = float(f"{exact:.{digits}g}")
        if low < rounded <= high and abs(rounded - exact) <= 0.25 * min(exact - low, high - exact):
            return rounded
    return exact


def sigmoid(x: float) -> float:
    """The score whose `logit` is `x`."""
    return 1.0 / (1.0 + math.exp(-x))


def least_cost_threshold(defective: Flags, score: Floats, escape_cost: float) -> float:
    """The threshold of least `escape_cost`·escapes + false rejects; of equal ones, the middle of the widest gap."""
    levels = np.unique(score)
    bad = np.searchsorted(np.sort(score[defective]), levels, "left")  # escapes with the threshold at each level
    good = int((~defective).sum()) - np.searchsorted(np.sort(score[~defective]), levels, "left")
    cost = np.append(escape_cost * bad + good, escape_cost * int(defective.sum()))  # the last: over all scores
    return _widest(cost, np.concatenate([[0.0], levels, [1.0]]))


def bearable_threshold(defective: Flags, score: Floats, escape_cost: float) -> tuple[float, float]:
    """The threshold of least cost that at least half of the good images pass, and what an escape costs for it: as
    given, or a half, a quarter … of that, down to a false reject, whether half of them pass then or not."""
    good = score[~defective]
    while True:
        threshold = least_cost_threshold(defective, score, escape_cost)
        if 2 * np.count_nonzero(good >= threshold) <= len(good) or escape_cost <= 1.0:
            return threshold, escape_cost
        escape_cost = max(1.0, escape_cost / 2.0)


def best_f1_threshold(score: Floats, right: Flags, found_at: Floats, lowest: float = 0.0) -> tuple[float, float] | None:
    """The threshold of the best F1 of reported defects and that F1; of equal ones, the middle of the widest gap.

    Args:
        score: of each report, (n,).
        right: whether it is one, (n,).
        found_at: for each labelled defect the highest score of a report that finds it, (m,); 0 where none does.
        lowest: the threshold is not put under it, and no report scores less.

    Returns:
        `None` where there is nothing to find, or no report could find it.
    """
    if not len(found_at) or not right.any():
        return None
    levels = np.unique(score)
    reported = len(score) - np.searchsorted(np.sort(score), levels, "left")
    correct = int(right.sum()) - np.searchsorted(np.sort(score[right]), levels, "left")
    found = len(found_at) - np.searchsorted(np.sort(found_at), levels, "left")
    precision, recall = correct / reported, found / len(found_at)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    if levels[0] <= lowest and f1[0] >= f1.max() - 1e-9:  # a report scores just that: there is no gap under it
        return float(lowest), float(f1[0])
    borders = np.concatenate([[lowest], levels])
    return _widest(-f1, borders), float(f1.max())


def _widest(cost: Floats, borders: Floats) -> float:
    """The middle of the widest of the gaps of least cost; gap i, of `cost[i]`, is from border i up to border i + 1.

    A threshold of 0 would reject every part and one over 1 none; between 0 and 1 there is always a gap.
    """
    edges = zip(cost, borders[:-1], borders[1:], strict=True)
    gaps = [(float(c), float(low), float(high)) for c, low, high in edges if low < high]
    least = min(gaps)[0]
    widest = max((gap for gap in gaps if gap[0] <= least + 1e-9), key=lambda gap: logit(gap[2]) - logit(gap[1]))
    return middle(widest[1], widest[2])
