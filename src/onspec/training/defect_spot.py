"""A place in a crop where a synthetic defect is to be, and what is just visible there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from onspec.imaging.reading import Image
from onspec.training.defect_shapes import Field, Outline

_MARGIN = 6
"""px around a shape that belong to its place: what it is compared with, and where filters end."""

_MEAN = np.full((1, 3), 1 / 3, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What good parts look like: their images, the values between which nearly all pixels lie, and a faint step.

    `step` is a fortieth of that range, at least one: less does not count as a change, however smooth the surface.
    """

    images: Sequence[Image]
    low: float
    high: float
    step: float

    def any_image(self, rng: Generator) -> Image:
        """One of the images."""
        return self.images[int(rng.integers(len(self.images)))]


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """Where one defect goes.

    Attributes:
        crop: the good crop, in its own dtype.
        surface: the good parts that it is from.
        top, left: of `ground` in the crop, px.
        ground: float32 (h, w) or (h, w, 3), the crop's values there.
        cover: float32 (h, w), the shape.
        thickness: of the shape, px.
        grain: how far two pixels some px apart usually differ, as a deviation; at least the surface's step.
        visible: the change of brightness that is just visible in a shape of this thickness and area.
    """

    crop: Image
    surface: Surface
    top: int
    left: int
    ground: Field
    cover: Field
    thickness: float
    grain: float
    visible: float

    def over(self, changed: Field, opacity: float = 1.0) -> Field:
        """The ground with `changed` laid over it where the shape covers it."""
        share = self.cover * np.float32(opacity)
        return np.asarray(self.ground + self.shaped(share) * (changed - self.ground), np.float32)

    def over_same_mean(self, changed: Field) -> Field:
        """As `over`, with `changed` brought to the ground's mean: what differs is the texture alone."""
        return self.over(np.asarray(changed + (self.mean(self.ground) - self.mean(changed)), np.float32))

    def shaped(self, plane: Field) -> Field:
        """A (h, w) plane that broadcasts over the ground's channels."""
        return plane if self.ground.ndim == 2 else plane[..., None]

    def mean(self, values: Field) -> Field:
        """The mean over the shape, a number per channel."""
        weight = self.cover / np.float32(max(float(self.cover.sum()), 1e-6))
        return np.asarray(np.tensordot(weight, values, axes=2), np.float32)


def surface_of(images: Sequence[Image]) -> Surface:
    """Measure good parts.

    Raises:
        ValueError: no image, or images of several dtypes or kinds.
    """
    kinds = sorted({f"{image.dtype} {'gray' if image.ndim == 2 else 'RGB'}" for image in images})
    if len(kinds) != 1:
        raise ValueError(f"good images must be one or more, of one dtype, all gray or all RGB; got {kinds}")
    every = max(1, len(images) // 64)
    pixels = np.concatenate([image[::7, ::5].ravel() for image in images[::every]])
    low, high = (float(v) for v in np.quantile(pixels, (0.002, 0.998)))
    if high - low < 8:  # all of one gray: any other gray is a change
        low, high = 0.0, float(np.iinfo(images[0].dtype).max)
    return Surface(tuple(images), low, high, max(1.0, (high - low) / 40))


def in_dtype(values: Field, dtype: np.dtype[Any]) -> Image:
    """Rounded to the nearest value that the dtype holds."""
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


def place(crop: Image, surface: Surface, outline: Outline, centre: tuple[float, float]) -> Spot | None:
    """Lay an outline around `centre` (x, y) of a crop; `None` where next to nothing of it lies within."""
    height, width = crop.shape[:2]
    h, w = outline.cover.shape
    y, x = round(centre[1] - h / 2), round(centre[0] - w / 2)
    cover = outline.cover[max(0, -y) : height - y, max(0, -x) : width - x]
    area = float(cover.sum())
    if area < 3:
        return None
    y, x = max(0, y), max(0, x)
    top, left = max(0, y - _MARGIN), max(0, x - _MARGIN)
    bottom, right = min(height, y + cover.shape[0] + _MARGIN), min(width, x + cover.shape[1] + _MARGIN)
    wide = np.zeros((bottom - top, right - left), np.float32)
    wide[y - top : y - top + cover.shape[0], x - left : x - left + cover.shape[1]] = cover
    ground = crop[top:bottom, left:right].astype(np.float32)
    grain, smooth = _noise_of(crop, ground, outline.thickness)
    window = max(1.0, outline.thickness / 2)
    visible = max(smooth, surface.step) * max(1.5, 5 * window / math.sqrt(area))
    return Spot(crop, surface, top, left, ground, wide, outline.thickness, max(grain, surface.step), visible)


def _noise_of(crop: Image, ground: Field, thickness: float) -> tuple[float, float]:
    """How much pixels usually differ around a place, and means over half of a shape's thickness, as deviations."""
    gray = gray_of(ground)
    window = 2 * int(min(thickness, 24) // 4) + 1
    grain = roughness(gray, 2 + window)
    smooth = roughness(blurred_by(gray, window), 2 * window + 1)
    if thickness > 16:  # what is as large as this is compared with the whole crop
        size = max(2, crop.shape[1] // 8), max(2, crop.shape[0] // 8)
        coarse = gray_of(cv2.resize(crop, size, interpolation=cv2.INTER_AREA))
        k = 2 * round(thickness / 32) + 1
        smooth = max(smooth, 0.7 * roughness(blurred_by(coarse, k), round(thickness / 8)))
    return grain, smooth


def somewhere(crop: Image, rng: Generator) -> tuple[float, float]:
    """Any place of a crop (x, y)."""
    return float(rng.uniform(0, crop.shape[1])), float(rng.uniform(0, crop.shape[0]))


def at_an_edge(crop: Image, rng: Generator) -> tuple[float, float]:
    """Of some places of a crop (x, y), the one with the steepest change around it."""
    height, width = crop.shape[:2]
    x, y = rng.integers(2, max(3, width - 2), 48), rng.integers(2, max(3, height - 2), 48)
    left, right, above, below = (
        crop[np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)].astype(np.float32)
        for dx, dy in ((-2, 0), (2, 0), (0, -2), (0, 2))
    )
    steep = (np.abs(right - left) + np.abs(below - above)).reshape(48, -1).sum(axis=1)
    best = int(steep.argmax())
    return float(x[best]), float(y[best])


def gray_of(values: Image) -> Field:
    """float32 (H, W): the values, of colours their mean."""
    real = np.asarray(values, np.float32)
    return real if real.ndim == 2 else np.asarray(cv2.transform(real, _MEAN), np.float32)


def blurred_by(values: Field, window: int) -> Field:
    """Means over windows of that side, px."""
    return np.asarray(cv2.blur(values, (window, window)), np.float32)


def roughness(gray: Field, lag: int) -> float:
    """The typical difference of two pixels `lag` apart, as the deviation of noise that would show it.

    A median: an edge, or a surface of two levels, is structure and no noise.
    """
    lag = max(1, min(lag, min(gray.shape) - 1))
    s = max(1, max(gray.shape) // 28)
    differences = (gray[::s, lag::s] - gray[::s, :-lag:s]), (gray[lag::s, ::s] - gray[:-lag:s, ::s])
    both = np.abs(np.concatenate([d.ravel() for d in differences]))
    return 1.05 * float(np.median(both))
