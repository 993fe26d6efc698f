"""The fuzzing of docs/fuzzing.md, in short: damaged files of every format, changed recipes, odd requests."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FORMATS = (
    "png 8", "png 16", "png palette", "png alpha", "png interlaced", "jpeg", "jpeg gray", "jpeg progressive", "tiff",
    "tiff 16", "tiff lzw", "tiff deflate", "tiff packbits", "tiff pages", "tiff tiled", "bigtiff", "bmp", "bmp palette",
    "jpeg 2000", "pgm", "pgm text", "ppm",
)  # fmt: skip


def fuzz(what: str, count: int, out: Path, *options: str) -> dict[str, list[float]]:
    """The rows of the table by their name; no fault is among them."""
    command = [sys.executable, "-m", "benchmarks.fuzz", what, "--count", str(count), "--seed", "1", "--out", str(out)]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    header, *lines = done.stdout.splitlines()
    width = 26 if what == "api" else 18
    rows = {
        line[:width].strip(): [float(word) for word in line[width:].split()]
        for line in lines
        if line[width:].strip()[:1].isdigit()
    }
    assert "faults" in header
    assert not out.exists()
    return rows


def test_damaged_images_are_refused_or_read_for_what_they_are(tmp_path: Path) -> None:
    rows = fuzz("images", 100 * len(FORMATS), tmp_path / "faults")
    assert set(rows) == {*FORMATS, "all"}
    for name, (files, refused, same, other, ok, faults, *_) in rows.items():
        assert files == refused + same + other + ok, name
        assert faults == 0
        assert refused > files / 4, name
    assert rows["all"][0] == 100 * len(FORMATS)
    assert rows["tiff deflate"][3:5] == [0, 0]  # its checksum tells


def test_changed_recipes_do_not_open_and_strange_ones_judge_or_say_why(tmp_path: Path) -> None:
    rows = fuzz("recipes", 240, tmp_path / "faults")
    assert rows["recipe, bytes"][:2] == [80, 80]
    assert rows["recipe, archive"][:2] == [80, 80]
    assert rows["recipe, packed"][0] == 80
    assert rows["recipe, packed"][1] > 20


@pytest.mark.timeout(280)
def test_the_service_answers_as_it_is_described_whatever_it_is_asked(tmp_path: Path) -> None:
    rows = fuzz("api", 280, tmp_path / "faults", "--minutes", "0.01")  # so that it is not begun again with tokens
    assert {"images", "forms", "broken HTTP", "described", "described, unloading", "all"} <= set(rows)
    sent, right, wrong, busy, closed, faults, slowest = rows["all"]
    assert sent > 1000
    assert right > 100
    assert wrong > 500
    assert faults == 0
    assert slowest < 5000
    assert sent == right + wrong + busy + closed
