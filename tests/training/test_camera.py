"""What is named of a camera reaches the plan, and training reads images as production does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onspec.domain import Sample
from onspec.imaging.camera import Camera
from onspec.imaging.preparation import conform
from onspec.imaging.reading import read_image
from onspec.imaging.writing import write_image
from onspec.training.plan import Plan, read_plan, write_plan
from onspec.training.planning import Wishes, deck_plan, make_plan
from onspec.training.pool import load_pool
from onspec.training.survey import survey

CAMERA = Camera(bits=12)


@pytest.fixture
def deep_samples(tmp_path: Path) -> list[Sample]:
    """Good parts of 12 bits in 16-bit files."""
    samples = []
    for n in range(3):
        path = tmp_path / f"{n}.png"
        write_image(path, np.random.default_rng(n).integers(0, 4096, (96, 96), dtype=np.uint16))
        samples.append(Sample(name=path.name, image=path, part=path.stem, defective=False))
    return samples


@pytest.mark.parametrize("way", ["made", "deck"])
def test_a_plan_and_its_file_keep_the_camera(way: str, deep_samples: list[Sample], tmp_path: Path) -> None:
    facts = survey(deep_samples)
    plan, reasons = make_plan(facts, Wishes(camera=CAMERA)) if way == "made" else deck_plan(facts, CAMERA)
    assert (plan.input.camera, plan.input.dtype) == (CAMERA, "uint16")
    write_plan(tmp_path / "plan.yaml", plan, reasons)
    assert read_plan(tmp_path / "plan.yaml") == plan


def test_a_plan_of_before_has_no_camera(plan_for: Callable[..., Plan], tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.yaml", plan_for(), {})
    text = (tmp_path / "plan.yaml").read_text()
    start = text.index("  camera:")
    end = text.index("  scale:", start)
    (tmp_path / "plan.yaml").write_text(text[:start] + text[end:])
    assert read_plan(tmp_path / "plan.yaml") == plan_for()


def test_training_reads_what_production_reads(deep_samples: list[Sample]) -> None:
    spec = make_plan(survey(deep_samples), Wishes(camera=CAMERA))[0]
    for item in load_pool(deep_samples, spec):
        image = read_image(item.sample.image, CAMERA)
        assert image.max() > 65000
        assert (item.read().image == conform(image, spec.input)).all()
