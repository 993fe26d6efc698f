"""What is wrong in a synthetic defect: each kind is a function from a place to its changed pixels, and a line below."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.imaging.reading import Image
from onspec.training.defect_shapes import Field, fractal
from onspec.training.defect_spot import Spot, blurred_by

Change = Callable[[Spot, Generator], Field]
"""(place, generator) → the ground, changed: float32 of its shape."""

_PATCHES = ("blob", "islands", "ellipse", "plate", "bite")
_LINES = ("crack", "scratch")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: what it does, in which shapes, and the least side (px) at which it can be seen for what it is."""

    change: Change
    shapes: tuple[str, ...]
    least: float = 4.0


def pasted(spot: Spot, rng: Generator) -> Field:
    """Foreign texture: a piece of another image or place, turned, mirrored, enlarged, its contrast changed."""
    donor = spot.surface.any_image(rng)
    linear = _turn(rng.uniform(0, 2 * np.pi)) * math.exp(rng.uniform(-0.6, 0.6))
    if rng.random() < 0.5:
        linear[:, 0] = -linear[:, 0]
    at = rng.uniform(0, 1, 2) * (donor.shape[1], donor.shape[0])
    patch = _warped(donor, linear, (float(at[0]), float(at[1])), spot.cover.shape)
    mean = spot.mean(patch)
    patch = (patch - mean) * np.float32(math.exp(rng.uniform(-0.7, 0.7)))
    return spot.over(patch + (mean if rng.random() < 0.5 else spot.mean(spot.ground)), rng.uniform(0.3, 1))


def turned(spot: Spot, rng: Generator) -> Field:
    """The texture runs in another direction."""
    return resampled(spot, _turn(math.radians(rng.uniform(20, 160))))


def zoomed(spot: Spot, rng: Generator) -> Field:
    """The texture is coarser or finer."""
    factor = math.exp(rng.uniform(math.log(1.4), math.log(3)))
    return resampled(spot, np.eye(2) * (factor if rng.random() < 0.5 else 1 / factor))


def smeared(spot: Spot, rng: Generator) -> Field:
    """The texture is drawn out in one direction."""
    turn = _turn(rng.uniform(0, np.pi))
    return resampled(spot, turn @ np.diag([1 / rng.uniform(3, 10), 1]) @ turn.T)


