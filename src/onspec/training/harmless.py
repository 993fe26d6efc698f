"""Changes of a good surface that are no defects, to be shown as good: else a network learns how defects were made.

Painting leaves traces: borders where two pieces were blended, pixels that were interpolated, rounded or cut off. Here
the same traces are left where the surface stays what it is, and the light, noise and compression of another day.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.imaging.reading import Image
from onspec.training.defect_kinds import resampled
from onspec.training.defect_shapes import SHAPES, Field
from onspec.training.defect_spot import Spot, Surface, gray_of, in_dtype, place, roughness, somewhere
from onspec.training.visibility import changed_pixels, texture_of, visibility

_UNSEEN = 0.8
"""A patch is harmless up to this visibility; 1 is just visible."""

_CANDIDATES, _PROBES = 64, 200
"""How many neighbours are compared with a place, at how many of its pixels."""


def again(spot: Spot, rng: Generator) -> Field:
    """The same content again, resampled a fraction of a pixel away."""
    return resampled(spot, np.eye(2), rng.uniform(-0.5, 0.5, 2))


def neighbour(spot: Spot, rng: Generator) -> Field:
    """Content from nearby: of many places the one that fits best, so that a pattern goes on.

    Where none fits much better than any other, and the surface is coarser than noise, its grains would be cut in two:
    then the same content again.
    """
    h, w = spot.cover.shape
    down, right = _ways_off(spot, rng)
    y, x = spot.top + rng.integers(0, h, _PROBES), spot.left + rng.integers(0, w, _PROBES)
    there = spot.crop[y + down[:, None], x + right[:, None]].astype(np.float32)
    misfit = np.abs(there - spot.crop[y, x]).reshape(len(down), -1).sum(axis=1)
    best = int(misfit.argmin())
    gray = gray_of(spot.ground)
    is_noise = roughness(gray, 2) > 0.7 * roughness(gray, 12)
    if not is_noise and misfit[best] > 0.6 * float(np.median(misfit)):
        return again(spot, rng)
    top, left = spot.top + int(down[best]), spot.left + int(right[best])
    return spot.over_same_mean(spot.crop[top : top + h, left : left + w].astype(np.float32))


def _ways_off(spot: Spot, rng: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some shifts (down, right), px, that stay in the crop."""
    (h, w), (height, width) = spot.cover.shape, spot.crop.shape[:2]
    reach = max(8, min(height, width) // 4)
    down = np.clip(spot.top + rng.integers(-reach, reach + 1, _CANDIDATES), 0, height - h) - spot.top
    right = np.clip(spot.left + rng.integers(-reach, reach + 1, _CANDIDATES), 0, width - w) - spot.left
    return down, right


def relit(crop: Image, surface: Surface, rng: Generator) -> Field:
    """Light that falls from a little more to one side."""
    height, width = crop.shape[:2]
    slope = rng.uniform(-1.5, 1.5, 2) * surface.step
    light = np.linspace(-slope[0], slope[0], height)[:, None] + np.linspace(-slope[1], slope[1], width)
    return np.asarray(crop + _like(crop, light.astype(np.float32)), np.float32)


def noised(crop: Image, surface: Surface, rng: Generator) -> Field:
    """A camera that is a little noisier."""
    amount = rng.uniform(0.05, 0.25) * max(roughness(gray_of(crop), 2), surface.step)
    return np.asarray(crop + rng.standard_normal(crop.shape, np.float32) * np.float32(amount), np.float32)


def softened(crop: Image, surface: Surface, rng: Generator) -> Field:
    """A lens that is a little out of focus."""
    share = np.float32(rng.uniform(0.1, 0.5))
    values = crop.astype(np.float32)
    return np.asarray(values + share * (cv2.GaussianBlur(values, (3, 3), 0.6) - values), np.float32)


def compressed(crop: Image, surface: Surface, rng: Generator) -> Field:
    """What JPEG compression leaves; of 16 bit, the 8 bits that the surface's range fills are compressed."""
    values = crop.astype(np.float32)
    scale = np.float32(1 if crop.dtype == np.uint8 else 255 / (surface.high - surface.low))
    zero = np.float32(0 if crop.dtype == np.uint8 else surface.low)
    eight = np.clip(np.rint((values - zero) * scale), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", eight, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 98))])
    back = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.float32)
    return np.asarray(values + (back - eight) / scale, np.float32)


PATCHES: dict[str, Callable[[Spot, Generator], Field]] = {"again": again, "neighbour": neighbour}
"""Changes of one place."""

WHOLE: dict[str, Callable[[Image, Surface, Generator], Field]] = {
    "relit": relit,
    "noised": noised,
    "softened": softened,
    "compressed": compressed,
}
"""Changes of the whole crop."""


def disguised(crop: Image, surface: Surface, rng: Generator) -> Image:
    """A copy of a good crop with a patch, another light or camera, or both: still good."""
    which = rng.integers(3)
    image = _patched(crop, surface, rng) if which < 2 else crop.copy()
    if which > 0:
        change = tuple(WHOLE.values())[rng.integers(len(WHOLE))]
        image = in_dtype(change(image, surface, rng), crop.dtype)
    return image


def _patched(crop: Image, surface: Surface, rng: Generator) -> Image:
    """With one or two patches, each left out where it could be seen."""
    image = crop.copy()
    texture = texture_of(crop)
    room = float(min(crop.shape[:2]))
    for _ in range(rng.integers(1, 3)):
        shape = SHAPES[("blob", "ellipse", "plate", "islands")[rng.integers(4)]]
        side = min(6.0, 0.5 * room) * float(np.exp(rng.uniform(0, np.log(max(1.1, 0.5 * room / 6)))))
        spot = place(image, surface, shape.draw(side, room, rng).softer(), somewhere(crop, rng))
        if spot is None:
            continue
        change = tuple(PATCHES.values())[rng.integers(len(PATCHES))]
        patch = in_dtype(change(spot, rng), crop.dtype)
        changed = patch.astype(np.float32)
        mask = changed_pixels(spot, changed)
        if not mask.any() or visibility(spot, changed, mask, texture) < _UNSEEN:
            image[spot.top : spot.top + patch.shape[0], spot.left : spot.left + patch.shape[1]] = patch
    return image


def _like(crop: Image, plane: Field) -> Field:
    return plane if crop.ndim == 2 else plane[..., None]
