"""Per-region overlap (AUPRO), collected in histograms so that no map is kept."""

import cv2
import numpy as np
from numpy.typing import NDArray

_BINS = 2048
_LIMIT = 14.0


class RegionOverlap:
    """AUPRO: the mean share of each labelled region that is marked, integrated over false-positive rates up to 0.3.

    Bergmann et al., *The MVTec Anomaly Detection Dataset*, IJCV 129 (2021) 1038. Scores are binned evenly in logits
    from −14 to 14, where networks spread them.
    """

    def __init__(self) -> None:
        self._good = np.zeros(_BINS, np.int64)
        self._regions = np.zeros(_BINS, np.float64)
        self._count = 0

    def add(self, values: NDArray[np.float32], truth: NDArray[np.bool_]) -> None:
        """One image: scores (H, W) and where it is defective."""
        bins = _binned(values)
        self._good += np.bincount(bins[~truth], minlength=_BINS)
        count, labels = cv2.connectedComponents(truth.astype(np.uint8), connectivity=8)
        for label in range(1, count):
            inside = bins[labels == label]
            self._regions += np.bincount(inside, minlength=_BINS) / len(inside)
        self._count += count - 1

    def area(self, limit: float = 0.3) -> float | None:
        """Area up to the false-positive rate `limit`, as a share of the best possible; `None` without regions."""
        total = self._good.sum()
        if not self._count or not total:
            return None
        rate = np.concatenate([[0.0], np.cumsum(self._good[::-1]) / total])
        overlap = np.concatenate([[0.0], np.cumsum(self._regions[::-1]) / self._count])
        inside = rate <= limit
        x = np.append(rate[inside], limit)
        y = np.append(overlap[inside], np.interp(limit, rate, overlap))
        return float(np.trapezoid(y, x) / limit)


def _binned(values: NDArray[np.float32]) -> NDArray[np.int64]:
    clipped = np.clip(values.astype(np.float64), 1e-7, 1 - 1e-7)
    logits = np.log(clipped / (1.0 - clipped))
    return np.clip((logits + _LIMIT) * (_BINS / (2 * _LIMIT)), 0, _BINS - 1).astype(np.int64)
