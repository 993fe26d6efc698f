"""What onspec says about a part, and the record of one inspected image."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from onspec.domain.defect import Defect
from onspec.domain.fired import Fired
from onspec.domain.look import Look
from onspec.domain.placement import Place

GOOD: Final = "good"
"""What a classifier calls a part without a defect; no class of defects may be called so there."""

ClassScores = dict[str, Annotated[float, Field(ge=0, le=1)]]
"""Class → the image's score for that class."""


class Verdict(StrEnum):
    """The four outcomes. OK is said only after the model ran completely and every rule was applied."""

    OK = "OK"
    NG = "NG"
    REVIEW = "REVIEW"
    ERROR = "ERROR"


class Decision(BaseModel):
    """A verdict with its grounds: what the rules made of one image's prediction.

    `cls` is what a classifier takes the image for, `good` included; `None` for the other tasks.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    score: float = Field(ge=0, le=1, description="the image's defect score")
    class_scores: ClassScores = Field(default_factory=dict, description="class → the image's score for that class")
    cls: str | None = Field(None, validation_alias=AliasChoices("class", "cls"), serialization_alias="class")
    reasons: tuple[str, ...] = ()
    fired: tuple[Fired, ...] = Field((), description="the rules that fired, with figures and limits")
    defects: tuple[Defect, ...] = ()

    @model_validator(mode="after")
    def _has_grounds(self) -> Self:
        if self.verdict is Verdict.ERROR:
            raise ValueError("a Decision is made from a prediction, so it cannot be ERROR")
        if self.verdict is not Verdict.OK and not self.reasons:
            raise ValueError(f"verdict {self.verdict} needs at least one reason")
        return self


class Inspection(BaseModel):
    """One inspected image: the JSON line of `onspec inspect` and the answer of `POST /api/inspect`."""

    model_config = ConfigDict(frozen=True)

    image: str
    part_id: str | None = None
    verdict: Verdict
    score: float | None = Field(None, ge=0, le=1)
    class_scores: ClassScores = Field(default_factory=dict, description="class → the image's score for that class")
    cls: str | None = Field(
        None,
        validation_alias=AliasChoices("class", "cls"),
        serialization_alias="class",
        description="the whole image's class where the recipe classifies, `good` included",
    )
    reasons: tuple[str, ...] = ()
    fired: tuple[Fired, ...] = Field((), description="the rules that fired, with figures and limits")
    defects: tuple[Defect, ...] = ()
    size: tuple[int, int] | None = Field(None, description="width, height in px")
    placement: Place | None = Field(None, description="of the part, where the recipe locates it")
    look: Look | None = Field(None, description="light, focus and place in figures, where the image was looked at")
    recipe: str = Field(description="NAME@sha256:HEX")
    engine: str
    ms: dict[str, float] = Field(default_factory=dict, description="read, infer, look, locate, decide: wall time in ms")
    error: str | None = None
    record: str | None = Field(None, description="id of its record, where the service keeps records")

    @model_validator(mode="after")
    def _tells_the_truth(self) -> Self:
        """An ERROR has its sentence, anything else has a score, an image size and no error."""
        if self.verdict is Verdict.ERROR:
            if not self.error:
                raise ValueError("an ERROR needs its sentence in `error`")
        elif self.error is not None or self.score is None or self.size is None:
            raise ValueError(f"verdict {self.verdict} needs score and size and no error; got {self!r}")
        return self

    def to_json(self) -> str:
        """One line of JSON with the field names of the contract."""
        return self.model_dump_json(by_alias=True)
