"""The plan of a run: every choice that training makes, open to be edited."""

from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from onspec.domain import DEFECT, Task, UsageError
from onspec.imaging.preparation import InputSpec
from onspec.imaging.writing import write_bytes
from onspec.training.augmentation import Augmentation
from onspec.training.networks import NETWORKS


class Plan(BaseModel):
    """What a run does. `plan.yaml` holds it with a reason beside each choice.

    Attributes:
        separate: touching objects are told apart by their cores, so that they can be counted; with `segment` only.
        start: `surfaces` begins with weights that learned what stands out on made-up surfaces, `chance` with none.
        crop: side of the square training crops, working px; with `classify` the whole image lies in it.
        batch: crops a step, over all processes.
        defect_share: share of the crops that show a defect.
        paste_share, synthetic_share: of those, the shares that show a defect pasted from another image, and a
            synthetic one, on good surface.
        optimiser, learning_rate, weight_decay, schedule: `muon` steps the layers inside the network, `adamw` its edges
            and biases beside it, or all; the rate of `cosine` rises for 5 % of the steps and falls along a cosine.
        ema: share of the running average of weights that a step keeps; validation and the recipe use the average.
        defective_only: good images are left out of the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task = Task.SEGMENT
    classes: tuple[str, ...] = (DEFECT,)
    separate: bool = False
    network: str = next(iter(NETWORKS))
    input: InputSpec
    start: Literal["surfaces", "chance"] = "chance"
    crop: int = Field(256, ge=32)
    batch: int = Field(4, ge=1)
    defect_share: float = Field(0.5, ge=0, le=1)
    paste_share: float = Field(0.0, ge=0, le=1)
    synthetic_share: float = Field(0.0, ge=0, le=1)
    augmentation: Augmentation = Augmentation()
    loss: Literal["dice+ce", "dice"] = "dice+ce"
    optimiser: Literal["muon", "adamw", "adam"] = "muon"
    schedule: Literal["cosine", "constant"] = "cosine"
    learning_rate: float = Field(1.5e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    ema: float = Field(0.995, ge=0, lt=1)
    defective_only: bool = False

    @property
    def label_planes(self) -> int:
        """Planes of a crop's mask: the classes and the cores; none where labels are not about pixels."""
        return len(self.classes) + self.separate if self.task is Task.SEGMENT else 0

    @model_validator(mode="after")
    def _fits_its_network(self) -> "Plan":
        if self.network not in NETWORKS:
            raise ValueError(f"Unknown network {self.network!r}; choose {', '.join(NETWORKS)}")
        entry = NETWORKS[self.network]
        if self.task not in entry.cells:
            fitting = [name for name, e in NETWORKS.items() if self.task in e.cells]
            raise ValueError(f"network {self.network} cannot {self.task}; choose {', '.join(fitting)}")
        cell = entry.cells[self.task]
        if (self.input.stride, self.input.cell) != (entry.stride, cell):
            raise ValueError(
                f"network {self.network} has stride {entry.stride} and cells of {cell} px; got {self.input}"
            )
        if self.start == "surfaces" and self.network != "unet-lite":
            raise ValueError(f"start: {self.network} has no weights to start from; use chance, or network unet-lite")
        if self.crop % entry.stride:
            raise ValueError(f"crop must be a multiple of the network's stride {entry.stride}; got {self.crop}")
        return self

    @model_validator(mode="after")
    def _fits_its_task(self) -> "Plan":
        if self.task is not Task.SEGMENT and (self.separate or self.paste_share):
            raise ValueError(f"separate and paste_share need the task segment; got {self.task}")
        if self.task is Task.DETECT and self.synthetic_share:
            raise ValueError("synthetic defects need the task segment or classify; got detect")
        if self.paste_share + self.synthetic_share > 1:
            raise ValueError("paste_share and synthetic_share must not exceed 1 together")
        if self.synthetic_share and len(self.classes) > 1 and self.task is Task.SEGMENT:
            raise ValueError(f"synthetic defects are of no class, so synthetic_share needs one; got {self.classes}")
        return self


Reasons = dict[str, str]
"""Field of the plan → why it was chosen."""


def write_plan(path: Path, plan: Plan, reasons: Reasons) -> None:
    """Write YAML with the reasons as comments."""
    document = CommentedMap(plan.model_dump(mode="json"))
    for field, reason in reasons.items():
        document.yaml_set_comment_before_after_key(field, before=reason)
    document.yaml_set_start_comment(
        "How this run trains. Edit and use it with: onspec train DATA --out RUN --plan FILE"
    )
    yaml = YAML()
    yaml.width = 120
    text = StringIO()
    yaml.dump(document, text)
    write_bytes(path, text.getvalue().encode())


def read_plan(path: Path) -> Plan:
    """Read a plan, edited or not.

    Raises:
        UsageError: not YAML, or a value that is not allowed, named with its field.
    """
    try:
        content: Any = YAML(typ="safe").load(path.read_text("utf-8"))
        return Plan.model_validate(content)
    except OSError as error:
        raise UsageError(f"{path}: cannot read the plan ({error.strerror})") from error
    except YAMLError as error:
        raise UsageError(f"{path}: the plan is not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(p) for p in first["loc"]) or "plan"
        raise UsageError(f"{path}: {field}: {first['msg']}; got {first['input']!r}") from error
