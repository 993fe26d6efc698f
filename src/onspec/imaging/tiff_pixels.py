"""The pixels of a TIFF page: stripes or tiles, each unpacked to exactly the bytes that it must hold, or refused.

OpenCV's reader passes over damage in compressed 8-bit files, and reads some kinds (alpha, separate planes, white as 0,
small tiles) wrong, so it is not asked here.
"""

import io
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import BinaryIO, cast

import numpy as np

from onspec.imaging import tiff
from onspec.imaging.raw import MOST_PIXELS, Pixels, Raw, damaged, refused
from onspec.imaging.tiff import Page
from onspec.imaging.tiff_codecs import CODECS, DamagedError, undo_differences, words_of

_WHITE_IS_0, _BLACK_IS_0, _RGB, _PALETTE = 0, 1, 2, 3
_COLOURS = {_WHITE_IS_0: 1, _BLACK_IS_0: 1, _RGB: 3, _PALETTE: 1}
"""Photometric interpretation → channels without alpha."""

_KINDS = {1: "whole numbers from 0", 2: "signed", 3: "floating point", 4: "of no kind"}
"""The tag FORMAT in words."""

_DEPTHS = (1, 8, 10, 12, 14, 16)
_LARGEST_TILE = 1 << 24
"""Pixels of a tile that is larger than its image: a broken header must not take all memory."""

