"""`onspec check`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onspec.datasets.layouts import LAYOUTS
from onspec.imaging.writing import write_image

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """20 good and 20 defective images of 40×30 px, as two views each of 20 tiles."""
    root = tmp_path / "set"
    for n in range(40):
        image = np.random.default_rng(n).integers(0, 256, (30, 40), dtype=np.uint8)
        write_image(root / "images" / f"tile{n // 2:02d}_{'ab'[n % 2]}.png", image)
        mask = np.zeros((30, 40), np.uint8)
        mask[5:11, 10:18] = 255 * (n % 2)
        write_image(root / "masks" / f"tile{n // 2:02d}_{'ab'[n % 2]}.png", mask)
    return root


def test_a_sound_set_is_exit_0(onspec: Run, data: Path) -> None:
    code, out, err = onspec("check", data)
    assert (code, err) == (0, "")
    rows = [line.split(maxsplit=1) for line in out.splitlines() if line.strip()]
    assert ["layout", "masks"] in [[word.strip() for word in row] for row in rows]
    assert "20 good, 20 defective" in out
    assert "40 × 40×30" in out
    assert out.endswith("\nnothing wrong found\n")


def test_errors_are_exit_1_with_file_and_advice(onspec: Run, data: Path) -> None:
    for n in range(7):
        (data / "images" / f"tile{n:02d}_a.png").write_bytes(b"no image")
    code, out, _ = onspec("check", data)
    assert code == 1
    assert "error: unreadable (7)" in out
    assert "tile00_a.png: not an image that can be decoded" in out
    assert "… and 2 more (all with --json)" in out
    assert out.endswith("\n7 errors, 0 warnings\n")


def test_json_has_everything(onspec: Run, data: Path) -> None:
    (data / "masks" / "tile03_b.png").write_bytes(b"no mask")
    code, out, _ = onspec("check", data, "--json", "--part-pattern", r"tile(\d+)")
    report = json.loads(out)
    assert code == 1
    assert report["parts"] == {"all": 20, "defective": 20}
    assert [(p["severity"], p["code"], p["file"]) for p in report["problems"]] == [
        ("error", "label", "images/tile03_b.png")
    ]


def test_a_missing_folder_is_exit_2(onspec: Run, tmp_path: Path) -> None:
    code, out, err = onspec("check", tmp_path / "absent")
    assert (code, out) == (2, "")
    assert err == f"onspec: {tmp_path / 'absent'}: no such folder; give the folder that holds the data set\n"


def test_an_unknown_layout_is_exit_2(onspec: Run, data: Path) -> None:
    code, _, err = onspec("check", data, "--layout", "maks")
    assert (code, err) == (2, f"onspec: Unknown layout 'maks'; choose {', '.join(LAYOUTS)}\n")


def test_classes_and_kinds_of_labels_are_shown(onspec: Run, data: Path) -> None:
    (data / "masks" / "tile00_b.png").unlink()
    rows = [
        f"images/tile{n // 2:02d}_{'ab'[n % 2]}.png,{'dent' if n < 30 else 'crack'},1,1,9,9" for n in range(1, 40, 2)
    ]
    (data / "boxes.csv").write_text("\n".join(["image,class,x1,y1,x2,y2", *rows]))
    code, out, _ = onspec("check", data)
    shown = [line.split(maxsplit=1) for line in out.splitlines() if line.strip()]
    assert code == 0
    assert ["labels", "20 boxes"] in [[word.strip() for word in row] for row in shown]
    assert "dent: 15 defects in 15 images" in out
    assert "crack: 5 defects in 5 images" in out


def test_out_writes_page_and_json_and_changes_nothing_else(onspec: Run, data: Path, tmp_path: Path) -> None:
    code, out, err = onspec("check", data, "--out", tmp_path / "check")
    assert (code, err) == (0, f"page: {tmp_path / 'check' / 'check.html'}\n")
    assert sorted(p.name for p in (tmp_path / "check").iterdir()) == ["check.html", "check.json"]
    assert json.loads((tmp_path / "check" / "check.json").read_text())["images"] == {"good": 20, "defective": 20}
    assert (code, out, "") == onspec("check", data)


def test_good_parts_alone_are_no_error(onspec: Run, data: Path, tmp_path: Path) -> None:
    root = tmp_path / "plant"
    (root).mkdir()
    (data / "images").rename(root / "good")
    code, out, _ = onspec("check", root)
    assert code == 0
    assert "warning: no-defective (1)" in out
    assert "train with --good-only" in out


def test_the_best_bound_on_escapes_is_shown(onspec: Run, data: Path) -> None:
    _, out, _ = onspec("check", data)
    words = " ".join(out.split())
    assert "escapes a rate under 45 % is the best that a test of 5 defective parts can show (95 % confidence)" in words
