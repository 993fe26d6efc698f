"""Crops with random geometry and light, on OpenCV: 8 and 16 bit, a warp and a few additions a crop."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from onspec.imaging.masks import Mask
from onspec.imaging.preparation import InputSpec, Tensor, to_tensor
from onspec.imaging.reading import Image
from onspec.training.pool import Labelled


class Augmentation(BaseModel):
    """How much crops may differ from the images. Part of the plan.

    Attributes:
        flip: mirror left-right and top-bottom.
        quarter_turns: rotate by 90, 180, 270 degrees, for materials without a direction.
        rotation_deg, zoom: random rotation up to ± degrees and scale change up to ± share, for half of the crops.
        contrast, brightness: up to ± share of the contrast, ± shift in the unit of the image's own deviation (or
            of half the dtype's range).
        noise: deviation of added Gaussian noise, up to, in the same unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = True
    quarter_turns: bool = True
    rotation_deg: float = Field(10.0, ge=0, le=180)
    zoom: float = Field(0.15, ge=0, lt=1)
    contrast: float = Field(0.2, ge=0, lt=1)
    brightness: float = Field(0.1, ge=0)
    noise: float = Field(0.03, ge=0)


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """float32 tensor (C, S, S), float32 target (K, S, S) of 0/1, float32 valid (1, S, S): 0 outside of the image."""

    tensor: Tensor
    target: Tensor
    valid: Tensor


def cut(
    item: Labelled, centre: tuple[float, float], size: int, how: Augmentation, spec: InputSpec, rng: Generator
) -> Crop:
    """Cut a `size`×`size` crop around `centre` (x, y in working px), warped and relit at random.

    The mirrored surroundings of an image are shown but not judged: `valid` is 0 there, so that a mirrored defect is
    never taught to be good surface.
    """
    assert item.mask is not None
    matrix = _geometry(centre, size, how, rng)
    image = _warp(item.image, matrix, size, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
    target = np.stack([_warp(m, matrix, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT) for m in item.mask])
    tensor = _relit(to_tensor(image, spec, item.stats), how, rng)
    valid = _inside(matrix, size, item.image.shape[:2])
    return Crop(tensor, target.astype(np.float32), valid)


def _geometry(centre: tuple[float, float], size: int, how: Augmentation, rng: Generator) -> NDArray[np.float64]:
    """The 2×3 matrix from crop pixels to image pixels; pixel-exact where only flips and quarter turns apply."""
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


def _warp(image: Image, matrix: NDArray[np.float64], size: int, how: int, border: int) -> Image:
    return cv2.warpAffine(image, matrix, (size, size), flags=how | cv2.WARP_INVERSE_MAP, borderMode=border)


def _inside(matrix: NDArray[np.float64], size: int, shape: tuple[int, ...]) -> Tensor:
    """1 where a crop pixel lies in the image; computed only for crops that reach over its border."""
    edge = np.array([[0, 0, 1], [size - 1, 0, 1], [0, size - 1, 1], [size - 1, size - 1, 1]], np.float64)
    corners = edge @ matrix.T
    limit = np.array([shape[1] - 1, shape[0] - 1])
    if (corners >= 0).all() and (corners <= limit).all():
        return np.ones((1, size, size), np.float32)
    ones: Mask = np.ones(shape, np.uint8)
    warped = _warp(ones, matrix, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    return np.asarray(warped, np.float32)[None]


def _relit(tensor: Tensor, how: Augmentation, rng: Generator) -> Tensor:
    """Contrast, brightness and noise in normalised units."""
    gain = 1.0 + rng.uniform(-how.contrast, how.contrast)
    shift = rng.uniform(-how.brightness, how.brightness)
    mean = float(tensor.mean())
    tensor = (tensor - np.float32(mean)) * np.float32(gain) + np.float32(mean + shift)
    if how.noise and rng.random() < 0.3:
        deviation = rng.uniform(0, how.noise)
        tensor = tensor + rng.standard_normal(tensor.shape, dtype=np.float32) * np.float32(deviation)
    return tensor
