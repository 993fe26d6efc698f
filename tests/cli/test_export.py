"""`onspec export`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onspec.recipe.package import Package
from onspec.runtime.engines import open_engine

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


def test_a_tensorrt_engine_for_a_named_gpu(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt' is not installed")
    given = ("export", tiny_recipe_path, "--to", "tensorrt", "--target")
    assert onspec(*given, "sm89", tmp_path / "tiny.engine")[0] == 0
    code, _, err = onspec(*given, "h100", tmp_path / "other.engine")
    assert code == 2
    assert "builds no engine for 'h100'; choose among sm75" in err


def test_openvinos_files_give_the_recipes_scores(
    onspec: Run, tiny_recipe_path: Path, tiny_package: Package, tmp_path: Path
) -> None:
    assert onspec("export", tiny_recipe_path, "--to", "openvino", tmp_path / "tiny.xml")[0] == 0
    engine = open_engine("openvino", tiny_package.model, 1)
    import openvino as ov

    batch = np.random.default_rng(0).uniform(-1, 1, (1, 1, 48, 64)).astype(np.float32)
    (scores,) = ov.Core().compile_model(tmp_path / "tiny.xml", "CPU")(batch).values()
    assert np.abs(scores - engine.infer(batch)).max() < 1e-2  # by itself OpenVINO computes in bfloat16 where it can
    assert (tmp_path / "tiny.bin").is_file()


def test_openvinos_files_have_their_names(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    code, _, err = onspec("export", tiny_recipe_path, "--to", "openvino", tmp_path / "tiny.onnx")
    assert code == 2
    assert "NAME.xml and NAME.bin" in err
    (tmp_path / "tiny.bin").write_bytes(b"precious")
    assert onspec("export", tiny_recipe_path, "--to", "openvino", tmp_path / "tiny.xml")[0] == 2
    assert (tmp_path / "tiny.bin").read_bytes() == b"precious"
    assert not (tmp_path / "tiny.xml").exists()


def test_a_triton_repository(onspec: Run, tiny_recipe_path: Path, tiny_package: Package, tmp_path: Path) -> None:
    assert onspec("export", tiny_recipe_path, "--to", "triton", tmp_path / "models")[0] == 0
    assert (tmp_path / "models" / "tiny" / "1" / "model.onnx").read_bytes() == tiny_package.model
    config = (tmp_path / "models" / "tiny" / "config.pbtxt").read_text()
    for line in ('name: "tiny"', 'backend: "onnxruntime"', 'name: "image" data_type: TYPE_FP32 dims: [ 1, -1, -1 ]'):
        assert line in config
    assert onspec("export", tiny_recipe_path, "--to", "triton", tmp_path / "models")[0] == 2
    assert onspec("export", tiny_recipe_path, "--to", "triton", tmp_path / "models", "--force")[0] == 0


def test_an_unknown_format_names_the_known_ones(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    code, _, err = onspec("export", tiny_recipe_path, "--to", "coreml", tmp_path / "x")
    assert code == 2
    assert "Unknown export format 'coreml'; choose onnx, openvino, tensorrt, triton" in err


def test_a_gpu_is_named_for_tensorrt_alone(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    code, _, err = onspec("export", tiny_recipe_path, "--to", "onnx", "--target", "sm89", tmp_path / "x")
    assert code == 2
    assert "leave it out for --to onnx" in err


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
