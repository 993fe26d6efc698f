"""Figures that rank images by their score, from counts; ill-defined ones are `None`."""

import numpy as np
from numpy.typing import NDArray

Truth = NDArray[np.bool_]
Scores = NDArray[np.float64]


def precision_recall(defective: Truth, score: Scores) -> tuple[Scores, Scores, Scores]:
    """Precision and recall at each distinct score, falling: (precision, recall, thresholds), float64 (n,).

    All images of one score change sides together, so ties cannot be ordered in one's favour.
    """
    order = np.argsort(-score, kind="stable")
    ranked, truth = score[order], defective[order]
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    found = np.cumsum(truth)[last].astype(np.float64)
    return found / (last + 1.0), found / max(1, int(truth.sum())), ranked[last]


def average_precision(defective: Truth, score: Scores) -> float | None:
    """Σ (recall_i − recall_{i−1}) · precision_i over falling thresholds; `None` without a defective or good image."""
    if not defective.any() or defective.all():
        return None
    precision, recall, _ = precision_recall(defective, score)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def auroc(defective: Truth, score: Scores) -> float | None:
    """The chance that a defective image scores over a good one, ties counting half (Mann–Whitney)."""
    bad, good = score[defective], np.sort(score[~defective])
    if not len(bad) or not len(good):
        return None
    below = np.searchsorted(good, bad, "left")
    up_to = np.searchsorted(good, bad, "right")
    return float((below + up_to).sum() / (2.0 * len(bad) * len(good)))


def false_rejects_at_zero_escapes(defective: Truth, score: Scores) -> int | None:
    """Good images that score at least as much as the lowest defective one; `None` if either kind is absent."""
    if not defective.any() or defective.all():
        return None
    return int((score[~defective] >= score[defective].min()).sum())
