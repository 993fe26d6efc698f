"""One image at several resolutions, each half of the one before, and gray: what coarse-to-fine searches work on."""

import cv2
import numpy as np

from onspec.imaging.aligning import Plane
from onspec.imaging.reading import Image


def gray(image: Image) -> Image:
    """One channel of the image's own type."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), image.dtype)


def pyramid(image: Image, first: int, last: int) -> dict[int, Plane]:
    """Levels `first` to `last` of a gray image: level k has a side of 1 / 2^k, its values are 0 to 255."""
    levels = {first: level_of(image, first, last)}
    for level in range(first + 1, last + 1):
        levels[level] = _halved(levels[level - 1], 2)
    return levels


def level_of(image: Image, level: int, whole: int | None = None) -> Plane:
    """One level, its sides multiples of those of level `whole`: the last pixels go on as far as it takes."""
    multiple = 2 ** (level if whole is None else whole)
    height, width = image.shape
    if height % multiple or width % multiple:
        image = cv2.copyMakeBorder(image, 0, -height % multiple, 0, -width % multiple, cv2.BORDER_REPLICATE)
    small = _halved(image, 2**level).astype(np.float32)
    if image.dtype == np.uint16:
        small /= 257.0
    return np.asarray(cv2.GaussianBlur(small, (3, 3), 0), np.float32)


def _halved(plane: Image, factor: int) -> Image:
    size = (plane.shape[1] // factor, plane.shape[0] // factor)
    return plane if factor == 1 else np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
