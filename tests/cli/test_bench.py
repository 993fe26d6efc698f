"""`onspec bench` as users call it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.imaging.reading import read_image
from onspec.imaging.writing import write_image

Run = Callable[..., tuple[int, str, str]]
FAST = ("--engine", "onnxruntime", "--rounds", 3)


def test_a_table_and_a_picture(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "bench.png"
    code, text, said = onspec("bench", tiny_recipe_path, *FAST, "--batch", "1,2", "--threads", "1", "--out", out)
    assert code == 0
    rows = text.splitlines()
    assert rows[0].split()[:2] == ["engine", "precision"]
    assert [row.split()[:5] for row in rows[1:3]] == [["onnxruntime", "as", "packed", n, "1"] for n in "12"]
    assert "2 of 2" in rows[1]
    assert any(row.startswith("ceiling: products of float32 matrices reach ") for row in rows)
    assert "timing" in said
    assert read_image(out).shape[1] > 800


def test_json(onspec: Run, tiny_recipe_path: Path, tmp_path: Path, make_part: Callable[..., NDArray[np.uint8]]) -> None:
    for n in range(40):
        write_image(tmp_path / "parts" / f"{n}.png", make_part((30, 20, 10, 6)) if n % 2 else make_part())
    code, text, _ = onspec("bench", tiny_recipe_path, *FAST, "--images", tmp_path / "parts", "--json")
    (row,) = json.loads(text)["rows"]
    assert code == 0
    assert row["verdicts"] == {"images": 20, "same": 20}  # every second of 40: more than 32 would take long
    assert row["ms"]["p50"] <= row["ms"]["p95"] <= row["ms"]["p99"]
    assert row["images_per_s"] == pytest.approx(1e3 / row["ms"]["p50"])
    assert row["operations_per_image"] == 2 * 96 * 64
    assert row["share_of_ceiling"]["median"] > 0
    assert row["error"] is None


def test_an_engine_that_does_not_run_is_exit_1_and_said(onspec: Run, tiny_recipe_path: Path) -> None:
    code, text, _ = onspec("bench", tiny_recipe_path, "--engine", "onnxruntime-cuda", *FAST)
    assert code == 1
    assert "onnxruntime-cuda, as packed, batch 1: Engine onnxruntime-cuda needs" in text
    assert text.splitlines()[1].startswith("onnxruntime ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--engine", "tensort"], "Unknown engine 'tensort'"),
        (["--precision", "int4"], "Unknown precision 'int4'; choose int8, fp16, bf16"),
        (["--batch", "0"], "--batch takes numbers from 1 on"),
        (["--threads", "two"], "--threads takes numbers from 1 on with commas between, as 1,4; got 'two'"),
        (["--images", "absent"], "absent: no such file or folder"),
        (["--out", "bench.gif"], "bench.gif: cannot be drawn; allowed: .png, .svg, .pdf"),
    ],
)
def test_bad_usage_is_exit_2_and_a_sentence(
    arguments: list[str], says: str, onspec: Run, tiny_recipe_path: Path
) -> None:
    code, _, err = onspec("bench", tiny_recipe_path, "--rounds", 3, *arguments)
    assert code == 2
    assert says in err
    assert "Traceback" not in err
