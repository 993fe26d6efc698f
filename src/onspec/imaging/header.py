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
from onspec.imaging import bmp, jpeg, jpeg2000, netpbm, png, tiff
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.reading import decode_image, read_bytes

_SIDEWAYS = {5, 6, 7, 8}
"""EXIF orientations that swap width and height."""

_START = 1 << 16
"""Bytes in which the codestream of a JPEG 2000 begins, if it holds no long metadata; otherwise it is decoded."""

Size = tuple[int, int]
"""Width and height in px."""


def read_size(path: Path, camera: Camera = AS_STORED) -> Size:
    """Width and height in px of the image that `read_image` gives: turned as its EXIF says.

    Damaged pixels are not noticed here, nor that a TIFF has several pages while none is named, if all are of one size.

    Raises:
        UnreadableImageError: absent, empty, or no image that can be decoded.
    """
    try:
        with path.open("rb") as file:
            size = size_in(file, camera)
    except (OSError, ValueError):  # a path that cannot be, which reading says in words
        size = None
    if size is not None:
        return size
    height, width = decode_image(read_bytes(path), str(path), camera).shape[:2]
    return width, height


def sizes_of(paths: Sequence[Path]) -> list[Size | None]:
    """`read_size` of many files; `None` for one that is absent or unreadable."""
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(_size_or_none, paths))


def size_in(file: BinaryIO, camera: Camera = AS_STORED) -> Size | None:
    """The size that the header of a file tells; `None` for no image and a broken one."""
    start = file.read(12)
    parse = next((parse for known, parse in _PARSERS.items() if start.startswith(known)), None)
    if parse is None and not start.startswith(tiff.MAGICS):
        return None
    try:
        file.seek(0)
        size = _tiff(file, camera.page) if parse is None else parse(file)
    except (struct.error, ValueError):  # it ends too early, or is no such file after all
        return None
    return size if size is not None and min(size) > 0 else None


def _size_or_none(path: Path) -> Size | None:
    try:
        return read_size(path)
    except UnreadableImageError:
        return None


def _unpack(file: BinaryIO, form: str, at: int) -> tuple[Any, ...]:
    file.seek(at)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _png(file: BinaryIO) -> Size | None:
    """IHDR holds the size, an eXIf chunk the orientation, which may stand before the pixels or behind them (PNG
    specification, 11.2.2, 11.3.4.5)."""
    at, size, orientation = 8, None, 1
    while True:
        length, kind = _unpack(file, ">I4s", at)
        if kind == b"IHDR":
            size = _unpack(file, ">II", at + 8)
        elif kind == b"eXIf":
            orientation = tiff.orientation_at(file, at + 8)
        elif kind == b"IEND":
            return None if size is None else _turned(size[0], size[1], orientation)
        at += 12 + length


def _jpeg(file: BinaryIO) -> Size | None:
    frame = jpeg.frame_of(file)
    return None if frame is None else _turned(*frame[:3])


def _bmp(file: BinaryIO) -> Size | None:
    width, height = bmp.size_of(file.read(26))
    return width, abs(height)


def _jpeg2000(file: BinaryIO) -> Size | None:
    return jpeg2000.size_of(file.read(_START))


def _tiff(file: BinaryIO, page: int | None) -> Size | None:
    """That of the page that is named, or of all if they are of one size."""
    pages = tiff.pages_of(file)
    sizes = [_turned(p.one(tiff.WIDTH), p.one(tiff.HEIGHT), p.one(tiff.ORIENTATION, 1)) for p in pages]
    if page is not None:
        return sizes[page] if page < len(sizes) else None
    return sizes[0] if len(set(sizes)) == 1 else None


def _pnm(file: BinaryIO) -> Size | None:
    """Magic number, width, height, between them white space and comments (netpbm)."""
    words: list[bytes] = []
    while len(words) < 3:
        line = file.readline(4096)
        if not line:
            return None
        words += line.split(b"#", 1)[0].split()
    return int(words[1]), int(words[2])


def _turned(width: int, height: int, orientation: int) -> Size:
    return (height, width) if orientation in _SIDEWAYS else (width, height)


_PARSERS = {
    png.MAGIC: _png,
    jpeg.MAGIC: _jpeg,
    bmp.MAGIC: _bmp,
    **dict.fromkeys(jpeg2000.MAGICS, _jpeg2000),
    **dict.fromkeys(netpbm.MAGICS, _pnm),
}
"""First bytes → what reads the size."""
