"""Named areas of the image that rules speak of."""

from typing import Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Coordinate = float


class Zone(BaseModel):
    """A rectangle or polygon in px of the original image, counted from its top left, y down.

    Attributes:
        rectangle: x, y, width, height; the pixels whose centres lie in it belong to the zone.
        polygon: corners (x, y), at least three; closed by itself.
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
        canvas = np.zeros((height, width), np.uint8)
        # fillPoly takes whole numbers with fractional bits, and pixel centres at whole numbers.
        bits = 8
        corners = np.clip(np.asarray(self.polygon, np.float64) - 0.5, -(2.0**20), 2.0**20)
        cv2.fillPoly(canvas, [np.rint(corners * (1 << bits)).astype(np.int32)], 1, shift=bits)
        return canvas.astype(bool)