def warped(spot: Spot, rng: Generator) -> Field:
    """The texture is pushed about, as by a dent in soft material."""
    h, w = spot.cover.shape
    cell = max(8.0, spot.thickness * rng.uniform(0.4, 1))
    reach = cell * rng.uniform(0.15, 0.4)  # more would fold the texture over
    cells = max(2, round(max(h, w) / cell))
    across, down = (fractal(h, w, cells, rng, octaves=1) * np.float32(reach) for _ in range(2))
    x = across + np.arange(spot.left, spot.left + w, dtype=np.float32)
    y = down + np.arange(spot.top, spot.top + h, dtype=np.float32)[:, None]
    moved = cv2.remap(spot.crop, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return spot.over(np.asarray(moved, np.float32))


def shuffled(spot: Spot, rng: Generator) -> Field:
    """Small tiles of the texture stand in another order."""
    h, w = spot.cover.shape
    tile = int(np.clip(spot.thickness * rng.uniform(0.1, 0.4), 3, min(h, w)))
    rows, columns = h // tile, w // tile
    inner = spot.ground[: rows * tile, : columns * tile]
    tiles = inner.reshape(rows, tile, columns, tile, -1).swapaxes(1, 2).reshape(rows * columns, tile, tile, -1)
    mixed = rng.permutation(tiles).reshape(rows, columns, tile, tile, -1).swapaxes(1, 2)
    changed = spot.ground.copy()
    changed[: rows * tile, : columns * tile] = mixed.reshape(inner.shape)
    return spot.over_same_mean(changed)


def blurred(spot: Spot, rng: Generator) -> Field:
    """The texture is worn, polished or out of focus."""
    k = 2 * int(rng.integers(1, max(2, min(8, int(spot.thickness / 3))))) + 1
    return spot.over_same_mean(blurred_by(blurred_by(spot.ground, k), k))


def sharpened(spot: Spot, rng: Generator) -> Field:
    """The texture is rougher, of more contrast."""
    k = 2 * int(rng.integers(1, 5)) + 1
    gain = np.float32(rng.uniform(0.8, 2.5))
    return spot.over_same_mean(spot.ground + gain * (spot.ground - blurred_by(spot.ground, k)))


def shaded(spot: Spot, rng: Generator) -> Field:
    """Darker or brighter, with the texture still there: stains, pores, cracks, uneven light; tinted in colour."""
    amount = _strength(spot, rng)
    ground = spot.ground
    if rng.random() < 0.5:
        return np.asarray(ground + spot.shaped(spot.cover) * amount, np.float32)
    relative = amount / np.maximum(spot.mean(ground) - np.float32(spot.surface.low), np.float32(spot.surface.step))
    lifted = ground - np.float32(spot.surface.low)
    return np.asarray(ground + spot.shaped(spot.cover) * lifted * np.clip(relative, -0.95, 2), np.float32)


def covered(spot: Spot, rng: Generator) -> Field:
    """Something opaque lies there, or a hole is there: one level, that occurs on these parts, with a little grain."""
    donor = spot.surface.any_image(rng)
    level = donor[rng.integers(donor.shape[0]), rng.integers(donor.shape[1])].astype(np.float32)
    if rng.random() < 0.5:
        level = spot.mean(spot.ground) + 1.5 * _strength(spot, rng)
    grain = _noise(spot, rng) * np.float32(spot.grain * rng.uniform(0, 0.8))
    opacity = 1.0 if rng.random() < 0.5 else rng.uniform(0.6, 1)
    return spot.over(np.asarray(level + spot.shaped(grain), np.float32), opacity)


def dented(spot: Spot, rng: Generator) -> Field:
    """Relief under slanting light: one flank brighter, the other darker."""
    k = 2 * int(np.clip(spot.thickness / 4, 1, 12)) + 1
    hill = blurred_by(spot.cover, k) * spot.cover
    angle = rng.uniform(0, 2 * np.pi)
    slope = math.cos(angle) * cv2.Sobel(hill, cv2.CV_32F, 1, 0) + math.sin(angle) * cv2.Sobel(hill, cv2.CV_32F, 0, 1)
    slope = np.asarray(slope / max(float(np.abs(slope).max()), 1e-6), np.float32)
    return np.asarray(spot.ground + spot.shaped(slope) * np.abs(_strength(spot, rng)) * np.float32(1.5), np.float32)


def flattened(spot: Spot, rng: Generator) -> Field:
    """The texture is missing: what surrounds it, smoothed over."""
    return spot.over(_background(spot), rng.uniform(0.7, 1))


def grained(spot: Spot, rng: Generator) -> Field:
    """Noise in place of the texture."""
    amount = np.float32(spot.grain * math.exp(rng.uniform(math.log(0.7), math.log(2.5))))
    return spot.over(np.asarray(_background(spot) + spot.shaped(_noise(spot, rng)) * amount, np.float32))


KINDS: dict[str, Kind] = {
    "pasted": Kind(pasted, (*_PATCHES, *_LINES), least=6),
    "turned": Kind(turned, _PATCHES, least=12),
    "zoomed": Kind(zoomed, _PATCHES, least=12),
    "smeared": Kind(smeared, _PATCHES, least=8),
    "warped": Kind(warped, _PATCHES, least=12),
    "shuffled": Kind(shuffled, _PATCHES, least=12),
    "blurred": Kind(blurred, (*_PATCHES, *_LINES), least=8),
    "sharpened": Kind(sharpened, (*_PATCHES, *_LINES), least=8),
    "shaded": Kind(shaded, (*_PATCHES, *_LINES)),
    "covered": Kind(covered, (*_PATCHES, *_LINES)),
    "dented": Kind(dented, ("blob", "ellipse", "plate", *_LINES), least=6),
    "flattened": Kind(flattened, (*_PATCHES, *_LINES), least=6),
    "grained": Kind(grained, _PATCHES, least=8),
}


def resampled(spot: Spot, linear: NDArray[np.float64], shift: NDArray[np.float64] | None = None) -> Field:
    """The crop's own content around the spot, through a matrix and a shift (x, y), at the ground's mean."""
    h, w = spot.cover.shape
    x, y = (0.0, 0.0) if shift is None else shift
    return spot.over_same_mean(
        _warped(spot.crop, linear, (spot.left + (w - 1) / 2 + x, spot.top + (h - 1) / 2 + y), (h, w))
    )


def _turn(angle: float) -> NDArray[np.float64]:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _warped(image: Image, linear: NDArray[np.float64], at: tuple[float, float], shape: tuple[int, ...]) -> Field:
    """A (h, w) piece of an image around `at` (x, y), through the matrix from its pixels to the image's."""
    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    matrix = np.column_stack([linear, np.asarray(at) - linear @ middle])
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    piece = cv2.warpAffine(image, matrix, (shape[1], shape[0]), flags=how, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(piece, np.float32)


def _strength(spot: Spot, rng: Generator) -> Field:
    """A change of brightness from just visible to obvious, where there is room for it; per channel in colour."""
    surface = spot.surface
    amount = min(spot.visible * math.exp(rng.uniform(math.log(1.1), math.log(7))), 0.8 * (surface.high - surface.low))
    mean = float(spot.mean(spot.ground).mean())
    up = rng.random() < 0.5
    if (surface.high - mean if up else mean - surface.low) < amount:
        up = surface.high - mean > mean - surface.low
    tint = np.ones(1, np.float32) if spot.ground.ndim == 2 else rng.normal(1, 0.4, 3).astype(np.float32)
    return np.asarray(tint * np.float32(amount if up else -amount), np.float32)


def _noise(spot: Spot, rng: Generator) -> Field:
    """Noise of about unit deviation and any grain, (h, w)."""
    h, w = spot.cover.shape
    cell = rng.integers(1, 5)
    coarse = rng.standard_normal((h // cell + 2, w // cell + 2), np.float32)
    return np.asarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)


def _background(spot: Spot) -> Field:
    """The surroundings of the shape, carried on smoothly beneath it."""
    h, w = spot.cover.shape
    small = (max(2, min(8, w // 4)), max(2, min(8, h // 4)))
    free = 1 - spot.cover
    share = np.asarray(cv2.resize(free, small, interpolation=cv2.INTER_AREA), np.float32)
    around = np.asarray(cv2.resize(spot.ground * spot.shaped(free), small, interpolation=cv2.INTER_AREA), np.float32)
    total = np.float32(max(float(free.sum()), 1e-3))
    mean = np.tensordot(free, spot.ground, axes=2) / total
    filled = (around + np.float32(0.02) * mean) / (spot.shaped(share) + np.float32(0.02))
    return np.asarray(cv2.resize(filled, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)
