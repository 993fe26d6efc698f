"""Crops of one step without the room that none of them needs: images smaller than a crop lie in a corner.

A network judges an image from border to border, and beyond them it sees zeros. So it learns from images that touch the
border of what it is shown, and zeros fill the rest. Mirrored surroundings in their place taught a classifier to count
copies: they tell how large an image is, and no image has them in production.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.imaging.preparation import Tensor
from onspec.training.crops import Truth
from onspec.training.sampling import Crop

Extent = tuple[slice, slice]
"""Rows and columns."""


def packed(crops: Sequence[Crop], stride: int, rng: Generator) -> list[Crop]:
    """The crops of a step, cut to the smallest height and width that hold what each shows of its image.

    Both are multiples of `stride`. What is smaller lies in one of the four corners, by chance. A crop that its image
    fills needs all of its room, so that with any such crop nothing changes.
    """
    extents = [_extent(crop.truth.valid[0]) for crop in crops]
    sides = np.array([[span.stop - span.start for span in extent] for extent in extents])
    height, width = (int(side) for side in -(-sides.max(axis=0) // stride) * stride)
    if (height, width) == crops[0].truth.valid.shape[1:]:
        return list(crops)
    return [_moved(crop, extent, (height, width), rng) for crop, extent in zip(crops, extents, strict=True)]


def _extent(valid: Tensor) -> Extent:
    """Where (S, S) is not 0; all of it where it is 0 everywhere."""
    rows, columns = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    if not rows.size:
        return slice(0, valid.shape[0]), slice(0, valid.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _moved(crop: Crop, extent: Extent, size: tuple[int, int], rng: Generator) -> Crop:
    at = tuple(
        slice(0, span.stop - span.start) if rng.random() < 0.5 else slice(room - span.stop + span.start, room)
        for span, room in zip(extent, size, strict=True)
    )

    def placed(planes: NDArray[Any]) -> NDArray[Any]:
        result = np.zeros((planes.shape[0], *size), planes.dtype)
        result[(slice(None), *at)] = planes[(slice(None), *extent)]
        return result

    truth = crop.truth
    moved = np.array([at[1].start - extent[1].start, at[0].start - extent[0].start], np.float32)
    told = Truth(
        placed(truth.mask), truth.boxes + np.tile(moved, 2), truth.kinds, placed(truth.valid), truth.cls, truth.located
    )
    return replace(crop, tensor=placed(crop.tensor), truth=told)
