"""Named areas of the image, or of the part in it, that rules speak of."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from onspec.decision.given import Given
from onspec.decision.rules_text import fault
from onspec.domain import RulesError
from onspec.domain.pixel_size import PixelSize
from onspec.domain.placement import Placement

Coordinate = float
Corner = tuple[Coordinate, Coordinate]
Side = Literal["left", "right", "top", "bottom"]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

SHAPES = ("rectangle", "polygon", "circle", "ring", "band")
_SIDES = ("left", "right", "top", "bottom")
_FORMS = "a rectangle [x, y, width, height], a polygon [[x, y], …], a circle, a ring or a band"


@dataclass(frozen=True, slots=True)
class Frame:
    """What a zone's coordinates need to become pixels.

    Attributes:
        size: width and height of the image, px.
        pixel: sides of a pixel; only zones in mm need it.
        placement: where the part lies; only zones relative to the part need it.
    """

    size: tuple[int, int]
    pixel: PixelSize | None = None
    placement: Placement | None = None


class Circle(BaseModel):
    """All within a radius of a centre."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    centre: Corner
    radius: float = Field(gt=0, allow_inf_nan=False)


class Ring(BaseModel):
    """All between two radii around a centre."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    centre: Corner
    inner: float = Field(ge=0, allow_inf_nan=False)
    outer: float = Field(gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        if self.inner >= self.outer:
            raise fault(
                f"a ring's outer radius must be over the inner one, {self.inner:g}; got {self.outer:g}", "outer"
            )
        return self


def _along(value: object) -> object:
    if isinstance(value, str):
        if value not in _SIDES:
            raise fault(f"got {value!r}; allowed: {', '.join(_SIDES)}, or the corners of a line [[x, y], …]")
        return value
    corners = value if isinstance(value, list | tuple) else []
    pairs = [corner for corner in corners if isinstance(corner, list | tuple) and len(corner) == 2]
    numbers = [v for pair in pairs for v in pair if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(pairs) < 2 or len(pairs) != len(corners) or len(numbers) != 2 * len(pairs):
        raise fault(f"got {value!r}; allowed: {', '.join(_SIDES)}, or two or more corners of a line [[x, y], …]")
    return tuple((float(x), float(y)) for x, y in pairs)


_CORNER = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_ALONG = {"anyOf": [{"enum": list(_SIDES)}, {"type": "array", "items": _CORNER, "minItems": 2}]}


class Band(BaseModel):
    """A strip of a width: inwards from a side of the image, or with a line of corners in its middle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    along: Annotated[Side | tuple[Corner, ...], BeforeValidator(_along), WithJsonSchema(_ALONG)]
    width: float = Field(gt=0, allow_inf_nan=False)


