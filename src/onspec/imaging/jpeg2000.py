"""JPEG 2000 (ITU-T T.800), in its file format or as a bare codestream."""

import struct

import numpy as np

from onspec.imaging.raw import Raw, by_opencv, damaged, refused

MAGICS = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")

_SIZ = b"\xff\x4f\xff\x51"
"""Start of codestream, and at once the segment of sizes (A.5.1)."""


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height out of the start of a file; `None` where the codestream does not begin in it.

    Raises:
        struct.error: it is cut.
    """
    at = data.find(_SIZ)
    if at < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
    return right - left, bottom - top


def read_jpeg2000(data: bytes, name: str) -> Raw:
    """Decode; the codestream declares the depth. It has no checksum: damage that leaves it valid cannot be told.

    Raises:
        UnreadableImageError: it is cut, or not gray or RGB of 8 to 16 bits without a sign.
    """
    at = data.find(_SIZ)
    try:
        if at < 0:
            raise damaged(name, "it holds no image")
        (components,) = struct.unpack_from(">H", data, at + 40)
        parts = set(struct.iter_unpack("BBB", data[at + 42 : at + 42 + 3 * components]))
    except struct.error:
        raise damaged(name, "it ends within its header") from None
    depth, across, down = parts.pop() if len(parts) == 1 else (0, 0, 0)
    bits = (depth & 127) + 1
    if depth & 128 or not 8 <= bits <= 16 or (across, down) != (1, 1) or not 1 <= components <= 4:
        got = f"a JPEG 2000 of {components} channels, {bits if depth else 'mixed'} bits"
        raise refused(name, got, "gray or RGB of 8 to 16 bits, all channels alike", "save it as PNG or TIFF")
    pixels = by_opencv(data, name)
    if pixels.ndim == 3 and components < 3:
        pixels = np.ascontiguousarray(pixels[..., 0])
    return Raw(pixels, None if bits in (8, 16) else bits)
