"""Where a crop's pixels come from: the random affine map between a crop and its image."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.imaging.masks import Mask
from onspec.imaging.preparation import Tensor
from onspec.imaging.reading import Image
from onspec.training.augmentation import Augmentation

Matrix = NDArray[np.float64]
"""float64 (2, 3): crop pixel (x, y, 1) → image pixel."""


def crop_matrix(centre: tuple[float, float], size: int, how: Augmentation, rng: Generator) -> Matrix:
    """A `size`×`size` crop around `centre` (x, y); pixel-exact where only flips and quarter turns apply."""
    turn = rng.integers(4) if how.quarter_turns else 2 * rng.integers(2) * int(how.flip)
    angle, scale = turn * 90.0, 1.0
    if (how.rotation_deg or how.zoom) and rng.random() < 0.5:
        angle += rng.uniform(-how.rotation_deg, how.rotation_deg)
        scale = float(np.exp(rng.uniform(-1, 1) * np.log1p(how.zoom)))
    radians = np.deg2rad(angle)
    cos, sin = np.cos(radians) * scale, np.sin(radians) * scale
    linear = np.array([[cos, -sin], [sin, cos]])
    if angle % 90 == 0 and scale == 1.0:
        linear = np.rint(linear)
    if how.flip and rng.random() < 0.5:
        linear[:, 0] = -linear[:, 0]
    middle = (size - 1) / 2.0
    # A whole-pixel position keeps the pixels of unrotated crops as they are.
    at = np.floor(np.asarray(centre) - 0.5) + (middle % 1.0)
    return np.column_stack([linear, at - linear @ np.array([middle, middle])])


def warped(image: Image, matrix: Matrix, size: int) -> Image:
    """The crop's pixels; beyond the image's border its mirrored surroundings."""
    return _warp(image, matrix, size, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)


def warped_masks(masks: Mask, matrix: Matrix, size: int) -> Mask:
    """uint8 (K, H, W) → (K, S, S); 0 beyond the border."""
    planes = [_warp(mask, matrix, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) for mask in masks]
    return np.stack(planes) if planes else np.zeros((0, size, size), np.uint8)


def warped_boxes(boxes: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """Image boxes x, y, width, height → float32 (n, 4) of left, top, right, bottom in crop px.

    Of a turned box, the upright box around it. Box coordinates count from the outer edge of pixel 0.
    """
    if not len(boxes):
        return np.zeros((0, 4), np.float32)
    inverse = cv2.invertAffineTransform(matrix)
    x, y, w, h = (boxes[:, i].astype(np.float64) - (0.5 if i < 2 else 0.0) for i in range(4))
    corners = np.stack([[x, y], [x + w, y], [x, y + h], [x + w, y + h]])  # 4, 2, n
    moved = np.einsum("ij,cjn->cin", inverse[:, :2], corners) + inverse[:, 2][None, :, None] + 0.5
    low, high = moved.min(axis=0), moved.max(axis=0)
    return np.asarray(np.concatenate([low, high]).T, np.float32)


def inside(matrix: Matrix, size: int, shape: tuple[int, ...]) -> Tensor:
    """float32 (1, S, S): 1 where a crop pixel lies in the image; computed only for crops that reach over its border."""
    edge = np.array([[0, 0, 1], [size - 1, 0, 1], [0, size - 1, 1], [size - 1, size - 1, 1]], np.float64)
    corners = edge @ matrix.T
    limit = np.array([shape[1] - 1, shape[0] - 1])
    if (corners >= 0).all() and (corners <= limit).all():
        return np.ones((1, size, size), np.float32)
    ones: Mask = np.ones(shape, np.uint8)
    return np.asarray(_warp(ones, matrix, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT), np.float32)[None]


def _warp(image: Image, matrix: Matrix, size: int, how: int, border: int) -> Image:
    return cv2.warpAffine(image, matrix, (size, size), flags=how | cv2.WARP_INVERSE_MAP, borderMode=border)
