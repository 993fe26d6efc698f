"""Marked against labelled pixels, all classes together and each apart."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from onspec.domain import Prediction
from onspec.evaluation.boundary import boundary_f1
from onspec.evaluation.figures import pixel_figures
from onspec.evaluation.labelled_regions import Truth
from onspec.evaluation.metrics import PixelFigures
from onspec.evaluation.region_overlap import RegionOverlap
from onspec.evaluation.results import ImageResult, Overlap


@dataclass(frozen=True, slots=True)
class Outlined:
    """What one image's pixels say: of all classes together, of each apart, and how well the outlines agree.

    `located` says that it is known which pixels are defective; otherwise there is nothing to compare with.
    """

    located: bool = False
    pixels: Overlap = field(default_factory=Overlap)
    overlap: tuple[Overlap, ...] = ()
    boundary_f1: float | None = None


class PixelComparison:
    """Compares images one at a time at a pixel threshold; keeps histograms of them, never maps.

    A pixel is marked where the score of being defective at all reaches the threshold, for the class that scores
    highest there, the earlier of equal ones.
    """

    def __init__(self, classes: int, threshold: float) -> None:
        self._threshold = threshold
        self._together = RegionOverlap()
        self._apart = tuple(RegionOverlap() for _ in range(classes)) if classes > 1 else (self._together,)
        self._good_marked: list[float] = []

    def add(self, prediction: Prediction, truth: Truth) -> Outlined:
        """Count one image of which it is known which pixels are defective."""
        total, union = prediction.total(), np.logical_or.reduce(truth > 0, axis=0)
        marked = total.values >= self._threshold
        self._together.add(total, union.astype(np.uint8))
        if len(truth) > 1:
            for counts, score_map, plane in zip(self._apart, prediction.maps, truth, strict=True):
                counts.add(score_map, plane)
        planes = zip(_by_class(prediction, marked), truth, strict=True)
        return Outlined(
            located=True,
            pixels=_overlap(marked, union),
            overlap=tuple(_overlap(m, plane > 0) for m, plane in planes),
            boundary_f1=boundary_f1(marked, union) if union.any() else None,
        )

    def add_good(self, prediction: Prediction) -> None:
        """Count what is marked on a good image."""
        self._good_marked.append(float((prediction.total().values >= self._threshold).mean()))

    def figures(self, located: Sequence[ImageResult]) -> PixelFigures:
        """All classes together, over the images that were added."""
        apart = [sum((r.overlap[k] for r in located if r.defective), Overlap()) for k in range(len(self._apart))]
        return pixel_figures(
            [r.pixels for r in located],
            self._together.aupro(),
            good_marked=self._good_marked,
            boundary=[r.boundary_f1 for r in located if r.boundary_f1 is not None],
            classes=apart if len(apart) > 1 else (),
        )

    def class_figures(self, index: int, located: Sequence[ImageResult]) -> PixelFigures:
        """One class, over the images that were added."""
        return pixel_figures([r.overlap[index] for r in located], self._apart[index].aupro())


def _overlap(marked: NDArray[np.bool_], there: NDArray[np.bool_]) -> Overlap:
    tp = int(np.count_nonzero(marked & there))
    return Overlap(tp, int(np.count_nonzero(marked)) - tp, int(np.count_nonzero(there)) - tp)


def _by_class(prediction: Prediction, marked: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    if len(prediction.maps) == 1:
        return [marked]
    highest = np.argmax([m.values for m in prediction.maps], axis=0)
    return [marked & (highest == k) for k in range(len(prediction.maps))]
