"""How a part is looked for in an image: the `part:` of a rules file."""

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LEAST_SIDE = 16
"""Least side in px of a template: less has no shape to find."""


class PartSpec(BaseModel):
    """What the part is found by, and how far it may lie from where it was taught. The taught image is in the recipe.

    Attributes:
        find: `template`: what the rectangle of the taught image shows is looked for, whatever it is. `contour`: the
            part stands out from its background, and its outline is laid on the taught one.
        rectangle: x, y, width, height in px of the taught image. A template needs it: the marks to look for, best
            where nothing ever changes. Of several contours, it says which is the part; without it, the largest.
        part_is: `bright` or `dark` against the background; without it, whichever does not make up the taught image's
            edge. Only for `contour`.
        max_angle_deg: how far it may be turned to either side; 180 for any angle, 0 for parts that never turn.
        max_shift_px: how far its reference point may lie from the taught one; without it, anywhere in the image.
        min_score: a part found with less counts as not found: ERROR.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    find: Literal["template", "contour"]
    rectangle: tuple[float, float, float, float] | None = None
    part_is: Literal["bright", "dark"] | None = None
    max_angle_deg: float = Field(10.0, ge=0, le=180)
    max_shift_px: float | None = Field(None, ge=0, allow_inf_nan=False)
    min_score: float = Field(0.7, gt=0, le=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.find == "template" and self.rectangle is None:
            raise ValueError("find: template needs a rectangle [x, y, width, height] of the taught image")
        if self.find == "template" and self.part_is is not None:
            raise ValueError("part_is is for find: contour; a template is found whether bright or dark; remove it")
        if self.rectangle is not None:
            if not all(math.isfinite(value) for value in self.rectangle):
                raise ValueError("a rectangle's values must be numbers of px")
            if min(self.rectangle[2:]) < LEAST_SIDE:
                raise ValueError(
                    f"a rectangle to find a part by must have sides of at least {LEAST_SIDE} px; "
                    f"got {list(self.rectangle)}"
                )
        return self
