"""A taught rectangle laid on every place of a small image, at one angle after the other."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.aligning import Patch, Plane, Pose, rotation, seen_at, turn_between


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the template every place is at one angle: where the template's centre comes to lie.

    Attributes:
        likeness: float32 (rows, columns); -1 where the template would not lie wholly in the image.
        centre: what the image was turned about, in px of the image.
        origin: the same point, as column and row of the map.
    """

    likeness: NDArray[np.float32]
    centre: Pose
    origin: tuple[float, float]

    @classmethod
    def of(cls, plane: Plane, patch: Patch, angle_deg: float, taught: Pose, shift: float | None) -> "Likeness":
        """Turn the image back and lay the template everywhere; only near the taught place if `shift` (px) is given."""
        height, width = plane.shape
        (across, down), turn = patch.size, rotation(angle_deg)
        centre = Pose(width / 2, height / 2, angle_deg)
        extent = np.abs(turn) @ (width, height)
        if shift is not None and 2 * shift + max(across, down) < extent.max():
            centre, extent = Pose(taught.x, taught.y, angle_deg), np.array([2 * shift + across, 2 * shift + down])
        size = (max(math.ceil(extent[0]), across), max(math.ceil(extent[1]), down))
        likeness = cv2.matchTemplate(seen_at(plane, centre, size), patch.pixels, cv2.TM_CCOEFF_NORMED)
        found = cls(np.asarray(likeness, np.float32), centre, ((size[0] - across) / 2, (size[1] - down) / 2))
        return found._within((width, height), np.abs(turn) @ (across / 2, down / 2) - 1.0, taught, shift)

    def pose(self, column: int, row: int) -> Pose:
        """The place that an entry is about."""
        x, y = rotation(self.centre.angle_deg) @ (column - self.origin[0], row - self.origin[1])
        return Pose(self.centre.x + float(x), self.centre.y + float(y), self.centre.angle_deg)

    def clear(self, pose: Pose, around: int) -> None:
        """Forget the places around one."""
        turned = rotation(-self.centre.angle_deg) @ (pose.x - self.centre.x, pose.y - self.centre.y)
        column, row = round(float(turned[0]) + self.origin[0]), round(float(turned[1]) + self.origin[1])
        rows = slice(max(row - around, 0), max(row + around + 1, 0))
        self.likeness[rows, max(column - around, 0) : max(column + around + 1, 0)] = -1.0

    def _within(
        self, size: tuple[int, int], half: NDArray[np.float64], taught: Pose, shift: float | None
    ) -> "Likeness":
        """Without the places where the turned template, of these half sides, is not in the image, or is too far."""
        turn = rotation(self.centre.angle_deg).astype(np.float32)
        across = np.arange(self.likeness.shape[1], dtype=np.float32) - self.origin[0]
        down = np.arange(self.likeness.shape[0], dtype=np.float32)[:, None] - self.origin[1]
        x = turn[0, 0] * across + turn[0, 1] * down + self.centre.x
        y = turn[1, 0] * across + turn[1, 1] * down + self.centre.y
        ok = (np.abs(x - size[0] / 2) <= size[0] / 2 - half[0]) & (np.abs(y - size[1] / 2) <= size[1] / 2 - half[1])
        if shift is not None:
            ok &= (x - taught.x) ** 2 + (y - taught.y) ** 2 <= shift**2
        ok &= np.isfinite(self.likeness)
        self.likeness[~ok] = -1.0
        return self


def peaks(maps: list[Likeness], apart: int, apart_deg: float, most: int) -> list[Pose]:
    """The best places, `most` of them, that are further from each other than `apart` px or `apart_deg`."""
    poses: list[Pose] = []
    while len(poses) < most:
        best = max(maps, key=lambda m: float(m.likeness.max()))
        row, column = np.unravel_index(int(best.likeness.argmax()), best.likeness.shape)
        if best.likeness[row, column] <= 0:
            break
        pose = best.pose(int(column), int(row))
        poses.append(pose)
        for m in maps:
            if turn_between(m.centre.angle_deg, pose.angle_deg) <= apart_deg:
                m.clear(pose, apart)
    return poses
