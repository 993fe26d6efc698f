"""Damage in the middle of a file: what can be told is refused, and never passes for pixels."""

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from onspec.domain import UnreadableImageError
from onspec.imaging.reading import decode_image
from onspec.imaging.tiff_codecs import CODECS, lzw_in_python

LZW = 5


def photograph(channels: int = 3) -> NDArray[np.uint8]:
    """A blurred surface with grain, uint8 (240, 320) or (240, 320, 3)."""
    rng = np.random.default_rng(0)
    base = cv2.resize(rng.uniform(0, 255, (12, 16, channels)), (320, 240), interpolation=cv2.INTER_CUBIC)
    image = np.clip(base + rng.normal(0, 4, base.shape), 0, 255).astype(np.uint8)
    return np.asarray(image, np.uint8)


def jpeg(image: NDArray[np.uint8], **options: Any) -> bytes:  # noqa: ANN401
    data = io.BytesIO()
    Pillow.fromarray(image).save(data, "JPEG", **options)
    return data.getvalue()


JPEGS = {
    "colour": jpeg(photograph(), quality=90),
    "gray": jpeg(photograph(1), quality=90),
    "progressive": jpeg(photograph(), quality=90, progressive=True),
    "restarts": jpeg(photograph(), quality=90, restart_marker_rows=1),
    "optimised": jpeg(photograph(), quality=95, optimize=True, subsampling=0),
}


def scan_start(data: bytes) -> int:
    return data.index(b"\xff\xda") + 20


@pytest.mark.parametrize("name", JPEGS)
def test_a_whole_jpeg_is_what_opencv_reads(name: str) -> None:
    told = cv2.imdecode(np.frombuffer(JPEGS[name], np.uint8), cv2.IMREAD_ANYCOLOR)
    assert told is not None
    read = decode_image(JPEGS[name], name)
    assert read.shape == told.shape
    assert (read == (told[..., ::-1] if told.ndim == 3 else told)).all()


@pytest.mark.parametrize("name", sorted(JPEGS.keys() - {"progressive"}))
@settings(max_examples=40)
@given(data=st.data())
def test_a_lost_block_of_a_jpeg_is_refused(name: str, data: st.DataObject) -> None:
    whole = JPEGS[name]
    size = data.draw(st.sampled_from([256, 512, 1024]))
    at = data.draw(st.integers(scan_start(whole), len(whole) - size - 200))
    with pytest.raises(UnreadableImageError, match=r"part\.jpg: truncated or corrupt image"):
        decode_image(whole[:at] + whole[at + size :], "part.jpg")


@pytest.mark.parametrize("name", JPEGS)
def test_most_overwritten_blocks_of_a_jpeg_are_refused(name: str) -> None:
    """Not all: the format has no checksum, so that a block may fit by chance, in the late scans of a progressive one
    above all."""
    whole, rng, passed = JPEGS[name], np.random.default_rng(1), 0
    for n in range(100):
        at = int(rng.integers(scan_start(whole), len(whole) - 800))
        block = bytes(512) if n % 2 else rng.bytes(512)
        try:
            decode_image(whole[:at] + block + whole[at + 512 :], "part.jpg")
            passed += 1
        except UnreadableImageError:
            pass
    assert passed <= (20 if name == "progressive" else 5)


def scans(data: bytes) -> list[tuple[int, int]]:
    """Begin and end of the scans of a JPEG, each with the tables before it."""
    at, begin, found = 2, 2, []
    while data[at + 1] != 0xD9:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        at += 2 + length
        if marker == 0xDA:
            while data[at] != 0xFF or data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
                at += 1
            found.append((begin, at))
            begin = at
        elif marker not in (0xC4, 0xDA):
            begin = at
    return found


def test_a_progressive_jpeg_without_one_of_its_scans_is_refused() -> None:
    whole = JPEGS["progressive"]
    parts = scans(whole)
    assert len(parts) > 5
    for begin, end in parts[1:]:  # without the first one the rest has nothing to refine
        with pytest.raises(UnreadableImageError, match=r"scans are missing|Inconsistent progression"):
            decode_image(whole[:begin] + whole[end:], "part.jpg")


