"""Shapes that labels are made of → pixels of a mask. A pixel belongs to a shape if its centre lies in it."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from onspec.imaging.masks import Mask

Ring = Sequence[tuple[float, float]]
"""Corners (x, y) in px; pixel (0, 0) covers 0…1 on both axes."""


def draw_ellipse(mask: Mask, centre: tuple[float, float], axes: tuple[float, float], angle_deg: float) -> None:
    """Set the pixels of `mask` whose centres lie in an ellipse, in place; at least the one at its centre.

    Centre (x, y) and semi-axes in px, angle from x towards y in degrees. OpenCV's own filled ellipse adds half a
    pixel all around, a quarter of the area of a small one.
    """
    height, width = mask.shape
    (x, y), reach = centre, max(axes)
    left, right = max(0, math.floor(x - reach)), min(width, math.ceil(x + reach) + 1)
    top, bottom = max(0, math.floor(y - reach)), min(height, math.ceil(y + reach) + 1)
    if left >= right or top >= bottom:
        return
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    dx = np.arange(left, right)[None, :] - x
    dy = np.arange(top, bottom)[:, None] - y
    inside = ((dx * cos + dy * sin) / axes[0]) ** 2 + ((dy * cos - dx * sin) / axes[1]) ** 2 <= 1
    mask[top:bottom, left:right][inside] = 1
    if 0 <= round(x) < width and 0 <= round(y) < height:
        mask[round(y), round(x)] = 1


def draw_box(mask: Mask, x: float, y: float, width: float, height: float) -> None:
    """Set the pixels of an upright box, in place; at least the one at its middle, where it lies in the image."""
    left, right = max(0, math.ceil(x - 0.5)), math.ceil(x + width - 0.5)
    top, bottom = max(0, math.ceil(y - 0.5)), math.ceil(y + height - 0.5)
    if left < right and top < bottom:
        mask[top : max(top, bottom), left : max(left, right)] = 1
    else:
        _set(mask, x + width / 2, y + height / 2)


def draw_polygon(mask: Mask, rings: Sequence[Ring]) -> None:
    """Set the pixels of each ring (even-odd rule), in place; at least the one at its middle.

    OpenCV's own filled polygon adds half a pixel all around.
    """
    for ring in rings:
        xs, ys = (np.array([point[axis] for point in ring], np.float64) for axis in (0, 1))
        if not _fill(mask, xs, ys):
            _set(mask, float(xs.mean()), float(ys.mean()))


def decode_runs(counts: Sequence[int], size: tuple[int, int]) -> Mask:
    """COCO's run lengths (0 and 1 in turn, column by column) → uint8 (H, W) of 0/1; `size` is (width, height)."""
    width, height = size
    values = np.arange(len(counts), dtype=np.uint8) % 2
    return np.ascontiguousarray(np.repeat(values, np.asarray(counts, np.int64)).reshape(width, height).T)


def encode_runs(mask: Mask) -> tuple[int, ...]:
    """uint8 (H, W) of 0/1 → COCO's run lengths: 0 and 1 in turn, beginning with 0, column by column."""
    flat = np.ascontiguousarray(mask.T).ravel()
    borders = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    counts = [b - a for a, b in pairwise(borders)]
    return tuple([0, *counts] if flat[0] else counts)


def _fill(mask: Mask, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> bool:
    """Fill between the crossings of each row of pixel centres; whether any pixel of an endless image would be set."""
    height, width = mask.shape
    top, bottom = math.ceil(float(ys.min()) - 0.5), math.ceil(float(ys.max()) - 0.5)
    next_x, next_y = np.roll(xs, -1), np.roll(ys, -1)
    filled = top < bottom and not (top >= 0 and bottom <= height)
    for row in range(max(0, top), min(height, bottom)):
        level = row + 0.5
        crossing = (ys <= level) != (next_y <= level)
        share = (level - ys[crossing]) / (next_y[crossing] - ys[crossing])
        at = np.sort(xs[crossing] + share * (next_x[crossing] - xs[crossing]))
        for left, right in zip(at[0::2], at[1::2], strict=True):
            first, last = math.ceil(left - 0.5), math.ceil(right - 0.5)
            filled |= first < last
            mask[row, max(0, first) : max(0, min(width, last))] = 1
    return filled


def _set(mask: Mask, x: float, y: float) -> None:
    """Set the pixel that a point lies in, if it lies in the image."""
    column, row = math.floor(x), math.floor(y)
    if 0 <= column < mask.shape[1] and 0 <= row < mask.shape[0]:
        mask[row, column] = 1
