"""How large a pixel is on the part: from the image of a pattern whose pitch is known, with what limits the answer.

The pattern is a plane seen by a camera. Two models are fitted to its points: one scale an axis and a turn, which is
what limits in mm are reckoned with, and a perspective with one radial term. From the second follows by how much the
scale changes from place to place, because the camera looks at a slant (perspective) or because of its lens (radial
term).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain.pixel_size import PixelSize
from onspec.imaging.grids import Grid, Points

Matrix = NDArray[np.float64]

_ROUNDS = 20
_EQUAL = 5e-4
"""Relative difference of the two axes below which they are given as one number, whatever the uncertainty."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one image of a pattern says.

    Attributes:
        scale: mm a pixel, across and down the image.
        uncertainty: relative standard uncertainty of either, from how the points scatter about the model.
        rotation_deg: of the pattern's rows against the image's, counter-clockwise as seen, -45 to 45.
        rms_px, max_px: distances between the points and the model.
        keystone: share by which the scale differs, at most, from the mean one because the camera looks at a slant.
        distortion: the same because of the lens.
        variation: the same for both together: how far limits in mm are off in the worst place of the pattern.
        coverage: share of the image that the pattern takes up.
        expected: float64 (N, 2), the points as the model has them.
    """

    grid: Grid
    scale: PixelSize
    uncertainty: float
    rotation_deg: float
    rms_px: float
    max_px: float
    keystone: float
    distortion: float
    variation: float
    coverage: float
    expected: Points

    @property
    def rms_mm(self) -> float:
        """`rms_px` on the part."""
        return self.rms_px * math.sqrt(self.scale.x * self.scale.y)

    @property
    def max_mm(self) -> float:
        """`max_px` on the part."""
        return self.max_px * math.sqrt(self.scale.x * self.scale.y)


@dataclass(frozen=True, slots=True)
class Together:
    """Several calibrations of one setting: their mean, and how far they spread.

    Attributes:
        uncertainty: relative standard uncertainty of the mean: of each fit, and of the images among each other.
        spread: largest relative difference of one image's scale from the mean; `None` of one image.
    """

    scale: PixelSize
    uncertainty: float
    spread: float | None
    variation: float

    @property
    def square(self) -> bool:
        """Whether both axes have the same scale as far as can be told."""
        apart = abs(self.scale.x / self.scale.y - 1)
        return apart <= max(_EQUAL, 2 * math.sqrt(2) * self.uncertainty)

    @property
    def pixel_size_mm(self) -> float | PixelSize:
        """What goes into the rules, to five digits: one number where the axes agree, else x and y."""
        if self.square:
            return _five((self.scale.x + self.scale.y) / 2)
        return PixelSize(x=_five(self.scale.x), y=_five(self.scale.y))


def calibrate(grid: Grid, pitch_mm: float) -> Calibration:
    """The scale of one image whose pattern has rows and columns `pitch_mm` apart."""
    world = (grid.places - grid.places.mean(axis=0)) * pitch_mm
    turned, scale, rotation = _turned(world, grid.points)
    expected = world @ turned.T + grid.points.mean(axis=0)
    off = np.hypot(*(grid.points - expected).T)
    sigma = math.sqrt(float((off**2).sum()) / (2 * len(off) - 5))
    camera = _Camera.of(world, grid.points, grid.size)
    straight = replace(camera, k=0.0)
    local, plain = camera.steps(world), straight.steps(world)
    return Calibration(
        grid=grid,
        scale=scale,
        uncertainty=sigma / math.sqrt(float((world**2).sum(axis=0).min())) * max(scale.x, scale.y),
        rotation_deg=rotation,
        rms_px=math.sqrt(float((off**2).mean())),
        max_px=float(off.max()),
        keystone=_varies(plain / plain.mean(axis=0)),
        distortion=_varies(local / plain / (local / plain).mean(axis=0)),
        variation=_varies(local * (scale.x, scale.y)),
        coverage=_coverage(grid),
        expected=expected,
    )


def together(calibrations: Sequence[Calibration]) -> Together:
    """The mean of several images' scales; raises ValueError without one."""
    if not calibrations:
        raise ValueError("together needs at least one calibration")
    x, y = (np.array([getattr(c.scale, axis) for c in calibrations]) for axis in ("x", "y"))
    count = len(calibrations)
    fitted = math.sqrt(sum(c.uncertainty**2 for c in calibrations)) / count
    among = max(float(v.std(ddof=1) / v.mean()) for v in (x, y)) / math.sqrt(count) if count > 1 else 0.0
    return Together(
        scale=PixelSize(x=float(x.mean()), y=float(y.mean())),
        uncertainty=math.hypot(fitted, among),
        spread=max(float(np.abs(v / v.mean() - 1).max()) for v in (x, y)) if count > 1 else None,
        variation=max(c.variation for c in calibrations),
    )


