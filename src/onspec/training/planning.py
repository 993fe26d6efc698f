"""A plan made from what a data set shows, with a reason for each choice."""

import math
from dataclasses import dataclass
from typing import Literal

from onspec.domain import DEFECT, DataError, Task, UsageError
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.preparation import Extent, InputSpec
from onspec.training.augmentation import Augmentation
from onspec.training.networks import NETWORKS, NetworkEntry
from onspec.training.plan import Plan, Reasons
from onspec.training.survey import Survey

DECK = "deck"
"""The name of the plan that follows the 2018 talk to the letter."""

_WHOLE, _COARSEST_WHOLE, _LONGEST_WHOLE = 256, 0.25, 512
"""Side, working px, that images are brought to which are classified as a whole; to no less than a quarter of theirs as
long as they then fit into the last of the three."""

_HALVED = {Task.SEGMENT: ((800, 16), (400, 24)), Task.DETECT: ((400, 16),)}
"""Images of located defects are halved while they are longer than so many working px and nine of ten defects keep that
side, px, of a square of their area. Areas are drawn to the pixel, boxes are not: small images keep larger areas."""

_LEAST_WIDTH = 3
"""The width, px, that nine of ten defects keep then, too."""

_CROP = {"CPU": 160, "GPU": 256}
"""Longest side, working px, of a crop where defects are located."""

_STEP_PIXELS = {"CPU": 6 * 160**2, "GPU": 16 * 256**2}
"""Pixels of a step. A short budget buys a CPU few steps, and then many small ones teach more than few large ones."""

_WHOLE_STEP_PIXELS = {"CPU": 4 * 256**2, "GPU": 32 * 256**2}
"""Where whole images are classified."""

_TOUCHING = 0.05
"""Share of labelled defects that touch another one from which touching ones are told apart."""

_FEW_OF_A_CLASS = 20
"""Defective parts below which a class is not learned on its own unless it is asked for."""

_FEW_DEFECTIVE = 10
"""Defective parts below which synthetic defects are shown beside real ones whatever the network has seen before: they
helped with 5 of them and harmed with 20; between, nothing was measured."""

_DIRECTED = 0.3
"""Coherence of the structure tensor from which a texture has a direction."""

_ISOTROPIC = 0.1
"""Below this, one- and fourfold, a texture looks the same from every side."""

_ANY_ANGLE_DEG = 45.0
"""With quarter turns."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user decided, `None` for what the data shall decide; `on_gpu` says what it will run on, `camera` how the
    images were read."""

    task: Task | None = None
    classes: Literal["one", "each"] | None = None
    network: str | None = None
    on_gpu: bool = False
    camera: Camera = AS_STORED


def make_plan(facts: Survey, wishes: Wishes = Wishes()) -> tuple[Plan, Reasons]:
    """Choose from the survey of a training set.

    Raises:
        UsageError: a network that is unknown or does not fit the task.
        DataError: labels from which the wanted task cannot be learned.
    """
    task, task_reason = _task(facts, wishes.task)
    name, entry = _network(wishes.network, task)
    classes, classes_reason = _classes(facts, task, wishes.classes)
    scale, scale_reason = _scale(facts, task)
    normalise, normalise_reason = _normalise(facts)
    machine = "GPU" if wishes.on_gpu else "CPU"
    crop, crop_reason = _crop(facts, task, scale, entry.stride, _CROP[machine])
    separate, separate_reason = _separate(facts, task)
    augmentation, augmentation_reason = _augmentation(facts, task)
    start: Literal["surfaces", "chance"] = "surfaces" if name == "unet-lite" else "chance"
    paste, synthetic, shares_reason = _shares(facts, task, classes, start)
    plan = Plan(
        task=task,
        classes=classes,
        separate=separate,
        network=name,
        input=InputSpec(
            width=_extent(facts.widths),
            height=_extent(facts.heights),
            channels=3 if facts.channels == 3 else 1,
            dtype="uint16" if facts.dtype == "uint16" else "uint8",
            camera=wishes.camera,
            scale=scale,
            normalise=normalise,
            stride=entry.stride,
            cell=entry.cells[task],
        ),
        start=start,
        crop=crop,
        batch=_batch(crop, (_WHOLE_STEP_PIXELS if task is Task.CLASSIFY else _STEP_PIXELS)[machine]),
        paste_share=paste,
        synthetic_share=synthetic,
        augmentation=augmentation,
        optimiser=entry.optimiser,
    )
    reasons = {
        "task": task_reason,
        "classes": classes_reason,
        "separate": separate_reason,
        "network": "the default" if wishes.network is None else "as asked for",
        "input": f"{scale_reason}; {normalise_reason}",
        "start": "weights that tell synthetic defects on made-up surfaces, where the network has them",
        "crop": crop_reason,
        "batch": f"about as many pixels a step as suit a {machine}",
        "defect_share": _shown(facts),
        "paste_share": shares_reason,
        "augmentation": augmentation_reason,
        "optimiser": "what this network was measured to learn well with",
    }
    return plan, reasons


