"""A pose, and how well what an image shows there is what was taught; refined to a fraction of a pixel.

Coordinates count from an image's top left corner, so that a pixel's centre lies at half numbers and a pyramid's level
is a plain multiple. Angles are counter-clockwise as seen, as in `domain.placement`.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""float32 (H, W): one level of one image, gray."""

_ROUNDS = 15
_ODD = 8.0
"""Times the median difference from the taught pixels, from which on a pixel shows something else."""
_FEW = 0.01
"""Share of such pixels that moves nothing."""
_STILL = 0.005
"""px; less movement than this ends the refinement."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a patch's centre lies, in px of one level, and how far the patch is turned."""

    x: float
    y: float
    angle_deg: float

    def scaled(self, factor: float) -> "Pose":
        """The same pose in an image of `factor` times as many pixels a side."""
        return replace(self, x=self.x * factor, y=self.y * factor)

    def distance(self, other: "Pose") -> float:
        """Between the centres, px."""
        return math.hypot(self.x - other.x, self.y - other.y)


def turn_between(a: float, b: float) -> float:
    """Degrees, 0 to 180."""
    return abs((a - b + 180.0) % 360.0 - 180.0)


def rotation(angle_deg: float) -> NDArray[np.float64]:
    """The matrix of a counter-clockwise turn where y points down."""
    angle = math.radians(angle_deg)
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def seen_at(plane: Plane, pose: Pose, size: tuple[int, int]) -> Plane:
    """What lies at a pose, turned back: float32 (h, w) of `size` (w, h); beyond the edge, the edge's values go on."""
    width, height = size
    turn = rotation(pose.angle_deg)
    shift = turn @ (0.5 - width / 2, 0.5 - height / 2) + (pose.x - 0.5, pose.y - 0.5)
    matrix = np.column_stack([turn, shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


@dataclass(frozen=True, slots=True)
class Patch:
    """What was taught, at one level of the pyramid.

    Brightness, contrast and an even slope of light are taken out of every comparison: patch and image are compared
    after the plane that fits each best is subtracted, and by correlation.

    Attributes:
        pixels: float32 (h, w).
        inside: indices of the pixels that count, of the flat patch.
        light: float32 (N, 3): an orthonormal basis of even slopes of light over those pixels.
        wanted: float32 (N,): those pixels without their slope, of length 1.
        change: float32 (N, 2 or 3): how `wanted` changes with x, y in px and, if the part turns, with the angle in
            `radius` px; without what light could do as well.
    """

    pixels: Plane
    inside: NDArray[np.intp]
    light: NDArray[np.float32]
    wanted: NDArray[np.float32]
    change: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: Plane, mask: NDArray[np.bool_], turns: bool) -> Self:
        """Prepare a patch; raises ValueError where nothing is left to compare."""
        height, width = pixels.shape
        inside = np.flatnonzero(mask)
        y, x = np.divmod(inside, width)
        across, down = x + 0.5 - width / 2, y + 0.5 - height / 2
        light = np.linalg.qr(np.column_stack([np.ones(len(inside)), across, down]))[0].astype(np.float32)
        wanted = _without(light, pixels.ravel()[inside])
        length = float(np.linalg.norm(wanted))
        if length < 0.5 * math.sqrt(len(inside)):
            raise ValueError("it shows one even gray")
        by_x = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, scale=1 / 8).ravel()[inside]
        by_y = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, scale=1 / 8).ravel()[inside]
        columns = [by_x, by_y]
        if turns:
            columns.append((by_x * down - by_y * across) / radius_of(pixels.shape))
        wanted /= length
        basis = np.column_stack([light, wanted])
        change = np.column_stack(
            [_without(basis, np.asarray(column / length, np.float32)) for column in columns]
        ).astype(np.float32)
        return cls(pixels, inside, light, wanted.astype(np.float32), change)

    @property
    def size(self) -> tuple[int, int]:
        """Width, height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def likeness(self, plane: Plane, pose: Pose) -> float:
        """Correlation, -1 to 1, of what lies at a pose with what was taught."""
        return float(self._normed(plane, pose) @ self.wanted)

    def refined(self, plane: Plane, pose: Pose) -> tuple[Pose, float]:
        """The pose near this one where the likeness is highest, and that likeness.

        Gauss-Newton steps of the inverse compositional kind (Baker and Matthews, 2004).
        """
        best, high = pose, self.likeness(plane, pose)
        solve = np.linalg.pinv(self.change.T @ self.change, rcond=1e-6) @ self.change.T
        now = pose
        for _ in range(_ROUNDS):
            seen = self._normed(plane, now)
            step = solve @ seen / max(float(seen @ self.wanted), 0.2)
            now = self._moved(now, -step)
            likeness = self.likeness(plane, now)
            if likeness > high:
                best, high = now, likeness
            if float(np.abs(step).max()) < _STILL or now.distance(pose) > max(self.size) / 4:
                break
        return best, high

    def steadied(self, plane: Plane, pose: Pose, likeness: float) -> tuple[Pose, float]:
        """The pose refined without the pixels that do not fit, and the likeness of all there: a defect on the marks, or
        something that covers them, must not pull the part aside.
        """
        seen = self._normed(plane, pose)
        off = np.abs(seen / max(float(seen @ self.wanted), 0.2) - self.wanted)
        fits = off < _ODD * max(float(np.median(off)), 1e-9)
        if not 0.5 < fits.mean() < 1 - _FEW:
            return pose, likeness
        mask = np.zeros(self.pixels.size, np.bool_)
        mask[self.inside[fits]] = True
        try:
            rest = Patch.of(self.pixels, mask.reshape(self.pixels.shape), self.change.shape[1] == 3)
        except ValueError:  # what is left shows nothing
            return pose, likeness
        steady, _ = rest.refined(plane, pose)
        return steady, self.likeness(plane, steady)

    def looseness(self, plane: Plane, pose: Pose) -> tuple[float, NDArray[np.float32]]:
        """The likeness that is left after the least noticed movement by a tenth of the shorter side, and its direction.

        The direction is x, y and, if the part turns, the angle; a turn counts by how far it moves a pixel on average.
        """
        _, directions = np.linalg.eigh(self.change.T @ self.change)
        least = directions[:, 0]
        far = np.asarray(0.1 * min(self.size) * least, np.float32)
        return max(self.likeness(plane, self._moved(pose, step)) for step in (far, -far)), least

    def _normed(self, plane: Plane, pose: Pose) -> NDArray[np.float32]:
        seen = _without(self.light, seen_at(plane, pose, self.size).ravel()[self.inside])
        return np.asarray(seen / max(float(np.linalg.norm(seen)), 1e-3), np.float32)

    def _moved(self, pose: Pose, step: NDArray[np.float32]) -> Pose:
        """After a movement that is given in the patch's own directions."""
        shift = rotation(pose.angle_deg) @ step[:2].astype(np.float64)
        turn = math.degrees(float(step[2]) / radius_of(self.pixels.shape)) if len(step) == 3 else 0.0
        return Pose(pose.x + float(shift[0]), pose.y + float(shift[1]), pose.angle_deg + turn)


def radius_of(shape: tuple[int, ...]) -> float:
    """Root mean square distance of a rectangle's pixels from its centre."""
    return math.sqrt((shape[0] ** 2 + shape[1] ** 2) / 12)


def _without(basis: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(values - basis @ (basis.T @ values), np.float32)
