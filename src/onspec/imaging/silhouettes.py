"""Parts that stand out from their background: their outlines, and how far one is turned against another."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.aligning import Plane, Pose, turn_between

_SPOKES = 360
"""Directions from the centroid in which an outline's distance is taken."""
_ROUND = 0.01
"""An outline whose distance varies by less than this share of itself is a circle: it tells no angle."""
_AREAS = (0.75, 1.33)
"""How small and large an outline may be, as a share of the taught one."""
_MOST = 3
_RIM = 0.08
"""How far around the outline the background counts, as a share of the part's diameter."""


@dataclass(frozen=True, slots=True)
class Silhouette:
    """An outline without its holes.

    Attributes:
        points: float64 (N, 2): x, y of the pixels on the outline, in px from the top left.
        centroid: of the area within.
        area: px.
        bright: against its background.
        spokes: float64 (360,): the outline's distance from the centroid, counter-clockwise from the right.
    """

    points: NDArray[np.float64]
    centroid: tuple[float, float]
    area: float
    bright: bool
    spokes: NDArray[np.float64]

    def box(self, scale: float) -> tuple[float, float, float, float]:
        """x, y, width, height around the outline and the rim of background that counts, in px of a larger image."""
        low, high = self.points.min(axis=0) - self._rim(), self.points.max(axis=0) + self._rim()
        return float(low[0] * scale), float(low[1] * scale), *((high - low) * scale).tolist()

    def to_box_centre(self) -> NDArray[np.float64]:
        """From the centroid to the centre of `box`."""
        middle: NDArray[np.float64] = (self.points.min(axis=0) + self.points.max(axis=0)) / 2
        return middle - self.centroid

    def mask(self, centre: Pose, size: tuple[int, int], scale: float) -> NDArray[np.bool_]:
        """bool (h, w): the part and its rim on a patch of this size around a centre, in an image `scale` times as
        large as the one that the outline is of.
        """
        moved = self.points * scale - (centre.x - size[0] / 2, centre.y - size[1] / 2)
        drawn = np.zeros(size[::-1], np.uint8)
        polygon = [np.round((moved - 0.5) * 16).astype(np.int32)]
        cv2.fillPoly(drawn, polygon, 1, shift=4)
        cv2.polylines(drawn, polygon, True, 1, max(1, round(2 * self._rim() * scale)), shift=4)
        return np.asarray(drawn > 0)

    def similar(self, others: Sequence["Silhouette"]) -> list["Silhouette"]:
        """Those of about the same area, the most alike first, three at most."""
        low, high = self.area * _AREAS[0], self.area * _AREAS[1]
        alike = [other for other in others if low <= other.area <= high]
        return sorted(alike, key=lambda other: abs(other.area - self.area))[:_MOST]

    def turns(self, other: "Silhouette", most: float) -> list[float]:
        """Angles, degrees, by which this one may have been turned to become the other: at most `most` to either side.

        The distances of both outlines from their centroids are correlated around the full circle, which also tells
        outlines apart whose second moments do not (a square, a triangle).
        """
        if most == 0:
            return [0.0]
        mine, theirs = self.spokes - self.spokes.mean(), other.spokes - other.spokes.mean()
        step = 360 / _SPOKES
        if self.spokes.std() < _ROUND * self.spokes.mean():
            every = np.arange(0.0, 360.0, 10.0)
            return [a - 360 * (a > 180) for a in every.tolist() if turn_between(a, 0.0) <= most]
        alike = np.fft.irfft(np.fft.rfft(theirs) * np.conj(np.fft.rfft(mine)), _SPOKES)
        peaks = np.flatnonzero((alike >= np.roll(alike, 1)) & (alike > np.roll(alike, -1)) & (alike > 0))
        allowed = [k for k in peaks if turn_between(k * step, 0.0) <= most + 3]
        best = sorted(allowed, key=lambda k: -alike[k])[:6]
        return [float(k * step - 360 * (k * step > 180)) for k in best]

    def _rim(self) -> float:
        return max(2.0, _RIM * 2 * float(np.sqrt(self.area / np.pi)))


def silhouettes(plane: Plane, bright: bool | None) -> list[Silhouette]:
    """Outlines that lie wholly in the image, of what is brighter (or darker) than the background.

    With `bright` `None`, the background is what makes up most of the image's edge. The border between the two grays
    is Otsu's (1979), so an even change of light changes nothing.
    """
    eight = np.clip(np.round(cv2.GaussianBlur(plane, (5, 5), 0)), 0, 255).astype(np.uint8)
    _, light = cv2.threshold(eight, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if bright is None:
        edge = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
        bright = bool((edge > 0).mean() < 0.5)
    part = np.asarray(light if bright else 255 - light, np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    height, width = part.shape
    found = []
    for outline in outlines:
        x, y, w, h = cv2.boundingRect(outline)
        inside = x > 0 and y > 0 and x + w < width and y + h < height
        if min(w, h) >= 8 and inside and cv2.contourArea(outline) > 0:  # a line of one pixel encloses nothing
            found.append(_silhouette(np.asarray(outline, np.int32), bright))
    return found


def _silhouette(outline: NDArray[np.int32], bright: bool) -> Silhouette:
    points = outline.reshape(-1, 2).astype(np.float64) + 0.5
    moments = cv2.moments(outline)
    centroid = (moments["m10"] / moments["m00"] + 0.5, moments["m01"] / moments["m00"] + 0.5)
    return Silhouette(points, centroid, float(moments["m00"]), bright, _spokes(points - centroid))


def _spokes(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest distance in each direction; between directions without a point, interpolated."""
    around = np.arctan2(-points[:, 1], points[:, 0]) * _SPOKES / (2 * np.pi)
    spoke = np.round(around).astype(int) % _SPOKES
    distance = np.zeros(_SPOKES)
    np.maximum.at(distance, spoke, np.hypot(points[:, 0], points[:, 1]))
    known = np.flatnonzero(distance)
    return np.interp(np.arange(_SPOKES), known, distance[known], period=_SPOKES)
