"""`onspec quantize`: lower precision, and the gate before it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onspec.imaging.writing import write_image
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package
from onspec.recipe.schema import Recipe
from onspec.runtime import choosing

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _soon_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_BUDGET_S", 0.02)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """24 parts with images and masks, half of them with a spot; every third is held out."""
    folder, rows = tmp_path / "parts", ["image,split,part"]
    for number in range(24):
        image, mask = np.full((64, 96), 20, np.uint8), np.zeros((64, 96), np.uint8)
        if number % 2:
            # Not all spots are of one gray: int8 rounds the input, which some scores show.
            image[20:40, 30:60], mask[20:40, 30:60] = 140 + number, 255
        image[0, 0] = 20 if number % 3 == 0 else 255  # the largest value is seen in training
        write_image(folder / "images" / f"{number:02}.png", image)
        write_image(folder / "masks" / f"{number:02}.png", mask)
        rows.append(f"images/{number:02}.png,{'val' if number % 3 == 0 else 'train'},{number}")
    (tmp_path / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


def judged(gray: int, *, rounded: bool = False) -> float:
    """The score of a spot of this gray. Training images hold grays from 20 to 255, which int8 has in 255 steps."""
    value, step = gray / 127.5 - 1, (255 - 20) / 127.5 / 255
    return float(1 / (1 + np.exp(-12.0 * (np.round(value / step) * step if rounded else value))))


def run_with(package: Package, folder: Path, threshold: float, window: int = 1) -> Path:
    """A finished run with this threshold of the image's score."""
    thresholds = {**package.recipe.thresholds.model_dump(), "image": threshold, "window": window}
    recipe = Recipe.model_validate({**package.recipe.model_dump(by_alias=True), "thresholds": thresholds})
    write_draft(folder, recipe, package.model, [(golden.name, golden.data) for golden in package.golden])
    return folder


@pytest.mark.parametrize("to", ["int8", "fp16", "bf16"])
def test_a_recipe_that_judges_alike_is_written(
    to: str, onspec: Run, tiny_package: Package, data: Path, tmp_path: Path
) -> None:
    run, out = run_with(tiny_package, tmp_path / "run", 0.3), tmp_path / "low.onspec"
    given = ("quantize", run, data, "--split-file", tmp_path / "split.csv", "--out", out, "--to", to)
    code, table, err = onspec(*given)
    assert code == 0, err
    assert "openvino" in table
    assert "onnxruntime" in table
    assert f"{to} of tiny@sha256:" in err
    made, parent = open_package(out), open_package(run)
    assert made.model != parent.model
    told = made.recipe.provenance.quantized
    assert told is not None
    assert (told.precision, told.parent, told.compared) == (to, parent.identity, 8)
    assert set(told.engines) == {"onnxruntime", "openvino"}
    assert {golden.name: str(golden.expected.verdict) for golden in made.golden if golden.expected} == {
        "defective.png": "NG",
        "good.png": "OK",
    }
    for engine in ("onnxruntime", "openvino", "torch"):
        assert onspec("verify", out, "--engine", engine)[0] == 0
    assert onspec(*given)[0] == 2  # it is there already
    code, _, err = onspec("quantize", out, data, "--out", tmp_path / "lower.onspec")
    assert code == 2
    assert "quantize its parent instead" in err


def test_a_verdict_that_changes_keeps_it_from_being_written(
    onspec: Run, tiny_package: Package, data: Path, tmp_path: Path
) -> None:
    """The threshold lies between the score of a held-out part and what 8 bits round it to."""
    gray = 140 + 3
    run = run_with(tiny_package, tmp_path / "run", (judged(gray) + judged(gray, rounded=True)) / 2)
    out = tmp_path / "low.onspec"
    given = ("quantize", run, data, "--split-file", tmp_path / "split.csv", "--out", out)
    code, table, err = onspec(*given, "--json", "--engine", "onnxruntime")
    assert code == 1
    assert "images/03.png is judged" in err
    assert "was not written" in err
    assert not out.exists()
    told = json.loads(table)
    assert told["written"] is None
    assert told["faults"][0].startswith("onnxruntime: images/03.png is judged")
    assert onspec(*given, "--engine", "onnxruntime", "--to", "bf16")[0] == 0  # which it computes in float32


def test_what_cannot_be_is_refused(onspec: Run, tiny_package: Package, data: Path, tmp_path: Path) -> None:
    run = run_with(tiny_package, tmp_path / "run", 0.3)
    given = ("quantize", run, data, "--out", tmp_path / "low.onspec")
    assert "choose int8, fp16, bf16" in onspec(*given, "--to", "int4")[2]
    assert "Unknown engine 'x'" in onspec(*given, "--engine", "x")[2]
    assert "nvidia-smi" in onspec(*given, "--engine", "tensorrt")[2]


def test_golden_samples_keep_their_verdicts(onspec: Run, tiny_package: Package, data: Path, tmp_path: Path) -> None:
    """A sample whose verdict 8 bits change keeps the recipe from being written, though no held-out part changes."""
    from onspec.imaging.writing import encode_image
    from onspec.recipe.package import Golden

    image = np.full((64, 96), 20, np.uint8)
    image[20:40, 30:60] = 131
    package = replace(tiny_package, golden=(Golden("edge.png", encode_image(image)),))
    run = run_with(package, tmp_path / "run", (judged(131) + judged(131, rounded=True)) / 2)
    out = tmp_path / "low.onspec"
    code, _, err = onspec("quantize", run, data, "--split-file", tmp_path / "split.csv", "--out", out)
    assert code == 1
    assert "golden sample" in err
    assert not out.exists()


def test_images_that_cannot_be_judged_show_nothing(
    onspec: Run, tiny_package: Package, data: Path, tmp_path: Path
) -> None:
    """Both recipes give ERROR for it, which is no agreement."""
    run, out = run_with(replace(tiny_package, golden=()), tmp_path / "run", 0.3), tmp_path / "low.onspec"
    (data / "images" / "03.png").write_bytes(b"no image")
    given = ("quantize", run, data, "--split-file", tmp_path / "split.csv", "--out", out, "--to", "bf16")
    code, _, err = onspec(*given)
    assert code == 1
    assert "images/03.png is judged ERROR, was ERROR" in err
    assert not out.exists()
