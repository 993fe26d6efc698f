"""PNG (specification, third edition): whole and undamaged, or refused."""

import io
import struct

import numpy as np
from isal import isal_zlib

from onspec.domain import UnreadableImageError
from onspec.imaging.png_rows import decode
from onspec.imaging.png_shape import Chunk
from onspec.imaging.raw import Raw, damaged, refused
from onspec.imaging.tiff import orientation_at

MAGIC = b"\x89PNG\r\n\x1a\n"

_GRAY = {0, 4}
"""Colour types without colour: gray, gray with alpha."""

_FRAME = struct.Struct(">I4s")
"""A chunk's length and type, before its content and its checksum."""


def read_png(data: bytes, name: str) -> Raw:
    """Decode. `sBIT` is passed over: by the specification values fill their 8 or 16 bits whatever it says.

    Raises:
        UnreadableImageError: a chunk is missing or damaged, or it is an animation.
    """
    chunks = _chunks(data, name)
    said = {chunk.kind: data[chunk.start : chunk.end] for chunk in chunks if chunk.kind != b"IDAT"}
    header = said.get(b"IHDR", b"")
    if len(header) != 13:
        raise damaged(name, "it has no header")
    frames = struct.unpack_from(">I", said[b"acTL"])[0] if len(said.get(b"acTL", b"")) == 8 else 1
    if frames > 1:
        raise refused(name, f"an animation of {frames} images", "one image a file", "save each as a file of its own")
    pixels = decode(data, chunks, name)
    if pixels.ndim == 3 and header[9] in _GRAY:
        pixels = np.ascontiguousarray(pixels[..., 0])
    return Raw(pixels, orientation=orientation_at(io.BytesIO(said.get(b"eXIf", b"")), 0))


def is_whole(data: bytes) -> bool:
    """Whether every chunk of a PNG is there and as it was written; OpenCV may take gigabytes for one that is not."""
    try:
        _chunks(data, "")
    except UnreadableImageError:
        return False
    return True


def _chunks(data: bytes, name: str) -> list[Chunk]:
    """All chunks, up to IEND: what follows that is no part of the image. Each carries its length and a CRC (5.3).

    OpenCV fills a missing rest with gray and says nothing; the rest may pass for a good part.
    """
    view, found, at = memoryview(data), list[Chunk](), len(MAGIC)
    while at + 12 <= len(data):
        length, kind = _FRAME.unpack_from(data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        if isal_zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise damaged(name, f"checksum of chunk {kind.decode('ascii', 'replace')} is wrong")
        found.append(Chunk(kind, at + 8, end))
        if kind == b"IEND":
            return found
        at = end + 4
    raise damaged(name, "it ends before its last chunk")
