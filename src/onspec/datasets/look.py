"""How an image looks as a whole, in few numbers: its shrunk picture, how bright it is, how rich in contrast.

Taken from the one decode that a check does anyway; nothing of the image's own size is kept.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.reading import Image

SIDE = 32
"""Side of the shrunk picture, px; the image's own proportions do not matter to it."""

_FIRST = 128
"""Side of the step between: whole gray levels, averaged again, give the shrunk picture its fractions."""

_BINS = 256

_LEAST = 0.2
"""Deviation of the shrunk picture, in steps of the dtype, below which it is rounding and noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is kept of an image. Levels are shares of the range of its dtype, 0…1.

    Attributes:
        small: float16 (SIDE × SIDE,), zero mean and unit deviation; `None` for an image without any contrast.
        brightness: the mean level.
        contrast: from the level under which 5 % of all pixels lie to that under which 95 % do.
        black, white: share of pixels at either end of the range.
    """

    small: NDArray[np.float16] | None
    brightness: float
    contrast: float
    black: float
    white: float


def look_at(image: Image) -> Look:
    """The look of a decoded image, uint8 or uint16, gray or RGB."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    top = int(np.iinfo(gray.dtype).max)
    width = (top + 1) // _BINS
    counts = cv2.calcHist([gray], [0], None, [_BINS], [0, top + 1]).ravel().astype(np.float64)
    share = counts / counts.sum()
    low, high = (float(np.interp(part, np.cumsum(share), np.arange(1, _BINS + 1))) for part in (0.05, 0.95))
    return Look(
        small=_shrunk(gray),
        brightness=float(cv2.mean(gray)[0]) / top,
        contrast=(high - low) / _BINS,
        black=_share_of(gray, 0) if width > 1 else float(share[0]),
        white=_share_of(gray, top) if width > 1 else float(share[-1]),
    )


def _share_of(gray: Image, level: int) -> float:
    return cv2.countNonZero(cv2.inRange(gray, level, level)) / gray.size


def _shrunk(gray: Image) -> NDArray[np.float16] | None:
    """Zero mean and unit deviation; `None` where hardly a step of the dtype is all the contrast there is."""
    way = cv2.INTER_AREA if min(gray.shape) > _FIRST else cv2.INTER_LINEAR
    first = cv2.resize(gray, (_FIRST, _FIRST), interpolation=way).astype(np.float32)
    small = cv2.resize(first, (SIDE, SIDE), interpolation=cv2.INTER_AREA).ravel()
    small -= small.mean()
    deviation = float(small.std())
    return (small / deviation).astype(np.float16) if deviation >= _LEAST else None