_ADVICE = "save it as gray or RGB of 8 or 16 bit, compressed by LZW, deflate or not at all"


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a page stores its pixels; sides in px. `planes` is how many sets of chunks there are, `samples` how many
    values a pixel has in each."""

    width: int
    height: int
    bits: int
    samples: int
    planes: int
    chunk: tuple[int, int]
    tiled: bool


def read_tiff(data: bytes | mmap.mmap, name: str, page: int | None = None, rows: slice | None = None) -> Raw:
    """Decode one page: the only one, or the one that is named, from 0. With `rows`, only these, as they are stored.

    Raises:
        UnreadableImageError: damage, several pages of which none is named, or a kind that is not read.
    """
    try:
        file = cast(BinaryIO, data) if isinstance(data, mmap.mmap) else io.BytesIO(data)
        chosen = _choose(tiff.pages_of(file), page, name)
        layout = _layout(chosen, name)
        wanted = slice(0, layout.height) if rows is None else slice(rows.start, min(rows.stop, layout.height))
        planes = [_plane(data, chosen, layout, n, wanted) for n in range(layout.planes)]
        stored = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        pixels = _as_colours(stored, chosen, layout.bits)
    except struct.error:
        raise damaged(name, "it ends within a directory") from None
    except (ValueError, DamagedError) as error:
        raise damaged(name, str(error)) from None
    bits = layout.bits if layout.bits in (10, 12, 14) else None
    return Raw(pixels, bits, chosen.one(tiff.ORIENTATION, 1))


def _choose(pages: list[Page], page: int | None, name: str) -> Page:
    """A page that nobody looked at may show the defect, so that the first of several is not simply taken."""
    if not pages:
        raise ValueError("it has no page")
    if page is None and len(pages) > 1:
        got, advice = f"a TIFF of {len(pages)} pages", f"name one in camera.yaml (page: 0 … {len(pages) - 1})"
        raise refused(name, got, "one page, or one that is named", f"{advice} or save each as a file of its own")
    if page is not None and page >= len(pages):
        raise refused(name, f"no page {page}", f"page 0 … {len(pages) - 1}", "correct page in camera.yaml")
    return pages[page or 0]


def _layout(page: Page, name: str) -> _Layout:
    width, height = page.one(tiff.WIDTH), page.one(tiff.HEIGHT)
    if not 0 < width * height <= MOST_PIXELS:
        raise ValueError(f"its size is {width}×{height} px")
    samples, depths = page.one(tiff.SAMPLES, 1), set(page.tags.get(tiff.BITS, (1,)))
    fault = _kind_fault(page, samples, depths)
    if fault is not None:
        raise refused(name, *fault, _ADVICE)
    separate = page.one(tiff.PLANAR, 1) == 2
    tiled = tiff.TILE_OFFSETS in page.tags
    chunk = (page.one(tiff.TILE_HEIGHT), page.one(tiff.TILE_WIDTH))
    if not tiled:
        chunk = (min(height, page.one(tiff.ROWS_PER_STRIP, height)), width)
    if min(chunk) < 1 or chunk[0] * chunk[1] > max(_LARGEST_TILE, width * height):
        raise ValueError(f"its {'tiles' if tiled else 'strips'} are of {chunk[1]}×{chunk[0]} px")
    return _Layout(width, height, min(depths), *((1, samples) if separate else (samples, 1)), chunk, tiled)


def _kind_fault(page: Page, samples: int, depths: set[int]) -> tuple[str, str] | None:
    """What is got and what is allowed, of a kind of file that is not read."""
    bits, photometric = min(depths), page.one(tiff.PHOTOMETRIC, -1)
    extra = samples - _COLOURS.get(photometric, samples)
    alpha = page.tags.get(tiff.EXTRA, (1,))  # where nothing is said of one more channel, it is alpha
    predictor = page.one(tiff.PREDICTOR, 1)
    kinds = ", ".join(_KINDS.get(k, f"of kind {k}") for k in sorted(set(page.tags.get(tiff.FORMAT, (1,)))))
    checks = (
        (kinds == _KINDS[1], f"pixels are {kinds}", _KINDS[1]),
        (len(depths) == 1 and bits in _DEPTHS, f"pixels of {sorted(depths)} bit", f"{[*_DEPTHS]}"),
        (photometric in _COLOURS, f"colours of kind {photometric}", "0, 1 (gray), 2 (RGB), 3 (palette)"),
        (photometric != _PALETTE or bits == 8, f"a palette of {bits} bit", "8 bit"),
        (bits in (8, 16) or samples == 1, f"{samples} channels of {bits} bit", "one channel, or 8 or 16 bit"),
        (extra in (0, 1) and (not extra or alpha[0] in (1, 2)), f"{samples} channels", "gray or RGB, and alpha"),
        (page.one(tiff.COMPRESSION, 1) in CODECS, f"compression {page.one(tiff.COMPRESSION)}", f"{[*CODECS]}"),
        (predictor == 1 or (predictor == 2 and bits in (8, 16)), f"predictor {predictor}", "1, 2 (with 8 or 16 bit)"),
        (page.one(tiff.FILL_ORDER, 1) == 1, "bits in reversed order", "fill order 1"),
    )
    return next(((got, allowed) for ok, got, allowed in checks if not ok), None)


def _plane(data: bytes | mmap.mmap, page: Page, layout: _Layout, number: int, wanted: slice) -> Pixels:
    """uint8 or uint16 (rows, W, samples) of the wanted rows of one set of chunks."""
    shape = (wanted.stop - wanted.start, layout.width, layout.samples)
    result = np.empty(shape, np.uint16 if layout.bits > 8 else np.uint8)
    differences = page.one(tiff.PREDICTOR, 1) == 2
    for top, left, stored in _chunks(data, page, layout, number):
        rows, columns = layout.chunk[0], layout.chunk[1]
        if top + rows <= wanted.start or top >= wanted.stop:
            continue
        if not layout.tiled:
            rows = min(rows, layout.height - top)
        wide = columns * layout.samples
        row = (wide * layout.bits + 7) // 8
        first = top
        if shape[0] < layout.height and page.one(tiff.COMPRESSION, 1) == 1:  # only what is wanted of a large piece
            first = max(top, wanted.start)
            rows = min(top + rows, wanted.stop) - first
        packed = CODECS[page.one(tiff.COMPRESSION, 1)](stored[(first - top) * row :], rows, row)
        values = words_of(packed, rows, wide, layout.bits, page.order).reshape(rows, columns, layout.samples)
        if differences and layout.tiled:
            values = undo_differences(values)
        begin, end = max(first, wanted.start), min(first + rows, wanted.stop)
        target = result[begin - wanted.start : end - wanted.start, left : left + columns]
        target[...] = values[begin - first : end - first, : target.shape[1]]
    return undo_differences(result) if differences and not layout.tiled else result


def _chunks(data: bytes | mmap.mmap, page: Page, layout: _Layout, number: int) -> Iterator[tuple[int, int, memoryview]]:
    """Top, left and the bytes of every chunk of one plane."""
    offsets = page.tags.get(tiff.TILE_OFFSETS if layout.tiled else tiff.STRIP_OFFSETS, ())
    lengths = page.tags.get(tiff.TILE_BYTES if layout.tiled else tiff.STRIP_BYTES, ())
    tops, lefts = range(0, layout.height, layout.chunk[0]), range(0, layout.width, layout.chunk[1])
    count = len(tops) * len(lefts)
    if not len(offsets) == len(lengths) == count * layout.planes:
        raise ValueError(f"it has {len(offsets)} pieces, and {count * layout.planes} make the image")
    view = memoryview(data)
    for n, (top, left) in enumerate(product(tops, lefts), number * count):
        if offsets[n] + lengths[n] > len(data):
            raise ValueError("it ends before its last pixels")
        yield top, left, view[offsets[n] : offsets[n] + lengths[n]]


def _as_colours(stored: Pixels, page: Page, bits: int) -> Pixels:
    """Stored values → gray (H, W) or RGB (H, W, 3)."""
    photometric = page.one(tiff.PHOTOMETRIC)
    pixels = stored[..., :3] if photometric == _RGB else stored[..., 0]
    if photometric == _PALETTE:
        table = np.array(page.tags.get(tiff.COLOURS, ()), np.uint16)
        if table.size != 3 * 256:
            raise ValueError(f"its palette has {table.size} of {3 * 256} values")
        return (table >> 8).astype(np.uint8).reshape(3, 256).T[pixels]
    if photometric == _WHITE_IS_0:
        top = 255 if bits == 1 else (1 << bits) - 1
        pixels = (pixels.dtype.type(top) - pixels).astype(pixels.dtype)
    return np.ascontiguousarray(pixels)
