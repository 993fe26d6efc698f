"""How much brighter or darker a region is than what is around it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.reading import Image

GAP = 2
"""px around a region that count neither to it nor to its surroundings: edges are blurred."""

REACH = 10
"""px around a region that its surroundings end at."""


def contrast(image: Image, bbox: tuple[int, int, int, int], mask: NDArray[np.uint8]) -> float | None:
    """Mean gray of a region less the median gray around it, as a share of the range of the image's type: -1 to 1.

    Positive: the region is brighter. Its surroundings are the pixels more than `GAP` and at most `REACH` px from it,
    along rows, columns or diagonals, as far as the image goes; the median, so that another defect among them counts
    for little. Colours are weighed to gray (ITU-R BT.601).

    Args:
        bbox: x, y, width, height of the region in the image, px.
        mask: uint8 (height, width) of 0/1.

    Returns:
        `None` where the image ends before there are surroundings.
    """
    x, y, w, h = bbox
    left, top = max(0, x - REACH), max(0, y - REACH)
    window = image[top : y + h + REACH, left : x + w + REACH]
    gray = cv2.cvtColor(np.ascontiguousarray(window), cv2.COLOR_RGB2GRAY) if window.ndim == 3 else window
    region = np.zeros(gray.shape, np.uint8)
    region[y - top : y - top + h, x - left : x - left + w] = mask
    around = _grown(region, REACH) > _grown(region, GAP)
    if not around.any():
        return None
    most = float(np.iinfo(image.dtype).max)
    return (float(gray[region > 0].mean(dtype=np.float64)) - float(np.median(gray[around]))) / most


def _grown(region: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    """With all pixels up to `by` px away: a square, one axis after the other."""
    across = cv2.dilate(region, np.ones((1, 2 * by + 1), np.uint8))
    return np.asarray(cv2.dilate(across, np.ones((2 * by + 1, 1), np.uint8)), np.uint8)
