"""Calibration patterns: the inner corners of a checkerboard or the dots of a grid, with their places in it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import ImageError
from onspec.imaging.aligning import Plane
from onspec.imaging.pyramid import gray
from onspec.imaging.reading import Image

Pattern = Literal["checkerboard", "dots"]
Points = NDArray[np.float64]
"""float64 (N, 2): x, y in px from the image's top left."""

LEAST = 3
"""Rows and columns of points that a calibration needs."""
_MOST_POINTS = 20_000
_SADDLE_SHARE = 0.35
"""Of the strongest corners' response that a corner must have."""
_NEAR = 0.3
"""Share of the step that a neighbour may lie off from where it is expected."""
_WHOLE = 0.9
"""Share of a pattern's points that must be found."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The points of a pattern that were found, with their column and row in it.

    Attributes:
        points: float64 (N, 2).
        places: int64 (N, 2): column and row, from 0; columns run more across the image than down.
        size: the image's width and height.
    """

    points: Points
    places: NDArray[np.int64]
    size: tuple[int, int]

    @property
    def columns(self) -> int:
        """Columns of points."""
        return int(self.places[:, 0].max()) + 1

    @property
    def rows(self) -> int:
        """Rows of points."""
        return int(self.places[:, 1].max()) + 1


def find_grid(
    image: Image, pattern: Pattern, columns: int | None = None, rows: int | None = None, name: str = "image"
) -> Grid:
    """The pattern's points to a fraction of a pixel; columns and rows are counted, and compared if given.

    A checkerboard's points are its inner corners: one less each way than squares. `columns` and `rows` are as seen in
    the image; of a pattern that is turned by 90° they may come the other way round.

    Raises:
        ImageError: no pattern, too few points, a pattern that is cut off or covered, or not of the size given.
    """
    plane = gray(image).astype(np.float32) / (257.0 if image.dtype == np.uint16 else 1.0)
    sets = FINDERS[pattern](plane)
    lattices = [_lattice(points) for points in sets if LEAST**2 <= len(points) <= _MOST_POINTS]
    best = max(lattices, key=lambda lattice: len(lattice[0]), default=None)
    if best is None or not _patterned(best[1]):
        raise ImageError(
            f"{name}: no {_NAMES[pattern]} found; show the whole pattern, flat, sharp and evenly lit, "
            f"with at least {LEAST} rows and {LEAST} columns of {_POINTS[pattern]} at least 8 px apart"
        )
    grid = _upright(*_trimmed(*best), (image.shape[1], image.shape[0]))
    _check_count(grid, pattern, columns, rows, name)
    if columns is None or rows is None:
        _check_edges(grid, plane, pattern, name)
    return grid


