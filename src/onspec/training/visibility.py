"""Whether a change of a surface can be seen, and at which pixels: what is invisible must not be called a defect.

On a rough surface every pixel may change and the surface look as before. So a change counts when it shows in one of
three ways: the mean brightness differs by what is just visible there; pixels differ by far more than neighbours do; or
the texture differs, that is, how much pixels vary over short ways in some direction, by more than it differs from place
to place on the good crop.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.masks import Mask
from onspec.imaging.reading import Image
from onspec.training.defect_shapes import Field
from onspec.training.defect_spot import Spot, gray_of

_WAYS = tuple((dy * lag, dx * lag) for lag in (1, 3, 7) for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)))
"""(down, right) px between the two pixels that are compared."""

_BLOCK = 32
"""px; a texture's natural variation is that between blocks of this side."""


@dataclass(frozen=True, slots=True)
class Texture:
    """Of a good crop: for each of `_WAYS`, how much the mean difference varies from block to block, as a share."""

    variation: NDArray[np.float32]


def texture_of(crop: Image) -> Texture:
    """Measure a good crop."""
    gray = gray_of(crop)
    side = max(2, round(min(gray.shape) / _BLOCK))
    shares = []
    for difference in _differences(gray, 3):
        mean, deviation = cv2.meanStdDev(cv2.resize(difference, (side, side), interpolation=cv2.INTER_AREA))
        shares.append(float(deviation[0, 0]) / max(float(mean[0, 0]), 1e-3))
    return Texture(np.array(shares, np.float32))


def visibility(spot: Spot, changed: Field, mask: Mask, texture: Texture) -> float:
    """How visible the change is within the mask; 1 is just visible. A texture is looked at if nothing else shows.

    Measured in the channel that changed most. `mask`: uint8 (h, w) of 0/1 over the spot.
    """
    before, after = _channel(spot.ground, changed)
    area = float(mask.sum())
    weight = mask.astype(np.float32)
    difference = (after - before) * weight
    shift = abs(float(difference.sum())) / area / spot.visible
    jump = float(np.abs(difference).sum()) / area / (2 * spot.grain)
    plain = max(shift, jump)
    return plain if plain >= 1 else max(plain, _texture_change(before, after, weight, spot, texture))


def changed_pixels(spot: Spot, changed: Field) -> Mask:
    """uint8 (h, w) of 0/1: where in the shape the change, smoothed a little, is a fair part of its own strength."""
    difference = np.abs(changed - spot.ground)
    if difference.ndim == 3:
        difference = np.maximum(np.maximum(difference[..., 0], difference[..., 1]), difference[..., 2])
    k = 3 if spot.thickness < 4 else 5 if spot.thickness < 16 else 9
    smooth = cv2.blur(difference, (k, k))
    covered = spot.cover > 0.15
    if not covered.any():
        return np.zeros(spot.cover.shape, np.uint8)
    inside = smooth[covered]
    strong = float(np.partition(inside, int(0.9 * (len(inside) - 1)))[int(0.9 * (len(inside) - 1))])
    limit = max(0.3 * strong, 0.15 * spot.grain)
    mask = ((smooth > limit) & covered).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (min(2 * k - 1, 9), min(2 * k - 1, 9)))
    closed = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc), np.uint8)
    return _without_specks(closed & (spot.cover > 0.02))


def _without_specks(mask: Mask) -> Mask:
    """Pieces of less than a fiftieth of the largest one's area are chance."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    return np.asarray((area > max(2, area.max() / 50))[pieces], np.uint8)


def _texture_change(before: Field, after: Field, weight: Field, spot: Spot, texture: Texture) -> float:
    """The largest relative change of a mean difference, in units of what would be natural for an area of this size."""
    side = min(float(weight.sum()) ** 0.5, 4 * spot.thickness)
    natural = np.maximum(0.25, texture.variation * max(1.0, 2 * _BLOCK / side))
    s = max(1, max(weight.shape) // 56)
    most = 0.0
    pairs = zip(_WAYS, _differences(before, s), _differences(after, s), natural, strict=True)
    for way, was, now, usual in pairs:
        if min(weight.shape) <= 2 * max(abs(way[0]), abs(way[1])):
            continue
        here = _start(weight, way, s)
        total = max(float(here.sum()), 1e-3)
        old, new = float((was * here).sum()) / total, float((now * here).sum()) / total
        most = max(most, abs(new - old) / (old + 0.25 * spot.surface.step) / float(usual))
    return most


def _differences(gray: Field, stride: int) -> Iterator[Field]:
    """For each of `_WAYS`: |difference| of two pixels that far apart, on every `stride`-th pixel."""
    for way in _WAYS:
        yield np.abs(_start(gray, way, stride) - _end(gray, way, stride))


def _start(plane: Field, way: tuple[int, int], stride: int) -> Field:
    down, right = way
    rows = plane[: plane.shape[0] - down : stride]
    return rows[:, : plane.shape[1] - right : stride] if right >= 0 else rows[:, -right::stride]


def _end(plane: Field, way: tuple[int, int], stride: int) -> Field:
    down, right = way
    rows = plane[down::stride]
    return rows[:, right::stride] if right >= 0 else rows[:, : plane.shape[1] + right : stride]


def _channel(before: Field, after: Field) -> tuple[Field, Field]:
    if before.ndim == 2:
        return before, after
    c = int(np.argmax(cv2.mean(np.abs(after - before))[:3]))
    return before[..., c], after[..., c]
