"""What a camera's files do not say of themselves, as the user names it. Part of a recipe's input."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Bayer = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
"""Colours of the upper left 2×2 px of a sensor, row by row."""


class Camera(BaseModel):
    """How stored values become an image. What is `None` is taken as the file has it.

    Attributes:
        bits: depth of the values in a 16-bit file; the largest is 2**bits - 1.
        bayer: the sensor's filter pattern; gray files are mosaics of it and become RGB.
        page: which page of a TIFF of several, from 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int | None = Field(None, ge=8, le=16, strict=True)
    bayer: Bayer | None = None
    page: int | None = Field(None, ge=0, strict=True)

    @field_validator("bayer", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    def __str__(self) -> str:
        """As a sentence names it: `bits 12, bayer RGGB`."""
        named = [f"{name} {value}" for name, value in self if value is not None]
        return ", ".join(named) or "nothing named (no bits, bayer or page)"


AS_STORED = Camera()
"""Nothing is named: values fill the range of their type, gray is gray, a file holds one image."""