def _saddles(plane: Plane) -> list[Points]:
    """Where four squares meet: the second derivatives along and across have opposite signs, strongly."""
    smooth = np.asarray(cv2.GaussianBlur(plane, (0, 0), 2.0), np.float32)
    xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, *order, ksize=3) for order in ((2, 0), (0, 2), (1, 1)))
    response = np.maximum(xy * xy - xx * yy, 0)
    top = cv2.dilate(response, np.ones((7, 7), np.uint8))
    peaks = np.argwhere((response == top) & (response > 0))
    if len(peaks) < LEAST**2:
        return []
    strength = response[peaks[:, 0], peaks[:, 1]]
    strongest = np.sort(strength)[::-1][: max(LEAST**2, min(len(strength) // 4, 40))]
    peaks = peaks[strength > _SADDLE_SHARE * np.median(strongest)]
    if not LEAST**2 <= len(peaks) <= _MOST_POINTS:
        return []
    start = peaks[:, ::-1].astype(np.float64)
    start = start[_alike_across(smooth, start)]
    if len(start) < LEAST**2:
        return []
    half = int(np.clip(np.median(_nearest(start)) / 4, 3, 15))
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 60, 0.001)
    eight = np.clip(np.round(cv2.GaussianBlur(plane, (0, 0), 0.7)), 0, 255).astype(np.uint8)
    refined = cv2.cornerSubPix(eight, start.astype(np.float32).reshape(-1, 1, 2), (half, half), (-1, -1), stop)
    moved = refined.reshape(-1, 2).astype(np.float64)
    return [_apart(moved[np.hypot(*(moved - start).T) < half]) + 0.5]


def _apart(points: Points) -> Points:
    """Without those that came to lie on another: two equal pixels may both be the peak of one corner."""
    kept: dict[tuple[int, int], int] = {}
    for index, cell in enumerate(np.round(points / 3).astype(int).tolist()):
        around = [(cell[0] + x, cell[1] + y) for x in (-1, 0, 1) for y in (-1, 0, 1)]
        if not any(near in kept and math.dist(points[kept[near]], points[index]) < 3 for near in around):
            kept[cell[0], cell[1]] = index
    return points[list(kept.values())]


def _alike_across(plane: Plane, points: Points) -> NDArray[np.bool_]:
    """Whether what lies around a point looks the same turned by half a turn, as where four squares meet.

    The outer corners of a board, where one square ends, do not.
    """
    radius = float(np.clip(np.median(_nearest(points)) * 0.3, 3, 30))
    angles = np.arange(24) * (np.pi / 12)
    ring = points[:, None, :] + radius * np.column_stack([np.cos(angles), np.sin(angles)])[None]
    x, y = ring[..., 0].astype(np.float32), ring[..., 1].astype(np.float32)
    seen = cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = seen - seen.mean(axis=1, keepdims=True)
    turned = (seen[:, :12] * seen[:, 12:]).sum(axis=1) * 2
    return np.asarray(turned > 0.6 * np.maximum((seen**2).sum(axis=1), 1.0))


def _dots(plane: Plane) -> list[Points]:
    """Round spots of about one size, dark or bright, as they are and with the light evened out."""
    smooth = cv2.GaussianBlur(plane, (0, 0), 1.0)
    even = smooth / np.maximum(cv2.GaussianBlur(smooth, (0, 0), max(plane.shape) / 12), 1.0)
    found = []
    for picture in (smooth, even):
        low, high = float(picture.min()), float(picture.max())
        eight = np.round((picture - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
        bright = np.asarray(cv2.threshold(eight, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1], np.uint8)
        found += [_spots(bright, plane), _spots(np.asarray(255 - bright, np.uint8), -plane)]
    return found


def _spots(mask: NDArray[np.uint8], plane: Plane) -> Points:
    """Centres of gravity of the spots of a mask, weighed by how much brighter than around they are."""
    count, seen, told, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    labels, stats = np.asarray(seen, np.int32), np.asarray(told, np.int32)
    height, width = mask.shape
    x, y, w, h, area = stats[1:].T
    fill, aspect = area / np.maximum(w * h, 1), w / np.maximum(h, 1)
    ok = (x > 0) & (y > 0) & (x + w < width) & (y + h < height) & (area >= 12)
    ok &= (fill > 0.55) & (fill < 0.95) & (aspect > 0.5) & (aspect < 2.0)
    if count < 2 or not LEAST**2 <= ok.sum() <= _MOST_POINTS:
        return np.zeros((0, 2))
    middle = np.median(area[ok])
    ok &= (area > 0.4 * middle) & (area < 2.5 * middle)
    return np.array([_centre(labels, plane, int(index) + 1, stats[index + 1]) for index in np.flatnonzero(ok)]).reshape(
        -1, 2
    )


def _centre(labels: NDArray[np.int32], plane: Plane, label: int, stats: NDArray[np.int32]) -> tuple[float, float]:
    x, y, w, h = (int(value) for value in stats[:4])
    top, left = max(y - 3, 0), max(x - 3, 0)
    window = (slice(top, y + h + 3), slice(left, x + w + 3))
    spot = cv2.dilate((labels[window] == label).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    around = plane[window][~spot]
    level = float(np.median(around)) if around.size else float(plane[window].min())
    weight = np.where(spot, np.maximum(plane[window] - level, 0), 0).astype(np.float64)
    rows, columns = np.indices(weight.shape)
    total = max(float(weight.sum()), 1e-9)
    return float((weight * columns).sum()) / total + left + 0.5, float((weight * rows).sum()) / total + top + 0.5


def _nearest(points: Points) -> NDArray[np.float64]:
    """Distance of each point to its nearest neighbour, of 2000 at most."""
    some = points[:: max(1, len(points) // 2000)]
    distance = np.hypot(some[:, None, 0] - points[None, :, 0], some[:, None, 1] - points[None, :, 1])
    distance[distance == 0] = np.inf
    return np.asarray(distance.min(axis=1))


def _lattice(points: Points) -> tuple[Points, NDArray[np.int64]]:
    """The largest set of points that follow each other in even steps, from one of several to start at."""
    middle = np.median(points, axis=0)
    order = np.argsort(np.hypot(*(points - middle).T))
    best: dict[tuple[int, int], int] = {}
    for seed in order[:: max(1, len(order) // 8)][:8]:
        grown = _grown(points, int(seed))
        best = grown if len(grown) > len(best) else best
        if len(best) > 0.8 * len(points):
            break
    return points[list(best.values())], np.array(list(best), np.int64).reshape(-1, 2)


def _patterned(places: NDArray[np.int64]) -> bool:
    """Whether so many points follow each other that it is no chance: of a few, nearly all must be there."""
    if len(places) < 2 * LEAST:
        return False
    span = places.max(axis=0) - places.min(axis=0) + 1
    return len(places) >= 30 or len(places) >= 0.8 * int(span.prod())


def _grown(points: Points, seed: int) -> dict[tuple[int, int], int]:
    """Place in the lattice → index of the point; the steps follow the pattern as it bends and narrows."""
    offsets = points - points[seed]
    distance = np.hypot(*offsets.T)
    near = np.argsort(distance)[1:9]
    across = offsets[near[0]]
    length = float(distance[near[0]])
    for index in near[1:]:
        cosine = abs(float(offsets[index] @ across)) / (length * float(distance[index]))
        if cosine < 0.5 and 0.6 < distance[index] / length < 1.7:
            break
    else:
        return {}
    places, taken = {(0, 0): seed}, {seed}
    steps = {(0, 0): np.array([across, offsets[index]])}
    queue = [(0, 0)]
    while queue:
        place = queue.pop(0)
        here, step = points[places[place]], steps[place]
        for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1)):
            key = (place[0] + sign * (axis == 0), place[1] + sign * (axis == 1))
            if key in places:
                continue
            away = np.hypot(*(points - (here + sign * step[axis])).T)
            found = int(away.argmin())
            if away[found] > _NEAR * float(np.hypot(*step[axis])) or found in taken:
                continue
            own = step.copy()
            own[axis] = 0.5 * step[axis] + 0.5 * sign * (points[found] - here)
            places[key], steps[key] = found, own
            taken.add(found)
            queue.append(key)
    return places


def _trimmed(points: Points, places: NDArray[np.int64]) -> tuple[Points, NDArray[np.int64]]:
    """Without outer rows and columns that are less than half there: marks beside the pattern that fit by chance."""
    while len(points) > LEAST**2:
        low, high = places.min(axis=0), places.max(axis=0)
        span = high - low + 1
        for axis, edge in ((0, low[0]), (0, high[0]), (1, low[1]), (1, high[1])):
            on = places[:, axis] == edge
            if on.sum() < 0.5 * span[1 - axis]:
                points, places = points[~on], places[~on]
                break
        else:
            break
    return points, places


def _upright(points: Points, places: NDArray[np.int64], size: tuple[int, int]) -> Grid:
    """Columns to the right, rows down, as nearly as the pattern's turn allows."""
    design = np.column_stack([places, np.ones(len(places))])
    steps = np.linalg.lstsq(design, points, rcond=None)[0][:2]
    if abs(steps[0, 0]) * abs(steps[1, 1]) < abs(steps[0, 1]) * abs(steps[1, 0]):
        places, steps = places[:, ::-1], steps[::-1]
    signs = np.where([steps[0, 0] < 0, steps[1, 1] < 0], -1, 1)
    places = places * signs
    return Grid(points, places - places.min(axis=0), size)


def _check_count(grid: Grid, pattern: Pattern, columns: int | None, rows: int | None, name: str) -> None:
    found, asked = (grid.columns, grid.rows), (columns, rows)
    told = f"{grid.columns} columns × {grid.rows} rows of {_POINTS[pattern]}"
    if min(found) < LEAST:
        raise ImageError(
            f"{name}: too few points: {told}; at least {LEAST} × {LEAST} are needed; move the camera closer"
        )
    fits = any(all(a is None or a == f for a, f in zip(asked, way, strict=True)) for way in (found, found[::-1]))
    if not fits:
        wanted = " × ".join("any" if a is None else str(a) for a in asked)
        raise ImageError(
            f"{name}: found {told}; {wanted} were asked for; correct --columns and --rows"
            f"{' (inner corners: one less than squares)' if pattern == 'checkerboard' else ''}, "
            "or show the whole pattern"
        )
    share = len(grid.points) / (grid.columns * grid.rows)
    least = 1.0 if columns is not None and rows is not None else _WHOLE
    if share < least:
        raise ImageError(
            f"{name}: {len(grid.points)} of {grid.columns * grid.rows} points found; the pattern is partly covered, "
            "cut off or not sharp; show it whole"
        )


def _check_edges(grid: Grid, plane: Plane, pattern: Pattern, name: str) -> None:
    """A pattern that goes on beyond the image's edge cannot be counted."""
    goes_on = _beyond(grid, 1.0) if pattern == "checkerboard" else _beyond(grid, 0.75) or _half_dots(grid, plane)
    if goes_on:
        raise ImageError(
            f"{name}: the pattern is cut off by the image's edge ({grid.columns} columns × {grid.rows} rows of "
            f"{_POINTS[pattern]} are seen); show it whole, or give --columns {grid.columns} --rows {grid.rows} to use "
            "what is seen"
        )


def _beyond(grid: Grid, steps: float) -> bool:
    """Whether the image ends less than so many steps from the pattern's outer points."""
    ends = [(c, r) for c in (-steps, grid.columns - 1 + steps) for r in (-steps, grid.rows - 1 + steps)]
    far = _at(grid, np.array(ends))
    return bool((far < -1).any() or (far > np.array(grid.size) + 1).any())


def _half_dots(grid: Grid, plane: Plane) -> bool:
    """Whether most of a side's next dots can be seen, though not whole: the image there is as it is on dots."""
    columns, rows = np.arange(grid.columns), np.arange(grid.rows)
    on, off = (
        float(np.median(_gray_at(plane, _at(grid, np.asarray(grid.places + shift, np.float64)))))
        for shift in (0.0, 0.5)
    )
    for axis, along, edge in ((0, rows, -1), (0, rows, grid.columns), (1, columns, -1), (1, columns, grid.rows)):
        places = np.column_stack([np.full(len(along), edge), along][:: 1 if axis == 0 else -1])
        seen = _gray_at(plane, _at(grid, places))
        if (np.abs(seen - on) < np.abs(seen - off)).mean() > 0.5:
            return True
    return False


def _at(grid: Grid, places: NDArray[np.float64] | NDArray[np.int64]) -> Points:
    """Where places of the pattern lie, if it went on evenly."""
    model = np.linalg.lstsq(np.column_stack([grid.places, np.ones(len(grid.places))]), grid.points, rcond=None)[0]
    return np.asarray(np.column_stack([places, np.ones(len(places))]) @ model)


def _gray_at(plane: Plane, points: Points) -> NDArray[np.float64]:
    """The pixels at points, or the ones nearest to them."""
    column = np.clip(points[:, 0].astype(int), 0, plane.shape[1] - 1)
    row = np.clip(points[:, 1].astype(int), 0, plane.shape[0] - 1)
    return np.asarray(plane[row, column], np.float64)


FINDERS: dict[Pattern, Callable[[Plane], list[Points]]] = {"checkerboard": _saddles, "dots": _dots}
_NAMES: dict[Pattern, str] = {"checkerboard": "checkerboard", "dots": "grid of dots"}
_POINTS: dict[Pattern, str] = {"checkerboard": "inner corners", "dots": "dots"}
