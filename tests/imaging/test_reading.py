"""Files → arrays; what cannot be judged is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import UnreadableImageError
from onspec.imaging.reading import SUFFIXES, decode_image, is_image, read_image

GRAY = np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def encoded(suffix: str, image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    lossless = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if suffix == ".jp2" else []
    return cv2.imencode(suffix, image, lossless)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".pgm", ".jp2"])
def test_gray_in_every_lossless_format(suffix: str) -> None:
    image = decode_image(encoded(suffix, GRAY), "x")
    assert image.shape == (64, 96)
    assert (image == GRAY).all()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_16_bit_keeps_its_values(suffix: str) -> None:
    deep = GRAY.astype(np.uint16) * 200
    image = decode_image(encoded(suffix, deep), "x")
    assert image.dtype == np.uint16
    assert (image == deep).all()


def test_colour_is_rgb_and_alpha_is_dropped() -> None:
    assert (decode_image(encoded(".png", COLOUR), "x") == COLOUR[..., ::-1]).all()
    with_alpha = np.dstack([COLOUR, GRAY])
    assert (decode_image(encoded(".png", with_alpha), "x") == COLOUR[..., ::-1]).all()


def test_a_jpeg_is_turned_upright_by_its_exif() -> None:
    upright = np.zeros((32, 48), np.uint8)
    upright[:16, :24] = 200
    turned = np.ascontiguousarray(np.rot90(upright))  # a camera held on its side; EXIF says: turn clockwise
    data = encoded(".jpg", turned)
    exif = (
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    )
    marked = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    image = decode_image(marked, "x")
    assert image.shape == upright.shape
    assert float(np.abs(image.astype(int) - upright).mean()) < 4


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".pgm", ".jp2"])
@settings(max_examples=30)
@given(share=st.floats(0.02, 0.98))
def test_a_truncated_image_is_refused_by_name(suffix: str, share: float) -> None:
    data = encoded(suffix, GRAY)
    with pytest.raises(UnreadableImageError, match=r"part\.png"):
        decode_image(data[: int(share * len(data))], "part.png")


@given(at=st.integers(33, 600), bit=st.integers(0, 7))
def test_a_png_with_one_changed_bit_is_refused(at: int, bit: int) -> None:
    data = bytearray(encoded(".png", GRAY))
    data[min(at, len(data) - 13)] ^= 1 << bit
    with pytest.raises(UnreadableImageError):
        decode_image(bytes(data), "x")


@given(st.binary(max_size=200))
def test_noise_is_refused_and_never_crashes(data: bytes) -> None:
    for start in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\x00", b"P5\n"):
        with pytest.raises(UnreadableImageError):
            decode_image(start + data + b"#", "x")


def test_pixels_that_are_no_8_or_16_bit_integers_are_refused() -> None:
    data = cv2.imencode(".tiff", GRAY.astype(np.float32))[1].tobytes()
    with pytest.raises(UnreadableImageError, match="pixels are floating point; allowed: whole numbers from 0; save it"):
        decode_image(data, "x")


def test_files_that_are_absent_empty_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"absent\.png: no such image file"):
        read_image(tmp_path / "absent.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(UnreadableImageError, match=r"empty \(0 bytes\)"):
        read_image(tmp_path / "empty.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UnreadableImageError, match="cannot be read"):
        read_image(tmp_path / "folder.png")


def test_names_of_images() -> None:
    assert all(is_image(Path(f"a{s}")) and is_image(Path(f"A{s.upper()}")) for s in SUFFIXES)
    assert not any(is_image(Path(name)) for name in ("a.txt", ".a.png", "png", "a.png.part"))
