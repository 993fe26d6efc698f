"""`onspec hasten`: a coarse network from a recipe's own maps, and the gate before it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onspec.cli import coarse, hasten
from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import encode_image, write_image
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Golden, Package
from onspec.recipe.reading import open_package
from onspec.recipe.schema import Recipe
from onspec.runtime import choosing
from onspec.training import distilling

Run = Callable[..., tuple[int, str, str]]
SIDE = 128


@pytest.fixture(autouse=True)
def _soon_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_BUDGET_S", 0.02)
    monkeypatch.setattr(distilling, "LESSONS", 24)


def part(spot: bool, seed: int) -> NDArray[np.uint8]:
    """Gray grain, and on a defective part a bright spot."""
    rng = np.random.default_rng(seed)
    image = rng.integers(40, 80, (SIDE, SIDE)).astype(np.uint8)
    if spot:
        y, x = (int(v) for v in rng.integers(4, SIDE - 30, 2))
        image[y : y + 20, x : x + 24] = 235
    return image


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 parts, half of them with a spot; every third is held out."""
    root = tmp_path_factory.mktemp("hasten")
    rows = ["image,split,part"]
    for number in range(24):
        image = part(number % 2 == 1, number)
        write_image(root / "parts" / "images" / f"{number:02}.png", image)
        write_image(root / "parts" / "masks" / f"{number:02}.png", np.where(image > 200, 255, 0).astype(np.uint8))
        rows.append(f"images/{number:02}.png,{'val' if number % 3 == 0 else 'train'},{number}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root / "parts"


def slow_model() -> bytes:
    """ONNX bytes of a network that scores sigmoid(12 · x), and does much work that changes nothing."""
    rng = np.random.default_rng(0)
    nodes, values, name = [], [], "image"
    for n in range(4):
        weight = rng.normal(0, 0.05, (32, 32 if n else 1, 3, 3)).astype(np.float32)
        values.append(numpy_helper.from_array(weight, f"weight_{n}"))
        nodes.append(helper.make_node("Conv", [name, f"weight_{n}"], [f"x_{n}"], kernel_shape=[3, 3], pads=[1] * 4))
        name = f"x_{n}"
    values += [
        numpy_helper.from_array(np.zeros((1, 32, 1, 1), np.float32), "none"),
        numpy_helper.from_array(np.full((1, 1, 1, 1), 12, np.float32), "gain"),
    ]
    nodes += [
        helper.make_node("Conv", [name, "none"], ["nothing"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["image", "gain"], ["logits"], kernel_shape=[1, 1]),
        helper.make_node("Add", ["logits", "nothing"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["scores"]),
    ]
    free: list[str | int | None] = ["batch", 1, "height", "width"]
    graph = helper.make_graph(
        nodes, "slow", [helper.make_tensor_value_info("image", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, free)], values,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def run_of(package: Package, folder: Path, model: bytes) -> Path:
    """A finished run for images of `SIDE` px."""
    spec = InputSpec(width=Extent(min=SIDE, max=SIDE), height=Extent(min=SIDE, max=SIDE), stride=16, tile=256, halo=32)
    golden = (Golden("bad.png", encode_image(part(True, 900))), Golden("good.png", encode_image(part(False, 901))))
    recipe = Recipe.model_validate({**package.recipe.model_dump(by_alias=True), "input": spec})
    write_draft(folder, recipe, model, [(one.name, one.data) for one in golden])
    return folder


@pytest.mark.slow
def test_a_recipe_that_judges_alike_and_faster_is_written(
    onspec: Run, tiny_package: Package, data: Path, tmp_path: Path
) -> None:
    run, out = run_of(tiny_package, tmp_path / "run", slow_model()), tmp_path / "fast.onspec"
    given = (
        "hasten", run, data, "--split-file", data.parent / "split.csv", "--out", out, "--steps", 60,
        "--engine", "onnxruntime",
    )  # fmt: skip
    code, table, err = onspec(*given, "--json")
    assert code == 0, err
    told = json.loads(table)
    assert told["engines"][0]["changed"] == []
    assert told["engines"][0]["mixed"] > hasten.LEAST_GAIN
    assert told["work"]["good"] < 0.5
    assert 0.3 < told["work"]["mixed"] < 0.8
    made, parent = open_package(out), open_package(run)
    assert made.model == parent.model
    provenance = made.recipe.provenance.hastened
    assert provenance is not None
    assert (provenance.parent, provenance.compared, provenance.steps) == (parent.identity, 8, 60)
    assert {one.name: one.expected.verdict for one in made.golden if one.expected} == {
        "bad.png": "NG",
        "good.png": "OK",
    }
    assert onspec("verify", out, "--engine", "openvino")[0] == 0
    _other_commands(onspec, out, run, data, tmp_path)


def _other_commands(onspec: Run, out: Path, run: Path, data: Path, tmp_path: Path) -> None:
    """What they make of a hastened recipe."""
    code, _, err = onspec("hasten", out, data, "--out", tmp_path / "x.onspec")
    assert code == 2
    assert "hastened already; hasten its parent instead" in err
    code, _, err = onspec("quantize", out, data, "--out", tmp_path / "x.onspec")
    assert code == 2
    assert "quantize its parent, then hasten what comes out" in err
    code, _, err = onspec("export", out, "--to", "onnx", tmp_path / "x.onnx")
    assert code == 2
    assert "two networks, which only onspec runs together; export its parent" in err
    code, table, _ = onspec("diff", run, out)
    assert code == 1
    assert "coarse.onnx" in table
    image = data / "images" / "01.png"
    code, lines, _ = onspec("inspect", out, image, data / "images" / "02.png")
    assert code == 0
    assert [json.loads(line)["verdict"] for line in lines.splitlines()] == ["NG", "OK"]
    assert onspec("explain", out, image)[0] == 0
    code, table, err = onspec("bench", out, "--rounds", 3, "--engine", "onnxruntime")
    assert code == 0
    assert "of the fine network on a whole image" in err


@pytest.mark.slow
def test_what_does_not_pay_is_not_written(onspec: Run, tiny_package: Package, data: Path, tmp_path: Path) -> None:
    run, out = run_of(tiny_package, tmp_path / "run", tiny_package.model), tmp_path / "fast.onspec"
    code, _, err = onspec(
        "hasten", run, data, "--split-file", data.parent / "split.csv", "--out", out, "--steps", 10,
        "--engine", "onnxruntime",
    )  # fmt: skip
    assert code == 1
    assert "×1.15 is the least that pays" in err
    assert "was not written" in err
    assert not out.exists()


def test_a_verdict_that_changes_keeps_it_from_being_written(
    onspec: Run, tiny_package: Package, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit that nothing reaches, defective parts would be passed over."""
    monkeypatch.setattr("onspec.runtime.limit.choose_limit", lambda *_: 255)
    run, out = run_of(tiny_package, tmp_path / "run", slow_model()), tmp_path / "fast.onspec"
    code, _, err = onspec(
        "hasten", run, data, "--split-file", data.parent / "split.csv", "--out", out, "--steps", 2,
        "--engine", "onnxruntime",
    )  # fmt: skip
    assert code == 1
    assert "images/03.png is judged OK, was NG" in err
    assert not out.exists()


@pytest.mark.parametrize(("score", "half"), [(0.5, 1 / 3), (0.9, 4.5 / 5.5), (0.0, 0.0)])
def test_a_region_of_half_the_odds_must_be_looked_at(score: float, half: float) -> None:
    assert coarse._half(score) == pytest.approx(half)


def test_what_cannot_be_is_refused(
    onspec: Run, tiny_package: Package, make_toned: Callable[..., Package], data: Path, tmp_path: Path
) -> None:
    run = run_of(tiny_package, tmp_path / "run", tiny_package.model)
    out = ("--out", tmp_path / "x.onspec")
    assert "Unknown engine 'x'" in onspec("hasten", run, data, *out, "--engine", "x")[2]
    assert "not a duration" in onspec("hasten", run, data, *out, "--budget", "soon")[2]
    toned = make_toned("detect")
    write_draft(tmp_path / "boxes", toned.recipe, toned.model, [])
    code, _, err = onspec("hasten", tmp_path / "boxes", data, *out)
    assert code == 2
    assert "is of task detect; only recipes of task segment can be hastened" in err
    nothing = replace(tiny_package, recipe=tiny_package.recipe.model_copy(update={"name": "blind"}))
    blind = run_of(nothing, tmp_path / "blind", _blind())
    code, _, err = onspec("hasten", blind, data, "--split-file", data.parent / "split.csv", *out)
    assert code == 2
    assert "finds no defect in any of the training images" in err


def _blind() -> bytes:
    """A network that scores 0 everywhere."""
    model = onnx.load_from_string(slow_model())
    for tensor in model.graph.initializer:
        if tensor.name == "gain":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros((1, 1, 1, 1), np.float32), "gain"))
    del model.graph.node[-1]
    model.graph.node.append(helper.make_node("Relu", ["sum"], ["scores"]))
    return bytes(model.SerializeToString())
