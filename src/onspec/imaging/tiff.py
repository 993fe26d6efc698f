"""What the directories of a TIFF say (TIFF 6.0, section 2, and BigTIFF), and EXIF, which is built alike."""

import os
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR = 273, 274, 277, 278, 279, 284
PREDICTOR, COLOURS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 317, 320, 322, 323, 324, 325
EXTRA, FORMAT = 338, 339

_KNOWN = {
    SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES,
    ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR, COLOURS, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA,
    FORMAT,
}  # fmt: skip
_KINDS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
"""Types of whole numbers → their form."""

_MOST_PAGES, _MOST_TAGS = 10_000, 4096
"""Of a file, and of a page. libtiff takes no more tags either."""

_COPY, _TRANSPARENCY = 1, 4
"""Bits of the tag SUBFILE: a smaller copy of another page, a mask for another page."""


@dataclass(frozen=True, slots=True)
class Page:
    """One directory. `order` is the byte order as `struct` writes it, `tags` the whole numbers of each known tag."""

    order: str
    tags: Mapping[int, tuple[int, ...]]

    def one(self, tag: int, default: int = 0) -> int:
        """The first number of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def is_image(self) -> bool:
        """Whether it is an image of its own, not a smaller copy or a mask of one."""
        return not self.one(SUBFILE) & (_COPY | _TRANSPARENCY)


def pages_of(file: BinaryIO) -> list[Page]:
    """The pages that are images of their own, in order.

    Raises:
        ValueError, struct.error: a directory that is cut or overlong, a tag that is there twice, a chain that runs in a
            circle or is overlong.
    """
    return [page for page in _directories(file, 0) if page.is_image]


def orientation_at(file: BinaryIO, start: int) -> int:
    """The orientation that EXIF at `start` tells; 1 (as it is) where none can be read."""
    try:
        return next(_directories(file, start)).one(ORIENTATION, 1)
    except (ValueError, struct.error, StopIteration):
        return 1


def _directories(file: BinaryIO, start: int) -> Iterator[Page]:
    file.seek(0, os.SEEK_END)
    end = file.tell()
    file.seek(start)
    order = "<" if file.read(2) == b"II" else ">"
    (magic,) = _read(file, f"{order}H", start + 2)
    if magic not in (42, 43):
        raise ValueError("no TIFF")
    big = magic == 43
    form, entry = (f"{order}Q", 20) if big else (f"{order}I", 12)
    (at,) = _read(file, form, start + (8 if big else 4))
    seen: set[int] = set()
    while at:
        if at in seen:
            raise ValueError("its pages run in a circle")
        seen.add(at)
        if len(seen) > _MOST_PAGES:
            raise ValueError(f"it has more than {_MOST_PAGES} pages")
        (count,) = _read(file, f"{order}Q" if big else f"{order}H", start + at)
        first = start + at + (8 if big else 2)
        if first + count * entry > end:
            raise ValueError("it ends within a directory")
        if count > _MOST_TAGS:
            raise ValueError(f"a directory has {count} entries")
        yield Page(order, _tags(file, order, start, [first + n * entry for n in range(count)], end, big=big))
        (at,) = _read(file, form, first + count * entry)


def _tags(
    file: BinaryIO, order: str, start: int, places: list[int], end: int, *, big: bool
) -> dict[int, tuple[int, ...]]:
    """The known tags of entries at these places. One that comes twice is damage: the two may say different things."""
    found: dict[int, tuple[int, ...]] = {}
    for at in places:
        tag, values = _tag(file, order, start, at, end, big=big)
        if values and tag in found:
            raise ValueError(f"tag {tag} is there twice")
        if values:
            found[tag] = values
    return found


def _tag(file: BinaryIO, order: str, start: int, at: int, end: int, *, big: bool) -> tuple[int, tuple[int, ...]]:
    """A tag and its numbers; none for one that is not known or holds no whole numbers."""
    tag, kind, count = _read(file, f"{order}HHQ" if big else f"{order}HHI", at)
    if tag not in _KNOWN or kind not in _KINDS:
        return tag, ()
    size = count * struct.calcsize(f"<{_KINDS[kind]}")
    place, room = (at + 12, 8) if big else (at + 8, 4)
    if size > room:
        place = start + _read(file, f"{order}Q" if big else f"{order}I", place)[0]
    if place + size > end:
        raise ValueError("it ends within a directory")
    return tag, _read(file, f"{order}{count}{_KINDS[kind]}", place)


def _read(file: BinaryIO, form: str, at: int) -> tuple[int, ...]:
    if at > sys.maxsize:  # BigTIFF can name offsets that no file has
        raise struct.error(f"offset {at} is beyond any file")
    file.seek(at)
    return struct.unpack(form, file.read(struct.calcsize(form)))
