"""Every format × depth × channels that is read: written by another program's hand, read back to the last bit."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from onspec.domain import UnreadableImageError
from onspec.imaging.developing import widen
from onspec.imaging.header import read_size, size_in
from onspec.imaging.reading import decode_image, read_image

Pixels = NDArray[Any]
Write = Callable[[Pixels], bytes]

HEIGHT, WIDTH = 33, 47


def noise(bits: int, channels: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Pixels:
    """Values over the whole depth; a smooth ramp in its middle, so that compression has something to do."""
    rng = np.random.default_rng(bits * 10 + channels)
    values = rng.integers(0, 1 << bits, (*shape, channels))
    values[shape[0] // 3 : 2 * shape[0] // 3] = np.linspace(0, (1 << bits) - 1, shape[1]).astype(int)[:, None]
    return (values if channels > 1 else values[..., 0]).astype(np.uint8 if bits <= 8 else np.uint16)


def by_opencv(suffix: str, image: Pixels) -> bytes:
    lossless = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if suffix == ".jp2" else []
    bgr = image[..., ::-1] if image.ndim == 3 else image
    return cv2.imencode(suffix, bgr, lossless)[1].tobytes()


def by_pillow(form: str, image: Pixels, **options: Any) -> bytes:  # noqa: ANN401
    data = io.BytesIO()
    Pillow.fromarray(image).save(data, form, **options)
    return data.getvalue()


def by_tifffile(image: Pixels, **options: Any) -> bytes:  # noqa: ANN401
    data = io.BytesIO()
    kind = options.pop("photometric", "rgb" if image.ndim == 3 else "minisblack")
    tifffile.imwrite(data, image, photometric=kind, **options)
    return data.getvalue()


def with_alpha(write: Write, image: Pixels) -> bytes:
    return write(np.dstack([image, np.full(image.shape[:2], 7, image.dtype)]))


def separate_planes(image: Pixels) -> bytes:
    return by_tifffile(np.moveaxis(image, 2, 0), photometric="rgb", planarconfig="separate")


def white_is_0(image: Pixels) -> bytes:
    return by_tifffile(np.iinfo(image.dtype).max - image, photometric="miniswhite")


def packed(bits: int, order: str, image: Pixels) -> bytes:
    """A TIFF whose values stand bit to bit, each row on whole bytes."""
    rows = b""
    for row in image:
        text = "".join(format(int(value), f"0{bits}b") for value in row)
        text += "0" * (-len(text) % 8)
        rows += int(text, 2).to_bytes(len(text) // 8, "big")
    rows += b"\0" * (len(rows) % 2)
    height, width = image.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(rows)}
    directory = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(rows))
    return start + rows + struct.pack(f"{order}H", len(tags)) + directory + bytes(4)


def png(colour_type: int, bits: int, image: Pixels, *, extra: bytes = b"", interlaced: bool = False) -> bytes:
    """By the specification, unfiltered; with `interlaced` in the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = [image[y::dy, x::dx] for y, x, dy, dx in (passes if interlaced else ((0, 0, 1, 1),))]
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for part in parts for row in part)
    height, width = image.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def netpbm(bits: int, image: Pixels, *, text: bool = False) -> bytes:
    kind = (2 if text else 5) + (image.ndim == 3)
    header = b"P%d\n# by a camera\n%d %d\n%d\n" % (kind, image.shape[1], image.shape[0], (1 << bits) - 1)
    if text:
        return header + " ".join(str(value) for value in image.ravel()).encode()
    return header + image.astype(">u2" if bits > 8 else "u1").tobytes()


def jpeg2000(bits: int, boxed: bool, image: Pixels) -> bytes:
    """Of 16 bits, then said to have fewer: a decoder adds half of the range that the file tells, and so do we."""
    shift = 2**15 - 2 ** (bits - 1)
    data = bytearray(by_pillow("JPEG2000", (image + np.uint16(shift)).astype(np.uint16), no_jp2=not boxed))
    data[data.find(b"\xff\x4f\xff\x51") + 42] = bits - 1
    if boxed:
        data[data.find(b"ihdr") + 14] = bits - 1
    return bytes(data)


