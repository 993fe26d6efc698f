"""The operating point: which scores count as a defect."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from onspec.imaging.weighing import Evidence, Peak, Weighing

_LEAST = 1e-6


class Thresholds(BaseModel):
    """Where a score becomes a defect. Chosen in a step of its own, logged, and part of the recipe.

    Attributes:
        image: a region or image that scores at least this is a defect.
        pixel: defects are outlined where the map is at least this.
        window: side in px (odd) of the square over which a region's score is averaged; see `imaging.regions`.
        pooling: how pixels' scores become a region's and the image's: `peak`, the highest mean over the window, or
            `odds`: over regions see `imaging.weighing`, over whole images (to classify) `imaging.pooling`.
        sharpness: of `odds`: the larger, the more the surest pixels alone count.
        review: scores from here up to `image` are REVIEW; `None` for no such band.
        basis: one sentence that says on what data and by which rule the values were chosen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: float = Field(0.5, ge=0, le=1)
    pixel: float = Field(0.5, gt=0, le=1)
    window: int = Field(1, ge=1)
    pooling: Literal["peak", "odds"] = "peak"
    sharpness: float = Field(1.0, gt=0, allow_inf_nan=False)
    review: float | None = Field(None, ge=0, le=1)
    basis: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.window % 2 == 0:
            raise ValueError(f"window must be odd; got {self.window}")
        if self.review is not None and self.review > self.image:
            raise ValueError(f"review {self.review} must not be above image {self.image}")
        return self

    @property
    def lowest(self) -> float:
        """The lowest score that can change a verdict, never 0: a map of zeros has no defect."""
        return max(self.image if self.review is None else self.review, _LEAST)

    @property
    def weighing(self) -> Weighing:
        """What makes a region's score of its pixels'."""
        return Peak(self.window) if self.pooling == "peak" else Evidence(self.sharpness)

    @property
    def floor(self) -> float:
        """The lowest score of a pixel that can belong to a defect."""
        return max(min(self.lowest, self.pixel), _LEAST)