class Zone(Given):
    """One shape, counted from the top left, y down. A pixel belongs to it if its centre lies in it.

    Attributes:
        rectangle: x, y, width, height.
        polygon: corners (x, y), at least three; closed by itself.
        unit: of all its numbers; mm need a pixel size.
        relative_to: `image`, or `part`: drawn on the taught image, and moved with the part.
        use: `ignore`: nothing in the zone is judged. `forbid`: a defect that touches it is NG, however small.
            Without it the zone is only there for rules to name.
    """

    rectangle: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    polygon: tuple[Corner, ...] | None = Field(None, min_length=3)
    circle: Circle | None = None
    ring: Ring | None = None
    band: Band | None = None
    unit: Literal["px", "mm"] = "px"
    relative_to: Literal["image", "part"] = "image"
    use: Literal["ignore", "forbid"] | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        given = [shape for shape in SHAPES if getattr(self, shape) is not None]
        if len(given) != 1:
            raise fault(f"a zone has one shape, {_FORMS}; got {' and '.join(given) or 'none'}")
        if self.rectangle is not None and min(self.rectangle[2:]) <= 0:
            raise fault(f"a rectangle's width and height must be over 0; got {list(self.rectangle)}")
        if self.band is not None and isinstance(self.band.along, str) and self.relative_to == "part":
            raise fault("a band along a side is relative to the image; draw a line for a band on the part", "band")
        if not all(math.isfinite(number) for number in self._numbers()):
            raise fault(f"a zone's coordinates must be numbers of {self.unit}")
        return self

    def mask(self, size: tuple[int, int], pixel: PixelSize | None = None, placement: Placement | None = None) -> Mask:
        """bool (H, W) of the zone in an image of `size` (width, height), read-only; all False where it lies outside.

        Raises:
            RulesError: it is in mm and no pixel size is given, or on a part whose placement is not.
        """
        if self.relative_to == "image":
            return _in_image(self, size, pixel if self.unit == "mm" else None)
        return self._mask(Frame(size, pixel, placement))

    def window(self, frame: Frame) -> tuple[slice, slice]:
        """Rows and columns that hold the zone, empty where it lies outside the image. Raises as `mask`."""
        corners = self._to_image(self._corners(frame), frame)
        return _span(corners[:, 1], frame.size[1]), _span(corners[:, 0], frame.size[0])

    def within(self, frame: Frame, rows: slice, columns: slice) -> Mask:
        """bool (h, w): which pixels of a window of the image lie in the zone. Raises as `mask`."""
        size = (columns.stop - columns.start, rows.stop - rows.start)
        ring = self._ring(frame)
        if ring is not None:
            return _inside(self._to_image(ring, frame) - (columns.start, rows.start), *size)
        x, y = np.meshgrid(np.arange(columns.start, columns.stop) + 0.5, np.arange(rows.start, rows.stop) + 0.5)
        points = self._to_zone(np.stack([x.ravel(), y.ravel()], axis=1), frame)
        return np.asarray(self._holds(points).reshape(size[::-1]))

    def hidden(self, frame: Frame) -> float:
        """The share, 0 to 1, of what an image of this size shows of the zone in its taught place that it does not show
        where the part lies. Raises as `mask`."""
        width, height = frame.size
        corners = self._to_image(self._corners(frame), frame)
        if (corners >= 0).all() and (corners <= (width, height)).all():
            return 0.0
        rows, columns = (
            slice(max(math.floor(low), -length), min(math.ceil(high), 2 * length))
            for low, high, length in zip(
                corners.min(axis=0)[::-1], corners.max(axis=0)[::-1], (height, width), strict=True
            )
        )
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return 1.0
        at = np.argwhere(self.within(frame, rows, columns)) + np.array([rows.start, columns.start]) + 0.5
        points = at[:, ::-1].astype(np.float64)
        taught = _shown(_placed(frame).to_taught(points), frame)
        gone = taught & ~_shown(points, frame)
        return int(np.count_nonzero(gone)) / max(1, int(np.count_nonzero(taught)))

    def _mask(self, frame: Frame) -> Mask:
        mask = np.zeros(frame.size[::-1], np.bool_)
        rows, columns = self.window(frame)
        if rows.start < rows.stop and columns.start < columns.stop:
            mask[rows, columns] = self.within(frame, rows, columns)
        mask.flags.writeable = False
        return mask

    def _ring(self, frame: Frame) -> Points | None:
        """The corners of what has straight sides, in the zone's unit."""
        if self.polygon is not None:
            return np.asarray(self.polygon, np.float64)
        return self._corners(frame) if self.rectangle is not None or self._side is not None else None

    def _numbers(self) -> tuple[float, ...]:
        """Every coordinate as it was given."""
        round_shape = self.circle or self.ring
        line = self.band.along if self.band is not None and not isinstance(self.band.along, str) else ()
        corners = (*(self.polygon or ()), *line, *((round_shape.centre,) if round_shape is not None else ()))
        return (*(self.rectangle or ()), *(number for corner in corners for number in corner))

    @property
    def _side(self) -> Side | None:
        return self.band.along if self.band is not None and isinstance(self.band.along, str) else None

    def _corners(self, frame: Frame) -> Points:
        """Corners around the whole zone, in its unit."""
        if self.polygon is not None:
            return np.asarray(self.polygon, np.float64)
        if self.rectangle is not None:
            x, y, w, h = self.rectangle
            return _box(x, y, x + w, y + h)
        if self.circle is not None or self.ring is not None:
            shape = self.circle or cast("Ring", self.ring)
            (x, y), radius = shape.centre, shape.radius if isinstance(shape, Circle) else shape.outer
            return _box(x - radius, y - radius, x + radius, y + radius)
        band = cast("Band", self.band)
        if isinstance(band.along, str):
            width, height = np.asarray(frame.size) * self._scale(frame)
            return {
                "left": _box(0, 0, band.width, height),
                "right": _box(width - band.width, 0, width, height),
                "top": _box(0, 0, width, band.width),
                "bottom": _box(0, height - band.width, width, height),
            }[band.along]
        line = np.asarray(band.along, np.float64)
        (left, top), (right, bottom) = line.min(axis=0) - band.width / 2, line.max(axis=0) + band.width / 2
        return _box(left, top, right, bottom)

    def _holds(self, points: Points) -> NDArray[np.bool_]:
        """bool (n,): which points, in the zone's unit, lie in a circle, ring or band along a line."""
        if self.circle is not None:
            return np.asarray(_far(points, self.circle.centre) <= self.circle.radius)
        if self.ring is not None:
            far = _far(points, self.ring.centre)
            return np.asarray((far >= self.ring.inner) & (far <= self.ring.outer))
        line = cast("tuple[Corner, ...]", cast("Band", self.band).along)
        reach = cast("Band", self.band).width / 2
        return np.asarray(np.logical_or.reduce([_off(points, a, b) <= reach for a, b in pairwise(line)]))

    def _scale(self, frame: Frame) -> NDArray[np.float64]:
        """The zone's units in a px along x and y."""
        if self.unit == "px":
            return np.ones(2)
        if frame.pixel is None:
            raise RulesError("the rules have zones in mm; give the recipe or the rules a pixel size (pixel_size_mm)")
        return np.array([frame.pixel.x, frame.pixel.y])

    def _to_image(self, points: Points, frame: Frame) -> Points:
        points = points / self._scale(frame)
        return points if self.relative_to == "image" else _placed(frame).to_image(points)

    def _to_zone(self, points: Points, frame: Frame) -> Points:
        points = points if self.relative_to == "image" else _placed(frame).to_taught(points)
        return np.asarray(points * self._scale(frame))


