"""What a recipe holds of its coarse network, which says where the fine one need not look."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from onspec.decision.thresholds import Thresholds
from onspec.domain import Task
from onspec.imaging.preparation import InputSpec


class Hastening(BaseModel):
    """How the coarse network (`coarse.onnx`) spares the fine one (`model.onnx`) most of an image.

    The two together are the recipe's model. The coarse one answers a whole number from 0 to 255 for each block; where
    it is at least `limit`, the fine one looks at the block and its eight neighbours. Elsewhere the scores are 0.

    Attributes:
        block: side of a block in working px, a multiple of the input's stride.
        low, high: the values of the fine network's input that become 0 and 255 of the coarse one's.
        limit: the least answer that has the fine network look.
        answer: sha256 of what the coarse network answers to a made-up image, the same on every machine.
        thresholds: those that the limit was chosen for; lower ones, or scores that are put together in another way,
            ask for regions that it may pass over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: int = Field(ge=1)
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    limit: int = Field(ge=1, le=255)
    answer: str = Field(pattern=r"^[0-9a-f]{64}$")
    thresholds: Thresholds

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must be under high; got {self.low} and {self.high}")
        return self

    def check(self, task: Task, spec: InputSpec, thresholds: Thresholds) -> None:
        """Refuse a recipe that this coarse network was not made for.

        Raises:
            ValueError: with the sentence.
        """
        if task is not Task.SEGMENT:
            raise ValueError(f"only recipes of task segment are hastened; got task {task}")
        if self.block % spec.stride:
            raise ValueError(f"hastened.block must be a multiple of stride {spec.stride}; got {self.block}")
        known = self.thresholds
        alike = (known.pooling, known.window, known.sharpness) == (
            thresholds.pooling, thresholds.window, thresholds.sharpness,
        )  # fmt: skip
        if not alike or thresholds.lowest < known.lowest or level_of(thresholds) < level_of(known):
            raise ValueError(
                f"the recipe was hastened for scores from {known.lowest:g} on, outlined from {level_of(known):g} on; "
                "with other thresholds it would pass over what they ask for; change those of its parent, then hasten it"
            )


def level_of(thresholds: Thresholds) -> float:
    """The score from which a pixel can belong to a defect."""
    return thresholds.weighing.floor(min(thresholds.floor, thresholds.pixel))


class HastenedProvenance(BaseModel):
    """What a hastened recipe was made of, and what showed that it judges alike and is faster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent: str = Field(description="NAME@sha256:HEX of the recipe whose network looks at the rest")
    learned: int = Field(ge=1, description="training images that the coarse network learned from")
    steps: int = Field(ge=1, description="of its training")
    seed: int
    compared: int = Field(ge=1, description="held-out images that both judged alike")
    work: float = Field(ge=0, description="share of the fine network's work on them that is left")
    engines: tuple[str, ...] = Field(description="on which they were compared")
    figures: dict[str, float | None] = Field(default_factory=dict, description="average precision of both")
    speed: dict[str, float] = Field(default_factory=dict, description="parent's time against its own, an engine")
