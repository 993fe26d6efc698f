"""Rows of a PNG → pixels: those that libpng gives, in a half to two thirds of its time.

Most of libpng's time goes into zlib's inflate. ISA-L's takes half of that or less, and holds what it unpacks against
the stream's Adler-32, too. NumPy and OpenCV's sums make pixels of the rows where their filters let them work on whole
rows (none, Sub, Up: what OpenCV writes). Where they do not (Average, Paeth: each pixel waits for the one before), and
for palettes, alpha and fewer bits, libpng is given the rows once more, without compression. What is out of the ordinary
goes to libpng as it is, once it was searched for the damage that libpng passes over (`png_checks`).
"""

import struct
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from onspec.imaging.png_checks import require_colours, require_rows
from onspec.imaging.png_shape import Chunk, Shape
from onspec.imaging.raw import Pixels, by_opencv

_PLAIN, _WHOLE = {0, 2}, {8, 16}
"""Gray and RGB, and the bits of values that are whole bytes: there rows are pixels."""

_SILENT = frozenset(
    [
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"sBIT",
        b"pHYs",
        b"tIME",
        b"tEXt",
        b"zTXt",
        b"iTXt",
        b"eXIf",
    ]
)
"""Chunks that say nothing of the stored values to whom does not ask."""

_MOST_BYTES, _MOST_SIDE = 64 << 20, 1_000_000
"""Rows that are held as a whole, and the longest side that libpng takes."""

_SUB, _UP = 1, 2
_STORED, _BLOCK = b"\x78\x01", 0xFFFF
"""How a zlib stream without compression begins, and the most bytes of a block of it (RFC 1950, RFC 1951 3.2.4)."""

_AT_A_TIME = 1 << 17
"""Bytes of rows that are worked on at a time, so that they stay in the cache."""

Bytes = NDArray[np.uint8]


def decode(data: bytes, chunks: Sequence[Chunk], name: str) -> Pixels:
    """The pixels of a PNG whose chunks, in their order, were found whole: gray or RGB, and gray with alpha as RGB.

    Raises:
        UnreadableImageError: libpng cannot decode it, or it holds other pixels or colours than it says.
    """
    shape, packed = _shape(data, chunks[0]), [chunk for chunk in chunks if chunk.kind == b"IDAT"]
    rows = None if shape is None or not _together(packed) else _unpacked(data, packed, shape.size)
    if shape is None or rows is None:
        require_rows(data, chunks, name)
        return by_opencv(data, name)
    lines = np.frombuffer(rows, np.uint8).reshape(shape.height, -1)
    kinds = [chunk.kind for chunk in chunks]
    if shape.colour in _PLAIN and shape.bits in _WHOLE and _SILENT.issuperset(kinds) and kinds.count(b"IHDR") == 1:
        filters = lines[:, 0]
        if filters.max() <= _UP:
            return _pixels(_unfiltered(lines[:, 1:], filters, shape.pixel // 8), shape)
    require_colours(data, chunks, shape, name)
    content = _stored(rows)
    length, checksum = struct.pack(">I", len(content) - 4), struct.pack(">I", isal_zlib.crc32(content))
    before, after = data[: packed[0].start - 8], data[packed[-1].end + 4 :]
    return by_opencv(b"".join([before, length, content, checksum, after]), name)


def _shape(data: bytes, chunk: Chunk) -> Shape | None:
    """`None` where this is no header, or one of an image that is interlaced, unknown or too large to be held twice."""
    if chunk.kind != b"IHDR" or chunk.end - chunk.start != 13:
        return None
    shape = Shape._make(struct.unpack_from(">IIBBBBB", data, chunk.start))
    known = shape.pixel > 0 and not (shape.compression or shape.filters or shape.interlaced)
    fits = min(shape[:2]) > 0 and max(shape[:2]) <= _MOST_SIDE and shape.size <= _MOST_BYTES
    return shape if known and fits else None


def _together(packed: Sequence[Chunk]) -> bool:
    """Whether there are such chunks, and nothing stands between them."""
    return bool(packed) and all(b.start - a.end == 12 for a, b in pairwise(packed))


def _unpacked(data: bytes, packed: Sequence[Chunk], size: int) -> bytes | None:
    """So many bytes, if the stream holds exactly those, ends with them and its checksum is right."""
    inflate = isal_zlib.decompressobj()
    try:
        rows = inflate.decompress(b"".join([data[chunk.start : chunk.end] for chunk in packed]), size + 1)
    except isal_zlib.error:  # type: ignore[misc] # its stub takes the class for an instance
        return None
    return rows if len(rows) == size and inflate.eof and not inflate.unused_data else None


def _unfiltered(lines: Bytes, filters: Bytes, pixel: int) -> Bytes:
    """Undo the filters (9.2) of uint8 (H, row), of which each is none, Sub or Up; `pixel` in bytes."""
    lines = np.array(lines)
    sub = filters == _SUB
    if sub.all():
        _sum_along(lines, pixel)
        return lines
    if sub.any():
        chosen = lines[sub]
        _sum_along(chosen, pixel)
        lines[sub] = chosen
    for row in np.flatnonzero(filters == _UP).tolist():
        if row:  # above the first one are zeros
            lines[row] += lines[row - 1]
    return lines


def _sum_along(lines: Bytes, pixel: int) -> None:
    """Each pixel's bytes become the sums of those up to it, modulo 256: what the sums of all rows above differ by.

    No sum of some rows leaves int32: a side has at most a million pixels.
    """
    rows = max(1, _AT_A_TIME // lines.shape[1])
    for top in range(0, len(lines), rows):
        part = lines[top : top + rows]
        sums = cv2.integral(part.reshape(len(part), -1, pixel)).reshape(len(part) + 1, -1)[:, pixel:].astype(np.uint8)
        np.subtract(sums[1:], sums[:-1], out=part)


def _pixels(lines: Bytes, shape: Shape) -> Pixels:
    values = lines if shape.bits == 8 else lines.view(">u2").astype(np.uint16)
    return values if shape.colour == 0 else values.reshape(shape.height, shape.width, 3)


def _stored(rows: bytes) -> bytes:
    """The type and content of an IDAT that holds the rows as they are."""
    parts = [b"IDAT", _STORED]
    for at in range(0, len(rows), _BLOCK):
        block = rows[at : at + _BLOCK]
        last = at + _BLOCK >= len(rows)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack(">I", isal_zlib.adler32(rows))])
