"""Bins for scores that tell 0.0001 from 0.0002 and 0.9998 from 0.9999: what a sigmoid gives crowds at both ends."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_SHIFT: Final = 18
"""Bits of a float32 that are dropped: 5 of its 23 mantissa bits stay, so a bin is 3 % of a score or less wide."""

_HALF: Final = int(np.float32(0.5).view(np.uint32)) >> _SHIFT

BINS: Final = 2 * _HALF + 1
"""How many bins there are; the last holds scores of exactly 1."""


def bin_of(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """The bin of each score in [0, 1]: `bin_of(v) >= i` exactly where `v >= EDGES[i]`.

    The bit patterns of positive IEEE 754 floats are ordered as their values are, and their leading bits are a
    logarithmic scale. Below 0.5 they are taken of the score, from there on of its distance to 1 (which float32 holds
    exactly).
    """
    low = values < 0.5
    distance = np.where(low, values, np.float32(1) - values).astype(np.float32)
    bits = distance.view(np.uint32).astype(np.int64)
    return np.asarray(np.where(low, bits >> _SHIFT, 2 * _HALF + (-bits >> _SHIFT)), np.int64)


def _edges() -> NDArray[np.float64]:
    codes = np.arange(_HALF + 1, dtype=np.uint32) << np.uint32(_SHIFT)
    rising = codes.view(np.float32).astype(np.float64)
    return np.concatenate([rising, 1.0 - rising[-2::-1]])


EDGES: Final = _edges()
"""float64 (BINS,): the lowest score of each bin."""


def histogram(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64 (BINS,): how many scores fall into each bin."""
    return np.bincount(bin_of(values).ravel(), minlength=BINS).astype(np.int64)
