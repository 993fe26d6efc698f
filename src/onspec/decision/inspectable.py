"""What a plant says of images that do not look like those of the training: the `inspectable:` of a rules file."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from onspec.decision.given import Given
from onspec.decision.rules_text import fault


@dataclass(frozen=True, slots=True)
class Measure:
    """What a figure of a look under or over its limits means, in words; empty where it means no fault."""

    low: str
    high: str
    least: float
    most: float


MEASURES: Final = {
    "brightness": Measure("too dark", "too bright", 0, 1),
    "contrast": Measure("too flat", "too rich in contrast", 0, 1),
    "black": Measure("without its black", "cut off at black", 0, 1),
    "white": Measure("without its white", "cut off at white", 0, 1),
    "sharpness": Measure("blurred", "sharper or noisier", 0, 100),
    "tint": Measure("too blue", "too red", -10, 10),
    "likeness": Measure("moved, turned or another part", "too alike", -1, 1),
}
"""Figure of `domain.look.Look` → what it means, and between which values it lies."""

Outcome = Literal["review", "error", "accept"]


def _any_case(value: object) -> object:
    """Verdicts are in capitals elsewhere in a rules file."""
    told = value.lower() if isinstance(value, str) else value
    if told not in get_args(Outcome):
        raise fault(f"got {value!r}; allowed: 'review' (never OK), 'error', or 'accept' to judge it like any other")
    return told


class Bounds(Given):
    """From where to where a figure may be, ends included. A side that is not given is that of the training."""

    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is None and self.max is None:
            raise fault("needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise fault(f"min {self.min:g} is above max {self.max:g}", "min")
        return self


class Inspectable(Given):
    """Limits of what an image must look like, in place of those that training showed.

    Attributes:
        outside: what becomes of an image outside: an OK is a `review`, whatever it was becomes an `error`, or nothing
            (`accept`).
    """

    outside: Annotated[
        Outcome, BeforeValidator(_any_case), WithJsonSchema({"enum": list(get_args(Outcome)), "type": "string"})
    ] = "review"
    brightness: Bounds | None = None
    contrast: Bounds | None = None
    black: Bounds | None = None
    white: Bounds | None = None
    sharpness: Bounds | None = None
    tint: Bounds | None = None
    likeness: Bounds | None = None

    def of(self, measure: str) -> Bounds | None:
        """What is said of one."""
        bounds = getattr(self, measure)
        assert bounds is None or isinstance(bounds, Bounds)
        return bounds

    @property
    def limited(self) -> tuple[str, ...]:
        """The measures that it has limits of."""
        return tuple(name for name in MEASURES if self.of(name) is not None)

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        for name in self.limited:
            bounds, measure = self.of(name), MEASURES[name]
            for side in ("min", "max"):
                value = getattr(bounds, side)
                if value is not None and not measure.least <= value <= measure.most:
                    raise fault(
                        f"{name} lies between {measure.least:g} and {measure.most:g}; got {value:g}", name, side
                    )
        return self
