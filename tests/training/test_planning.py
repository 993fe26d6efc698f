"""The plan follows from the data and says why."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from onspec.domain import DataError, Task, UsageError
from onspec.training.networks import NETWORKS
from onspec.training.plan import Plan
from onspec.training.planning import Wishes, deck_plan, make_plan
from onspec.training.survey import Survey

FACTS = Survey(
    images=100,
    good=80,
    defective=20,
    widths=(512, 512),
    heights=(512, 512),
    median_side=512,
    channels=1,
    dtype="uint8",
    mean_spread=0.01,
    deviation=0.1,
    coherence=0.1,
    fourfold=0.2,
    defect_areas=(400,) * 10,
    defect_widths=(20.0,) * 10,
    located="pixels",
    unlocated=0,
    parts=100,
    defective_parts=20,
    class_parts={"defect": 20},
    touching=0.0,
)
GOOD_ONLY: dict[str, object] = {
    "good": 100, "defective": 0, "defect_areas": (), "defect_widths": (), "located": "nowhere",
    "class_parts": {}, "defective_parts": 0,
}  # fmt: skip
TWO: dict[str, object] = {"class_parts": {"crack": 120, "hole": 80}}


def plan_of(wishes: Wishes = Wishes(), **change: object) -> Plan:  # noqa: B008 - frozen
    return make_plan(replace(FACTS, **change), wishes)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "chosen"),
    [
        ({"mean_spread": 0.05}, lambda p: p.input.normalise == "image"),
        ({"mean_spread": 0.001}, lambda p: p.input.normalise == "range"),
        ({"coherence": 0.8}, lambda p: not p.augmentation.quarter_turns),
        ({"coherence": 0.1}, lambda p: p.augmentation.quarter_turns and p.augmentation.rotation_deg == 10),
        ({"coherence": 0.05, "fourfold": 0.05}, lambda p: p.augmentation.rotation_deg == 45),
        ({"coherence": 0.05, "fourfold": 0.2}, lambda p: p.augmentation.rotation_deg == 10),
        (
            {"coherence": 0.05, "fourfold": 0.05, "located": "nowhere"},
            lambda p: p.task is Task.CLASSIFY and p.augmentation.rotation_deg == 10,
        ),
        ({"channels": 3}, lambda p: p.input.channels == 3),
        ({"dtype": "uint16"}, lambda p: p.input.dtype == "uint16"),
        ({"widths": (300, 500)}, lambda p: (p.input.width.min, p.input.width.max) == (150, 1000)),
        ({"widths": (512, 512)}, lambda p: (p.input.width.min, p.input.width.max) == (512, 512)),
        ({"median_side": 1700, "defect_areas": (40_000,) * 5}, lambda p: p.input.scale == 0.25),
        ({"median_side": 1700, "defect_areas": (100,) * 5}, lambda p: p.input.scale == 1.0),
        (
            {"median_side": 1700, "defect_areas": (40_000,) * 5, "defect_widths": (7.0,) * 5},
            lambda p: p.input.scale == 0.5,  # a crack of 200 px length must not be thinned out to nothing
        ),
        ({"median_side": 640, "defect_areas": (1_100,) * 5, "located": "boxes"}, lambda p: p.input.scale == 0.5),
        ({"median_side": 640, "defect_areas": (900,) * 5, "located": "boxes"}, lambda p: p.input.scale == 1.0),
        ({"median_side": 640, "defect_areas": (1_100,) * 5}, lambda p: p.input.scale == 1.0),
        ({"median_side": 640, "defect_areas": (2_400,) * 5}, lambda p: p.input.scale == 0.5),
        ({"median_side": 640, "defect_areas": (2_200,) * 5}, lambda p: p.input.scale == 1.0),
        ({"median_side": 400, "defect_areas": (40_000,) * 5}, lambda p: p.input.scale == 1.0),
        ({"median_side": 1700, "defect_areas": (2_400,) * 5}, lambda p: p.input.scale == 0.5),
        (
            {"median_side": 640, "defect_areas": (9_000,) * 5, "defect_widths": (5.0,) * 5},
            lambda p: p.input.scale == 1.0,
        ),
        ({"median_side": 90}, lambda p: p.crop == 96),
        ({"touching": 0.2}, lambda p: p.separate),
        ({"touching": 0.01}, lambda p: not p.separate),
        ({"touching": 0.2, "located": "boxes"}, lambda p: not p.separate),
        ({"located": "pixels"}, lambda p: p.task is Task.SEGMENT and p.input.cell == 1),
        ({"located": "boxes"}, lambda p: p.task is Task.DETECT and p.augmentation.rotation_deg == 0),
        ({"located": "nowhere"}, lambda p: p.task is Task.CLASSIFY and p.input.cell == 8),
        (GOOD_ONLY, lambda p: p.task is Task.SEGMENT and p.synthetic_share == 1),
        ({"good": 0, "defective": 100}, lambda p: p.paste_share == 0 and p.synthetic_share == 0),
        ({}, lambda p: p.start == "surfaces" and p.paste_share > 0 and p.synthetic_share == 0),
        ({"defective_parts": 9}, lambda p: p.paste_share > 0 and 0 < p.synthetic_share <= 1 - p.paste_share),
        (TWO, lambda p: p.classes == ("crack", "hole") and p.paste_share > 0 and p.synthetic_share == 0),
        ({"class_parts": {"crack": 120, "defect": 80, "hole": 70}}, lambda p: p.classes == ("crack", "defect", "hole")),
        ({"class_parts": {"crack": 120, "hole": 1}}, lambda p: p.classes == ("defect",)),
        (
            {"class_parts": {"crack": 120, "hole": 70, "stain": 70}, "unlocated_classes": frozenset({"stain"})},
            lambda p: p.classes == ("crack", "hole"),
        ),
        ({"class_parts": {"crack": 200}}, lambda p: p.classes == ("defect",)),
        ({"class_parts": {"crack": 120, "hole": 1}, "located": "boxes"}, lambda p: p.classes == ("crack", "hole")),
        ({"class_parts": {"crack": 120, "hole": 1}, "located": "nowhere"}, lambda p: p.classes == ("crack", "hole")),
    ],
)
def test_choices_follow_from_the_data(change: dict[str, object], chosen: Callable[..., bool]) -> None:
    plan, reasons = make_plan(replace(FACTS, **change))  # type: ignore[arg-type]
    assert chosen(plan)
    assert reasons.keys() <= Plan.model_fields.keys()
    assert all(reasons.values())


@pytest.mark.parametrize(
    ("wishes", "change", "chosen"),
    [
        (Wishes(classes="one"), TWO, lambda p: p.classes == ("defect",)),
        (Wishes(classes="each"), {"class_parts": {"crack": 190, "hole": 1}}, lambda p: p.classes == ("crack", "hole")),
        (Wishes(classes="each"), {"class_parts": {"crack": 200}}, lambda p: p.classes == ("defect",)),
        (
            Wishes(task=Task.CLASSIFY),
            {"class_parts": {"crack": 120, "stain": 70}, "unlocated_classes": frozenset({"stain"})},
            lambda p: p.classes == ("crack", "stain"),
        ),
        (Wishes(network="unet-deck"), {}, lambda p: p.start == "chance" and p.synthetic_share > 0),
        (Wishes(task=Task.CLASSIFY), {}, lambda p: (p.task, p.paste_share, p.synthetic_share) == ("classify", 0, 0.5)),
        (Wishes(task=Task.CLASSIFY), {"good": 0}, lambda p: p.synthetic_share == 0),
        (Wishes(), {}, lambda p: p.start == "surfaces"),
        (Wishes(), {}, lambda p: p.optimiser == "muon"),
        (Wishes(network="unet-deck"), {}, lambda p: (p.start, p.optimiser) == ("chance", "adamw")),
        (Wishes(task=Task.DETECT), {}, lambda p: p.task is Task.DETECT),
        (Wishes(task=Task.SEGMENT), {"located": "boxes"}, lambda p: p.task is Task.SEGMENT),
        (Wishes(network="unet-deck"), {}, lambda p: (p.network, p.input.stride) == ("unet-deck", 16)),
        (
            Wishes(task=Task.CLASSIFY, network="cnn-weimer"), {},
            lambda p: (p.network, p.input.stride, p.input.cell) == ("cnn-weimer", 16, 16),
        ),
    ],
)  # fmt: skip
def test_wishes_are_granted(wishes: Wishes, change: dict[str, object], chosen: Callable[..., bool]) -> None:
    plan, reasons = make_plan(replace(FACTS, **change), wishes)  # type: ignore[arg-type]
    assert chosen(plan)
    assert all(reasons.values())


@pytest.mark.parametrize(
    ("change", "choice", "reason"),
    [
        ({}, "defect_share", "80 good and 20 defective images: both are shown equally often"),
        ({"good": 0, "defective": 20}, "defect_share", "all 20 images are defective"),
        (GOOD_ONLY, "defect_share", "all 100 images are good: half of what is shown is given a defect"),
        ({"touching": 0.31}, "separate", "31 % of the labelled defects touch another one"),
        ({"touching": 0.31, "located": "boxes"}, "separate", "not with the task detect"),
    ],
)
def test_reasons_say_what_the_choice_comes_from(change: dict[str, object], choice: str, reason: str) -> None:
    assert make_plan(replace(FACTS, **change))[1][choice] == reason  # type: ignore[arg-type]


@pytest.mark.parametrize("task", [Task.SEGMENT, Task.DETECT])
def test_labels_that_say_too_little_are_refused_with_what_they_allow(task: Task) -> None:
    with pytest.raises(DataError, match=f"cannot teach to {task}; use --task classify"):
        plan_of(Wishes(task), located="nowhere", defect_areas=(), defect_widths=(), unlocated=20)


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        (Wishes(network="vgg"), "Unknown network 'vgg'; choose unet-lite, unet-deck, cnn-weimer"),
        (Wishes(network="cnn-weimer"), "network cnn-weimer cannot segment; choose unet-lite, unet-deck"),
        (Wishes(Task.DETECT, network="unet-deck"), "network unet-deck cannot detect; choose unet-lite"),
    ],
)
def test_a_network_that_does_not_fit_is_named(wishes: Wishes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        plan_of(wishes)


@pytest.mark.parametrize(
    ("side", "largest", "scale", "crop"),
    [
        (100, 100, 1, 128),
        (256, 256, 1, 256),
        (320, 350, 0.8, 288),
        (333, 333, 0.768, 256),
        (320, 900, 0.8, 320),  # what is much longer than the median is cut
        (512, 512, 0.5, 256),
        (1024, 1024, 0.25, 256),
        (1600, 1600, 0.25, 416),
        (4096, 4096, 0.125, 512),
    ],
)
def test_to_classify_a_crop_holds_the_whole_image(side: int, largest: int, scale: float, crop: int) -> None:
    plan = plan_of(
        Wishes(Task.CLASSIFY), widths=(side, largest), heights=(side, side), median_side=side, located="nowhere"
    )
    assert (plan.input.scale, plan.crop) == (scale, crop)


@pytest.mark.parametrize("side", [40, 96, 200, 512, 4000])
@pytest.mark.parametrize(("on_gpu", "largest", "pixels"), [(False, 160, 6 * 160**2), (True, 256, 16 * 256**2)])
def test_a_step_is_about_as_much_work_whatever_the_crop(side: int, on_gpu: bool, largest: int, pixels: int) -> None:
    plan = plan_of(Wishes(on_gpu=on_gpu), median_side=side, widths=(side, side))
    assert plan.crop <= largest
    assert 6 <= plan.batch <= 64
    if side >= largest:
        assert plan.crop == largest
    if plan.batch < 64:
        assert plan.batch * plan.crop**2 == pytest.approx(pixels, rel=0.2)


@pytest.mark.parametrize("side", [40, 96, 200, 512, 4000])
def test_a_gpu_is_shown_at_least_as_many_crops(side: int) -> None:
    few, many = (plan_of(Wishes(on_gpu=gpu), median_side=side, widths=(side, side)) for gpu in (False, True))
    assert few.batch <= many.batch


def test_a_step_looks_at_several_whole_images() -> None:
    for on_gpu, batch in ((False, 4), (True, 32)):
        assert plan_of(Wishes(Task.CLASSIFY, on_gpu=on_gpu), located="nowhere").batch == batch


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_planned_for_every_task_it_has(name: str) -> None:
    for task, cell in NETWORKS[name].cells.items():
        plan = plan_of(Wishes(task, network=name))
        assert (plan.task, plan.network, plan.input.cell) == (task, name, cell)


def test_the_decks_plan_is_the_talks() -> None:
    plan, reasons = deck_plan(FACTS)
    assert (plan.network, plan.loss, plan.optimiser, plan.learning_rate) == ("unet-deck", "dice", "adam", 1e-4)
    assert (plan.schedule, plan.ema, plan.weight_decay, plan.defective_only) == ("constant", 0, 0, True)
    assert plan.crop == 512
    assert plan.defect_share == 1
    still = plan.augmentation.model_dump()
    assert not any(still.values())
    assert reasons["task"]
    assert deck_plan(replace(FACTS, median_side=1024))[0].input.scale == 0.5
