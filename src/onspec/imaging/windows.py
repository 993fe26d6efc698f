"""A window of an image file, without decoding more than needed where the format allows.

Files that hold their rows in the open, or in pieces that unpack alone, are read by rows: TIFF of the kinds that
`tiff_pixels` reads, binary PGM and PPM, uncompressed BMP. A PNG or JPEG has to be unpacked from its first pixel on, so
it is decoded as a whole. Either way the pixels are those of `read_image`.
"""

import mmap
import re
import struct
from collections.abc import Callable
from pathlib import Path

from onspec.imaging import bmp, tiff
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.developing import develop
from onspec.imaging.reading import Image, decode_image, read_bytes
from onspec.imaging.tiff_pixels import read_tiff

_PNM = re.compile(rb"(P[56]\s+)(\d+)(\s+)(\d+)(\s+)(\d+)\s")
"""A header without comments; with some, the file is decoded as a whole."""


def read_window(path: Path, rows: slice, columns: slice, camera: Camera = AS_STORED) -> Image:
    """These rows and columns, which lie in the image, of what `read_image` gives: an array of its own.

    Damage outside the rows is not always noticed.

    Raises:
        UnreadableImageError: as `read_image`.
    """
    name = str(path)
    image = _read_rows(path, rows, camera)
    if image is None:
        return decode_image(read_bytes(path), name, camera)[rows, columns].copy()
    return image[:, columns].copy()


def reads_rows(path: Path, camera: Camera = AS_STORED) -> bool:
    """Whether `read_window` spares decoding the whole file: tried on its first row."""
    return _read_rows(path, slice(0, 1), camera) is not None


def _read_rows(path: Path, rows: slice, camera: Camera) -> Image | None:
    """The rows, or `None` where the file has to be decoded as a whole, or cannot be opened: reading will say why."""
    if camera.bayer is not None or rows.start >= rows.stop:
        return None
    try:
        with path.open("rb") as file:  # the map is closed with its last view, which an error may hold
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    read = next((read for magic, read in _READERS.items() if data[: len(magic)] == magic), None)
    return None if read is None else read(data, str(path), rows, camera)


def _tiff(data: mmap.mmap, name: str, rows: slice, camera: Camera) -> Image | None:
    raw = read_tiff(data, name, camera.page, rows)
    return develop(raw, camera, name).copy() if raw.orientation == 1 else None


def _pnm(data: mmap.mmap, name: str, rows: slice, camera: Camera) -> Image | None:
    """Out of the header, with another height, and the rows a smaller file of the same kind is made."""
    header = _PNM.match(data[:256])
    if header is None:
        return None
    width, height, top = (int(header[n]) for n in (2, 4, 6))
    row = width * (3 if header[0].startswith(b"P6") else 1) * (1 if top < 256 else 2)
    if rows.stop > height or len(data) < header.end() + height * row:
        return None
    smaller = b"".join([*header.group(1, 2, 3), b"%d" % (rows.stop - rows.start), header[5], header[6], b"\n"])
    at = header.end()
    return decode_image(smaller + data[at + rows.start * row : at + rows.stop * row], name, camera)


def _bmp(data: mmap.mmap, name: str, rows: slice, camera: Camera) -> Image | None:
    """As `_pnm`; most files hold the lowest row first, which a positive height says."""
    head = data[:54]
    if len(head) < 54 or struct.unpack_from("<I", head, 14)[0] < 40 or struct.unpack_from("<I", head, 30)[0] != 0:
        return None
    width, height = bmp.size_of(head)
    (start,) = struct.unpack_from("<I", head, 10)
    row = (width * struct.unpack_from("<H", head, 28)[0] + 31) // 32 * 4
    if rows.stop > abs(height) or start < len(head) or len(data) < start + abs(height) * row:
        return None
    count = rows.stop - rows.start
    first = rows.start if height < 0 else height - rows.stop
    smaller = bytearray(data[:start])
    struct.pack_into("<i", smaller, 22, -count if height < 0 else count)
    struct.pack_into("<I", smaller, 34, 0)  # the size of all pixels, which may be left open
    return decode_image(bytes(smaller) + data[start + first * row : start + (first + count) * row], name, camera)


_READERS: dict[bytes, Callable[[mmap.mmap, str, slice, Camera], Image | None]] = {
    **dict.fromkeys(tiff.MAGICS, _tiff),
    **dict.fromkeys((b"P5", b"P6"), _pnm),
    bmp.MAGIC: _bmp,
}
"""First bytes of a file → what reads some of its rows."""
