"""How an image looks as a whole: its light, its focus, and its picture shrunk to 32×32 px.

Cheap enough for every image on the line, however large: light and picture are taken of a grid of pixels, focus of
blocks. Whole numbers wherever sums are taken, and four digits at the end: the same on every machine.
"""

import base64
import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain.look import Look
from onspec.imaging.reading import Image

SIDE: Final = 32
"""Side of the shrunk picture, px; the image's own proportions do not matter to it."""

_FIRST: Final = 128
"""Side of the step between: whole gray levels, averaged again, give the shrunk picture its fractions."""

_BINS: Final = 256

_LEAST: Final = 0.2
"""Deviation of the shrunk picture, in steps of the dtype, below which it is rounding and noise."""

_GRID: Final = 256
"""Light is taken of every so-manyth pixel of a row and column that leaves about as many, at least two thirds of it. The
distance is odd: even ones see one half of a pattern that repeats every two pixels, as of a colour filter."""

_BLOCK: Final = 64
_BLOCKS: Final = 8
"""Focus is taken of all of an image of at most 512×512 px, of larger ones in 8×8 blocks of 64×64 px, evenly spread."""

_COARSE: Final = (8, 12, 16)
"""Distances in px over which gray levels are compared, other than 1; three, as a pattern may repeat after any one."""

Picture = NDArray[np.float32]
"""float32 (SIDE × SIDE,), zero mean and unit deviation."""


@dataclass(frozen=True, slots=True)
class Levels:
    """How light an image is; what each is says `domain.look.Look`."""

    brightness: float
    contrast: float
    black: float
    white: float


def look_at(image: Image, picture: Picture | None = None) -> Look:
    """The look of an image, uint8 or uint16, gray or RGB.

    Args:
        picture: the mean of the shrunk images that it should be like.
    """
    grid = thinned(image)
    gray = gray_of(grid)
    levels = levels_of(gray)
    return Look(
        brightness=_digits(levels.brightness),
        contrast=_digits(levels.contrast),
        black=_digits(levels.black),
        white=_digits(levels.white),
        sharpness=_digits(sharpness(image)),
        tint=None if image.ndim == 2 else _digits(_tint(grid)),
        likeness=None if picture is None else round(likeness(_averaged(gray), picture), 4),
    )


def picture_of(image: Image) -> Picture | None:
    """The shrunk image as `look_at` compares it."""
    return _averaged(gray_of(thinned(image)))


