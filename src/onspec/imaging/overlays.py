"""Pictures for people: an image with truth and defects outlined."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.masks import Mask
from onspec.imaging.reading import Image

Colour = tuple[int, int, int]
TRUTH: Colour = (40, 200, 120)
PREDICTION: Colour = (255, 70, 40)


def to_display(image: Image) -> NDArray[np.uint8]:
    """Any onspec image as RGB uint8 (H, W, 3); 16 bit is scaled by its dtype."""
    gray8 = (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image
    rgb = cv2.cvtColor(gray8, cv2.COLOR_GRAY2RGB) if gray8.ndim == 2 else gray8.copy()
    return np.asarray(rgb, np.uint8)


def outline_mask(picture: NDArray[np.uint8], mask: Mask, colour: Colour) -> None:
    """Draw the outline of a binary mask into an RGB picture, in place."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, _line_width(picture))


def outline_polygons(picture: NDArray[np.uint8], polygons: Iterable[Iterable[tuple[int, int]]], colour: Colour) -> None:
    """Draw closed polygons (x, y in px) into an RGB picture, in place."""
    lines = [np.asarray(list(polygon), np.int32).reshape(-1, 1, 2) for polygon in polygons]
    cv2.polylines(picture, [line for line in lines if len(line)], True, colour, _line_width(picture))


def _line_width(picture: NDArray[np.uint8]) -> int:
    """About 1/400 of the longer side: as visible in a photograph as in a thumbnail."""
    return int(max(1, round(max(picture.shape[:2]) / 400)))


def view_around(wanted: NDArray[np.bool_], least: int, margin: int) -> tuple[slice, slice]:
    """Rows and columns around all that is wanted in (H, W), as far as the image goes; all of it where nothing is.

    The view has `margin` px around what is wanted, and at least `least` px a side.
    """
    slices = []
    for axis in (0, 1):
        length = wanted.shape[axis]
        places = np.flatnonzero(wanted.any(axis=1 - axis))
        first, last = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, length)
        extent = min(length, max(least, last - first + 2 * margin))
        start = min(max(0, (first + last - extent) // 2), length - extent)
        slices.append(slice(start, start + extent))
    return slices[0], slices[1]
