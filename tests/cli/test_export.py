"""`onspec export`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from onspec.recipe.package import Package

Run = Callable[..., tuple[int, str, str]]


def test_onnx_is_the_recipes_network(
    onspec: Run, tiny_recipe_path: Path, tiny_package: Package, tmp_path: Path
) -> None:
    code, out, err = onspec("export", tiny_recipe_path, "--to", "onnx", tmp_path / "new" / "tiny.onnx")
    assert (code, out) == (0, "")
    assert (tmp_path / "new" / "tiny.onnx").read_bytes() == tiny_package.model
    assert f"onnx, {len(tiny_package.model)} bytes, from tiny@sha256:" in err


def test_a_tensorrt_engine_is_built(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt' is not installed")
    code, out, _ = onspec("export", tiny_recipe_path, "--to", "tensorrt", tmp_path / "tiny.engine")
    assert (code, out) == (0, "")
    assert b"vtrt" in (tmp_path / "tiny.engine").read_bytes()[:16]


@pytest.mark.parametrize("name", ["openvino", "triton", "coreml"])
def test_an_unknown_format_names_the_known_ones(name: str, onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    code, _, err = onspec("export", tiny_recipe_path, "--to", name, tmp_path / "x")
    assert code == 2
    assert f"Unknown export format '{name}'; choose onnx, tensorrt" in err


def test_nothing_is_overwritten_without_force(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.onnx"
    target.write_bytes(b"precious")
    code, _, err = onspec("export", tiny_recipe_path, "--to", "onnx", target)
    assert (code, target.read_bytes()) == (2, b"precious")
    assert "--force" in err
    assert onspec("export", tiny_recipe_path, "--to", "onnx", target, "--force")[0] == 0


def test_a_recipe_that_is_none(onspec: Run, tmp_path: Path) -> None:
    code, _, err = onspec("export", tmp_path / "absent.onspec", "--to", "onnx", tmp_path / "x")
    assert code == 2
    assert "no such recipe file" in err
