"""PNG (specification, third edition): whole and undamaged, or refused."""

import io
import struct
import zlib

import numpy as np

from onspec.domain import UnreadableImageError
from onspec.imaging.raw import Raw, by_opencv, damaged, refused
from onspec.imaging.tiff import orientation_at

MAGIC = b"\x89PNG\r\n\x1a\n"

_GRAY = {0, 4}
"""Colour types without colour: gray, gray with alpha."""

_WANTED = {b"IHDR", b"eXIf", b"acTL"}


def read_png(data: bytes, name: str) -> Raw:
    """Decode. `sBIT` is passed over: by the specification values fill their 8 or 16 bits whatever it says.

    Raises:
        UnreadableImageError: a chunk is missing or damaged, or it is an animation.
    """
    chunks = _chunks(data, name)
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13:
        raise damaged(name, "it has no header")
    frames = struct.unpack_from(">I", chunks[b"acTL"])[0] if len(chunks.get(b"acTL", b"")) == 8 else 1
    if frames > 1:
        raise refused(name, f"an animation of {frames} images", "one image a file", "save each as a file of its own")
    pixels = by_opencv(data, name)
    if pixels.ndim == 3 and header[9] in _GRAY:
        pixels = np.ascontiguousarray(pixels[..., 0])
    return Raw(pixels, orientation=orientation_at(io.BytesIO(chunks.get(b"eXIf", b"")), 0))


def is_whole(data: bytes) -> bool:
    """Whether every chunk of a PNG is there and as it was written; OpenCV may take gigabytes for one that is not."""
    try:
        _chunks(data, "")
    except UnreadableImageError:
        return False
    return True


def _chunks(data: bytes, name: str) -> dict[bytes, bytes]:
    """The chunks that say something of the pixels. Each chunk carries its length and a CRC (5.3); the last is IEND.

    OpenCV fills a missing rest with gray and says nothing; the rest may pass for a good part.
    """
    at = len(MAGIC)
    found: dict[bytes, bytes] = {}
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        kind = data[at + 4 : at + 8]
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise damaged(name, f"checksum of chunk {kind.decode('ascii', 'replace')} is wrong")
        if kind == b"IEND":
            return found
        if kind in _WANTED:
            found[kind] = data[at + 8 : end - 4]
        at = end
    raise damaged(name, "it ends before its last chunk")
