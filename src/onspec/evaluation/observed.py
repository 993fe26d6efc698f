"""What the choice of thresholds keeps of validation images: counts and scores, never maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import ScoreMap
from onspec.evaluation.boxes import Boxes, right
from onspec.evaluation.gaps import best_f1_threshold, sigmoid
from onspec.evaluation.score_bins import EDGES, histogram
from onspec.imaging.masks import Mask
from onspec.imaging.weighing import peak_field

_PIXEL_RANGE: Final = (0.01, 0.99)
"""Where the pixel threshold may lie: outside, a last bit of the network would move an outline."""

ALLOWED: Final = np.arange(np.searchsorted(EDGES, _PIXEL_RANGE[0]), np.searchsorted(EDGES, _PIXEL_RANGE[1], "right"))
"""Places in EDGES of every pixel threshold that may be chosen."""

LEVELS: Final = np.searchsorted(EDGES, [sigmoid(step / 2) for step in range(-8, 9)])
"""Places in EDGES of a few pixel thresholds, half a step of the logit scale apart, at which regions are looked for."""


class Outlines:
    """Dice of defective images at each of EDGES, and how high the maps of defective images reach."""

    def __init__(self) -> None:
        self._dice = np.zeros(len(EDGES))
        self._images = 0
        self._peaks: list[float] = []

    def add(self, total: ScoreMap, union: Mask | None) -> None:
        """Count one defective image; `union` is uint8 (H, W) of 0/1, `None` where nobody knows which pixels are."""
        self._peaks.append(float(total.values.max()))
        if union is None:
            return
        marked, hit = histogram(total.values), histogram(total.values[union > 0])
        at_least = np.stack([marked, hit])[:, ::-1].cumsum(axis=1)[:, ::-1]
        self._dice += 2.0 * at_least[1] / (at_least[0] + int(np.count_nonzero(union)))
        self._images += 1

    def best(self, allowed: NDArray[np.intp] = ALLOWED) -> tuple[int, float] | None:
        """Place in EDGES and mean Dice of the best threshold, the middle of a plateau; `None` without a mask."""
        if not self._images:
            return None
        mean = self._dice[allowed] / self._images
        best = np.flatnonzero(mean >= mean.max() - 1e-9)
        run = max(np.split(best, np.flatnonzero(np.diff(best) > 1) + 1), key=len)
        return int(allowed[run[len(run) // 2]]), float(mean.max())

    def half_of_the_peaks(self) -> float:
        """Half of the median of the highest scores, within what a pixel threshold may be."""
        return allowed_pixel(float(np.median(self._peaks)) / 2)


def allowed_pixel(threshold: float) -> float:
    """The nearest pixel threshold that may be chosen, with three digits."""
    return float(f"{min(max(threshold, _PIXEL_RANGE[0]), _PIXEL_RANGE[1]):.3g}")


@dataclass(slots=True)
class Finds:
    """Reports of defects and labelled defects; see `gaps.best_f1_threshold`."""

    score: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    found_at: list[float] = field(default_factory=list)

    def add(self, score: Sequence[float], right: Sequence[bool], found_at: Sequence[float]) -> None:
        """Count those of one image."""
        self.score += score
        self.right += right
        self.found_at += found_at

    def add_boxes(self, found: Boxes, truth: Boxes) -> None:
        """Count the boxes of one image; one that scores 0 is none."""
        found = found.kept(found.scores > 0)
        correct = right(found, truth)
        missed = [0.0] * (len(truth) - int(correct.sum()))
        self.add(found.scores.tolist(), correct.tolist(), [*found.scores[correct].tolist(), *missed])

    def best(self, lowest: float = 0.0) -> tuple[float, float] | None:
        """The threshold of the best F1 and that F1; `None` where nothing is labelled or nothing can be found."""
        score, found_at = np.array(self.score, np.float64), np.array(self.found_at, np.float64)
        return best_f1_threshold(score, np.array(self.right, bool), found_at, lowest)


class Regions:
    """Which regions there are at each of `LEVELS`, what they score and whether they lie on a label, all classes alike.

    Only needed as long as no good image has come, see `forget`.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._finds: dict[int, Finds] | None = {int(place): Finds() for place in LEVELS}

    def forget(self) -> None:
        """Drop everything, and take no more."""
        self._finds = None

    def add(self, total: ScoreMap, union: Mask) -> None:
        """Count one defective image; `union` is uint8 (H, W) of 0/1."""
        if self._finds is None:
            return
        field = peak_field(total, self._window)
        count, defects = cv2.connectedComponents(union, connectivity=8, ltype=cv2.CV_32S)
        for place, finds in self._finds.items():
            _find(finds, total.values, field, np.asarray(defects, np.int32), count, float(EDGES[place]))

    def best(self, place: int) -> tuple[float, float] | None:
        """The image threshold of the best F1 with regions outlined at `EDGES[place]`, and that F1."""
        return None if self._finds is None else self._finds[place].best(lowest=float(EDGES[place]))


def _find(
    finds: Finds,
    values: NDArray[np.float32],
    field: NDArray[np.float32],
    defects: NDArray[np.int32],
    count: int,
    level: float,
) -> None:
    """Count the regions at or over `level`, whose scores are those of `field`; `defects` are labels 0…count − 1."""
    marked = values >= level
    regions, connected = cv2.connectedComponents(marked.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    labels = np.asarray(connected, np.int32)
    score, found_at = np.zeros(regions, np.float32), np.zeros(count, np.float32)
    np.maximum.at(score, labels[marked], field[marked])
    score[score < level] = 0.0
    both = marked & (defects > 0)
    correct = np.zeros(regions, bool)
    correct[labels[both]] = True
    np.maximum.at(found_at, defects[both], score[labels[both]])
    finds.add(score[score > 0].tolist(), correct[score > 0].tolist(), found_at[1:].tolist())
