"""AUPRO: how much of every defect is marked, against how much good surface is marked with it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import ScoreMap
from onspec.evaluation.score_bins import BINS, bin_of
from onspec.imaging.masks import Mask


class RegionOverlap:
    """Sums up histograms of scores, so that memory does not grow with the number of images.

    Bergmann et al., The MVTec Anomaly Detection Dataset, International Journal of Computer Vision 129 (2021) 1038:
    the per-region overlap (PRO) at a threshold is the marked share of a labelled defect, averaged over all defects, so
    that a small defect counts as much as a large one. AUPRO is the area under PRO over the false-positive rate of all
    good pixels, up to a rate of 0.3, divided by 0.3.
    """

    def __init__(self) -> None:
        self._good = np.zeros(BINS, np.int64)
        self._defects = np.zeros(BINS, np.float64)
        self._count = 0

    def add(self, score_map: ScoreMap, truth: Mask) -> None:
        """Count one image; `truth` is uint8 (H, W) of 0/1."""
        bins = bin_of(score_map.values)
        inside = truth.astype(bool)
        self._good += np.bincount(bins[~inside], minlength=BINS)
        count, labels = cv2.connectedComponents(truth, connectivity=8)
        if count > 1:
            region = labels[inside]
            shares = 1.0 / np.bincount(region, minlength=count)[region]
            self._defects += np.bincount(bins[inside], weights=shares, minlength=BINS)
            self._count += count - 1

    def aupro(self, limit: float = 0.3) -> float | None:
        """AUPRO in [0, 1]; `None` without a labelled defect or without a good pixel."""
        good = int(self._good.sum())
        if not self._count or not good:
            return None
        false_positive_rate = np.concatenate([[0.0], np.cumsum(self._good[::-1]) / good])
        overlap = np.concatenate([[0.0], np.cumsum(self._defects[::-1]) / self._count])
        return area_up_to(false_positive_rate, overlap, limit) / limit


def area_up_to(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> float:
    """Area under the polyline through (x, y), x never falling, from x[0] to `limit` (trapezoids)."""
    within = int(np.searchsorted(x, limit, "right"))
    xs = np.append(x[:within], limit)
    ys = np.append(y[:within], np.interp(limit, x[within - 1 :], y[within - 1 :]))
    return float(np.sum(np.diff(xs) * (ys[1:] + ys[:-1]) / 2.0))
