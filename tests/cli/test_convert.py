"""`onspec convert`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onspec.datasets.layouts import load
from onspec.datasets.writers import WRITERS
from onspec.imaging.writing import write_image

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four images of 40×30 px in two splits, two of them with a rectangle as mask."""
    root = tmp_path / "set"
    for n in range(4):
        top = root / ("train" if n < 2 else "test")
        write_image(top / "images" / f"{n}.png", np.random.default_rng(n).integers(0, 256, (30, 40), dtype=np.uint8))
        mask = np.zeros((30, 40), np.uint8)
        mask[5:11, 10:18] = 255 * (n % 2)
        write_image(top / "masks" / f"{n}.png", mask)
    return root


@pytest.mark.parametrize("to", WRITERS)
def test_every_layout_is_written_and_found_again(to: str, onspec: Run, data: Path, tmp_path: Path) -> None:
    code, out, err = onspec("convert", data, tmp_path / "out", "--to", to)
    assert (code, err) == (0, "")
    assert out.startswith(f"{tmp_path / 'out'}: {to} from masks, 2 good and 2 defective images\n")
    assert onspec("check", tmp_path / "out")[0] == 0
    dataset = load(tmp_path / "out")
    assert (dataset.layout, dataset.good, dataset.defective) == (to, 2, 2)


def test_what_is_lost_is_said(onspec: Run, data: Path, tmp_path: Path) -> None:
    code, out, _ = onspec("convert", data, tmp_path / "out", "--to", "voc")
    assert (code, out.splitlines()[1:]) == (0, ["  2 label images become the boxes around them"])


def test_json_has_everything(onspec: Run, data: Path, tmp_path: Path) -> None:
    code, out, err = onspec("convert", data, tmp_path / "out", "--to", "folders", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "out": str(tmp_path / "out"),
        "from": "masks",
        "to": "folders",
        "classes": ["defect"],
        "splits": {"test": {"good": 1, "defective": 1}, "train": {"good": 1, "defective": 1}},
        "remarks": ["2 images lose the place of their defects"],
        "left_out": [],
    }


def test_images_left_out_are_exit_1_with_why(onspec: Run, data: Path, tmp_path: Path) -> None:
    for n in (0, 1):
        (data / "train" / "images" / f"{n}.png").write_bytes(b"no image")
    code, out, _ = onspec("convert", data, tmp_path / "out", "--to", "coco")
    assert code == 1
    assert "1 good and 1 defective images" in out
    assert "  2 left out:\n    train/images/0.png: " in out
    code, out, _ = onspec("convert", data, tmp_path / "again", "--to", "coco", "--json")
    assert [left["image"] for left in json.loads(out)["left_out"]] == ["train/images/0.png", "train/images/1.png"]
    assert code == 1


def test_links_and_parts(onspec: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, _, _ = onspec("convert", data, out, "--to", "yolo", "--link", "--part-pattern", r"(train|test)")
    assert code == 0
    assert (out / "images" / "train" / "0.png").samefile(data / "train" / "images" / "0.png")
    assert [s.part for s in load(out).samples] == ["test", "test", "train", "train"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ("--to", "coca"),
            "onspec: Unknown layout 'coca' to write; choose dagm, masks, coco, voc, yolo, labelme, folders\n",
        ),
        (("--to", "coco", "--layout", "yolo"), "not laid out as yolo"),
        ((), "Missing option '--to'"),
    ],
)
def test_bad_usage_is_exit_2(arguments: tuple[str, ...], why: str, onspec: Run, data: Path, tmp_path: Path) -> None:
    code, out, err = onspec("convert", data, tmp_path / "out", *arguments)
    assert (code, out) == (2, "")
    assert why in err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_or_in_the_set_is_refused(onspec: Run, data: Path, tmp_path: Path) -> None:
    code, _, err = onspec("convert", data, tmp_path, "--to", "coco")
    assert (code, err) == (2, f"onspec: {tmp_path} is not empty; choose a folder that is new or empty\n")
    code, _, err = onspec("convert", data, data / "coco", "--to", "coco")
    assert code == 2
    assert "lies in the data set" in err


def test_a_missing_folder_is_exit_2(onspec: Run, tmp_path: Path) -> None:
    code, _, err = onspec("convert", tmp_path / "absent", tmp_path / "out", "--to", "coco")
    assert (code, err) == (
        2,
        f"onspec: {tmp_path / 'absent'}: no such folder; give the folder that holds the data set\n",
    )
