"""How an image looks as a whole, in figures that tell its light, focus and place, and how those of the training did."""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

STEPS: Final = 64
"""A distribution is kept as its quantiles at 0, 1/64, …, 1."""

Quantiles = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(min_length=STEPS + 1, max_length=STEPS + 1)
]
"""Ascending; the first is the least and the last the greatest value that was seen."""


class Look(BaseModel):
    """Figures of one image. Levels are shares of the range of its dtype, 0…1.

    Attributes:
        brightness: the mean level.
        contrast: from the level under which 5 % of all pixels lie to that under which 95 % do.
        black, white: share of pixels at either end of the range.
        sharpness: of edges and texture, whatever the contrast; falls with blur.
        tint: red against blue, log of the ratio of their mean levels; `None` for a gray image.
        likeness: correlation of the shrunk image with the mean of those of the training, -1…1; `None` where nothing
            is alike in them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    brightness: Share
    contrast: Share
    black: Share
    white: Share
    sharpness: float = Field(ge=0, allow_inf_nan=False)
    tint: float | None = Field(None, allow_inf_nan=False)
    likeness: float | None = Field(None, ge=-1, le=1)


class Reference(BaseModel):
    """How the images looked that a recipe was trained on, and what it scored good parts that it did not learn from.

    Attributes:
        images: how many the quantiles of `looks` are of.
        looks: field of `Look` → its quantiles.
        scored: how many held-out images of good parts those of `scores` are of.
        picture: the mean of the shrunk images, base64 of float16; `None` where they are not alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int = Field(ge=1)
    looks: dict[str, Quantiles]
    scored: int = Field(0, ge=0)
    scores: Quantiles | None = None
    picture: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unknown = sorted(set(self.looks) - set(Look.model_fields))
        if unknown:
            raise ValueError(f"a look has no figure {unknown[0]!r}; allowed: {', '.join(Look.model_fields)}")
        for name, values in {**self.looks, **({} if self.scores is None else {"scores": self.scores})}.items():
            if list(values) != sorted(values):
                raise ValueError(f"the quantiles of {name} must ascend; got {values}")
        if (self.scores is None) != (self.scored == 0):
            raise ValueError(f"quantiles of scores and their count go together; got {self.scored}")
        return self
