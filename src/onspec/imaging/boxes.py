"""What a detector says of each cell → boxes in the original's pixels, and how much boxes overlap."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import Defect, ScoredBox
from onspec.imaging.regions import Region

Boxes = NDArray[np.float32]
"""float32 (n, 4): x, y, width, height in px."""

FLOOR = 0.05
"""Cells that score less for a class are no candidates for a box of it."""

SAME_OBJECT = 0.5
"""Of two boxes of one class that overlap by more than this IoU, the one with the lower score is left out."""

MOST = 300
"""Boxes of one image, all classes together."""

_AT_A_TIME = 2048
"""Boxes."""

_LEAST_SIDE = 1.0
"""px. An object that the network gives no extent is still an object."""

_ROUNDING = 1e-3
"""px that an edge may lie beyond a pixel by rounding alone."""


def decode_boxes(
    planes: NDArray[np.float32],
    classes: tuple[str, ...],
    cell: int,
    working: tuple[int, int],
    original: tuple[int, int],
    floor: float = FLOOR,
) -> tuple[ScoredBox, ...]:
    """A detector's output → boxes by falling score, then by the position of the cell that found them.

    A box is found by a cell whose score for a class is at least `floor` and no lower than that of its eight
    neighbours; on a plateau every cell is such a cell, and overlapping boxes of one class are thinned out afterwards
    (greedy non-maximum suppression). Boxes are cut at the image's border. The highest score of all cells is always
    that of a box, if it reaches `floor`.

    Args:
        planes: float32 (K + 4, h, w) of the cells that cover the image: the score of each class, and the distances
            from the cell's centre to the box's left, top, right and bottom edge in working px.
        cell: side of a cell in working px.
        working, original: (height, width) of the image as the network saw it, and as it is.
    """
    kinds, rows, columns = _candidates(planes[: len(classes)], floor)
    scores = np.clip(planes[kinds, rows, columns], 0.0, 1.0)
    by_name = np.argsort(np.argsort(classes))[kinds]  # the order of classes decides nothing
    order = np.lexsort((by_name, columns, rows, -scores))
    kinds, rows, columns, scores = kinds[order], rows[order], columns[order], scores[order]
    distances = np.maximum(planes[len(classes) :, rows, columns].astype(np.float64), 0.0)
    sides = []
    for centres, before, after, axis in ((columns, 0, 2, 1), (rows, 1, 3, 0)):
        ratio = original[axis] / working[axis]
        middle = (centres + 0.5) * cell
        sides.append(_cut((middle - distances[before]) * ratio, (middle + distances[after]) * ratio, original[axis]))
    boxes = np.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], axis=1)
    return tuple(
        ScoredBox(classes[kinds[i]], float(scores[i]), *(float(v) for v in boxes[i])) for i in _distinct(boxes, kinds)
    )


def iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float32]:
    """Intersection over union of each box of `a` (n, 4) with each of `b` (m, 4): float32 (n, m); 0 without an area."""
    ax, ay, aw, ah = a.astype(np.float64).T[..., None]
    bx, by, bw, bh = b.astype(np.float64).T[:, None]
    across = np.minimum(ax + aw, bx + bw) - np.maximum(ax, bx)
    down = np.minimum(ay + ah, by + bh) - np.maximum(ay, by)
    common = np.maximum(across, 0.0) * np.maximum(down, 0.0)
    union = aw * ah + bw * bh - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0), np.float32)


def box_region(box: ScoredBox, size: tuple[int, int]) -> Region:
    """The box as a region of whole pixels, rounded outward and within the image of `size` (width, height)."""
    x, width = _pixels(box.x, box.width, size[0])
    y, height = _pixels(box.y, box.height, size[1])
    right, bottom = x + width - 1, y + height - 1
    length, breadth = max(width, height), min(width, height)
    defect = Defect(
        cls=box.cls,
        score=box.score,
        bbox=(x, y, width, height),
        centroid=((x + right) / 2, (y + bottom) / 2),
        area_px=width * height,
        length_px=length,
        width_px=breadth,
        elongation=length / breadth,
        orientation_deg=0.0 if width >= height else 90.0,
        polygon=((x, y), (right, y), (right, bottom), (x, bottom)),
    )
    return Region(defect, np.broadcast_to(np.uint8(1), (height, width)))  # takes no memory


def _candidates(scores: NDArray[np.float32], floor: float) -> tuple[NDArray[np.intp], ...]:
    """Class, row and column of the local maxima (3×3 cells) at or over `floor`."""
    around = np.stack([cv2.dilate(np.ascontiguousarray(plane), np.ones((3, 3), np.uint8)) for plane in scores])
    return np.nonzero((scores >= floor) & (scores >= around))


def _cut(
    low: NDArray[np.float64], high: NDArray[np.float64], length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Start and extent of sides within 0…length, at least `_LEAST_SIDE` long and never outside."""
    low, high = np.clip(low, 0.0, length), np.clip(high, 0.0, length)
    extent = np.maximum(high - low, _LEAST_SIDE)
    return np.clip((low + high - extent) / 2, 0.0, length - extent), extent


def _distinct(boxes: NDArray[np.float64], kinds: NDArray[np.intp]) -> list[int]:
    """Indices of at most `MOST` boxes, given by falling score, of which no two show the same object.

    They are looked at a few at a time: a network that marks everything must not hold up the line.
    """

    def shown(by: list[int], among: NDArray[np.intp]) -> NDArray[np.bool_]:
        same = (kinds[by][:, None] == kinds[among]) & (iou(boxes[by], boxes[among]) > SAME_OBJECT)
        return np.asarray(same.any(axis=0))

    kept: list[int] = []
    for start in range(0, len(boxes), _AT_A_TIME):
        left = np.arange(start, min(len(boxes), start + _AT_A_TIME))
        left = left[~shown(kept, left)]
        while left.size and len(kept) < MOST:
            kept.append(int(left[0]))
            left = left[1:][~shown(kept[-1:], left[1:])]
        if len(kept) == MOST:
            break
    return kept


def _pixels(start: float, extent: float, length: int) -> tuple[int, int]:
    first = min(max(math.floor(start + _ROUNDING), 0), length - 1)
    last = min(max(math.ceil(start + extent - _ROUNDING), first + 1), length)
    return first, last - first