def deck_plan(facts: Survey, camera: Camera = AS_STORED) -> tuple[Plan, Reasons]:
    """The 2018 talk to the letter: its U-Net on whole images of 512 px, from defective images only, Dice loss, Adam
    with a rate of 1e-4; no augmentation, no average of weights."""
    entry = NETWORKS["unet-deck"]
    still = {name: 0.0 for name in Augmentation.model_fields if name not in ("flip", "quarter_turns")}
    plan = Plan(
        network="unet-deck",
        input=InputSpec(
            width=_extent(facts.widths),
            height=_extent(facts.heights),
            channels=3 if facts.channels == 3 else 1,
            dtype="uint16" if facts.dtype == "uint16" else "uint8",
            camera=camera,
            scale=min(4.0, 512 / facts.median_side),
            stride=entry.stride,
            cell=entry.cells[Task.SEGMENT],
        ),
        crop=512,
        batch=4,
        defect_share=1.0,
        augmentation=Augmentation(flip=False, quarter_turns=False, **still),
        loss="dice",
        optimiser="adam",
        schedule="constant",
        learning_rate=1e-4,
        weight_decay=0.0,
        ema=0.0,
        defective_only=True,
    )
    return plan, {"task": "the 2018 talk's own way, as a baseline"}


def _task(facts: Survey, wanted: Task | None) -> tuple[Task, str]:
    by_label = {"pixels": Task.SEGMENT, "boxes": Task.DETECT, "nowhere": Task.CLASSIFY}[facts.located]
    if facts.located == "nowhere" and facts.defective == 0:
        by_label = Task.SEGMENT  # from good parts alone, with synthetic defects
    told = {"pixels": "as areas", "boxes": "as boxes", "nowhere": "by whole images"}[facts.located]
    if wanted is None:
        return by_label, f"the labels tell defects {told}" if facts.defective else "there are good parts only"
    if wanted is not Task.SEGMENT and not facts.defective:
        raise DataError(
            f"good parts alone teach to segment only (with synthetic defects), not to {wanted}; drop --task"
        )
    if wanted is not Task.CLASSIFY and facts.located == "nowhere" and facts.defective:
        raise DataError(
            f"the labels tell defects by whole images, so they cannot teach to {wanted}; use --task classify"
        )
    return wanted, f"as asked for; the labels tell defects {told}"


def _network(wanted: str | None, task: Task) -> tuple[str, NetworkEntry]:
    fitting = [name for name, entry in NETWORKS.items() if task in entry.cells]
    name = wanted or fitting[0]
    if name not in NETWORKS:
        raise UsageError(f"Unknown network {name!r}; choose {', '.join(NETWORKS)}")
    if name not in fitting:
        raise UsageError(f"network {name} cannot {task}; choose {', '.join(fitting)}")
    return name, NETWORKS[name]


def _classes(facts: Survey, task: Task, wanted: Literal["one", "each"] | None) -> tuple[tuple[str, ...], str]:
    unknown = frozenset[str]() if task is Task.CLASSIFY else facts.unlocated_classes
    parts = {cls: count for cls, count in facts.class_parts.items() if cls not in unknown}
    named = {cls: count for cls, count in parts.items() if cls != DEFECT}
    told = ", ".join(f"{cls} ({count} parts)" for cls, count in named.items())
    if len(named) < 2 or wanted == "one":
        return (DEFECT,), "as asked for" if len(named) > 1 else "the labels name no two classes"
    if DEFECT in parts:
        named[DEFECT] = parts[DEFECT]
    rare = [cls for cls, count in named.items() if count < _FEW_OF_A_CLASS]
    if wanted is None and task is Task.SEGMENT and rare:
        return (DEFECT,), f"taken as one (--classes each for each), as of {rare[0]} there are few parts: {told}"
    return tuple(sorted(named)), f"the labels name them: {told}"


def _separate(facts: Survey, task: Task) -> tuple[bool, str]:
    """Whether touching objects are told apart by a map of their own; boxes and whole images need none."""
    if task is not Task.SEGMENT:
        return False, f"not with the task {task}"
    return facts.touching > _TOUCHING, f"{facts.touching * 100:.0f} % of the labelled defects touch another one"


def _shown(facts: Survey) -> str:
    if not facts.good:
        return f"all {facts.defective} images are defective"
    if not facts.defective:
        return f"all {facts.good} images are good: half of what is shown is given a defect"
    return f"{facts.good} good and {facts.defective} defective images: both are shown equally often"


