"""How well the outline of what is marked follows the outline of what is labelled."""

import cv2
import numpy as np
from numpy.typing import NDArray

TOLERANCE_PX = 2
"""How far apart two outlines may run and still agree."""


def boundary_f1(marked: NDArray[np.bool_], truth: NDArray[np.bool_], tolerance: int = TOLERANCE_PX) -> float | None:
    """F1 of the outlines of two bool (H, W) in [0, 1]; `None` where nothing labelled has an outline.

    The boundary measure F of Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
    Segmentation, CVPR 2016: precision is the share of the marked outline within `tolerance` px of the labelled one,
    recall the share of the labelled outline within `tolerance` px of the marked one. Unlike Dice it does not forgive a
    rough outline around a large defect. The border of the image is no outline.
    """
    outline, label = _outline(marked), _outline(truth)
    if not label.any():
        return None
    if not outline.any():
        return 0.0
    precision = float(_near(label, tolerance)[outline > 0].mean())
    recall = float(_near(outline, tolerance)[label > 0].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The pixels of a mask that have one outside of it above, below, left or right: uint8 (H, W) of 0/1."""
    inside = mask.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    core = cv2.erode(inside, cross, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.subtract(inside, core), np.uint8)


def _near(outline: NDArray[np.uint8], tolerance: int) -> NDArray[np.uint8]:
    """All pixels within `tolerance` px (Euclidean, between centres): uint8 (H, W) of 0/1."""
    offsets = np.arange(-tolerance, tolerance + 1)
    disk = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= tolerance**2).astype(np.uint8)
    return np.asarray(cv2.dilate(outline, disk), np.uint8)
