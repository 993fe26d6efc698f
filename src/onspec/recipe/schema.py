"""What `recipe.json` holds: everything that decides a verdict, and where it comes from."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Task
from onspec.domain.verdict import GOOD
from onspec.imaging.preparation import InputSpec, planes_of

SCHEMA_VERSION = 1


class DataProvenance(BaseModel):
    """The data a model was trained on, so that an audit can tell it from any other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="the data set folder's name")
    layout: str
    marked: Literal["bright", "dark"] | None = Field(None, description="how the user said that masks draw the class")
    fingerprint: str = Field(description="sha256 over names, contents, labels and split")
    images: dict[str, int] = Field(description="images by split and truth, as `train_good`")
    parts: dict[str, int] = Field(description="parts by split")


class Provenance(BaseModel):
    """Where a recipe comes from. Times are UTC in ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    created: str
    onspec: str
    data: DataProvenance | None = None
    training: dict[str, Any] = Field(default_factory=dict, description="network, budget, seed, steps, best epoch …")
    metrics: dict[str, Any] = Field(default_factory=dict, description="validation figures at the chosen thresholds")
    versions: dict[str, str] = Field(default_factory=dict, description="of the libraries that made it")


class Recipe(BaseModel):
    """The complete inspection program of one part type, but for the network's weights (`model.onnx`).

    Attributes:
        separate: the network that segments scores the cores of objects, too, so that touching ones are told apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    task: Task = Task.SEGMENT
    classes: tuple[str, ...] = ("defect",)
    separate: bool = False
    input: InputSpec
    pixel_size_mm: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="side of an original pixel on the part"
    )
    thresholds: Thresholds = Thresholds()
    rules: RuleSet = RuleSet()
    provenance: Provenance

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must be named once each; got {list(self.classes)}")
        self._check_task()
        if self.rules.needs_pixel_size and self.pixel_size_mm is None:
            raise ValueError("the rules have limits in mm; give the recipe a pixel size (pixel_size_mm)")
        for rule in self.rules.rules:
            if rule.when.cls is not None and rule.when.cls not in self.classes:
                raise ValueError(
                    f"rule {rule.name} is about class {rule.when.cls!r}, which this recipe does not have, so it would "
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

    @property
    def planes(self) -> int:
        """How many planes the network gives, see `imaging.preparation.Infer`."""
        return planes_of(self.task, len(self.classes), self.separate)

    def to_json(self, indent: int | None = 1) -> str:
        """`recipe.json`, with the field names that rules files use."""
        return self.model_dump_json(by_alias=True, indent=indent)
