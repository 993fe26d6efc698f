"""JPEG (ITU-T T.81), as strictly as a format without checksums allows.

OpenCV goes on after damage: it paints what follows with something and warns on stderr only. So libjpeg-turbo is asked
through simplejpeg, which makes its warnings errors. Damage that leaves a valid stream behind cannot be told by anyone.
"""

import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import simplejpeg  # type: ignore[import-untyped]

from onspec.imaging.raw import MOST_PIXELS, Pixels, Raw, damaged, refused
from onspec.imaging.tiff import orientation_at

MAGIC = b"\xff\xd8\xff"

_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers SOF0 … SOF15; the others in between are tables."""

_SCAN = 0xDA

_MOST_SCANS = 100
"""Programs write 1 to 11. Each goes over the whole image anew, so that a small file with many would take long."""

_ALL = (1 << 64) - 1
"""A bit for each coefficient of a block."""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_ADVICE = "save it as gray or RGB of 8 bit, or as PNG"


def segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """(marker, where its content begins) of each segment, in a file read from its start; ends where none follows.

    Raises:
        struct.error: the file ends within one.
    """
    at = 2
    while True:
        file.seek(at)
        first, marker = struct.unpack(">BB", file.read(2))
        if first != 0xFF:
            return
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack(">H", file.read(2))
        yield marker, at + 4
        at += 2 + length


def frame_of(file: BinaryIO) -> tuple[int, int, int, int] | None:
    """Width, height, orientation and bits; `None` for what has no frame.

    Raises:
        struct.error: the file ends before its frame.
    """
    orientation = 1
    for marker, at in segments(file):
        file.seek(at)
        if marker == 0xE1 and file.read(6) == b"Exif\0\0":
            orientation = orientation_at(file, at + 6)
        elif marker in _FRAMES:
            bits, height, width = struct.unpack(">BHH", file.read(5))
            return width, height, orientation, bits
    return None


def read_jpeg(data: bytes, name: str) -> Raw:
    """Decode; of several images (MPO) the first, of which the others are views.

    Raises:
        UnreadableImageError: libjpeg-turbo finds damage, scans are missing or too many, or it is not gray or RGB of 8
            bit.
    """
    try:
        frame = frame_of(io.BytesIO(data))
    except struct.error:
        frame = None
    if frame is None:
        raise damaged(name, "its header is broken")
    width, height, orientation, bits = frame
    if bits != 8 or width * height > MOST_PIXELS:
        raise refused(name, f"a JPEG of {bits} bit and {width}×{height} px", f"8 bit, {MOST_PIXELS} px", _ADVICE)
    if (scans := _scans(data)) > _MOST_SCANS:
        raise refused(name, f"a JPEG of {scans} scans", f"{_MOST_SCANS} scans", "save it anew")
    if not _complete(data):
        raise damaged(name, "scans are missing")
    return Raw(_decode(data, name), orientation=orientation)


def _decode(data: bytes, name: str) -> Pixels:
    try:
        space = simplejpeg.decode_jpeg_header(data)[2]
        if space in ("CMYK", "YCCK"):
            raise refused(name, f"colours are {space}", "gray or RGB", _ADVICE)
        pixels: Pixels = simplejpeg.decode_jpeg(data, "GRAY" if space == "Gray" else "RGB", strict=True)
    except ValueError as error:
        raise damaged(name, str(error).rpartition("(): ")[2].rstrip(".")) from error
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _scans(data: bytes) -> int:
    """How many scans the image has, or may have at most: what follows its end may look like more."""
    most = data.count(bytes((0xFF, _SCAN)))
    return most if most <= _MOST_SCANS else sum(marker == _SCAN for marker, _ in _stream(data))


def _stream(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment, up to the end of the image."""
    at = 2
    while (match := _MARKER.search(data, at)) is not None and match[0] != b"\xff\xd9":
        start = match.end() + 2
        at = match.end() + int.from_bytes(data[match.end() : start], "big")
        yield match[0][1], data[start:at]


def _complete(data: bytes) -> bool:
    """Whether the scans give every coefficient of every component its last bit (B.2.3, G.1.1.1).

    A file that lost whole scans decodes without a warning: blurred, or gray.
    """
    left: dict[int, int] = {}
    for marker, segment in _stream(data):
        if marker in _FRAMES:
            left = {segment[6 + 3 * n]: _ALL for n in range((len(segment) - 6) // 3)}
        elif marker == _SCAN and segment and len(segment) == 4 + 2 * segment[0]:
            done = _finished(*segment[-3:])
            for component in segment[1:-3:2]:
                left[component] = left.get(component, 0) & ~done
            if not any(left.values()):
                return bool(left)
    return False


def _finished(first: int, last: int, bits: int) -> int:
    """The coefficients that a scan brings to their last bit, as bits of a number."""
    return 0 if bits & 15 else _ALL & ((2 << last) - (1 << first))
