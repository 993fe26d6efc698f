"""What a PNG tells of damage beyond its chunks' checksums: how many bytes its rows take, how many colours it has.

The checksum of a chunk says that it is as it was written, not that the writer wrote what belongs there.
"""

import struct
from collections.abc import Sequence
from itertools import pairwise

import cv2
from isal import isal_zlib

from onspec.imaging.png_shape import Chunk, Shape
from onspec.imaging.raw import damaged, opencv_decode

_MAGIC, _PALETTE = 8, 3
"""Bytes before the first chunk; the colour type of indices (11.2.2)."""

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and steps to the next, of the passes of an interlaced image (8.2)."""

_AT_A_TIME = 1 << 20


def bytes_of_rows(shape: Shape) -> int:
    """All rows with their filters' numbers, those of each pass where the image is interlaced."""
    passes = _PASSES if shape.interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(shape.width - x) // right), -(-(shape.height - y) // down)) for x, y, right, down in passes]
    return sum(high * (1 + (wide * shape.pixel + 7) // 8) for wide, high in sizes if min(wide, high) > 0)


def require_rows(data: bytes, chunks: Sequence[Chunk], name: str) -> None:
    """Unpack all pixels, some at a time, and keep none of them: libpng passes over a wrong end and checksum.

    What it passes over behind the end of the pixels is no pixel. A header that is none is left to it, too.

    Raises:
        UnreadableImageError: they are not as many as the header says, not what was compressed, or lie apart; or as
            `require_colours`.
    """
    packed = [chunk for chunk in chunks if chunk.kind == b"IDAT"]
    if any(b.start - a.end != 12 for a, b in pairwise(packed)):
        raise damaged(name, "its pixels lie apart")
    if chunks[0].kind != b"IHDR" or chunks[0].end - chunks[0].start != 13:
        return
    shape = Shape._make(struct.unpack_from(">IIBBBBB", data, chunks[0].start))
    inflate, left = isal_zlib.decompressobj(), bytes_of_rows(shape)
    try:
        for chunk in packed:
            piece = data[chunk.start : chunk.end]
            while piece and not inflate.eof and left >= 0:
                left -= len(inflate.decompress(piece, _AT_A_TIME))
                piece = inflate.unconsumed_tail
    except isal_zlib.error:  # type: ignore[misc] # its stub takes the class for an instance
        left = -1
    if left or not inflate.eof:
        raise damaged(name, "its pixels are not what was compressed")
    require_colours(data, chunks, shape, name)


def require_colours(data: bytes, chunks: Sequence[Chunk], shape: Shape, name: str) -> None:
    """Look whether the palette has every colour that a pixel names (11.2.2); libpng makes those black.

    Raises:
        UnreadableImageError: it has not.
    """
    colours = next(((chunk.end - chunk.start) // 3 for chunk in chunks if chunk.kind == b"PLTE"), 0)
    if shape.colour != _PALETTE or colours >= 1 << shape.bits:
        return
    header = struct.pack(">IIBBBBB", *shape._replace(colour=0))
    parts = [(b"IHDR", header), *((c.kind, data[c.start : c.end]) for c in chunks if c.kind in (b"IDAT", b"IEND"))]
    gray = opencv_decode(data[:_MAGIC] + b"".join(_chunk(*part) for part in parts), cv2.IMREAD_ANYDEPTH)
    if gray is None or int(gray.max()) * ((1 << shape.bits) - 1) // 255 >= colours:
        raise damaged(name, f"its pixels name more than its {colours} colours")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", isal_zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