JP2 = partial(by_pillow, "JPEG2000", irreversible=False)
CONTAINERS: dict[str, tuple[str, Write, tuple[int, ...], tuple[int, ...]]] = {
    "png": (".png", partial(by_opencv, ".png"), (8, 16), (1, 3)),
    "png-interlaced-gray": (".png", partial(png, 0, 8, interlaced=True), (8,), (1,)),
    "png-interlaced-rgb16": (".png", partial(png, 2, 16, interlaced=True), (16,), (3,)),
    "png-alpha": (".png", partial(with_alpha, partial(png, 6, 8)), (8,), (3,)),
    "png-alpha16": (".png", partial(with_alpha, partial(png, 6, 16)), (16,), (3,)),
    "png-gray-alpha": (".png", partial(with_alpha, partial(png, 4, 8)), (8,), (1,)),
    "png-gray-alpha16": (".png", partial(with_alpha, partial(png, 4, 16)), (16,), (1,)),
    "png-sbit-says-12": (".png", partial(png, 0, 16, extra=chunk(b"sBIT", b"\x0c")), (16,), (1,)),
    "bmp": (".bmp", partial(by_opencv, ".bmp"), (8,), (1, 3)),
    "bmp-32": (".bmp", partial(with_alpha, partial(by_pillow, "BMP")), (8,), (3,)),
    "pgm": (".pgm", partial(by_opencv, ".pgm"), (8, 16), (1,)),
    "ppm": (".ppm", partial(by_opencv, ".ppm"), (8, 16), (3,)),
    "pgm-text-8": (".pgm", partial(netpbm, 8, text=True), (8,), (1, 3)),
    "pgm-text-16": (".pgm", partial(netpbm, 16, text=True), (16,), (1, 3)),
    "jp2": (".jp2", partial(by_opencv, ".jp2"), (8, 16), (1, 3)),
    "jp2-pillow": (".jp2", JP2, (8,), (1, 3)),
    "j2k": (".jp2", partial(JP2, no_jp2=True), (8,), (1, 3)),
    "jp2-alpha": (".jp2", partial(with_alpha, JP2), (8,), (3,)),
    "tiff": (".tif", by_tifffile, (8, 16), (1, 3)),
    "tiff-big-endian": (".tif", partial(by_tifffile, byteorder=">"), (8, 16), (1, 3)),
    "tiff-big": (".tif", partial(by_tifffile, bigtiff=True), (8, 16), (1, 3)),
    "tiff-strips": (".tif", partial(by_tifffile, rowsperstrip=10), (8, 16), (1, 3)),
    "tiff-tiled": (".tif", partial(by_tifffile, tile=(16, 16)), (8, 16), (1, 3)),
    "tiff-tiled-deflate": (".tif", partial(by_tifffile, tile=(16, 32), compression="zlib"), (8, 16), (1, 3)),
    "tiff-deflate": (".tif", partial(by_tifffile, compression="zlib"), (8, 16), (1, 3)),
    "tiff-predictor": (".tif", partial(by_tifffile, compression="zlib", predictor=True), (8, 16), (1, 3)),
    "tiff-predictor-tiled": (
        ".tif",
        partial(by_tifffile, compression="zlib", predictor=True, tile=(16, 16), byteorder=">"),
        (8, 16),
        (1, 3),
    ),
    "tiff-lzw-opencv": (".tif", partial(by_opencv, ".tif"), (8, 16), (1, 3)),
    "tiff-lzw": (".tif", partial(by_pillow, "TIFF", compression="tiff_lzw"), (8,), (1, 3)),
    "tiff-lzw16": (".tif", partial(by_pillow, "TIFF", compression="tiff_lzw"), (16,), (1,)),
    "tiff-packbits": (".tif", partial(by_pillow, "TIFF", compression="packbits"), (8,), (1, 3)),
    "tiff-planes": (".tif", separate_planes, (8, 16), (3,)),
    "tiff-white-is-0": (".tif", white_is_0, (8, 16), (1,)),
    "tiff-alpha": (".tif", partial(with_alpha, partial(by_tifffile, extrasamples=["unassalpha"])), (8, 16), (3,)),
    "tiff-gray-alpha": (
        ".tif",
        partial(
            with_alpha,
            partial(by_tifffile, photometric="minisblack", planarconfig="contig", extrasamples=["assocalpha"]),
        ),
        (8, 16),
        (1,),
    ),
}
"""Name → suffix, writer, bits, channels, of files whose values fill their type."""

DECLARED: dict[str, tuple[str, Callable[[int], Write], tuple[int, ...], tuple[int, ...]]] = {
    "pgm": (".pgm", lambda bits: partial(netpbm, bits), tuple(range(9, 16)), (1,)),
    "pgm-text": (".pgm", lambda bits: partial(netpbm, bits, text=True), (10, 12), (1,)),
    "ppm": (".ppm", lambda bits: partial(netpbm, bits), (10, 12), (3,)),
    "jp2": (".jp2", lambda bits: partial(jpeg2000, bits, True), (10, 12), (1,)),
    "j2k": (".jp2", lambda bits: partial(jpeg2000, bits, False), (12,), (1,)),
    "tiff-packed": (".tif", lambda bits: partial(packed, bits, "<"), (10, 12, 14), (1,)),
    "tiff-packed-big-endian": (".tif", lambda bits: partial(packed, bits, ">"), (10, 12, 14), (1,)),
}
"""The same, of files that say themselves that their values have fewer bits than their type."""

