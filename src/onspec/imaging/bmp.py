"""BMP: uncompressed, and as long as its header says."""

import struct

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
        UnreadableImageError: rows are missing, or it is compressed or of 16 bits a pixel.
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
    if start + (width * depth + 31) // 32 * 4 * abs(height) > len(data):
        raise damaged(name, f"it ends before the last of its {abs(height)} rows")
    return Raw(by_opencv(data, name))
