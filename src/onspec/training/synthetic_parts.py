"""Good images with a synthetic defect each: what a network is validated on where no part is defective yet."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from onspec.training.crops import Paint
from onspec.training.pool import Labelled, Pixels, mask_spots

_LEAST = 16
"""Copies. Of a few, chance would say which network is the best one, and it has chosen some that found nothing."""

_COPIES = 1 << 22
"""In place of a step in the seed of a copy, so that no training crop has the same one."""


def synthetic_copies(pool: Sequence[Labelled], paint: Paint, side: int, seed: int) -> list[Labelled]:
    """A defective copy of every good image, of few images several each: a synthetic defect in a window of at most
    `side` px anywhere in it."""
    good = [item for item in pool if not item.sample.defective]
    count = max(len(good), _LEAST) if good else 0
    return [_copy(good[i % len(good)], i, paint, side, np.random.default_rng([seed, _COPIES, i])) for i in range(count)]


def _copy(item: Labelled, number: int, paint: Paint, side: int, rng: Generator) -> Labelled:
    """It keeps no more than the window in memory."""
    width, height = item.size
    extent = min(side, height, width)
    top, left = int(rng.integers(height - extent + 1)), int(rng.integers(width - extent + 1))
    window = (slice(top, top + extent), slice(left, left + extent))
    painted, marked = paint(item.part(*window).image, rng)

    def read() -> Pixels:
        pixels = item.read()
        image, mask = pixels.image.copy(), pixels.mask.copy()
        image[window], mask[0][window] = painted, marked
        return Pixels(image, mask)

    mask = np.zeros((1, height, width), np.uint8)
    mask[0][window] = marked
    sample = replace(item.sample, name=f"{item.sample.name} (synthetic {number})", defective=True)
    return replace(item, sample=sample, spots=mask_spots(mask), cls=1, read=read)
