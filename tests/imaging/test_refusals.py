"""Whole files of a kind that is not judged, and paths that cannot be read: one sentence each, with the file's name."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow

from onspec.domain import UnreadableImageError
from onspec.imaging.header import read_size
from onspec.imaging.reading import decode_image, read_image

GRAY = np.arange(192, dtype=np.uint8).reshape(12, 16)
COLOUR = np.dstack([GRAY, GRAY[::-1], GRAY[:, ::-1]])
FOUR = np.dstack([COLOUR, GRAY])


def pillow(form: str, image: NDArray[np.uint8], mode: str | None = None, **options: Any) -> bytes:  # noqa: ANN401
    data = io.BytesIO()
    picture = Pillow.fromarray(image) if mode is None else Pillow.frombytes(mode, image.shape[1::-1], image.tobytes())
    picture.save(data, form, **options)
    return data.getvalue()


def tiff(image: NDArray[Any], **options: Any) -> bytes:  # noqa: ANN401
    data = io.BytesIO()
    tifffile.imwrite(data, image, **{"photometric": "minisblack", **options})
    return data.getvalue()


def jpeg_of_12_bits() -> bytes:
    data = bytearray(pillow("JPEG", GRAY))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def signed_jp2() -> bytes:
    data = bytearray(pillow("JPEG2000", GRAY, irreversible=False, no_jp2=True))
    data[data.index(b"\xff\x4f\xff\x51") + 42] |= 128
    return bytes(data)


def bmp_of_16_bits() -> bytes:
    rows = bytes(16 * 12 * 2)
    return struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + len(rows), 0, 54, 40, 16, 12, 1, 16, 0, 0, 0, 0, 0, 0) + rows


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "tiff-float": (lambda: tiff(GRAY.astype(np.float32)), "pixels are floating point; allowed: whole numbers from 0"),
    "tiff-signed": (lambda: tiff(GRAY.astype(np.int16)), "pixels are signed; allowed: whole numbers from 0"),
    "tiff-32-bit": (lambda: tiff(GRAY.astype(np.uint32)), "pixels of [32] bit; allowed: [1, 8, 10, 12, 14, 16]"),
    "tiff-cmyk": (lambda: tiff(FOUR, photometric="separated"), "colours of kind 5; allowed: 0, 1 (gray), 2 (RGB)"),
    "tiff-infrared": (
        lambda: tiff(FOUR, photometric="rgb", extrasamples=["unspecified"]),
        "4 channels; allowed: gray or RGB, and alpha",
    ),
    "tiff-5-channels": (
        lambda: tiff(np.dstack([FOUR, GRAY]), photometric="rgb", planarconfig="contig"),
        "5 channels; allowed: gray or RGB, and alpha",
    ),
    "tiff-jpeg": (
        lambda: pillow("TIFF", COLOUR, compression="jpeg"),
        "compression 7; allowed: [1, 5, 8, 32946, 32773]",
    ),
    "tiff-animation": (lambda: tiff(np.stack([GRAY, GRAY])), "a TIFF of 2 pages; allowed: one page"),
    "jpeg-cmyk": (lambda: pillow("JPEG", FOUR, "CMYK"), "colours are CMYK; allowed: gray or RGB"),
    "jpeg-12-bit": (jpeg_of_12_bits, "a JPEG of 12 bit and 16×12 px; allowed: 8 bit"),
    "jp2-signed": (signed_jp2, "a JPEG 2000 of 1 channels, 8 bits; allowed: gray or RGB of 8 to 16 bits"),
    "bmp-16": (bmp_of_16_bits, "a BMP of 16 bits a pixel, not compressed; allowed: 8, 24 or 32 bits"),
    "png-animation": (
        lambda: pillow("PNG", COLOUR, save_all=True, append_images=[Pillow.fromarray(COLOUR[::-1])]),
        "an animation of 2 images; allowed: one image a file",
    ),
    "pgm-percent": (lambda: b"P5 2 2 100\n\0\1\2\3", "its largest value is 100; allowed: 255, 511, 1023 … 65535"),
    "pgm-two": (lambda: 2 * (b"P5 2 2 255\n\0\1\2\3"), "more follows after the image; allowed: one image a file"),
    "webp": (lambda: pillow("WEBP", COLOUR), "not an image that can be decoded (corrupt, or of an unknown format)"),
    "gif": (lambda: pillow("GIF", GRAY), "not an image that can be decoded (corrupt, or of an unknown format)"),
}
"""Name → what makes the file, and what is said of it."""


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_judged_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    make, says = REFUSED[kind]
    path = tmp_path / f"{kind}.png"
    path.write_bytes(make())
    with pytest.raises(UnreadableImageError) as caught:
        read_image(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: {says}")
    assert "\n" not in sentence
    assert ";" in sentence  # what to do next


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"P5 4 4 255\n" + bytes(15), "1 of its 16 values or bytes are missing"),
        (b"P2 4 4 255\n" + b"7 " * 15, "1 of its 16 values or bytes are missing"),
        (b"P2 2 1 255\n7 x", "it holds what is no number"),
        (b"P5 4 x 255\n", "its header is broken"),
        (cv2.imencode(".bmp", GRAY)[1].tobytes()[:-1], "it ends before the last of its 12 rows"),
        (pillow("JPEG", GRAY)[:100], "scans are missing"),
        (tiff(GRAY)[:-1], "it ends before its last pixels"),
        (b"II*\0\x08\0\0\0\xff\xff", "it ends within a directory"),
        (b"II*\0\0\0\0\0", "it has no page"),
        (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IEND", b""), "it has no header"),
        (b"\xff\x4f\xff\x51" + bytes(20), "it ends within its header"),
    ],
)
def test_what_is_damaged_says_where(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(data, "part.x")
    assert str(caught.value) == f"part.x: truncated or corrupt image ({says}); copy it again from its source"


def test_unicode_and_long_names_are_read_and_too_long_ones_refused(tmp_path: Path) -> None:
    data = cv2.imencode(".png", GRAY)[1].tobytes()
    for name in ("Prüfteil №7 — 検査.PNG", "zeile\nzwei.png", "a" * 250 + ".png"):
        (tmp_path / name).write_bytes(data)
        assert (read_image(tmp_path / name) == GRAY).all()
        assert read_size(tmp_path / name) == (16, 12)
    deep = tmp_path.joinpath(*["folder-with-a-long-name" * 5] * 10)
    deep.mkdir(parents=True)
    (deep / "part.png").write_bytes(data)
    assert len(str(deep)) > 1000
    assert (read_image(deep / "part.png") == GRAY).all()
    for path in (tmp_path / ("a" * 300 + ".png"), tmp_path.joinpath(*["b" * 200] * 30, "part.png")):
        for read in (read_image, read_size):
            with pytest.raises(UnreadableImageError, match=r"cannot be read \(File name too long\); shorten the names"):
                read(path)


def test_names_that_no_file_can_have_and_folders(tmp_path: Path) -> None:
    for read in (read_image, read_size):
        with pytest.raises(
            UnreadableImageError, match=r"a\\x00\.png': cannot be read \(.*null byte.*\); check the name"
        ):
            read(tmp_path / "a\0.png")
        with pytest.raises(UnreadableImageError, match=r"cannot be read \(Is a directory\); name a file in it"):
            read(tmp_path)


def test_a_drive_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(UnreadableImageError) as caught:
        read_image(tmp_path / "part.png")
    assert str(caught.value) == (
        f"{tmp_path / 'part.png'}: cannot be read (Input/output error); check the file's rights, and its drive or "
        "network"
    )
