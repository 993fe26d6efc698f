"""An image in square blocks: what a coarse network is given of it, and the highest score in each block.

A block is a square of `side`×`side` working px. An image is covered by whole blocks; what they reach beyond it repeats
its last pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import Prediction
from onspec.imaging.instances import extent_of, objects_of
from onspec.imaging.preparation import Prepared, Tensor, to_tensor
from onspec.imaging.reading import Image
from onspec.imaging.weighing import Weighing

BLOCK = 32
"""The side of a block of the coarse networks that onspec trains; a multiple of every network's stride."""

MOST = 255
"""The highest level."""

Levels = NDArray[np.uint8]
"""uint8 (C, H, W): levels 0…255, H and W multiples of the block's side."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The values of a network's input that become level 0 and level 255; what lies outside ends there, too."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse what is no range."""
        if not self.low < self.high:
            raise ValueError(f"low must be under high; got {self.low} and {self.high}")

    def levels(self, prepared: Prepared, side: int) -> Levels:
        """The image in levels, in whole blocks.

        Each value of a pixel has one level whatever the engine and machine: it is looked up, not reckoned in place.
        """
        pixels = _looked_up(prepared.pixels, self._table(prepared))
        height, width = pixels.shape[:2]
        if height % side or width % side:
            pixels = np.asarray(
                cv2.copyMakeBorder(pixels, 0, -height % side, 0, -width % side, cv2.BORDER_REPLICATE), np.uint8
            )
        planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        return np.ascontiguousarray(planes)

    def _table(self, prepared: Prepared) -> NDArray[np.uint8]:
        """Value of a pixel → level."""
        dtype = prepared.pixels.dtype
        every = np.arange(int(np.iinfo(dtype).max) + 1, dtype=dtype)[None]
        values = to_tensor(every, prepared.spec, prepared.stats).ravel().astype(np.float64)
        return np.clip(np.rint((values - self.low) * (MOST / (self.high - self.low))), 0, MOST).astype(np.uint8)


def _looked_up(pixels: Image, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return np.asarray(cv2.LUT(pixels, table), np.uint8)
    return np.asarray(table[pixels], np.uint8)


def count_blocks(size: tuple[int, int], side: int) -> tuple[int, int]:
    """How many blocks cover an image of (height, width), (down, across)."""
    return -(-size[0] // side), -(-size[1] // side)


def block_peaks(scores: Tensor, cell: int, side: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """The highest score in each block, float32 (down, across).

    Args:
        scores: float32 (K, h, w) of classes that exclude each other, one a cell of `cell` px; they are added up.
        size: (height, width) of the image in working px.
    """
    total = scores[0] if len(scores) == 1 else np.minimum(scores.sum(axis=0, dtype=np.float32), np.float32(1.0))
    (down, across), each = count_blocks(size, side), side // cell
    whole = np.zeros((down * each, across * each), np.float32)
    shown = total[: whole.shape[0], : whole.shape[1]]
    whole[: shown.shape[0], : shown.shape[1]] = shown
    return np.asarray(whole.reshape(down, each, across, each).max(axis=(1, 3)), np.float32)


def blocks_that_matter(
    prediction: Prediction,
    levels: tuple[float, float],
    least: float,
    weighing: Weighing,
    side: int,
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """The blocks in which a region is outlined that scores at least `least`, see `regions.find_regions`.

    `levels` are the scores from which a pixel belongs to a region, and from which it is outlined; `size` is
    (height, width) in working px.
    """
    floor, outlined = levels
    total = prediction.total()
    wide = total.values >= floor
    at = extent_of(wide)
    if at is None:
        return np.zeros(count_blocks(size, side), np.bool_)
    labels, boxes = objects_of(wide, prediction.cores, at)
    heavy = weighing.regions(total, labels, len(boxes), at) >= least
    heavy[0] = False
    inside, strong = heavy[labels], total.values >= outlined
    drawn = np.zeros(len(boxes), np.bool_)
    drawn[labels[inside & strong]] = True
    return blocks_of(inside & (strong | ~drawn[labels]), side, size)


def blocks_of(mask: NDArray[np.bool_], side: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The blocks of an image of `size` working px in which a mask (H, W) of its original pixels has one."""
    found = np.zeros(count_blocks(size, side), np.bool_)
    rows, columns = (
        ((at * 2 + 1) * working // (2 * original)) // side
        for at, working, original in zip(np.nonzero(mask), size, mask.shape, strict=True)
    )
    found[rows, columns] = True
    return found
