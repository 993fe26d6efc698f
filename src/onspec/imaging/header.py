"""Width and height of an image file from its header, as `read_image` would give them, without decoding it.

Labels in shares of the image need its size, and decoding thousands of images for that takes minutes. What is not
understood here is decoded, so that the answer is the same either way.
"""

import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from onspec.domain import UnreadableImageError
from onspec.imaging.reading import decode_image, read_bytes

_SIDEWAYS = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""

_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
"""Tags of TIFF 6.0; EXIF uses the same structure."""

Size = tuple[int, int]
"""Width and height in px."""


def read_size(path: Path) -> Size:
    """Width and height in px of the image that `read_image` gives: turned as its EXIF says.

    Damaged pixels are not noticed here.

    Raises:
        UnreadableImageError: absent, empty, or no image that can be decoded.
    """
    try:
        with path.open("rb") as file:
            size = size_in(file)
    except OSError:
        size = None
    if size is not None:
        return size
    height, width = decode_image(read_bytes(path), str(path)).shape[:2]
    return width, height


def sizes_of(paths: Sequence[Path]) -> list[Size | None]:
    """`read_size` of many files; `None` for one that is absent or unreadable."""
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(_size_or_none, paths))


def size_in(file: BinaryIO) -> Size | None:
    """The size that the header of a PNG, JPEG, BMP, TIFF or PNM tells; `None` for other files and broken ones."""
    start = file.read(8)
    parse = next((parse for known, parse in _PARSERS.items() if start.startswith(known)), None)
    if parse is None:
        return None
    try:
        file.seek(0)
        size = parse(file)
    except (struct.error, ValueError):  # it ends too early, or is no such file after all
        return None
    return size if size is not None and min(size) > 0 else None


def _size_or_none(path: Path) -> Size | None:
    try:
        return read_size(path)
    except UnreadableImageError:
        return None


def _unpack(file: BinaryIO, form: str, at: int | None = None) -> tuple[Any, ...]:
    if at is not None:
        file.seek(at)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _png(file: BinaryIO) -> Size | None:
    """IHDR holds the size, an eXIf chunk the orientation, which may stand before the pixels or behind them (PNG
    specification, 11.2.2, 11.3.4.5)."""
    at, size, turned = 8, None, False
    while True:
        length, kind = _unpack(file, ">I4s", at)
        if kind == b"IHDR":
            size = _unpack(file, ">II")
        elif kind == b"eXIf":
            turned = _tiff_tags(file, at + 8).get(_ORIENTATION) in _SIDEWAYS
        elif kind == b"IEND":
            return None if size is None else _turned(size[0], size[1], sideways=turned)
        at += 12 + length


def _jpeg(file: BinaryIO) -> Size | None:
    """Walk the segments (ITU-T T.81, B.1): APP1 holds EXIF, a frame header the size."""
    at, turned = 2, False
    while True:
        first, marker = _unpack(file, ">BB", at)
        if first != 0xFF:
            return None
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = _unpack(file, ">H")
        if marker == 0xE1 and file.read(6) == b"Exif\0\0":
            turned = _tiff_tags(file, at + 10).get(_ORIENTATION) in _SIDEWAYS
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _unpack(file, ">HH", at + 5)
            return _turned(width, height, sideways=turned)
        at += 2 + length


def _bmp(file: BinaryIO) -> Size | None:
    (header,) = _unpack(file, "<I", 14)
    width, height = _unpack(file, "<HH" if header == 12 else "<ii")
    return width, abs(height)


def _tiff(file: BinaryIO) -> Size | None:
    tags = _tiff_tags(file, 0)
    if _WIDTH not in tags or _HEIGHT not in tags:
        return None
    return _turned(tags[_WIDTH], tags[_HEIGHT], sideways=tags.get(_ORIENTATION) in _SIDEWAYS)


def _tiff_tags(file: BinaryIO, start: int) -> dict[int, int]:
    """The whole-number tags of the first directory (TIFF 6.0, section 2); none for a BigTIFF."""
    order = "<" if _unpack(file, "2s", start)[0] == b"II" else ">"
    magic, at = _unpack(file, f"{order}HI")
    if magic != 42:
        return {}
    (count,) = _unpack(file, f"{order}H", start + at)
    tags = {}
    for entry in range(count):
        tag, kind, _ = _unpack(file, f"{order}HHI", start + at + 2 + 12 * entry)
        if kind in (3, 4):
            (tags[tag],) = _unpack(file, order + ("H" if kind == 3 else "I"))
    return tags


def _pnm(file: BinaryIO) -> Size | None:
    """Magic number, width, height, between them white space and comments (netpbm)."""
    words: list[bytes] = []
    while len(words) < 3:
        line = file.readline(4096)
        if not line:
            return None
        words += line.split(b"#", 1)[0].split()
    return int(words[1]), int(words[2])


def _turned(width: int, height: int, *, sideways: bool) -> Size:
    return (height, width) if sideways else (width, height)


_PARSERS = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"BM": _bmp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"P2": _pnm,
    b"P3": _pnm,
    b"P5": _pnm,
    b"P6": _pnm,
}
"""First bytes → what reads the size."""
