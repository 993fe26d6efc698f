"""The plan of a run: every choice that training makes, with its reason, made from the data and open to be edited."""

from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from onspec.domain import UsageError
from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import write_bytes
from onspec.training.augmentation import Augmentation
from onspec.training.losses import LOSSES
from onspec.training.networks import NETWORKS
from onspec.training.survey import Survey


class Plan(BaseModel):
    """What a run does. `plan.yaml` holds it with a reason beside each choice.

    Attributes:
        crop: side of the square training crops, working px; batch: crops a step.
        defect_share: share of the crops that are cut around a defect.
        learning_rate, weight_decay: of AdamW; the rate rises for 5 % of the steps and falls along a cosine.
        ema: share of the running average of weights that a step keeps; validation and the recipe use the average.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["segment"] = "segment"
    network: str = next(iter(NETWORKS))
    classes: tuple[str, ...] = ("defect",)
    input: InputSpec
    crop: int = Field(256, ge=32)
    batch: int = Field(4, ge=1)
    defect_share: float = Field(0.5, ge=0, le=1)
    augmentation: Augmentation = Augmentation()
    loss: str = next(iter(LOSSES))
    learning_rate: float = Field(1.5e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    ema: float = Field(0.995, ge=0, lt=1)

    @model_validator(mode="after")
    def _known(self) -> "Plan":
        for what, name, table in (("network", self.network, NETWORKS), ("loss", self.loss, LOSSES)):
            if name not in table:
                raise ValueError(f"Unknown {what} {name!r}; choose {', '.join(table)}")
        if self.crop % self.input.stride:
            raise ValueError(f"crop must be a multiple of the network's stride {self.input.stride}; got {self.crop}")
        return self


Reasons = dict[str, str]
"""Field of the plan → why it was chosen."""


def make_plan(facts: Survey, network: str | None = None) -> tuple[Plan, Reasons]:
    """Choose from the survey of a training set."""
    name = network or next(iter(NETWORKS))
    if name not in NETWORKS:
        raise UsageError(f"Unknown network {name!r}; choose {', '.join(NETWORKS)}")
    stride = int(getattr(NETWORKS[name], "stride"))  # noqa: B009 - a constructor type does not declare it
    scale, scale_reason = _scale(facts)
    normalise, normalise_reason = _normalise(facts)
    directional = facts.coherence > 0.3
    spec = InputSpec(
        width=_extent(facts.widths),
        height=_extent(facts.heights),
        channels=3 if facts.channels == 3 else 1,
        dtype="uint16" if facts.dtype == "uint16" else "uint8",
        scale=scale,
        normalise=normalise,
        stride=stride,
    )
    plan = Plan(
        network=name,
        input=spec,
        crop=_crop(facts.median_side * scale, stride),
        augmentation=Augmentation(quarter_turns=not directional),
    )
    reasons = {
        "network": "the default" if network is None else "as asked for",
        "input": f"{scale_reason}; {normalise_reason}",
        "crop": f"the median image is {facts.median_side * scale:.0f} px long at working resolution",
        "augmentation": f"the texture's direction has a coherence of {facts.coherence:.2f} "
        f"({'directional, so no quarter turns' if directional else 'no direction, so quarter turns, too'})",
        "defect_share": f"{facts.good} good and {facts.defective} defective images: both are shown equally often",
    }
    return plan, reasons


def _extent(sizes: tuple[int, int]) -> Extent:
    """One size is demanded exactly; of several, half of the smallest to twice the largest is allowed."""
    low, high = sizes
    return Extent(min=low, max=high) if low == high else Extent(min=max(1, low // 2), max=high * 2)


def _scale(facts: Survey) -> tuple[float, str]:
    """Halve large images while the small defects keep 16 px of side: a quarter of the cost each time."""
    side = facts.small_defect_side
    scale = 1.0
    while side is not None and facts.median_side * scale > 800 and side * scale / 2 >= 16:
        scale /= 2
    if side is None:
        return scale, "full resolution: no defect is located"
    return scale, f"scale {scale:g}: 90 % of the defects are larger than {side:.0f}×{side:.0f} px"


def _normalise(facts: Survey) -> tuple[Literal["range", "image"], str]:
    """Standardise each image where brightness varies more between images than a quarter of the contrast within."""
    ratio = facts.mean_spread / max(facts.deviation, 1e-6)
    if ratio > 0.25:
        return "image", f"brightness differs between images by {ratio:.2f} of their contrast: each is standardised"
    return "range", f"brightness differs between images by only {ratio:.2f} of their contrast"


def _crop(side: float, stride: int) -> int:
    """256 px, less for small images; a multiple of the stride."""
    wanted = min(256.0, max(64.0, side))
    return max(stride, round(wanted / stride) * stride)


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
