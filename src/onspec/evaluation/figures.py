"""Counts → figures. One that the data does not define is `None`."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from onspec.domain import Verdict
from onspec.evaluation.box_ranking import BoxPrecision
from onspec.evaluation.intervals import clopper_pearson
from onspec.evaluation.metrics import DetectionFigures, ImageFigures, PartFigures, PixelFigures, Rate
from onspec.evaluation.ranking import auroc, average_precision, false_rejects_at_zero_escapes
from onspec.evaluation.results import ImageResult, Matches, Overlap, PartResult


def rate(count: int, of: int, confidence: float) -> Rate:
    """`count` of `of` with its interval."""
    if of == 0:
        return Rate(value=None, low=None, high=None, confidence=confidence)
    low, high = clopper_pearson(count, of, confidence)
    return Rate(value=count / of, low=low, high=high, confidence=confidence)


def image_figures(results: Sequence[ImageResult], confidence: float) -> ImageFigures:
    """Figures over the images that were judged."""
    return ImageFigures.model_validate(_whole(results, confidence))


def part_figures(parts: Sequence[PartResult], confidence: float) -> PartFigures:
    """Figures over the parts that were judged."""
    judged = Counter(part.defective for part in parts if part.score is not None)
    return PartFigures.model_validate(
        {
            **_whole(parts, confidence),
            "good": judged[False],
            "defective": judged[True],
            "errors": sum(part.verdict is Verdict.ERROR for part in parts),
        }
    )


def _whole(results: Sequence[ImageResult] | Sequence[PartResult], confidence: float) -> dict[str, object]:
    judged = [(r.defective, r.verdict, r.score) for r in results if r.score is not None]
    defective = np.array([d for d, _, _ in judged], bool)
    score = np.array([s for _, _, s in judged], np.float64)
    counts = Counter((d, v) for d, v, _ in judged)
    bad = int(defective.sum())
    escapes, false_rejects = counts[True, Verdict.OK], counts[False, Verdict.NG]
    return {
        "average_precision": average_precision(defective, score),
        "auroc": auroc(defective, score),
        "escapes": escapes,
        "false_rejects": false_rejects,
        "reviews_good": counts[False, Verdict.REVIEW],
        "reviews_defective": counts[True, Verdict.REVIEW],
        "escape_rate": rate(escapes, bad, confidence),
        "false_reject_rate": rate(false_rejects, len(judged) - bad, confidence),
        "false_rejects_at_zero_escapes": false_rejects_at_zero_escapes(defective, score),
    }


def pixel_figures(
    overlaps: Sequence[Overlap],
    aupro: float | None,
    *,
    good_marked: Sequence[float] = (),
    boundary: Sequence[float] = (),
    classes: Sequence[Overlap] = (),
) -> PixelFigures:
    """Figures of per-image overlaps; those without a defective pixel are left out.

    Args:
        good_marked: marked share of each good image.
        boundary: F1 of the outlines of each defective image.
        classes: where there are several, each one's pixels over all defective images.
    """
    with_defect = [o for o in overlaps if o.dice is not None]
    return PixelFigures(
        dice=_mean([o.dice for o in with_defect if o.dice is not None]),
        iou=_mean([o.iou for o in with_defect if o.iou is not None]),
        dice_pooled=sum(with_defect, Overlap()).dice,
        aupro=aupro,
        images=len(with_defect),
        good_marked_share=_mean(good_marked),
        iou_classes=_mean([o.iou for o in classes if o.iou is not None]),
        boundary_f1=_mean(boundary),
    )


NO_BOXES = BoxPrecision(None, None)
"""Where nobody knows of boxes."""


def detection_figures(
    matches: Sequence[Matches],
    boxes: Sequence[Matches] = (),
    precision: BoxPrecision = NO_BOXES,
    *,
    one_to_one: bool = False,
) -> DetectionFigures:
    """Figures over all images; precision is `None` where nothing was reported, recall where nothing was there.

    Args:
        boxes: the matches of boxes that overlap one to one by half or more.
        precision: the average precision of boxes.
        one_to_one: the rule by which `matches` were counted.
    """
    total = sum(matches, Matches())
    return DetectionFigures(
        map_50=precision.ap_50,
        map_50_95=precision.ap_50_95,
        precision=total.precision,
        recall=total.recall,
        f1=total.f1,
        f1_iou50=sum(boxes, Matches()).f1,
        defects=total.truth,
        defects_found=total.found,
        reported=total.predicted,
        reported_right=total.right,
        one_to_one=one_to_one,
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
