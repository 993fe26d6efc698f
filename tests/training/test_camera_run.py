"""A whole run on what a raw camera writes: mosaics of 12 bits on the second page of a TIFF, in a read-only folder."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from onspec.datasets.converting import convert
from onspec.datasets.fingerprint import fingerprint
from onspec.datasets.layouts import load
from onspec.datasets.splitting import read_split
from onspec.domain import DataError, Verdict
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.reading import read_image
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector
from onspec.training.plan import read_plan, write_plan
from onspec.training.run import Settings, train

CAMERA = Camera(bits=12, bayer="GRBG", page=1)


def silent(*_: object, **__: object) -> None:
    """Talk to nobody."""


@pytest.fixture
def raw_set(tmp_path: Path, write_grain_set: Callable[..., Path]) -> Path:
    """Gray parts as a sensor with a reddish light would see them; the first page is dark."""
    root = write_grain_set(tmp_path / "set", 8, 8)
    for path in sorted((root / "images").iterdir()):
        values = read_image(path).astype(np.uint16) * 14
        values[0::2, 1::2] = np.minimum(values[0::2, 1::2] + 400, 4095)  # the red ones of GRBG
        tifffile.imwrite(path.with_suffix(".TIF"), np.stack([values // 8, values]), photometric="minisblack")
        path.unlink()
    (root / "camera.yaml").write_text("bits: 12\nbayer: GRBG\npage: 1\n")
    return root


@pytest.mark.slow
def test_training_and_inspection_see_the_same(raw_set: Path, tmp_path: Path) -> None:
    dataset = load(raw_set)
    assert dataset.camera == CAMERA
    for folder in (raw_set, raw_set / "images", raw_set / "masks"):
        folder.chmod(0o555)
    before = {path: path.stat().st_mtime_ns for path in (raw_set, *raw_set.rglob("*"))}
    run = tmp_path / "run"
    recipe = train(
        dataset, Settings(run=run, budget_s=600, steps=4, started=time.monotonic()), say=silent, watch=silent
    )
    assert recipe is not None
    assert {path: path.stat().st_mtime_ns for path in (raw_set, *raw_set.rglob("*"))} == before
    assert (recipe.input.camera, recipe.input.channels, recipe.input.dtype) == (CAMERA, 3, "uint16")
    inspector = Inspector(open_package(run))
    for result in inspector.inspect_files([sample.image for sample in dataset.samples[:4]]):
        assert result.inspection.verdict is not Verdict.ERROR
        assert result.image is not None
        assert (result.image == read_image(Path(result.inspection.image), CAMERA)).all()
    inspector.close()
    other = read_plan(run / "plan.yaml")
    other = other.model_copy(update={"input": other.input.model_copy(update={"camera": AS_STORED})})
    write_plan(tmp_path / "other.yaml", other, {})
    settings = Settings(run=tmp_path / "again", budget_s=60, steps=1, plan_file=tmp_path / "other.yaml")
    with pytest.raises(DataError, match=r"camera\.yaml: the set's camera has bits 12, bayer GRBG, page 1, the plan"):
        train(dataset, settings, say=silent, watch=silent)
    assignment = read_split(run / "split.csv", dataset)
    digest = fingerprint(dataset, assignment)
    for folder in (raw_set, raw_set / "images", raw_set / "masks"):
        folder.chmod(0o755)
    (raw_set / "camera.yaml").unlink()
    assert fingerprint(load(raw_set), assignment) != digest


def test_a_converted_set_keeps_its_camera(raw_set: Path, tmp_path: Path) -> None:
    convert(load(raw_set), tmp_path / "coco", "coco")
    assert load(tmp_path / "coco").camera == CAMERA
