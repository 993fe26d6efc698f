"""Whether two pictures that look almost the same differ where their labels do.

A board before and after a defect, or two boards of one layout, have different labels and both are right: their pictures
differ at the marks, and hardly elsewhere.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.datasets.labels import load_mask
from onspec.domain import ImageError, LabelError, Sample
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.masks import Mask
from onspec.imaging.reading import Image, read_image

_MORE = 2.5
"""So many times as much difference (mean square) at the marks as elsewhere shows that the marks are right."""


def differ_at_marks(one: Sample, other: Sample, camera: Camera = AS_STORED) -> bool:
    """Whether the pictures differ at what only one of the two labels marks; not, where that cannot be told."""
    try:
        pictures = [read_image(sample.image, camera) for sample in (one, other)]
        masks = [
            load_mask(sample, (p.shape[1], p.shape[0]))[0] for sample, p in zip((one, other), pictures, strict=True)
        ]
    except (ImageError, LabelError):
        return False
    size = (pictures[0].shape[1], pictures[0].shape[0])
    change = _evened(pictures[0], size) - _evened(pictures[1], size)
    square = np.square(cv2.blur(change, (3, 3)))
    marked = [cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) for mask in masks]
    told = _dilated(marked[0]) != _dilated(marked[1])
    rest = ~(told | (marked[0] > 0) | (marked[1] > 0))
    if not told.any() or not rest.any():
        return False
    return float(square[told].mean()) > _MORE * float(square[rest].mean())


def _evened(picture: Image, size: tuple[int, int]) -> NDArray[np.float32]:
    """Gray at the common size, zero mean and unit deviation: light and exposure are no difference."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if picture.ndim == 3 else picture
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray((small - small.mean()) / max(float(small.std()), 1e-3), np.float32)


def _dilated(mask: Mask) -> Mask:
    return np.asarray(cv2.dilate(mask, np.ones((5, 5), np.uint8)), np.uint8)
