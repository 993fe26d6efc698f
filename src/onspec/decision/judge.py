"""Prediction + thresholds + rules → the decision on one image. Pure: the same input gives the same verdict."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onspec.decision.acceptance import Found, accept, figures
from onspec.decision.rules import RuleSet
from onspec.decision.tasks import TASKS, Scores
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Defect, Prediction, RulesError, ScoredBox, ScoreMap, Task, Verdict
from onspec.domain.verdict import GOOD
from onspec.imaging.regions import Region

ZoneMasks = dict[str, NDArray[np.bool_]]
"""Zone → bool (H, W)."""


def judge(
    prediction: Prediction,
    thresholds: Thresholds,
    rules: RuleSet = RuleSet(),  # noqa: B008 (frozen)
    pixel_size_mm: float | None = None,
    task: Task = Task.SEGMENT,
) -> Decision:
    """Decide on one image from what the model says of it; `tasks.TASKS` says how a task's prediction is read.

    What lies in an ignored zone is taken as free of defects before anything is scored. Defects that score at least
    `thresholds.image` are certain, those down to `thresholds.review` unsure; the rules then say what they mean, see
    `acceptance.accept`. `pixel_size_mm` wins over that of the rules.

    Raises:
        RulesError: limits in mm without a pixel size, or a zone outside the image.
    """
    pixel = rules.pixel_size_mm if pixel_size_mm is None else pixel_size_mm
    if rules.needs_pixel_size and pixel is None:
        raise RulesError("the rules have limits in mm; give the recipe or the rules a pixel size (pixel_size_mm)")
    zones = _zone_masks(rules, prediction.size)
    prediction = _blanked(prediction, [zones[name] for name in rules.zones_of("ignore")])
    scores = TASKS[task].score(prediction, thresholds)
    found = sorted(
        (
            Found(
                measured(region.defect, pixel),
                frozenset(name for name, mask in zones.items() if _touches(region, mask)),
                certain=region.defect.score >= thresholds.image,
            )
            for region in TASKS[task].find(prediction, thresholds, scores)
        ),
        key=Found.sort_key,
    )
    verdict, reasons = accept(found, rules, thresholds)
    if scores.image >= thresholds.image and not any(f.certain for f in found):
        verdict = Verdict.NG  # a score without a region can have no measure, so no rule can accept it
        reasons = (f"score: {figures(scores.image, thresholds.image)} (no region outlined)", *reasons)
    return Decision(
        verdict=verdict,
        score=scores.image,
        class_scores=scores.classes,
        cls=_class_of_image(scores, thresholds) if task == Task.CLASSIFY else None,
        reasons=reasons,
        defects=tuple(f.defect for f in found),
    )


def measured(defect: Defect, pixel_size_mm: float | None) -> Defect:
    """The defect with its measures in mm, where the side of a pixel is known."""
    if pixel_size_mm is None:
        return defect
    return defect.model_copy(
        update={
            "area_mm2": defect.area_px * pixel_size_mm**2,
            "length_mm": defect.length_px * pixel_size_mm,
            "width_mm": defect.width_px * pixel_size_mm,
        }
    )


def _class_of_image(scores: Scores, thresholds: Thresholds) -> str:
    return GOOD if scores.image < thresholds.image else scores.likeliest


def _zone_masks(rules: RuleSet, size: tuple[int, int]) -> ZoneMasks:
    masks = {name: zone.mask(size) for name, zone in rules.zones.items()}
    for name, mask in masks.items():
        if not mask.any():
            raise RulesError(
                f"zone {name} lies outside the image of {size[0]}×{size[1]} px, so it never applies; correct the rules"
            )
    return masks


def _blanked(prediction: Prediction, ignored: Sequence[NDArray[np.bool_]]) -> Prediction:
    """Without the scores that lie in ignored zones, and without the boxes whose centre does."""
    if not ignored:
        return prediction
    judged = ~np.logical_or.reduce(ignored)
    maps = tuple(ScoreMap(np.ascontiguousarray(m.values * judged), m.cls) for m in prediction.maps)
    return replace(prediction, maps=maps, boxes=tuple(box for box in prediction.boxes if judged[_centre(box, judged)]))


def _centre(box: ScoredBox, of: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the pixel that a box's centre lies in, or of the one nearest to it."""
    row, column = math.floor(box.y + box.height / 2), math.floor(box.x + box.width / 2)
    return min(max(row, 0), of.shape[0] - 1), min(max(column, 0), of.shape[1] - 1)


def _touches(region: Region, zone: NDArray[np.bool_]) -> bool:
    x, y, w, h = region.defect.bbox
    return bool((zone[y : y + h, x : x + w] & region.mask.astype(bool)).any())
