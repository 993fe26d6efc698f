"""Score maps → the image's score and its measured defects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import Defect, Prediction, ScoreMap
from onspec.imaging.weighing import Weighed, Weighing, weigh


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A defect and its pixels: uint8 (h, w) of 0/1 over the defect's `bbox`."""

    defect: Defect
    mask: NDArray[np.uint8]


def image_score(seen: Prediction | ScoreMap, weighing: Weighing) -> float:
    """The image's defect score in [0, 1]: that of its highest region."""
    return weigh_image(seen, weighing)[0]


def weigh_image(seen: Prediction | ScoreMap, weighing: Weighing) -> tuple[float, Weighed | None]:
    """`image_score`, and its regions where those had to be found for it: `find_regions` need not find them again."""
    seen = _prediction(seen)
    return weighing.image(seen.total(), seen.cores)


def find_regions(
    prediction: Prediction | ScoreMap,
    *,
    pixel_threshold: float,
    floor: float,
    least: float,
    weighing: Weighing,
    weighed: Weighed | None = None,
) -> list[Region]:
    """Connected regions (8-neighbourhood) at or over `pixel_threshold`, and fainter ones down to `floor`.

    Where a pixel is defective is decided by the score of being defective at all, so that a defect which the network
    takes half for one class and half for another is found whole; its class is the one with the most score in it (of
    equal ones, the first by name). With cores, objects that touch are regions of their own. A bare score map is a
    prediction of one class.

    A region that reaches `pixel_threshold` is outlined there; one that only reaches `floor` is outlined at `floor`.
    Its score is what `weighing` makes of its pixels; `weighing` may also fix the floor. Those that score under `least`
    are left out. With floor and `least` no higher than the image threshold, an image that scores at least that
    threshold always has a region that does. Returned by falling score, then by position, so that the order never
    depends on chance. `weighed` is what `weigh_image` gave for this prediction.
    """
    seen = _prediction(prediction)
    total = seen.total()
    if weighed is None:
        weighed = weigh(total, seen.cores, weighing.floor(min(floor, pixel_threshold)), weighing)
    if weighed is None:
        return []
    labels, scores, values = weighed.labels, weighed.scores, total.values
    regions: list[Region] = []
    for label in (np.flatnonzero(scores[1:] >= least) + 1).tolist():
        at = weighed.at(label)
        inside = labels[at] == label
        strong = inside & (values[at] >= pixel_threshold)
        pieces = (strong if strong.any() else inside).view(np.uint8)
        regions += _measure_pieces(pieces, (at[1].start, at[0].start), float(scores[label]), seen.maps)
    return sorted(regions, key=lambda r: (-r.defect.score, r.defect.bbox[1], r.defect.bbox[0]))


def _prediction(seen: Prediction | ScoreMap) -> Prediction:
    return seen if isinstance(seen, Prediction) else Prediction((seen,))


def _measure_pieces(
    pieces: NDArray[np.uint8], origin: tuple[int, int], score: float, maps: Sequence[ScoreMap]
) -> list[Region]:
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(pieces, connectivity=8, ltype=cv2.CV_32S)
    found = []
    for label in range(1, count):
        x, y, w, h, area = stats[label].tolist()
        mask = (labels[y : y + h, x : x + w] == label).view(np.uint8)
        at = (origin[0] + x, origin[1] + y)
        length, width, angle = smallest_rectangle(mask)
        defect = Defect(
            cls=_class_of(maps, mask, at),
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


def _class_of(maps: Sequence[ScoreMap], mask: NDArray[np.uint8], at: tuple[int, int]) -> str:
    """The class whose map has the largest sum, and so the largest mean, over the pixels."""
    if len(maps) == 1:
        return maps[0].cls
    (x, y), (h, w) = at, mask.shape
    means = {m.cls: cv2.mean(m.values[y : y + h, x : x + w], mask)[0] for m in maps}
    return min(means, key=lambda cls: (-means[cls], cls))


def _outline(mask: NDArray[np.uint8], at: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=at)
    points: list[list[int]] = np.asarray(max(contours, key=len), np.int32).reshape(-1, 2).tolist()
    return tuple((x, y) for x, y in points)


def smallest_rectangle(mask: NDArray[np.uint8], pixel: tuple[float, float] = (1.0, 1.0)) -> tuple[float, float, float]:
    """Sides (long, short) and orientation of the smallest rectangle around the pixels' areas, not centres.

    Each pixel is a rectangle with the sides `pixel` along x and y, in whose unit the result is; the outer ends of each
    row are enough for the hull. The orientation is in degrees, counter-clockwise as seen, 0 ≤ angle < 180.
    """
    left = mask.argmax(axis=1)
    rows = np.flatnonzero(mask[np.arange(len(mask)), left])
    left, right = left[rows], mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = np.empty((4, len(rows), 2))  # a small defect has few pixels: making arrays is what takes the time
    corners[:2, :, 0], corners[2:, :, 0] = left, right
    corners[::2, :, 1], corners[1::2, :, 1] = rows, rows + 1
    corners *= pixel
    _, (side_a, side_b), angle = cv2.minAreaRect(cv2.convexHull(corners.reshape(-1, 2).astype(np.float32)))
    if side_a < side_b:
        side_a, side_b, angle = side_b, side_a, angle + 90.0
    counter_clockwise = -angle % 180.0  # OpenCV's angle turns from x towards y, which points down
    on_axis = math.isclose(counter_clockwise, 180.0, abs_tol=1e-9)
    return float(side_a), max(float(side_b), 1e-3), 0.0 if on_axis else float(counter_clockwise)