def _extent(sizes: tuple[int, int]) -> Extent:
    """One size is demanded exactly; of several, half of the smallest to twice the largest is allowed."""
    low, high = sizes
    return Extent(min=low, max=high) if low == high else Extent(min=max(1, low // 2), max=high * 2)


def _scale(facts: Survey, task: Task) -> tuple[float, str]:
    """Halve images while small defects keep their side and thin ones their width: a quarter of the cost each time, and
    crops show more. Of whole images nobody knows the defects; the smaller they are, the more often each is seen."""
    scale = 1.0
    if task is Task.CLASSIFY:
        long = facts.median_side
        wanted = min(1.0, max(_WHOLE / long, min(_COARSEST_WHOLE, _LONGEST_WHOLE / long)))
        scale = math.floor(wanted * 1000) / 1000  # readable, and no pixel longer than wanted
        return scale, f"scale {scale:g}: images are classified as a whole, so that {long * scale:.0f} px are enough"
    side, width = facts.small_defect_side, facts.narrow_defect_width
    if side is None or width is None:
        return scale, "full resolution: no defect is located"
    while width * scale / 2 >= _LEAST_WIDTH and any(
        facts.median_side * scale > longest and side * scale / 2 >= kept for longest, kept in _HALVED[task]
    ):
        scale /= 2
    return (
        scale,
        f"scale {scale:g}: 90 % of the defects are larger than {side:.0f}×{side:.0f} px, and wider than {width:.0f} px",
    )


def _normalise(facts: Survey) -> tuple[Literal["range", "image"], str]:
    """Standardise each image where brightness varies more between images than a quarter of the contrast within."""
    ratio = facts.mean_spread / max(facts.deviation, 1e-6)
    if ratio > 0.25:
        return "image", f"brightness differs between images by {ratio:.2f} of their contrast: each is standardised"
    return "range", f"brightness differs between images by only {ratio:.2f} of their contrast"


def _crop(facts: Survey, task: Task, scale: float, stride: int, longest: int) -> tuple[int, str]:
    """The `longest` side, less for small images; a whole image to be classified. A multiple of the stride."""
    side = facts.median_side * scale
    if task is Task.CLASSIFY:
        whole = min(max(facts.widths[1], facts.heights[1]) * scale, 1.25 * side)
        return math.ceil(whole / stride) * stride, f"whole images: the median one is {side:.0f} px long"
    wanted = min(float(longest), max(64.0, side))
    return max(stride, round(wanted / stride) * stride), f"the median image is {side:.0f} px long at working resolution"


def _batch(crop: int, pixels: int) -> int:
    return min(64, max(4, round(pixels / crop**2)))


def _augmentation(facts: Survey, task: Task) -> tuple[Augmentation, str]:
    """Turned only as far as parts that are still good could lie; an image that is classified as a whole would lose its
    corners by turning it to any angle."""
    changes: dict[str, object] = {"quarter_turns": facts.coherence <= _DIRECTED}
    turned = "no direction, so quarter turns, too"
    if facts.coherence > _DIRECTED:
        turned = "directional, so no quarter turns"
    elif task is Task.SEGMENT and max(facts.coherence, facts.fourfold) < _ISOTROPIC:
        changes["rotation_deg"] = _ANY_ANGLE_DEG
        turned = f"and {facts.fourfold:.2f} at right angles: alike from every side, so turned to any angle"
    reason = f"the texture's direction has a coherence of {facts.coherence:.2f} ({turned})"
    if task is Task.DETECT:
        changes["rotation_deg"] = 0.0
        reason += "; boxes stay upright"
    return Augmentation().model_copy(update=changes), reason


def _shares(
    facts: Survey, task: Task, classes: tuple[str, ...], start: Literal["surfaces", "chance"]
) -> tuple[float, float, str]:
    """How much of what is shown as defective is pasted or synthetic. Beside real defects, synthetic ones are for a
    network that starts from chance, or has few to learn from; one whose first weights were learned from synthetic
    ones does better without where it has more."""
    if task is Task.DETECT or not (facts.good or facts.defective):
        return 0.0, 0.0, f"not with the task {task}"
    if task is Task.CLASSIFY:
        return 0.0, 0.5 if facts.good else 0.0, "synthetic defects show where to look, as labels of whole images do not"
    if not facts.defective:
        return 0.0, 1.0, "no part is defective, so defects are synthetic"
    if not facts.good:
        return 0.0, 0.0, "no good part to paste defects on"
    known = start == "surfaces" and facts.defective_parts >= _FEW_DEFECTIVE
    if len(classes) > 1 or known:
        why = "the start has seen synthetic ones" if known else "of a synthetic one no class is known"
        return 0.25, 0.0, f"{facts.defective} defective images: some are pasted; {why}"
    return 0.25, 0.25, f"{facts.defective} defective images: a quarter each of what is shown is pasted, and synthetic"
