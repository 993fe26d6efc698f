"""What `recipe.json` holds: everything that decides a verdict, and where it comes from."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Task
from onspec.domain.look import Reference
from onspec.domain.pixel_size import PixelSizeMm
from onspec.domain.verdict import GOOD
from onspec.imaging.look import from_text
from onspec.imaging.preparation import InputSpec, planes_of
from onspec.recipe.hastening import HastenedProvenance, Hastening
from onspec.recipe.life import Change, Parent, check_life

SCHEMA_VERSION = 1


class DataProvenance(BaseModel):
    """The data a model was trained on, so that an audit can tell it from any other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="the data set folder's name")
    layout: str
    marked: Literal["bright", "dark", "numbers", "codes"] | None = Field(
        None, description="how masks draw the class, where it was said, or where they number objects"
    )
    fingerprint: str = Field(description="sha256 over names, contents, labels and split")
    images: dict[str, int] = Field(description="images by split and truth, as `train_good`")
    parts: dict[str, int] = Field(description="parts by split")


class QuantizedProvenance(BaseModel):
    """What a recipe of lower precision was made of, and what showed that it judges alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    precision: str = Field(description="of the network's numbers, as `int8`")
    parent: str = Field(description="NAME@sha256:HEX of the recipe that it is the lower precision of")
    calibration: int = Field(ge=0, description="training images that the ranges of numbers were taken from")
    compared: int = Field(ge=1, description="held-out images that both judged alike")
    engines: tuple[str, ...] = Field(description="on which they were compared")
    figures: dict[str, float | None] = Field(default_factory=dict, description="average precision of both")


class Provenance(BaseModel):
    """Where a recipe comes from. Times are UTC in ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    created: str
    onspec: str
    data: DataProvenance | None = None
    training: dict[str, Any] = Field(default_factory=dict, description="network, budget, seed, steps, best epoch …")
    metrics: dict[str, Any] = Field(default_factory=dict, description="validation figures at the chosen thresholds")
    versions: dict[str, str] = Field(default_factory=dict, description="of the libraries that made it")
    quantized: QuantizedProvenance | None = None
    hastened: HastenedProvenance | None = None


class Recipe(BaseModel):
    """The complete inspection program of one part type, but for the network's weights (`model.onnx`).

    Attributes:
        separate: the network that segments scores the cores of objects, too, so that touching ones are told apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    version: int = Field(1, ge=1, description="counts up by one from the parent's")
    parent: Parent | None = None
    changes: tuple[Change, ...] = Field((), description="since the first version, oldest first")
    task: Task = Task.SEGMENT
    classes: tuple[str, ...] = ("defect",)
    separate: bool = False
    input: InputSpec
    pixel_size_mm: PixelSizeMm | None = Field(None, description="sides of an original pixel on the part")
    thresholds: Thresholds = Thresholds()
    rules: RuleSet = RuleSet()
    reference: Reference | None = Field(None, description="how the training images looked, and what they scored")
    hastened: Hastening | None = Field(None, description="how a coarse network spares the fine one most of an image")
    provenance: Provenance

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must be named once each; got {list(self.classes)}")
        check_life(self.version, self.parent, self.changes)
        self._check_task()
        if self.hastened is not None:
            self.hastened.check(self.task, self.input, self.thresholds)
        self._check_inspectable()
        if self.rules.needs_pixel_size and self.pixel_size_mm is None:
            raise ValueError("the rules have limits in mm; give the recipe a pixel size (pixel_size_mm)")
        for cls, rule in self.rules.classes():
            if cls not in self.classes:
                raise ValueError(
                    f"rule {rule} is about class {cls!r}, which this recipe does not have, so it would "
                    f"never fire; classes: {', '.join(self.classes)}"
                )
        return self

    def _check_task(self) -> None:
        if self.separate and self.task != Task.SEGMENT:
            raise ValueError(f"separate tells touching objects of task segment apart; got it with task {self.task}")
        if self.thresholds.pooling == "odds" and self.task == Task.DETECT:
            raise ValueError("pooling odds is for tasks segment and classify; got it with task detect; allowed: peak")
        if GOOD in self.classes and self.task == Task.CLASSIFY:
            raise ValueError(f"no class may be called {GOOD!r}, which is what a part without a defect is called")

    def _check_inspectable(self) -> None:
        picture = None if self.reference is None else self.reference.picture
        if picture is not None:
            from_text(picture)
        limited = () if self.rules.inspectable is None else self.rules.inspectable.limited
        if "likeness" in limited and picture is None:
            raise ValueError("inspectable limits likeness, and this recipe holds no picture to be like; remove it")
        if "tint" in limited and self.input.channels == 1:
            raise ValueError("inspectable limits tint, and this recipe takes gray images; remove it")

    @property
    def planes(self) -> int:
        """How many planes the network gives, see `imaging.preparation.Infer`."""
        return planes_of(self.task, len(self.classes), self.separate)

    def to_json(self, indent: int | None = 1) -> str:
        """`recipe.json`, with the field names that rules files use."""
        return self.model_dump_json(by_alias=True, indent=indent)
