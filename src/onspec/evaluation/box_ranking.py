"""Average precision of boxes as COCO defines it, by COCO's own code."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onspec.domain import MissingExtraError
from onspec.evaluation.boxes import Boxes

if TYPE_CHECKING:
    from pycocotools.coco import COCO

MOST_BOXES = 300
"""Boxes of one image and class that count, those of the highest scores (COCO's own limit is 100)."""

Pair = tuple[Boxes, Boxes]
"""The labelled and the found boxes of one image."""


@dataclass(frozen=True, slots=True)
class BoxPrecision:
    """Average precision at IoU 0.5, and its mean over IoU 0.5, 0.55, … 0.95; `None` where nothing is labelled."""

    ap_50: float | None
    ap_50_95: float | None


def box_precision(images: Sequence[Pair], classes: int) -> tuple[BoxPrecision, tuple[BoxPrecision, ...]]:
    """The mean over the classes that are labelled somewhere, and each class's own.

    Precision is made falling and averaged over 101 recalls; boxes of every size count, none as a crowd. Source: Lin et
    al., Microsoft COCO, ECCV 2014, and the evaluation code at https://cocodataset.org/#detection-eval.

    Raises:
        MissingExtraError: pycocotools is not installed.
    """
    if not any(len(truth) for truth, _ in images):
        nothing = BoxPrecision(None, None)
        return nothing, (nothing,) * classes
    precision = _precision(images, classes)
    return _mean(precision), tuple(_mean(precision[:, :, k]) for k in range(classes))


def _mean(precision: NDArray[np.float64]) -> BoxPrecision:
    """Over all recalls and labelled classes; (T, R, …), first the threshold 0.5, −1 where a class is not labelled."""
    at_half, known = precision[0][precision[0] > -1], precision[precision > -1]
    if not known.size:
        return BoxPrecision(None, None)
    return BoxPrecision(round(float(at_half.mean()), 9), round(float(known.mean()), 9))  # COCO's 1 is 1 − 2e−16


def _precision(images: Sequence[Pair], classes: int) -> NDArray[np.float64]:
    """Precision at 10 thresholds of IoU, 101 recalls and for each class: float64 (10, 101, K)."""
    try:
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError:
        raise MissingExtraError("The average precision of boxes", "evaluate") from None
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of every step
        judged = COCOeval(
            _as_coco([truth for truth, _ in images], classes), _as_coco([found for _, found in images], classes), "bbox"
        )
        judged.params.areaRng, judged.params.areaRngLbl = [[0.0, np.inf]], ["all"]
        judged.params.maxDets = [MOST_BOXES]
        judged.evaluate()
        judged.accumulate()
    return np.asarray(judged.eval["precision"][..., 0, 0], np.float64)


def _as_coco(images: Sequence[Boxes], classes: int) -> "COCO":
    """COCO's data set of boxes. Numbers begin at 1: its code takes a box of number 0 for none."""
    from pycocotools.coco import COCO

    rows = [
        (image, *row)
        for image, boxes in enumerate(images, 1)
        for row in zip(boxes.xywh.tolist(), boxes.classes.tolist(), boxes.scores.tolist(), strict=True)
    ]
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(1, len(images) + 1)],
        "categories": [{"id": cls} for cls in range(1, classes + 1)],
        "annotations": [
            {
                "id": number, "image_id": image, "category_id": cls + 1, "bbox": xywh, "score": score,
                "area": xywh[2] * xywh[3], "iscrowd": 0,
            }
            for number, (image, xywh, cls, score) in enumerate(rows, 1)
        ],
    }  # fmt: skip
    coco.createIndex()
    return coco