def gray_of(image: Image) -> Image:
    """(H, W) of (H, W) or RGB."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def thinned(image: Image) -> Image:
    """Every so-manyth pixel, so that neither side has more than 511; smaller images as they are."""
    down, across = (side // _GRID | 1 for side in image.shape[:2])
    return image if down == across == 1 else np.ascontiguousarray(image[::down, ::across])


def levels_of(gray: Image) -> Levels:
    """Of all pixels."""
    top = int(np.iinfo(gray.dtype).max)
    wide = top >= _BINS
    bytes_ = (gray >> 8).astype(np.uint8) if wide else gray
    share = cv2.calcHist([bytes_], [0], None, [_BINS], [0, _BINS]).ravel().astype(np.float64) / gray.size
    low, high = (float(np.interp(part, np.cumsum(share), np.arange(1, _BINS + 1))) for part in (0.05, 0.95))
    return Levels(
        brightness=float(cv2.mean(gray)[0]) / top,
        contrast=(high - low) / _BINS,
        black=_share_of(gray, 0) if wide else float(share[0]),
        white=_share_of(gray, top) if wide else float(share[-1]),
    )


def shrunk(gray: Image) -> Picture | None:
    """Zero mean and unit deviation; `None` where hardly a step of the dtype is all the contrast there is."""
    way = cv2.INTER_AREA if min(gray.shape) > _FIRST else cv2.INTER_LINEAR
    return _averaged(cv2.resize(gray, (_FIRST, _FIRST), interpolation=way))


def _averaged(gray: Image) -> Picture | None:
    way = cv2.INTER_AREA if min(gray.shape) > SIDE else cv2.INTER_LINEAR
    small = cv2.resize(gray.astype(np.float32), (SIDE, SIDE), interpolation=way).ravel()
    small -= small.mean()
    deviation = float(small.std())
    return np.asarray(small / deviation, np.float32) if deviation >= _LEAST else None


def sharpness(image: Image) -> float:
    """Energy of fine detail against that of coarser detail: what gray levels a pixel apart differ by, squared, of what
    they differ by 8 to 16 pixels apart (a ratio of variograms).

    Light and contrast cancel out. Blur takes the fine first, so that it falls with every bit of it, down to 1/155;
    noise, which comes after the lens, lifts it. 0 where there is no detail at all, or a side has at most 16 px.
    """
    parts = _parts(image)
    if min(parts.shape[1:]) <= max(_COARSE):
        return 0.0
    coarse = sum(_difference(parts, lag) for lag in _COARSE) / len(_COARSE)
    return _difference(parts, 1) / coarse if coarse else 0.0


def likeness(small: Picture | None, picture: Picture) -> float:
    """Correlation, -1…1; an image without contrast is like nothing."""
    return 0.0 if small is None else max(-1.0, min(1.0, float(np.dot(small, picture)) / small.size))


def to_text(picture: Picture) -> str:
    """Base64 of float16, little-endian."""
    return base64.b64encode(picture.astype("<f2").tobytes()).decode()


def from_text(text: str) -> Picture:
    """Undoes `to_text`.

    Raises:
        ValueError: it is no such picture.
    """
    data = base64.b64decode(text, validate=True)
    if len(data) != 2 * SIDE * SIDE:
        raise ValueError(f"a picture has {SIDE}×{SIDE} values of 2 bytes; got {len(data)} bytes")
    return centred(np.frombuffer(data, "<f2").astype(np.float32))


def centred(values: Picture) -> Picture:
    """With zero mean and unit deviation. Raises ValueError for one without contrast, or with what is no number."""
    values = values - values.mean()
    deviation = float(values.std())
    if not deviation > 0 or not math.isfinite(deviation):
        raise ValueError("a picture needs contrast and finite values")
    return np.asarray(values / deviation, np.float32)


def _parts(image: Image) -> Image:
    """Gray, (N, h, w): the image itself or its blocks."""
    height, width = image.shape[:2]
    room = _BLOCK * _BLOCKS
    if height * width <= room * room:
        return gray_of(image)[None]
    downs, acrosses = (_starts(side) for side in (height, width))
    blocks = [image[y : y + _BLOCK, x : x + _BLOCK] for y in downs for x in acrosses]
    side = min(height, width, _BLOCK)
    gray = gray_of(np.concatenate([block[:side, :side] for block in blocks]))
    return gray.reshape(len(blocks), side, side)


def _starts(side: int) -> list[int]:
    """Where blocks begin along a side; they overlap where it is shorter than all of them."""
    last = max(0, side - _BLOCK)
    return [last * n // (_BLOCKS - 1) for n in range(_BLOCKS)]


def _difference(parts: Image, lag: int) -> float:
    """Mean of the squared difference of gray levels `lag` px apart, along rows and along columns."""
    count, height, width = parts.shape
    rows = parts.reshape(count * height, width)
    across = cv2.norm(rows[:, lag:], rows[:, :-lag], cv2.NORM_L2SQR) / (count * height * (width - lag))
    stack = parts[0] if count == 1 else parts  # of blocks, OpenCV takes their columns for channels
    upper, lower = (stack[:-lag], stack[lag:]) if count == 1 else (stack[:, :-lag], stack[:, lag:])
    down = cv2.norm(lower, upper, cv2.NORM_L2SQR) / (count * (height - lag) * width)
    return float(across + down)


def _tint(grid: Image) -> float:
    """Red against blue; a step of 256 keeps black from being any colour."""
    top = float(np.iinfo(grid.dtype).max)
    red, _, blue = (mean / top + 1 / _BINS for mean in cv2.mean(grid)[:3])
    return math.log(red / blue)


def _share_of(gray: Image, level: int) -> float:
    return cv2.countNonZero(cv2.inRange(gray, level, level)) / gray.size


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
