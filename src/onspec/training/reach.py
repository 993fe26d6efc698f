"""Which part of an image a crop is made of, so that no more of a large one has to be there."""

import numpy as np

from onspec.training.geometry import Matrix

_MARGIN = 3
"""px around the outermost pixel centres that interpolation may look at."""


def reach(matrix: Matrix, size: int, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of an image of (height, width) that a crop of `size`×`size` px under `matrix` shows.

    What the crop shows beyond a border, mirrored, lies in them, too: warping the window is warping the image.
    """
    ends = np.array([[0, 0, 1], [size - 1, 0, 1], [0, size - 1, 1], [size - 1, size - 1, 1]], np.float64) @ matrix.T
    (left, top), (right, bottom) = ends.min(axis=0), ends.max(axis=0)
    return _within(top, bottom, shape[0]), _within(left, right, shape[1])


def shifted(matrix: Matrix, rows: slice, columns: slice) -> Matrix:
    """The map from crop to image → that from crop to the window of these rows and columns."""
    moved = matrix.copy()
    moved[:, 2] -= (columns.start, rows.start)
    return moved


def _within(low: float, high: float, length: int) -> slice:
    start, stop = int(np.floor(low)) - _MARGIN, int(np.ceil(high)) + _MARGIN + 1
    if start < 0:  # mirrored about the first pixel
        stop = max(stop, 1 - start)
    if stop > length:
        start = min(start, 2 * length - 1 - stop)
    return slice(min(max(0, start), length - 1), max(1, min(stop, length)))
