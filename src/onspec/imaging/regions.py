"""Score map → the image's score and its measured defects."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import Defect, ScoreMap

_ROUNDING = 1e-6
"""What a mean of scores may differ from the scores themselves by rounding alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A defect and its pixels: uint8 (h, w) of 0/1 over the defect's `bbox`."""

    defect: Defect
    mask: NDArray[np.uint8]


def peak_field(score_map: ScoreMap, window: int) -> NDArray[np.float32]:
    """Per pixel, the mean score of the `window`×`window` px around it, but no more than the pixel's own score.

    A defect is an area, not one pixel over a threshold: averaging keeps single hot pixels from rejecting a part. The
    bound by the pixel's own score ties each value to a pixel that belongs to the defect, so that an image's score is
    the score of one of its regions. Raising any score of the map lowers no value of the field: more defect never
    makes a part look better. Beyond the border the map is mirrored about its outermost pixels, which count once: a hot
    pixel in a corner is no better than one in the middle. `window` is odd; 1 leaves the map as it is.
    """
    values = score_map.values
    if window <= 1:
        return values
    mean = np.asarray(cv2.blur(values, (window, window), borderType=cv2.BORDER_REFLECT_101), np.float32)
    mean = mean + np.float32(_ROUNDING)  # on a plateau the mean is the plateau
    return np.asarray(np.minimum(mean, values), np.float32)


def image_score(score_map: ScoreMap, window: int) -> float:
    """The image's defect score in [0, 1]: the highest of `peak_field`."""
    return float(peak_field(score_map, window).max())


def find_defects(score_map: ScoreMap, *, pixel_threshold: float, floor: float, window: int) -> list[Defect]:
    """The defects of `find_regions`, without their pixels."""
    regions = find_regions(score_map, pixel_threshold=pixel_threshold, floor=floor, window=window)
    return [region.defect for region in regions]


def find_regions(score_map: ScoreMap, *, pixel_threshold: float, floor: float, window: int) -> list[Region]:
    """Connected regions (8-neighbourhood) at or over `pixel_threshold`, and fainter ones down to `floor`.

    A region that reaches `pixel_threshold` is outlined there; one that only reaches `floor` is outlined at `floor`.
    Regions whose score is under `floor` are left out. With `floor` no higher than the image threshold, an image that
    scores at least that threshold always has a region that does. Returned by falling score, then by position, so
    that the order never depends on chance.
    """
    floor = min(floor, pixel_threshold)
    field, values = peak_field(score_map, window), score_map.values
    wide = (values >= floor).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(wide, connectivity=8, ltype=cv2.CV_32S)
    scores = np.zeros(count, np.float32)
    inside_any = wide.astype(bool)
    np.maximum.at(scores, labels[inside_any], field[inside_any])
    regions: list[Region] = []
    for label in range(1, count):
        if scores[label] < floor:
            continue
        x, y, w, h, _ = (int(v) for v in stats[label])
        inside = labels[y : y + h, x : x + w] == label
        strong = (inside & (values[y : y + h, x : x + w] >= pixel_threshold)).astype(np.uint8)
        pieces = strong if strong.any() else inside.astype(np.uint8)
        regions += _measure_pieces(pieces, (x, y), float(scores[label]), score_map.cls)
    return sorted(regions, key=lambda r: (-r.defect.score, r.defect.bbox[1], r.defect.bbox[0]))


def _measure_pieces(pieces: NDArray[np.uint8], origin: tuple[int, int], score: float, cls: str) -> list[Region]:
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(pieces, connectivity=8, ltype=cv2.CV_32S)
    found = []
    for label in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[label])
        mask = np.ascontiguousarray((labels[y : y + h, x : x + w] == label).astype(np.uint8))
        at = (origin[0] + x, origin[1] + y)
        length, width, angle = _rectangle(mask)
        defect = Defect(
            cls=cls,
            score=score,
            bbox=(*at, w, h),
            centroid=(origin[0] + float(centroids[label][0]), origin[1] + float(centroids[label][1])),
            area_px=area,
            length_px=length,
            width_px=width,
            elongation=max(1.0, length / width),
            orientation_deg=angle,
            polygon=_outline(mask, at),
        )
        found.append(Region(defect, mask))
    return found


def _outline(mask: NDArray[np.uint8], at: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=at)
    points = np.asarray(max(contours, key=len)).reshape(-1, 2)
    return tuple((int(x), int(y)) for x, y in points)


def _rectangle(mask: NDArray[np.uint8]) -> tuple[float, float, float]:
    """Sides (long, short) in px and orientation of the smallest rectangle around the pixels' areas, not centres.

    Each pixel is a unit square; the outer ends of each row are enough for the hull. The orientation is in degrees,
    0 ≤ angle < 180.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    left = mask[rows].argmax(axis=1)
    right = mask.shape[1] - mask[rows][:, ::-1].argmax(axis=1)
    corners = np.concatenate([np.stack([x, rows + dy], axis=1) for x in (left, right) for dy in (0, 1)])
    _, (side_a, side_b), angle = cv2.minAreaRect(cv2.convexHull(corners.astype(np.float32)))
    if side_a < side_b:
        side_a, side_b, angle = side_b, side_a, angle + 90.0
    counter_clockwise = -angle % 180.0  # OpenCV's angle turns from x towards y, which points down
    on_axis = math.isclose(counter_clockwise, 180.0, abs_tol=1e-9)
    return float(side_a), max(float(side_b), 1e-3), 0.0 if on_axis else float(counter_clockwise)
