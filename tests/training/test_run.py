"""A whole run: what it writes, what it refuses, what it never reads, and that no kill loses it."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from onspec.datasets.layouts import load
from onspec.datasets.splitting import read_split
from onspec.domain import DataError, Split, UsageError
from onspec.imaging.preparation import score_maps
from onspec.imaging.reading import read_image
from onspec.recipe.reading import open_package
from onspec.recipe.schema import Recipe
from onspec.runtime.inspector import Inspector
from onspec.training import checkpoint
from onspec.training.loop import load_best
from onspec.training.run import Settings, train
from onspec.training.validation import torch_infer

WriteSet = Callable[..., Path]


def silent(*_: object, **__: object) -> None:
    """Talk to nobody."""


def train_quickly(data: Path, run: Path, steps: int = 60, **options: object) -> Recipe:
    settings = Settings(run=run, budget_s=600, steps=steps, started=time.monotonic(), **options)  # type: ignore[arg-type]
    return train(load(data), settings, say=silent, watch=silent)


@pytest.fixture(scope="module")
def trained(grain_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the grain set."""
    run = tmp_path_factory.mktemp("trained") / "run"
    train_quickly(grain_set, run, steps=120)
    return run


def test_a_run_is_complete(trained: Path, grain_set: Path) -> None:
    package = open_package(trained)
    recipe = package.recipe
    dataset = load(grain_set)
    assignment = read_split(trained / "split.csv", dataset)
    assert set(assignment.values()) == {Split.TRAIN, Split.VAL, Split.TEST}
    assert recipe.provenance.data is not None
    assert sum(recipe.provenance.data.images.values()) == 32
    assert sum(recipe.provenance.data.parts.values()) == 32
    assert recipe.provenance.data.fingerprint.startswith("sha256:")
    assert recipe.provenance.training["steps"] == 120
    assert recipe.thresholds.basis
    assert {
        name for name in ("plan.yaml", "curves.jsonl", "curves.png", "curves.svg") if (trained / name).is_file()
    } == {
        "plan.yaml",
        "curves.jsonl",
        "curves.png",
        "curves.svg",
    }
    assert len(package.golden) == 4
    onnx.checker.check_model(onnx.load_from_string(package.model))


def test_torch_and_the_recipe_agree_on_every_test_image(trained: Path, grain_set: Path) -> None:
    """Maps within 1e-4 and the same verdict, for the images that no side has seen."""
    from onspec.decision.judge import judge

    package = open_package(trained)
    recipe = package.recipe
    infer = torch_infer(load_best(trained))
    inspector = Inspector(package)
    assignment = read_split(trained / "split.csv", load(grain_set))
    tested = [grain_set / name for name, split in assignment.items() if split is Split.TEST]
    assert len(tested) >= 6
    verdicts = set()
    for path in tested:
        image = read_image(path)
        ours = score_maps(image, recipe.input, recipe.classes, infer)
        theirs = inspector.maps(image)
        for a, b in zip(ours, theirs, strict=True):
            assert float(np.abs(a.values - b.values).max()) < 1e-4
        verdict = judge(ours, recipe.thresholds, recipe.rules).verdict
        assert inspector.inspect_file(path).inspection.verdict == verdict
        verdicts.add(verdict)
    inspector.close()
    assert len(verdicts) == 2


def test_the_test_split_is_never_read(write_grain_set: WriteSet, tmp_path: Path) -> None:
    data = write_grain_set(tmp_path / "data", good=8, defective=8)
    images = sorted(p.name for p in (data / "images").iterdir())
    splits = {name: ("train", "train", "val", "test")[i % 4] for i, name in enumerate(images)}
    with (data / "split.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "split"])
        writer.writerows((f"images/{name}", split) for name, split in splits.items())
    for name, split in splits.items():
        if split == "test":
            (data / "images" / name).write_bytes(b"no image")
    recipe = train_quickly(data, tmp_path / "run", steps=12)
    assert recipe.provenance.training["steps"] == 12


def test_a_finished_run_is_not_overwritten(trained: Path, grain_set: Path) -> None:
    with pytest.raises(UsageError, match="already holds a run; go on with --resume, or choose another --out"):
        train_quickly(grain_set, trained)


def test_a_file_is_no_run(grain_set: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="takes a folder"):
        train_quickly(grain_set, tmp_path / "run")


@pytest.mark.parametrize(("good", "defective", "sentence"), [(8, 0, "defective"), (8, 1, "defective")])
def test_data_without_defects_cannot_be_learned(
    good: int, defective: int, sentence: str, write_grain_set: WriteSet, tmp_path: Path
) -> None:
    data = write_grain_set(tmp_path / "data", good=good, defective=defective)
    with pytest.raises(DataError, match=sentence):
        train_quickly(data, tmp_path / "run", steps=12)


def command(data: Path, run: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "onspec.cli", "train", str(data), "--out", str(run), "--steps", "90", *options]


@pytest.mark.parametrize("after_s", [1.0, 4.0])
def test_a_killed_run_resumes(after_s: float, grain_set: Path, tmp_path: Path) -> None:
    """kill -9 before and after the first checkpoint; the resumed run ends like any other."""
    run = tmp_path / "run"
    process = subprocess.Popen(command(grain_set, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if after_s > 2:
        deadline = time.monotonic() + 120
        while not (run / checkpoint.NAME).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
    else:
        time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(command(grain_set, run, "--resume"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert open_package(run).recipe.provenance.training["steps"] == 90


def test_another_data_set_does_not_resume(trained: Path, write_grain_set: WriteSet, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    other = write_grain_set(tmp_path / "other", good=20, defective=20, seed=5)
    with pytest.raises(DataError):
        train_quickly(other, run, steps=120, resume=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--budget", "soon"], "budget 'soon' is not a duration; write it as 90s, 20m or 1h"),
        (["--budget", "0s"], "is not a duration"),
        (["--task", "guess"], "Unknown task 'guess'"),
        (["--network", "resnet"], "Unknown network 'resnet'; choose unet-lite, unet-deck"),
        (["--layout", "nonsense"], "nonsense"),
        (["--plan", "absent.yaml"], "absent.yaml: cannot read the plan"),
    ],
)
def test_bad_usage_is_one_sentence(options: list[str], sentence: str, grain_set: Path, tmp_path: Path) -> None:
    done = subprocess.run(command(grain_set, tmp_path / "run", *options), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "nowhere", tmp_path / "run"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.dumps(done.stdout) == '""'
