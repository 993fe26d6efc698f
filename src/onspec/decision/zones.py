"""Named areas of the image that rules speak of."""

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Coordinate = float


class Zone(BaseModel):
    """A rectangle or polygon in px of the original image, counted from its top left, y down.

    Attributes:
        rectangle: x, y, width, height; the pixels whose centres lie in it belong to the zone.
        polygon: corners (x, y), at least three; closed by itself; likewise by the pixels' centres.
        use: `ignore`: nothing in the zone is judged. `forbid`: a defect that touches it is NG, however small.
            Without it the zone is only there for rules to name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rectangle: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    polygon: tuple[tuple[Coordinate, Coordinate], ...] | None = Field(None, min_length=3)
    use: Literal["ignore", "forbid"] | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if (self.rectangle is None) == (self.polygon is None):
            raise ValueError("a zone has either a rectangle [x, y, width, height] or a polygon [[x, y], …]")
        if self.rectangle is not None and min(self.rectangle[2:]) <= 0:
            raise ValueError(f"a rectangle's width and height must be over 0; got {list(self.rectangle)}")
        if not np.isfinite(np.asarray(self.rectangle or self.polygon)).all():
            raise ValueError("a zone's coordinates must be numbers of px")
        return self

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """bool (H, W) of the zone in an image of `size` (width, height); all False where it lies outside."""
        width, height = size
        if self.rectangle is not None:
            x, y, w, h = self.rectangle
            columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5  # the pixels' centres
            in_x, in_y = (columns >= x) & (columns < x + w), (rows >= y) & (rows < y + h)
            return np.asarray(in_y[:, None] & in_x[None, :])
        return _inside(np.asarray(self.polygon, np.float64), width, height)


def _inside(corners: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
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
