"""The plan follows from the data, says why, and comes back from its file unchanged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onspec.domain import DataError, Sample, UsageError
from onspec.imaging.writing import write_image
from onspec.training.networks import NETWORKS
from onspec.training.plan import make_plan, read_plan, write_plan
from onspec.training.survey import Survey, survey

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
    defect_areas=(400,) * 10,
)


def test_survey_reads_sizes_and_defects(grain_samples: list[Sample]) -> None:
    facts = survey(grain_samples, ("defect",))
    assert (facts.images, facts.good, facts.defective) == (32, 16, 16)
    assert facts.widths == facts.heights == (96, 96)
    assert facts.channels == 1
    assert facts.coherence < 0.1
    assert facts.small_defect_side == pytest.approx(np.sqrt(np.pi * 14 * 9), rel=0.1)


def test_stripes_have_a_direction(tmp_path: Path) -> None:
    stripes = np.tile((np.arange(64) % 8 * 30).astype(np.uint8), (64, 1))
    write_image(tmp_path / "a.png", stripes)
    facts = survey([Sample("a.png", tmp_path / "a.png", "a", defective=False)], ("defect",))
    assert facts.coherence > 0.99
    assert not make_plan(facts)[0].augmentation.quarter_turns


def test_different_pixel_types_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    write_image(tmp_path / "b.png", np.zeros((8, 8), np.uint16))
    samples = [Sample(n, tmp_path / n, n, defective=False) for n in ("a.png", "b.png")]
    with pytest.raises(DataError, match="uint16, uint8"):
        survey(samples, ("defect",))


@pytest.mark.parametrize(
    ("change", "chosen"),
    [
        ({"mean_spread": 0.05}, lambda p: p.input.normalise == "image"),
        ({"mean_spread": 0.001}, lambda p: p.input.normalise == "range"),
        ({"coherence": 0.8}, lambda p: not p.augmentation.quarter_turns),
        ({"channels": 3}, lambda p: p.input.channels == 3),
        ({"dtype": "uint16"}, lambda p: p.input.dtype == "uint16"),
        ({"widths": (300, 500)}, lambda p: (p.input.width.min, p.input.width.max) == (150, 1000)),
        ({"widths": (512, 512)}, lambda p: (p.input.width.min, p.input.width.max) == (512, 512)),
        ({"median_side": 1700, "defect_areas": (40_000,) * 5}, lambda p: p.input.scale == 0.25),
        ({"median_side": 1700, "defect_areas": (100,) * 5}, lambda p: p.input.scale == 1.0),
        ({"median_side": 90}, lambda p: p.crop == 96),
    ],
)
def test_choices_follow_from_the_data(change: dict[str, object], chosen: Callable[..., bool]) -> None:
    plan, reasons = make_plan(replace(FACTS, **change))  # type: ignore[arg-type]
    assert chosen(plan)
    assert all(reasons.values())


@pytest.mark.parametrize("network", NETWORKS)
def test_a_plan_comes_back_from_its_file(network: str, tmp_path: Path) -> None:
    plan, reasons = make_plan(FACTS, network)
    write_plan(tmp_path / "plan.yaml", plan, reasons)
    assert read_plan(tmp_path / "plan.yaml") == plan
    assert (
        "# brightness" in (tmp_path / "plan.yaml").read_text() or "brightness" in (tmp_path / "plan.yaml").read_text()
    )


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (("crop: 256", "crop: 250"), "multiple of the network's stride"),
        (("batch: 4", "batch: none"), "batch"),
        (("network: unet-lite", "network: resnet"), "Unknown network 'resnet'; choose unet-lite, unet-deck"),
        (("crop: 256", "crops: 256"), "crops"),
        (("crop: 256", "crop: [256"), "not valid YAML"),
    ],
)
def test_a_wrong_edit_is_named(edit: tuple[str, str], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    write_plan(path, *make_plan(FACTS))
    assert edit[0] in path.read_text()
    path.write_text(path.read_text().replace(*edit))
    with pytest.raises(UsageError, match=sentence):
        read_plan(path)


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(UsageError, match="choose unet-lite, unet-deck"):
        make_plan(FACTS, "vgg")


def test_a_missing_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the plan"):
        read_plan(tmp_path / "absent.yaml")
