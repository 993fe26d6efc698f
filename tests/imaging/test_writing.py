"""Arrays → files, whole or not at all."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import ScoreMap, UsageError
from onspec.imaging.reading import read_image
from onspec.imaging.writing import encode_image, write_bytes, write_image, write_map


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_keeps_every_value(dtype: type[np.uint8] | type[np.uint16], shape: tuple[int, ...], tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, int(np.iinfo(dtype).max) + 1, shape).astype(dtype)
    write_image(tmp_path / "new" / "x.png", image)
    again = read_image(tmp_path / "new" / "x.png")
    assert again.dtype == image.dtype
    assert (again == image).all()


def test_a_map_is_16_bit_from_0_to_1(tmp_path: Path) -> None:
    values = np.array([[0.0, 1.0, 0.5, 1 / 65535]], np.float32)
    write_map(tmp_path / "m.png", ScoreMap(values))
    assert read_image(tmp_path / "m.png").tolist() == [[0, 65535, 32768, 1]]


@pytest.mark.parametrize("suffix", [".xyz", "", ".txt"])
def test_an_unknown_ending_is_refused(suffix: str) -> None:
    with pytest.raises(UsageError, match=r"use \.png"):
        encode_image(np.zeros((4, 4), np.uint8), suffix)


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_bytes(tmp_path / "x", b"old")
    write_bytes(tmp_path / "x", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"new"


def test_the_mode_is_as_asked(tmp_path: Path) -> None:
    write_bytes(tmp_path / "secret", b"x", mode=0o600)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_name_of_full_length_fits(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("x" * 255), b"x")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"x"


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(UsageError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "x", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_bytes(tmp_path / "folder", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "x", b"old")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left"):
        write_bytes(tmp_path / "x", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_an_image_that_no_format_holds() -> None:
    image: NDArray[np.uint8] = np.zeros((0, 4), np.uint8)
    with pytest.raises(UsageError, match=r"use \.png"):
        encode_image(image)
