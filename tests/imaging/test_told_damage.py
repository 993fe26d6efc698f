"""Damage that a format tells of itself by its counts, lengths and checksums: refused, quickly, and never read wrong.

Each of these files was found by `benchmarks/fuzz`.
"""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from onspec.domain import UnexpectedImageError, UnreadableImageError
from onspec.imaging.preparation import Extent, InputSpec, decode_for
from onspec.imaging.reading import decode_image
from onspec.imaging.windows import read_window

GRAY = np.arange(30 * 41, dtype=np.uint32).reshape(30, 41).astype(np.uint8)
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def refuse(data: bytes, fault: str) -> None:
    with pytest.raises(UnreadableImageError, match=rf"x: .*{fault}"):
        decode_image(data, "x")


def png(body: bytes | list[bytes], height: int = 30, colour: int = 0, bits: int = 8, before: bytes = b"",
        interlaced: int = 0, between: bytes = b"") -> bytes:  # fmt: skip
    """A PNG with right checksums of all chunks, whatever is in them."""
    packed = between.join(chunk(b"IDAT", piece) for piece in ([body] if isinstance(body, bytes) else body))
    header = struct.pack(">IIBBBBB", 41, height, bits, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + packed + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def rows(pixels: NDArray[Any]) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def passes(pixels: NDArray[Any]) -> bytes:
    return b"".join(rows(pixels[y::down, x::right]) for x, y, right, down in PASSES)


@pytest.mark.parametrize(("form", "interlaced"), [(rows, 0), (passes, 1)])
def test_pixels_of_a_png_are_as_many_as_its_header_says(form: Callable[..., bytes], interlaced: int) -> None:
    raw = form(GRAY)
    assert np.array_equal(decode_image(png(zlib.compress(raw), interlaced=interlaced), "x"), GRAY)
    for other in (raw[:-1], raw + b"\0", raw + raw, b""):
        refuse(png(zlib.compress(other), interlaced=interlaced), "its pixels are not what was compressed")
    refuse(png(zlib.compress(raw), height=29, interlaced=interlaced), "not what was compressed")


@pytest.mark.parametrize(("form", "interlaced"), [(rows, 0), (passes, 1)])
def test_the_checksum_of_compressed_pixels_counts(form: Callable[..., bytes], interlaced: int) -> None:
    """The checksum of the chunk is right: libpng warns of the other on stderr, and gives the pixels."""
    stream = zlib.compressobj(0)
    packed = stream.compress(form(GRAY)) + stream.flush()
    at = packed.index(bytes(GRAY[29, 5:9]))
    damaged = packed[:at] + b"\x63" + packed[at + 1 :]
    assert damaged != packed
    refuse(png(damaged, interlaced=interlaced), "not what was compressed")
    refuse(png(packed[:-1], interlaced=interlaced), "not what was compressed")


def test_pixels_of_a_png_lie_together() -> None:
    packed = zlib.compress(rows(GRAY))
    pieces = [packed[:50], packed[50:]]
    assert np.array_equal(decode_image(png(pieces), "x"), GRAY)
    refuse(png(pieces, between=chunk(b"tEXt", b"a\0b")), "its pixels lie apart")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_png_names_no_colour_that_its_palette_lacks(bits: int) -> None:
    indices = np.zeros((30, 41), np.uint8)
    indices[7, 40] = (1 << bits) - 1
    width = (41 * bits + 7) // 8
    bit = np.unpackbits(indices[..., None], axis=2)[..., 8 - bits :].reshape(30, -1)
    packed = zlib.compress(rows(np.packbits(bit, axis=1)[:, :width]))
    colours = [bytes((n, 0, 255 - n)) for n in range(1 << bits)]
    whole = png(packed, colour=3, bits=bits, before=chunk(b"PLTE", b"".join(colours)))
    assert decode_image(whole, "x")[7, 40].tolist() == list(colours[-1])
    refuse(
        png(packed, colour=3, bits=bits, before=chunk(b"PLTE", b"".join(colours[:-1]))),
        f"its pixels name more than its {(1 << bits) - 1} colours",
    )


def bmp(indices: NDArray[np.uint8], depth: int, colours: int, start: int | None = None) -> bytes:
    bits = np.unpackbits(indices[::-1, :, None], axis=2)[..., 8 - depth :].reshape(len(indices), -1)
    packed = np.packbits(bits, axis=1)
    lines = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 4)), constant_values=255)  # what fills a row is no pixel
    palette = b"".join(bytes((n, n, n, 0)) for n in range(colours))
    height, width = indices.shape
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, 0, lines.size, 0, 0, colours, 0)
    at = 54 + len(palette) if start is None else start
    return struct.pack("<2sIHHI", b"BM", 54 + len(palette) + lines.size, 0, 0, at) + head + palette + lines.tobytes()


@pytest.mark.parametrize("depth", [1, 4, 8])
def test_a_bmp_names_no_colour_that_its_palette_lacks(depth: int) -> None:
    most = (1 << depth) - 1
    indices = np.zeros((9, 13), np.uint8)
    assert decode_image(bmp(indices, depth, most), "x").max() == 0
    indices[3, 12] = most
    assert decode_image(bmp(indices, depth, most + 1), "x")[3, 12] == most
    refuse(bmp(indices, depth, most), f"its pixels name more than its {most} colours")


