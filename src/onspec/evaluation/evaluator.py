"""Judged images, one at a time → counts → metrics."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onspec.decision.judge import judge
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, ScoreMap, Verdict
from onspec.evaluation.detection import match, reported
from onspec.evaluation.metrics import (
    ClassFigures,
    Images,
    Metrics,
    detection_figures,
    image_figures,
    part_figures,
    pixel_figures,
)
from onspec.evaluation.region_overlap import RegionOverlap
from onspec.evaluation.results import ImageResult, Matches, Overlap, by_part

Truth = NDArray[np.uint8]
"""uint8 (K, H, W) of 0/1, one plane a class."""


class Evaluator:
    """Takes judged images in any order and keeps counts and histograms of them, never the maps.

    `results` has one entry an image, in the order in which they came.
    """

    def __init__(self, classes: Sequence[str], thresholds: Thresholds) -> None:
        self.classes = tuple(classes)
        self.thresholds = thresholds
        self.results: list[ImageResult] = []
        self._region_overlap = tuple(RegionOverlap() for _ in self.classes)
        self._good_marked: list[float] = []

    def add(
        self,
        name: str,
        part: str,
        defective: bool,
        maps: Sequence[ScoreMap],
        truth: Truth | None,
        *,
        decision: Decision | None = None,
        ms: float | None = None,
    ) -> None:
        """Count one image.

        Args:
            truth: `None` where it is only known whether the part is defective. A mask without a defective pixel on a
                defective image says nothing about where the defect is, and is taken as `None`.
            decision: what the recipe with its rules said; without one, the thresholds alone decide.
            ms: wall time that the inspection took.

        Raises:
            ValueError: maps or truth that do not fit the classes or each other, or a good image with a defect.
        """
        known = self._checked(name, defective, maps, truth)
        decision = decision or judge(maps, self.thresholds)
        result = ImageResult(
            name=name,
            part=part,
            defective=defective,
            verdict=decision.verdict,
            score=decision.score,
            located=known is not None,
            overlap=() if known is None else tuple(self._overlap(m, t) for m, t in zip(maps, known, strict=True)),
            matches=() if known is None else tuple(self._matches(m, t) for m, t in zip(maps, known, strict=True)),
            defects=len(decision.defects),
            area_px=sum(defect.area_px for defect in decision.defects),
            ms=ms,
        )
        if known is not None:
            for counts, score_map, plane in zip(self._region_overlap, maps, known, strict=True):
                counts.add(score_map, plane)
        if not defective:
            self._good_marked.append(result.pixels.fp / sum(m.values.size for m in maps))
        self.results.append(result)

    def add_error(self, name: str, part: str, defective: bool, error: str, *, ms: float | None = None) -> None:
        """Count an image that could not be judged, or whose label could not be read. It is never OK."""
        self.results.append(ImageResult(name, part, defective, Verdict.ERROR, None, ms=ms, error=error))

    def metrics(self, task: str = "segment", split: str = "test", confidence: float = 0.95) -> Metrics:
        """The figures over everything added so far; `confidence` is that of the intervals."""
        judged = [result for result in self.results if result.score is not None]
        located = [result for result in judged if result.located]
        defective = sum(result.defective for result in judged)
        together = RegionOverlap()
        for counts in self._region_overlap:
            together.merge(counts)
        return Metrics(
            task=task,
            split=split,
            images=Images(good=len(judged) - defective, defective=defective),
            errors=len(self.results) - len(judged),
            threshold=self.thresholds.image,
            thresholds=self.thresholds,
            image=image_figures(judged, confidence),
            parts=part_figures(by_part(self.results), confidence),
            pixel=pixel_figures([r.pixels for r in located], together.aupro(), self._good_marked),
            detection=detection_figures([m for r in located for m in r.matches]),
            per_class={cls: self._class_figures(index, located) for index, cls in enumerate(self.classes)},
        )

    def _class_figures(self, index: int, located: Sequence[ImageResult]) -> ClassFigures:
        aupro = self._region_overlap[index].aupro()
        return ClassFigures(
            pixel=pixel_figures([r.overlap[index] for r in located], aupro),
            detection=detection_figures([r.matches[index] for r in located]),
        )

    def _overlap(self, score_map: ScoreMap, plane: Truth) -> Overlap:
        marked, there = score_map.values >= self.thresholds.pixel, plane.astype(bool)
        tp = int(np.count_nonzero(marked & there))
        return Overlap(tp, int(np.count_nonzero(marked)) - tp, int(np.count_nonzero(there)) - tp)

    def _matches(self, score_map: ScoreMap, plane: Truth) -> Matches:
        return match(reported(score_map, self.thresholds), plane)

    def _checked(self, name: str, defective: bool, maps: Sequence[ScoreMap], truth: Truth | None) -> Truth | None:
        """The truth as planes, `None` where nobody knows which pixels are defective."""
        if tuple(m.cls for m in maps) != self.classes:
            raise ValueError(f"{name}: maps of {[m.cls for m in maps]}; this evaluation is about {list(self.classes)}")
        shape = (len(maps), *maps[0].values.shape)
        if truth is None:
            return None if defective else np.zeros(shape, np.uint8)
        if truth.shape != shape or truth.dtype != np.uint8:
            raise ValueError(f"{name}: truth must be uint8 {shape} as the maps are; got {truth.dtype} {truth.shape}")
        if truth.any() and not defective:
            raise ValueError(f"{name}: is labelled good and its mask marks {int(truth.sum())} px as defective")
        return truth if truth.any() or not defective else None
