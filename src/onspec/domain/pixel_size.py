"""How large a pixel of the original image is on the part, along each axis."""

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from onspec.domain.errors import UsageError


class PixelSize(BaseModel):
    """Sides of a pixel on the part, mm along x and along y: they differ under a line camera or a slanted view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: float = Field(gt=0, allow_inf_nan=False)
    y: float = Field(gt=0, allow_inf_nan=False)

    def __str__(self) -> str:
        """As an option says it."""
        return f"{self.x:g},{self.y:g}"

    @classmethod
    def of(cls, size: "float | PixelSize") -> Self:
        """One number is both sides."""
        return cls(x=size, y=size) if isinstance(size, int | float) else cls(x=size.x, y=size.y)

    @property
    def area(self) -> float:
        """mm² of a pixel."""
        return self.x * self.y

    @property
    def mean(self) -> float:
        """The side of a square pixel of the same area, mm: √area in px times this is √area in mm."""
        return self.x if self.x == self.y else float((self.x * self.y) ** 0.5)


def _read(value: object) -> object:
    """`0.05`, `[0.05, 0.06]` and `{x: 0.05, y: 0.06}`; equal sides become one number."""
    if isinstance(value, PixelSize):
        return value.x if value.x == value.y else value
    sides: list[object] = list(value) if isinstance(value, list | tuple) else [value]
    if isinstance(value, dict):
        if set(value) != {"x", "y"}:
            raise _fault(f"got the keys {', '.join(map(str, value)) or 'none'}; allowed: x and y")
        sides = [value["x"], value["y"]]
    elif isinstance(value, list | tuple) and len(sides) != 2:
        raise _fault(f"got {len(sides)} values; allowed: one number, or two as [x, y]")
    numbers = []
    for side in sides:
        if isinstance(side, bool) or not isinstance(side, int | float):
            raise _fault(f"got {side!r}; allowed: a number of mm, [x, y] or {{x: …, y: …}}")
        if not 0 < side < float("inf"):
            raise _fault(f"got {side}; allowed: greater than 0")
        numbers.append(float(side))
    first, last = numbers[0], numbers[-1]
    return first if first == last else PixelSize(x=first, y=last)


def _fault(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("placed", "{sentence}", {"sentence": sentence, "at": ()})


_SIDE = {"type": "number", "exclusiveMinimum": 0}
_SCHEMA = {
    "title": "Pixel size, mm",
    "anyOf": [
        _SIDE,
        {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2},
        {
            "type": "object",
            "properties": {"x": _SIDE, "y": _SIDE},
            "required": ["x", "y"],
            "additionalProperties": False,
        },
    ],
}

PixelSizeMm = Annotated[float | PixelSize, BeforeValidator(_read), WithJsonSchema(_SCHEMA)]
"""Side of a pixel, mm; a number, or one for each axis."""

_ADAPTER: TypeAdapter[float | PixelSize] = TypeAdapter(PixelSizeMm)


def pixel_size(text: str) -> float | PixelSize:
    """`0.05`, or `0.05,0.06` for x and y, as an option says it.

    Raises:
        UsageError: not one or two numbers over 0.
    """
    try:
        sides = [float(side) for side in text.split(",")]
        return _ADAPTER.validate_python(sides if len(sides) > 1 else sides[0])
    except (ValueError, ValidationError) as error:
        raise UsageError(f"got the pixel size {text!r}; allowed: mm over 0, as 0.05, or as X,Y: 0.05,0.06") from error