@dataclass(frozen=True, slots=True)
class _Camera:
    """How a plane (mm) appears in an image (px): a perspective, then one radial term about the image's centre.

    Attributes:
        h: (3, 3), from units of `extent` mm to units of `reach` px about `centre`; its last entry is 1.
        k: share by which a point at distance `reach` from the centre is pushed outwards.
    """

    h: Matrix
    k: float
    centre: Matrix
    reach: float
    extent: float

    @classmethod
    def of(cls, world: Matrix, points: Points, size: tuple[int, int]) -> "_Camera":
        """The one that fits best, by Gauss-Newton steps from the best perspective."""
        centre, reach = np.array(size) / 2, math.hypot(*size) / 2
        extent = float(np.abs(world).max())
        seen = (points - centre) / reach
        h, _ = cv2.findHomography(world / extent, seen)
        values = np.append((h / h[2, 2]).ravel()[:8], 0.0)
        for _ in range(_ROUNDS):
            now = _seen(values, world / extent)
            change = np.stack(
                [(_seen(values + step, world / extent) - now).ravel() / _STEP for step in np.eye(9) * _STEP], axis=1
            )
            values = values + np.linalg.lstsq(change, (seen - now).ravel(), rcond=None)[0]
        return cls(np.append(values[:8], 1.0).reshape(3, 3), float(values[8]), centre, reach, extent)

    def steps(self, world: Matrix) -> Matrix:
        """px per mm across and down the image at each point, whichever way the pattern is turned: (N, 2)."""
        values, at = np.append(self.h.ravel()[:8], self.k), world / self.extent
        by = [
            (_seen(values, at + step) - _seen(values, at - step)) / (2 * _STEP) * self.reach / self.extent
            for step in np.eye(2) * _STEP
        ]
        return np.hypot(by[0], by[1])


_STEP = 1e-6


def _seen(values: Matrix, world: Matrix) -> Matrix:
    """Eight entries of a perspective and the radial term, applied."""
    h = np.append(values[:8], 1.0).reshape(3, 3)
    mapped = np.column_stack([world, np.ones(len(world))]) @ h.T
    flat = mapped[:, :2] / mapped[:, 2:]
    return np.asarray(flat * (1 + values[8] * (flat**2).sum(axis=1, keepdims=True)))


def _turned(world: Matrix, points: Points) -> tuple[Matrix, PixelSize, float]:
    """The matrix mm → px of one scale an axis after a turn, the scale in mm a pixel, and the turn in degrees."""
    fit = np.linalg.lstsq(world, points - points.mean(axis=0), rcond=None)[0].T
    across, down = np.hypot(*fit.T)
    straight = fit / np.array([[across], [down]])
    # The turn nearest to two axes that are not quite square to each other lies halfway between theirs.
    angle = math.atan2(straight[0, 1] - straight[1, 0], straight[0, 0] + straight[1, 1])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return np.diag([across, down]) @ turn, PixelSize(x=float(1 / across), y=float(1 / down)), math.degrees(angle)


def _varies(relative: Matrix) -> float:
    return float(np.abs(relative - 1).max())


def _coverage(grid: Grid) -> float:
    hull = cv2.convexHull(grid.points.astype(np.float32))
    return float(cv2.contourArea(hull)) / math.prod(grid.size)


def _five(value: float) -> float:
    return float(f"{value:.5g}")