@lru_cache(maxsize=32)
def _in_image(zone: Zone, size: tuple[int, int], pixel: PixelSize | None) -> Mask:
    """The same for every image of a size."""
    return zone._mask(Frame(size, pixel))


def _shown(points: Points, frame: Frame) -> NDArray[np.bool_]:
    """bool (n,): which points an image of this size shows."""
    return np.asarray(((points >= 0) & (points < frame.size)).all(axis=1))


def _placed(frame: Frame) -> Placement:
    if frame.placement is None:
        raise RulesError("a zone lies on the part, and nobody said where the part is; the part must be located first")
    return frame.placement


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def _span(values: NDArray[np.float64], length: int) -> slice:
    """The pixels whose centres may lie between the least and the largest value."""
    start = min(max(math.floor(min(float(values.min()), 1e9)), 0), length)
    stop = min(max(math.ceil(max(float(values.max()), -1e9)), start), length)
    return slice(start, stop)


def _far(points: Points, centre: Corner) -> NDArray[np.float64]:
    return np.asarray(np.hypot(*(points - centre).T))


def _off(points: Points, a: Corner, b: Corner) -> NDArray[np.float64]:
    """How far points are from the line between two corners, ends rounded."""
    start, way = np.asarray(a), np.subtract(b, a)
    length = float(way @ way)
    share = np.clip((points - start) @ way / length, 0.0, 1.0) if length else np.zeros(len(points))
    return np.asarray(np.hypot(*(points - start - share[:, None] * way).T))


def _inside(corners: Points, width: int, height: int) -> Mask:
    """Pixels whose centres lie in the polygon: those with an odd number of its edges to their left (even-odd rule)."""
    crossed = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = np.clip(np.ceil(np.sort([y0, y1]) - 0.5), 0, height).astype(int)  # rows whose centres it crosses
        if low == high:
            continue
        rows = np.arange(low, high)
        x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        np.add.at(crossed, (rows, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), 1)
    return np.asarray(crossed[:, :width].cumsum(axis=1) % 2 == 1)
