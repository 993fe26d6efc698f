"""How far regions are from each other: the gap between their pixels' areas, 0 where they touch."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""x, y, width, height in px."""

Sides = tuple[float, float]
"""Of a pixel, along x and y, in the unit of the distances."""

_AT_A_TIME = 1_000_000
"""Pairs of pixels."""


@dataclass(frozen=True, eq=False)
class Body:
    """A region's place and shape. Without a mask it fills its box.

    Attributes:
        mask: uint8 (height, width) of 0/1.
    """

    box: Box
    mask: NDArray[np.uint8] | None = None

    def overlaps(self, other: "Body") -> bool:
        """Whether they share a pixel."""
        (x, y, w, h), (u, v, m, n) = self.box, other.box
        left, top, right, bottom = max(x, u), max(y, v), min(x + w, u + m), min(y + h, v + n)
        if left >= right or top >= bottom:
            return False
        return bool((self._part(left, top, right, bottom) & other._part(left, top, right, bottom)).any())

    def _part(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
        x, y, _, _ = self.box
        if self.mask is None:
            return np.ones((bottom - top, right - left), np.bool_)
        return np.asarray(self.mask[top - y : bottom - y, left - x : right - x], np.bool_)

    @cached_property
    def border(self) -> NDArray[np.int64]:
        """Its pixels with a neighbour that is none, x and y in px: int64 (n, 2). The nearest pixels are among them."""
        x, y, w, h = self.box
        inside = np.ones((h, w), np.bool_) if self.mask is None else self.mask.astype(np.bool_)
        padded = np.pad(inside, 1)
        inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        rows, columns = np.nonzero(inside & ~inner)
        return np.stack([columns + x, rows + y], axis=1)


def box_gaps(boxes: NDArray[np.int64], one: NDArray[np.int64], sides: Sides) -> NDArray[np.float64]:
    """The gap between each box (n, 4) and one box (4,); never more than that between the regions in them."""
    start, stop = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    apart = np.maximum(np.maximum(one[:2] - stop, start - (one[:2] + one[2:])), 0)
    return np.asarray(np.hypot(*(apart * np.asarray(sides)).T))


def gap(a: Body, b: Body, sides: Sides) -> float:
    """The shortest way from a pixel's area of the one region to one of the other.

    Only pixels are compared that may be nearest: those no further from the other's box than some pair is apart.
    """
    if a.overlaps(b):
        return 0.0
    ours, theirs = a.border, b.border
    nearest = ours[_to_box(ours, b.box, sides).argmin()]
    most = float(_between(nearest[None], theirs, sides).min())
    ours = ours[_to_box(ours, b.box, sides) <= most]
    theirs = theirs[_to_box(theirs, a.box, sides) <= most]
    step = max(1, _AT_A_TIME // len(theirs))
    return min(float(_between(ours[start : start + step], theirs, sides).min()) for start in range(0, len(ours), step))


def to_edge(box: Box, size: tuple[int, int], sides: Sides) -> float:
    """From a region to the nearest edge of an image of `size` (width, height)."""
    x, y, w, h = box
    return min(min(x, size[0] - x - w) * sides[0], min(y, size[1] - y - h) * sides[1])


def _between(a: NDArray[np.int64], b: NDArray[np.int64], sides: Sides) -> NDArray[np.float64]:
    """float64 (n, m): the gaps between unit squares."""
    apart = np.maximum(np.abs(a[:, None] - b[None]) - 1, 0) * np.asarray(sides)
    return np.asarray(np.hypot(apart[..., 0], apart[..., 1]))


def _to_box(points: NDArray[np.int64], box: Box, sides: Sides) -> NDArray[np.float64]:
    x, y, w, h = box
    apart = np.maximum(np.maximum(np.array([x, y]) - points - 1, points - np.array([x + w, y + h])), 0)
    return np.asarray(np.hypot(*(apart * np.asarray(sides)).T))
