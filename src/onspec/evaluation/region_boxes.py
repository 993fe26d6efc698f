"""The boxes around a segmentation's regions down to a low score, by which they are ranked: noise has thousands of them.

So a region's box, class and score are all that is found of it, for all regions of an image together.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap
from onspec.evaluation.box_ranking import MOST_BOXES
from onspec.evaluation.boxes import Boxes
from onspec.imaging.boxes import FLOOR
from onspec.imaging.weighing import Weighed, weigh

Labels = NDArray[np.int32]


def boxes_of_regions(prediction: Prediction, thresholds: Thresholds, classes: Sequence[str]) -> Boxes:
    """The boxes of `imaging.regions.find_regions` down to a low score, by falling score: what their ranking is worth.

    Of a class only as many as count in the average precision. Where looking for fainter regions connects what is apart
    at the thresholds, each scores by its own pixels: a faint one must not borrow from its neighbour.
    """
    weighing, low, total = thresholds.weighing, min(thresholds.floor, FLOOR), prediction.total()
    weighed = weigh(total, prediction.cores, weighing.floor(min(low, thresholds.pixel)), weighing)
    if weighed is None:
        return _ranked(np.zeros((0, 4), np.int32), np.zeros(0, np.int64), np.zeros(0))
    outlined = _outlined(weighed, total, low, thresholds.pixel)
    pieces, xywh = _pieces(outlined, None if prediction.cores is None else weighed)
    inside = pieces > 0
    owner = np.zeros(len(xywh), np.int32)
    owner[pieces[inside]] = weighed.labels[inside]
    scores = weighed.scores[owner]
    order = 1 + np.lexsort((xywh[1:, 0], xywh[1:, 1], -scores[1:]))
    if weighing.floor(low) < weighing.floor(thresholds.floor):
        scores = weighing.regions(total, pieces, len(xywh))
    cls = _classes(prediction.maps, pieces, len(xywh), classes)
    return _ranked(xywh[order], cls[order], scores[order])


def _outlined(weighed: Weighed, total: ScoreMap, least: float, pixel: float) -> NDArray[np.uint8]:
    """The pixels of the regions that score at least `least`, uint8 (H, W) of 0/1: of each those that reach `pixel`, or
    all where none does."""
    strong = total.values >= pixel
    reaching = np.bincount(weighed.labels[strong], minlength=len(weighed.scores)) > 0
    wanted = weighed.scores >= least
    wanted[0] = False
    return ((wanted & ~reaching)[weighed.labels] | (strong & wanted[weighed.labels])).astype(np.uint8)


def _pieces(outlined: NDArray[np.uint8], apart: Weighed | None) -> tuple[Labels, NDArray[np.int32]]:
    """Connected pieces (8-neighbourhood), int32 (H, W), and the box of each, int32 (n, 4); 0 is what belongs to none.

    Objects that touch are told `apart` by their labels.
    """
    if apart is None:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(outlined, connectivity=8, ltype=cv2.CV_32S)
        return np.asarray(labels, np.int32), np.asarray(stats[:, :4], np.int32)
    pieces: Labels = np.zeros(outlined.shape, np.int32)
    boxes, before = [np.zeros((1, 4), np.int32)], 0
    for label in range(1, len(apart.scores)):
        at = apart.at(label)
        own = outlined[at] * (apart.labels[at] == label)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8, ltype=cv2.CV_32S)
        pieces[at][own > 0] = labels[own > 0] + before
        boxes.append(np.asarray(stats[1:, :4] + (at[1].start, at[0].start, 0, 0), np.int32))
        before += count - 1
    return pieces, np.concatenate(boxes)


def _classes(maps: Sequence[ScoreMap], pieces: Labels, count: int, classes: Sequence[str]) -> NDArray[np.int64]:
    """Of each piece the class whose map has the largest sum over its pixels; of equal ones, the first by name."""
    inside = pieces > 0
    by_name = sorted(maps, key=lambda m: m.cls)
    sums = [np.bincount(pieces[inside], m.values[inside], count) for m in by_name]
    index = np.array([classes.index(m.cls) for m in by_name], np.int64)
    return np.asarray(index[np.argmax(sums, axis=0)], np.int64)


def _ranked(xywh: NDArray[np.int32], cls: NDArray[np.int64], scores: NDArray[np.float64]) -> Boxes:
    """By falling score, equal ones as they come; of each class the first that count."""
    order = np.argsort(-scores, kind="stable")
    counts = np.zeros(len(order), bool)
    for c in np.unique(cls):
        counts[np.flatnonzero(cls[order] == c)[:MOST_BOXES]] = True
    order = order[counts]
    return Boxes(xywh[order].astype(np.float32), cls[order], scores[order].astype(np.float32))
