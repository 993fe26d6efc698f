"""BMP: uncompressed, and as long as its header says."""

import struct

import numpy as np
from numpy.typing import NDArray

from onspec.imaging.raw import Raw, by_opencv, damaged, refused

MAGIC = b"BM"

_DEPTHS = {0: (1, 4, 8, 24, 32), 3: (32,), 6: (32,)}
"""The field `compression` (none; none, with masks that tell the channels) → bits a pixel."""


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height (negative: stored from the top) out of the first 26 bytes.

    Raises:
        struct.error: fewer bytes.
    """
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return width, height


def read_bmp(data: bytes, name: str) -> Raw:
    """Decode.

    Raises:
        UnreadableImageError: rows or colours are missing, or it is compressed or of 16 bits a pixel.
    """
    try:
        width, height = size_of(data)
        start, header = struct.unpack_from("<II", data, 10)
        (depth,) = struct.unpack_from("<H", data, 24 if header == 12 else 28)
        compression = 0 if header == 12 else struct.unpack_from("<I", data, 30)[0]
    except struct.error:
        raise damaged(name, "it ends within its header") from None
    if depth not in _DEPTHS.get(compression, ()):
        got = f"a BMP of {depth} bits a pixel, {'compressed' if compression else 'not compressed'}"
        raise refused(name, got, "8, 24 or 32 bits, not compressed", "save it as PNG")
    row = (width * depth + 31) // 32 * 4
    if width < 1 or start + row * abs(height) > len(data):
        raise damaged(name, f"it ends before the last of its {abs(height)} rows")
    colours = _colours(data, header, depth)
    if start < 14 + header + colours * (3 if header == 12 else 4):
        raise damaged(name, "its pixels begin within its header")
    if depth <= 8 and colours < 1 << depth:
        rows = np.frombuffer(data, np.uint8, row * abs(height), start).reshape(abs(height), row)
        if _highest(rows, width, depth) >= colours:
            raise damaged(name, f"its pixels name more than its {colours} colours")
    return Raw(by_opencv(data, name))


def _colours(data: bytes, header: int, depth: int) -> int:
    """How many colours the palette has; 0 says all that the depth can name, if pixels name colours at all."""
    if depth > 8:
        return 0
    told = 0 if header == 12 else int(struct.unpack_from("<I", data, 46)[0])
    return told or 1 << depth


def _highest(rows: NDArray[np.uint8], width: int, depth: int) -> int:
    """The highest colour that a pixel of packed rows names; what fills a row up to 4 bytes is no pixel."""
    if depth == 8:
        return int(rows[:, :width].max(initial=0))
    bits = np.unpackbits(rows, axis=1, count=width * depth).reshape(len(rows), width, depth)
    return int(np.packbits(bits, axis=2).max(initial=0)) >> (8 - depth)
