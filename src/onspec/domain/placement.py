"""Where a part lies in an image."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Points = NDArray[np.float64]
"""float64 (N, 2): x, y in px of an image, from its top left, y down."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How the part in this image lies against the one it was taught on: turned, then shifted; never scaled.

    Attributes:
        taught: the reference point, x and y in px of the taught image.
        found: the same point of the part, x and y in px of this image.
        angle_deg: how far the part is turned, counter-clockwise as seen.
        score: how well it was found, 0 to 1.
    """

    taught: tuple[float, float]
    found: tuple[float, float]
    angle_deg: float
    score: float

    def __post_init__(self) -> None:
        """Refuse what is no place: NaN must never move a zone out of sight."""
        if not (0.0 <= self.score <= 1.0 and math.isfinite(self.angle_deg)):
            raise ValueError(f"Placement needs a score in [0, 1] and a finite angle; got {self}")
        if not np.isfinite([*self.taught, *self.found]).all():
            raise ValueError(f"Placement must lie at finite coordinates; got {self}")

    def to_image(self, points: Points) -> Points:
        """Points of the taught image → where they lie in this image."""
        return np.asarray((points - self.taught) @ self._turn().T + self.found)

    def to_taught(self, points: Points) -> Points:
        """Points of this image → where they lie in the taught image; undoes `to_image`."""
        return np.asarray((points - self.found) @ self._turn() + self.taught)

    def place(self) -> "Place":
        """As an inspection tells it."""
        shift = (self.found[0] - self.taught[0], self.found[1] - self.taught[1])
        return Place(
            x=round(self.found[0], 3),
            y=round(self.found[1], 3),
            angle_deg=round(self.angle_deg, 4),
            score=round(self.score, 4),
            shift_px=(round(shift[0], 3), round(shift[1], 3)),
        )

    def _turn(self) -> Points:
        """Counter-clockwise as seen, where y points down."""
        angle = math.radians(self.angle_deg)
        return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


class Place(BaseModel):
    """Where an inspected image shows the part."""

    model_config = ConfigDict(frozen=True)

    x: float = Field(description="of the part's reference point, px of this image")
    y: float
    angle_deg: float = Field(description="turned against the taught image, counter-clockwise as seen")
    score: float = Field(ge=0, le=1, description="how like the taught part it is")
    shift_px: tuple[float, float] = Field(description="x, y of the reference point against the taught image")