@pytest.mark.parametrize("start", [0, 53, 54, 54 + 4 * 255])
def test_pixels_of_a_bmp_begin_behind_its_palette(start: int, tmp_path: Path) -> None:
    refuse(bmp(GRAY, 8, 256, start), "its pixels begin within its header")
    (tmp_path / "a.bmp").write_bytes(bmp(GRAY, 8, 256, start))
    with pytest.raises(UnreadableImageError, match="begin within its header"):
        read_window(tmp_path / "a.bmp", slice(2, 9), slice(0, 5))


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        (b"256", "it holds the value 256; the largest that its header names is 255"),
        (b"9" * 50, "it holds the value 999999; the largest"),
        (b"1_0", "it holds what is no number"),
        (b"-1", "it holds what is no number"),
        (b"+1", "it holds what is no number"),
    ],
)
def test_a_value_of_a_text_file_is_a_number_that_its_header_allows(word: bytes, fault: str) -> None:
    refuse(b"P2 2 1 255\n7 " + word, fault)


def test_zeros_before_a_number_take_no_memory() -> None:
    begun = time.process_time()
    image = decode_image(b"P2 60 60 255\n" + b"7 " * 3599 + b"0" * 2_000_000 + b"9", "x")
    assert image[-1, -1] == 9
    assert time.process_time() - begun < 1


def tiff(tags: list[tuple[int, int]], body: bytes = bytes(41 * 30), following: int = 0) -> bytes:
    """A little-endian TIFF whose pixels stand at 8, and after them the one directory."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    at = 8 + len(body)
    return (
        struct.pack("<2sHI", b"II", 42, at)
        + body
        + struct.pack("<H", len(tags))
        + entries
        + struct.pack("<I", following)
    )


TAGS = [(256, 41), (257, 30), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 30), (279, 41 * 30)]


def test_a_tag_of_a_tiff_is_there_once() -> None:
    assert decode_image(tiff(TAGS), "x").shape == (30, 41)
    refuse(tiff([*TAGS, (273, 9)]), "tag 273 is there twice")


def test_a_tiff_has_the_palette_that_it_names() -> None:
    refuse(tiff([*TAGS[:4], (262, 3), *TAGS[5:]]), "its palette has 0 of 768 values")


def test_a_tiff_of_too_many_tags_or_pages_is_refused_at_once() -> None:
    begun = time.process_time()
    refuse(tiff([*TAGS, *((65000, 0) for _ in range(5000))]), "a directory has 5009 entries")
    pages = b"".join(struct.pack("<HI", 0, 8 + 6 * (n + 1)) for n in range(200_000))
    refuse(struct.pack("<2sHI", b"II", 42, 8) + pages + bytes(6), "it has more than 10000 pages")
    assert time.process_time() - begun < 1


def test_a_tile_is_not_much_larger_than_its_image() -> None:
    tiled = [
        (256, 41),
        (257, 30),
        (258, 8),
        (259, 8),
        (262, 1),
        (277, 1),
        (322, 30_000),
        (323, 30_000),
        (324, 8),
        (325, 99),
    ]
    refuse(tiff(tiled), "its tiles are of 30000×30000 px")


def test_missing_strips_of_a_tiff_are_counted_and_not_made() -> None:
    begun = time.process_time()
    tall = [(256, 1), (257, 1 << 30), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1)]
    with pytest.raises(UnreadableImageError, match="it has 1 pieces, and 1073741824 make the image"):
        decode_image(tiff(tall), "x")
    assert time.process_time() - begun < 1


def test_a_jpeg_of_hundreds_of_scans_is_refused() -> None:
    """Each goes over the whole image anew."""
    file = io.BytesIO()
    Pillow.fromarray(GRAY).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last = whole[whole.rindex(b"\xff\xda") : -2]
    assert decode_image(whole, "x").shape == (30, 41)
    refuse(whole[:-2] + last * 200 + b"\xff\xd9", "a JPEG of 2.. scans; allowed: 100 scans")
    assert np.array_equal(decode_image(whole + b"\xff\xda" * 200, "x"), decode_image(whole, "x"))  # behind its end


SPEC = InputSpec(width=Extent(min=1, max=128), height=Extent(min=1, max=96))


def bombs() -> dict[str, bytes]:
    """Few bytes that are said to be 400 MB and more."""
    packer, side = zlib.compressobj(1), 20_000
    blank = b"".join(packer.compress(bytes(1 + side)) for _ in range(300)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    file = io.BytesIO()
    Pillow.fromarray(GRAY).save(file, "JPEG")
    jpeg = bytearray(file.getvalue())
    at = jpeg.index(b"\xff\xc0")
    struct.pack_into(">HH", jpeg, at + 5, side, side)
    stream = io.BytesIO()
    Pillow.fromarray(GRAY).save(stream, "JPEG2000")
    jp2 = bytearray(stream.getvalue())
    struct.pack_into(">II", jp2, jp2.index(b"\xff\x4f\xff\x51") + 8, side, side)
    strip = zlib.compress(bytes(1 << 20))
    return {
        "png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", blank) + chunk(b"IEND", b""),
        "jpeg": bytes(jpeg),
        "jpeg 2000": bytes(jp2),
        "tiff": tiff([(256, side), (257, side), *((t, v) for t, v in TAGS[2:] if t not in (278, 259, 279)), (259, 8),
                      (278, side), (279, len(strip))], strip),
        "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0),
        "pgm": b"P5 %d %d 255\n" % (side, side),
    }  # fmt: skip


@pytest.mark.parametrize(("form", "data"), bombs().items())
def test_what_is_larger_than_the_recipe_takes_is_refused_before_it_is_unpacked(form: str, data: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(UnexpectedImageError, match="20000×20000 px; this recipe takes 1…128×1…96 px"):
        decode_for(SPEC, data, form)
    assert time.process_time() - begun < 0.5


def test_what_the_recipe_takes_is_decoded_whatever_way_it_is_turned() -> None:
    tall = np.zeros((100, 60), np.uint8)
    data = cv2.imencode(".png", tall)[1].tobytes()
    assert decode_for(SPEC, data, "x").shape == (100, 60)
