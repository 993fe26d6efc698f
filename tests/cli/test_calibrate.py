"""`onspec calibrate`."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.decision.rules import read_rules
from onspec.imaging.reading import read_image
from onspec.imaging.writing import write_image

Run = Callable[..., tuple[int, str, str]]
HINT = "# of the tile\nzones:\n  edge: {rectangle: [0, 0, 9, 9]}  # burr\nrules:\n    - name: big\n"


def board(step: float = 40.0, *, slant: float = 0.0) -> NDArray[np.uint8]:
    """A checkerboard of 8 × 5 inner corners on 480 × 320 px, seen at a slant if so."""
    tiles = np.indices((6, 9)).sum(axis=0) % 2
    flat = np.pad(np.kron(tiles, np.ones((40, 40))) * 170 + 40, 40, constant_values=210).astype(np.uint8)
    middle = np.array([[1, 0, -220], [0, 1, -160], [0, 0, 1]], float)
    seen = np.array([[step / 40, 0.03, 240], [-0.03, step / 40, 160], [0, 0, 1]])
    depth = np.array([[1, 0, 0], [0, 1, 0], [-slant / 480, 0, 1]])
    matrix = seen @ depth @ middle
    out = cv2.warpPerspective(flat, matrix, (480, 320), borderValue=210, flags=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(out, (0, 0), 0.8), np.uint8)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "board.png"
    write_image(path, board(38.0))
    return path


ASKED = ("--pattern", "checkerboard", "--pitch-mm", "1.9")


def test_it_says_the_scale_and_the_line_for_the_rules(onspec: Run, picture: Path) -> None:
    code, said, err = onspec("calibrate", picture, *ASKED)
    assert (code, err) == (0, "")
    assert "8 columns × 5 rows of inner corners" in said
    assert said.splitlines()[-1].startswith("pixel_size_mm: 0.0499") or said.splitlines()[-1].startswith(
        "pixel_size_mm: 0.05"
    )


def test_it_writes_the_line_and_nothing_else_into_the_rules(onspec: Run, picture: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(HINT)
    assert onspec("calibrate", picture, *ASKED, "--into", rules)[0] == 0
    size = read_rules(rules).pixel_size_mm
    assert size == pytest.approx(0.05, rel=2e-3)
    kept = [line for line in rules.read_text().splitlines() if not line.startswith("pixel_size_mm")]
    assert kept == HINT.splitlines()
    assert onspec("calibrate", picture, "--pattern", "checkerboard", "--pitch-mm", "3.8", "--into", rules)[0] == 0
    assert read_rules(rules).pixel_size_mm == pytest.approx(0.1, rel=2e-3)
    assert rules.read_text().count("pixel_size_mm") == 1


def test_json_has_every_figure(onspec: Run, picture: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "two.png", board(38.2))
    code, said, _ = onspec("calibrate", picture, tmp_path / "two.png", *ASKED, "--json")
    told = json.loads(said)
    assert code == 0
    assert told["scale_mm"]["x"] == pytest.approx(0.05, rel=5e-3)
    assert 0.001 < told["spread"] < 0.005
    assert [image["points"] for image in told["images"]] == [40, 40]
    assert set(told["images"][0]) >= {
        "residual_px",
        "residual_mm",
        "keystone",
        "distortion",
        "rotation_deg",
        "coverage",
    }


def test_a_slanted_view_is_warned_of(onspec: Run, tmp_path: Path) -> None:
    write_image(tmp_path / "slanted.png", board(34.0, slant=0.08))
    code, said, err = onspec("calibrate", tmp_path / "slanted.png", *ASKED)
    assert code == 1
    assert "warning: limits in mm would be off by up to" in err
    assert "set the camera at a right angle" in err
    assert "pixel_size_mm" in said
    assert onspec("calibrate", tmp_path / "slanted.png", *ASKED, "--warn-over", "20")[0] == 0


def test_images_that_disagree_are_warned_of(onspec: Run, picture: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "nearer.png", board(40.0))
    code, _, err = onspec("calibrate", picture, tmp_path / "nearer.png", *ASKED)
    assert (code, "the images disagree by" in err) == (1, True)


def test_pictures_are_numbered(onspec: Run, picture: Path, tmp_path: Path) -> None:
    assert onspec("calibrate", picture, *ASKED, "--out", tmp_path / "seen.png")[0] == 0
    assert read_image(tmp_path / "seen.png").shape[1:] == (480, 3)
    onspec("calibrate", picture, picture, *ASKED, "--out", tmp_path / "seen.png")
    assert (tmp_path / "seen-1.png").is_file()
    assert (tmp_path / "seen-2.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--pattern", "chess", "--pitch-mm", "2"), "Unknown pattern 'chess'; choose checkerboard, dots"),
        (("--pattern", "checkerboard", "--pitch-mm", "0"), "--pitch-mm must be a length in mm over 0; got 0"),
        (("--pattern", "checkerboard", "--pitch-mm", "2", "--rows", "2"), "--rows must be at least 3; got 2"),
        (("--pattern", "checkerboard", "--pitch-mm", "2", "--columns", "9"), "9 × any were asked for"),
        (("--pattern", "dots", "--pitch-mm", "2"), "no grid of dots found"),
    ],
    ids=["pattern", "pitch", "rows", "columns", "other"],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    onspec: Run, picture: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    code, said, err = onspec("calibrate", picture, *arguments)
    assert (code, said) == (2, "")
    assert sentence in err


def test_images_of_two_sizes_are_refused(onspec: Run, picture: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "other.png", board()[:300])
    code, _, err = onspec("calibrate", picture, tmp_path / "other.png", *ASKED)
    assert (code, "480×300 px" in err) == (2, True)
