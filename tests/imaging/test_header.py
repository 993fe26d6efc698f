"""Sizes from headers are those of the decoded image."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from onspec.domain import UnreadableImageError
from onspec.imaging.header import read_size, size_in, sizes_of
from onspec.imaging.reading import SUFFIXES, decode_image

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
ORIENTATION = 0x0112


def turned(form: str, orientation: int) -> bytes:
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    data = io.BytesIO()
    Pillow.fromarray(PIXELS).save(data, form, exif=exif)
    return data.getvalue()


def told(data: bytes) -> tuple[int, int] | None:
    return size_in(io.BytesIO(data))


@pytest.mark.parametrize("suffix", sorted(set(SUFFIXES) - {".jp2"}))
def test_what_opencv_writes_has_not_to_be_decoded(suffix: str) -> None:
    gray = PIXELS if suffix == ".ppm" else PIXELS[..., 0]
    for pixels in (gray, PIXELS if suffix != ".pgm" else gray):
        data = cv2.imencode(suffix, pixels)[1].tobytes()
        assert told(data) == decode_image(data, suffix).shape[1::-1] == (41, 30)


@pytest.mark.parametrize("bare", [False, True])
def test_a_jpeg_2000_has_not_to_be_decoded(bare: bool) -> None:
    data = io.BytesIO()
    Pillow.fromarray(PIXELS).save(data, "JPEG2000", no_jp2=bare)
    assert told(data.getvalue()) == decode_image(data.getvalue(), "a.jp2").shape[1::-1] == (41, 30)


def test_what_has_no_header_that_is_understood_is_decoded(tmp_path: Path) -> None:
    file = io.BytesIO()
    Pillow.fromarray(PIXELS).save(file, "JPEG2000")
    data, metadata = file.getvalue(), struct.pack(">I4s", 8 + 70_000, b"xml ") + bytes(70_000)
    at = data.index(b"jp2c") - 4
    (tmp_path / "a.jp2").write_bytes(data[:at] + metadata + data[at:])
    assert told((tmp_path / "a.jp2").read_bytes()) is None
    assert read_size(tmp_path / "a.jp2") == (41, 30)


def test_16_bit_and_a_bmp_stored_from_the_top() -> None:
    assert told(cv2.imencode(".png", PIXELS.astype(np.uint16))[1].tobytes()) == (41, 30)
    assert told(b"BM" + bytes(12) + struct.pack("<Iii", 40, 41, -30)) == (41, 30)
    assert told(b"BM" + bytes(12) + struct.pack("<IHH", 12, 41, 30)) == (41, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "MPO"])
def test_orientation_turns_the_size_as_it_turns_the_image(form: str, orientation: int) -> None:
    data = turned(form, orientation)
    assert told(data) == decode_image(data, form).shape[1::-1]


def test_orientation_behind_the_pixels_of_a_png_counts_as_it_does_in_decoding() -> None:
    data, chunks, at = turned("PNG", 6), {}, 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks[kind] = data[at : at + 12 + length]
        at += 12 + length
    late = data[:8] + b"".join(chunks[kind] for kind in (b"IHDR", b"IDAT", b"eXIf", b"IEND"))
    assert told(late) == decode_image(late, "late").shape[1::-1]


def test_a_header_behind_long_metadata_is_found(tmp_path: Path) -> None:
    data = turned("JPEG", 8)
    comments = b"".join(b"\xff\xfe" + struct.pack(">H", 60002) + bytes(60000) for _ in range(3))
    (tmp_path / "a.jpg").write_bytes(data[:2] + comments + data[2:])
    assert read_size(tmp_path / "a.jpg") == (30, 41)


def test_comments_in_a_pgm() -> None:
    assert told(b"P5 # made by hand\n# twice\n 41\n30 255\n" + bytes(41 * 30)) == (41, 30)


@given(st.sampled_from(["JPEG", "PNG", "TIFF"]), st.data())
def test_a_file_that_ends_anywhere_raises_nothing_and_tells_no_other_size(form: str, data: st.DataObject) -> None:
    whole = turned(form, 6)
    assert told(whole[: data.draw(st.integers(0, len(whole)))]) in (None, (30, 41), (41, 30))


def test_what_is_no_image_is_refused_or_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"a\.png: truncated or corrupt"):
        read_size(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=r"b\.png: the image file is empty"):
        read_size(tmp_path / "b.png")
    with pytest.raises(UnreadableImageError, match=r"absent\.png: no such image file"):
        read_size(tmp_path / "absent.png")
    cv2.imwrite(str(tmp_path / "c.png"), PIXELS)
    assert sizes_of([tmp_path / name for name in ("a.png", "c.png", "absent.png")]) == [None, (41, 30), None]