FULL = [
    pytest.param(suffix, write, bits, channels, id=f"{name}-{bits}x{channels}")
    for name, (suffix, write, depths, kinds) in CONTAINERS.items()
    for bits in depths
    for channels in kinds
]
PARTIAL = [
    pytest.param(suffix, make(bits), bits, channels, id=f"{name}-{bits}x{channels}")
    for name, (suffix, make, depths, kinds) in DECLARED.items()
    for bits in depths
    for channels in kinds
]


@pytest.mark.parametrize(("suffix", "write", "bits", "channels"), FULL)
def test_what_was_written_is_read(suffix: str, write: Write, bits: int, channels: int, tmp_path: Path) -> None:
    image = noise(bits, channels)
    path = tmp_path / f"PART{suffix.upper()}"
    path.write_bytes(write(image))
    read = read_image(path)
    assert read.dtype == image.dtype
    assert read.shape == image.shape
    assert (read == image).all()
    assert read.flags.c_contiguous
    assert read_size(path) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(("suffix", "write", "bits", "channels"), PARTIAL)
def test_a_depth_that_the_file_declares_fills_16_bits(
    suffix: str, write: Write, bits: int, channels: int, tmp_path: Path
) -> None:
    image = noise(bits, channels)
    path = tmp_path / f"part{suffix}"
    path.write_bytes(write(image))
    read = read_image(path)
    assert read.dtype == np.uint16
    assert (read >> (16 - bits) == image).all()
    assert (read == widen(image, bits)).all()
    assert read_size(path) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("bits", range(9, 17))
def test_values_are_scaled_by_their_depth(bits: int) -> None:
    values = np.arange(1 << bits).astype(np.uint16)
    wide = widen(values, bits).astype(np.float64)
    assert (wide[0], wide[-1]) == (0, 65535)
    assert np.abs(wide - values * (65535 / ((1 << bits) - 1))).max() < 1


def test_colours_of_a_palette_and_bits_of_a_bitmap() -> None:
    indexed = Pillow.fromarray(noise(8, 3)).quantize(64)
    colours = np.array(indexed.convert("RGB"))
    for form in ("PNG", "BMP", "TIFF"):
        data = io.BytesIO()
        indexed.save(data, form)
        assert (decode_image(data.getvalue(), form) == colours).all()
        data = io.BytesIO()
        Pillow.fromarray(noise(8, 1) > 100).save(data, form)
        assert (decode_image(data.getvalue(), form) == (noise(8, 1) > 100) * 255).all()
    four = Pillow.fromarray(noise(8, 3)).quantize(4)
    data = io.BytesIO()
    four.save(data, "PNG", bits=2)
    assert (decode_image(data.getvalue(), "2 bit") == np.array(four.convert("RGB"))).all()


@pytest.mark.parametrize(("suffix", "write", "bits", "channels"), FULL + PARTIAL)
def test_a_file_that_ends_early_is_refused_by_name(suffix: str, write: Write, bits: int, channels: int) -> None:
    data = write(noise(bits, channels))
    for cut in {*range(0, len(data) - 16, max(1, len(data) // 60)), len(data) - 16}:
        try:
            image = decode_image(data[:cut], f"part{suffix}")
        except UnreadableImageError as error:
            assert str(error).startswith(f"part{suffix}: ")  # noqa: PT017
            continue
        assert (image == decode_image(data, "whole")).all(), f"cut at {cut} of {len(data)}"  # only what nobody needs


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([8, 16]),
    st.sampled_from([1, 3]),
    st.sampled_from([None, (16, 16), (16, 48)]),
    st.sampled_from([None, "zlib"]),
    st.sampled_from("<>"),
    st.integers(1, 8),
    st.integers(1, 50),
)
def test_any_tiff_is_read_and_measured_alike(
    height: int,
    width: int,
    bits: int,
    channels: int,
    tile: tuple[int, int] | None,
    compression: str | None,
    order: str,
    orientation: int,
    rows: int,
) -> None:
    image = noise(bits, channels, (height, width))
    data = by_tifffile(
        image,
        tile=tile,
        compression=compression,
        byteorder=order,
        rowsperstrip=None if tile else rows,
        extratags=[(274, "H", 1, orientation, True)],
    )
    read = decode_image(data, "x")
    assert size_in(io.BytesIO(data)) == read.shape[1::-1]
    sideways = np.swapaxes(image, 0, 1)
    turned = {
        1: image, 2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1],
        5: sideways, 6: sideways[:, ::-1], 7: sideways[::-1, ::-1], 8: sideways[::-1],
    }  # fmt: skip
    assert (read == turned[orientation]).all()


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "MPO"])
def test_images_are_turned_as_opencv_turns_them(form: str, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    Pillow.fromarray(noise(8, 3)).save(data, form, exif=exif)
    told = cv2.imdecode(np.frombuffer(data.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert told is not None
    read = decode_image(data.getvalue(), form)
    assert read.shape == told.shape
    assert (read == told[..., ::-1]).all()
    assert size_in(io.BytesIO(data.getvalue())) == read.shape[1::-1]
