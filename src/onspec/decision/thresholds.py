"""The operating point: which scores count as a defect."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Thresholds(BaseModel):
    """Where a score becomes a defect. Chosen in a step of its own, logged, and part of the recipe.

    Attributes:
        image: a region or image that scores at least this is a defect.
        pixel: defects are outlined where the map is at least this.
        window: side in px (odd) of the square over which a region's score is averaged; see `imaging.regions`.
        review: scores from here up to `image` are REVIEW; `None` for no such band.
        basis: one sentence that says on what data and by which rule the values were chosen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: float = Field(0.5, ge=0, le=1)
    pixel: float = Field(0.5, gt=0, le=1)
    window: int = Field(1, ge=1)
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
    def floor(self) -> float:
        """The lowest score that can change a verdict, never 0: a map of zeros has no defect."""
        lowest = self.image if self.review is None else self.review
        return max(min(lowest, self.pixel), 1e-6)