def test_what_follows_a_jpeg_is_no_part_of_it() -> None:
    assert (decode_image(JPEGS["gray"] + bytes(5000), "padded") == decode_image(JPEGS["gray"], "plain")).all()


def lzw(image: NDArray[np.uint8]) -> tuple[bytes, int]:
    """The file that Pillow writes, one strip, and where its strip begins."""
    data = io.BytesIO()
    Pillow.fromarray(image).save(data, "TIFF", compression="tiff_lzw", tiffinfo={278: image.shape[0]})
    start, _ = first_strip(data.getvalue())
    return data.getvalue(), start


def first_strip(data: bytes) -> tuple[int, int]:
    """Where the only strip of a TIFF begins, and its length."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        assert len(page.dataoffsets) == 1
        return page.dataoffsets[0], page.databytecounts[0]


@pytest.mark.parametrize("channels", [1, 3])
@settings(max_examples=40)
@given(data=st.data())
def test_a_deflate_tiff_with_one_changed_bit_is_refused(channels: int, data: st.DataObject) -> None:
    file = io.BytesIO()
    image = photograph(channels)
    tifffile.imwrite(file, image, photometric="rgb" if channels == 3 else "minisblack", compression="zlib")
    whole = bytearray(file.getvalue())
    start, length = first_strip(file.getvalue())
    whole[start + data.draw(st.integers(2, length - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UnreadableImageError, match=r"part\.tif: truncated or corrupt image \(a piece"):
        decode_image(bytes(whole), "part.tif")


@pytest.mark.parametrize("channels", [1, 3])
def test_most_overwritten_blocks_of_an_lzw_tiff_are_refused(channels: int) -> None:
    whole, start = lzw(photograph(channels))
    rng, passed = np.random.default_rng(2), 0
    for _ in range(60):
        at = int(rng.integers(start, len(whole) - 800))
        try:
            decode_image(whole[:at] + rng.bytes(400) + whole[at + 400 :], "part.tif")
            passed += 1
        except UnreadableImageError:
            pass
    assert passed <= 3


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([2, 16, 256]), st.integers(0, 9))
def test_lzw_is_unpacked_alike_in_either_way(height: int, width: int, levels: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, levels, (height, width), dtype=np.uint8)
    whole, _ = lzw(image)
    start, length = first_strip(whole)
    strip = whole[start : start + length]
    assert lzw_in_python(strip, height, width) == image.tobytes() == bytes(CODECS[LZW](strip, height, width))


@given(st.binary(max_size=300), st.sampled_from(list(CODECS)), st.integers(1, 8), st.integers(1, 64))
def test_noise_in_a_tiff_is_refused_or_has_its_bytes(noise: bytes, codec: int, rows: int, row: int) -> None:
    tags = {256: row, 257: rows, 258: 8, 259: codec, 262: 1, 273: 8, 277: 1, 278: rows, 279: len(noise)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = struct.pack("<2sHI", b"II", 42, 8 + len(noise)) + noise + struct.pack("<H", len(tags)) + directory + bytes(4)
    try:
        assert decode_image(data, "x").shape == (rows, row)
    except UnreadableImageError as error:
        assert str(error).startswith("x: truncated or corrupt image (")  # noqa: PT017


@given(st.data())
def test_a_changed_byte_in_a_header_is_refused_or_harmless_but_never_a_fault(data: st.DataObject) -> None:
    """No exception but the one sentence, whatever stands in the directory."""
    file = io.BytesIO()
    form = data.draw(st.sampled_from(["TIFF", "PNG", "JPEG", "BMP", "JPEG2000", "PPM"]))
    Pillow.fromarray(photograph()[:20, :30]).save(file, form)
    whole = bytearray(file.getvalue())
    places = st.integers(0, min(120, len(whole) - 1)) if form != "TIFF" else st.integers(0, len(whole) - 1)
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(places)] = data.draw(st.integers(0, 255))
    try:
        assert decode_image(bytes(whole), "x").dtype in (np.uint8, np.uint16)
    except UnreadableImageError as error:
        assert str(error).startswith("x: ")  # noqa: PT017
