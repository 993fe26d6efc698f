"""PNG that is unpacked without libpng: to the last bit what libpng makes of it, and refused where libpng refuses."""

import itertools
import random
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import UnreadableImageError
from onspec.imaging import png, png_rows, raw
from onspec.imaging.reading import decode_image

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = (
    *(b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"tIME", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"sPLT"),
    *(b"tRNS", b"bKGD", b"acTL", b"fcTL", b"fdAT", b"PLTE", b"hIST", b"cICP", b"mDCV", b"abCd", b"ABCD"),
    *(b"IHDR", b"IDAT", b"IEND"),
)
"""Chunks of the specification, two that it does not know, and some that must not come twice."""

BEYOND = re.compile("its pixels (lie apart|are not what was compressed|name more than)")

Pixels = NDArray[Any]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, bits: int, colour: int, interlaced: int = 0) -> bytes:
    return struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)


def rows_of(width: int, height: int, bits: int, colour: int, filters: Iterator[int], rng: random.Random) -> bytes:
    row = (width * CHANNELS[colour] * bits + 7) // 8
    return b"".join(bytes([next(filters)]) + rng.randbytes(row) for _ in range(height))


def file_of(head: bytes, stream: bytes, before: bytes = b"", after: bytes = b"", cuts: tuple[int, ...] = ()) -> bytes:
    ends = sorted(cut % (len(stream) + 1) for cut in cuts)
    pieces = [chunk(b"IDAT", stream[a:b]) for a, b in itertools.pairwise([0, *ends, len(stream)])]
    return b"".join([png.MAGIC, chunk(b"IHDR", head), before, *pieces, after, chunk(b"IEND")])


def read(data: bytes) -> Pixels | str:
    try:
        return decode_image(data, "part.png")
    except UnreadableImageError as error:
        return str(error)


def by_libpng(data: bytes) -> Pixels | str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "decode", lambda whole, _, name: raw.by_opencv(whole, name))
        return read(data)


def assert_alike(data: bytes) -> None:
    """Taken with the pixels that libpng gives, or refused: also for what libpng passes over (`imaging.png_checks`)."""
    ours, told = read(data), by_libpng(data)
    if isinstance(ours, str):
        assert isinstance(told, str) or BEYOND.search(ours)
        return
    assert not isinstance(told, str), told
    assert (ours.dtype, ours.shape) == (told.dtype, told.shape)
    assert (ours == told).all()
    assert ours.flags.c_contiguous
    assert ours.flags.writeable


@pytest.mark.parametrize("colour", CHANNELS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("most", [0, 1, 2, 4])
@pytest.mark.parametrize("width", [1, 7, 40])
def test_every_filter_of_every_kind(colour: int, bits: int, most: int, width: int) -> None:
    rng = random.Random(f"{colour} {bits} {most} {width}")
    only, mixed = itertools.repeat(most), iter(lambda: rng.randint(0, most), -1)
    palette = chunk(b"PLTE", rng.randbytes(3 << min(bits, 8))) if colour == 3 else b""
    for filters in (only, mixed):
        rows = rows_of(width, 19, bits, colour, filters, rng)
        assert_alike(file_of(header(width, 19, bits, colour), zlib.compress(rows), before=palette))


@pytest.mark.parametrize(("colour", "most", "libpng"), [(0, 2, 0), (2, 2, 0), (0, 3, 1), (2, 4, 1), (6, 2, 1)])
def test_libpng_gets_only_what_takes_it(colour: int, most: int, libpng: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And then the rows as they are: nothing is left for it to unpack."""
    given_: list[bytes] = []

    def seen(data: bytes, name: str) -> Pixels:
        given_.append(data)
        return raw.by_opencv(data, name)

    monkeypatch.setattr(png_rows, "by_opencv", seen)
    rows = rows_of(300, 300, 8, colour, itertools.cycle(range(most + 1)), random.Random(0))
    decode_image(file_of(header(300, 300, 8, colour), zlib.compress(rows)), "part.png")
    assert len(given_) == libpng
    assert all(rows[:60_000] in data for data in given_)


def test_rows_longer_than_what_is_worked_on_at_a_time() -> None:
    for colour, bits in ((0, 8), (2, 16)):
        rows = rows_of(70_000, 3, bits, colour, itertools.cycle([1, 2, 0]), random.Random(1))
        assert_alike(file_of(header(70_000, 3, bits, colour), zlib.compress(rows)))


@settings(max_examples=300)
@given(
    st.sampled_from([(0, 8), (0, 8), (0, 16), (2, 8), (2, 16), (3, 8), (4, 8), (6, 8), (0, 1)]),
    st.sampled_from([1, 2, 8, 31]),
    st.sampled_from([1, 2, 9]),
    st.integers(0, 4),
    st.integers(0, 2**32),
    st.lists(st.integers(0, 5000), max_size=3),
    st.sampled_from(["whole", "bit", "bit", "short", "longer", "rows", "more rows", "interlaced", "header", "torn"]),
    st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=40)), max_size=2),
    st.booleans(),
)
def test_what_is_out_of_the_ordinary_is_taken_or_refused_as_by_libpng(
    form: tuple[int, int],
    width: int,
    height: int,
    most: int,
    seed: int,
    cuts: list[int],
    fault: str,
    extra: list[tuple[bytes, bytes]],
    behind: bool,
) -> None:
    """Chunks that are whole, for else no decoder is asked; but what they hold need not be right."""
    rng, (colour, bits) = random.Random(seed), form
    rows = rows_of(width, height, bits, colour, iter(lambda: rng.randint(0, most), -1), rng)
    if fault in ("rows", "more rows"):
        rows = rows[: -rng.randint(1, len(rows))] if fault == "rows" else rows + b"abc"
    stream = bytearray(zlib.compress(rows, rng.choice([0, 1, 9])))
    if fault == "bit":
        stream[rng.randrange(len(stream))] ^= 1 << rng.randrange(8)
    elif fault == "short":
        del stream[rng.randrange(len(stream)) :]
    elif fault == "longer":
        stream += b"xyz"
    head = bytearray(header(width, height, bits, colour, fault == "interlaced"))
    if fault == "header":
        head[rng.randrange(13)] = rng.choice([0, 1, 2, 3, 255])
    others = b"".join(chunk(*e) for e in extra)
    before = (chunk(b"PLTE", bytes(range(256)) * 3) if colour == 3 else b"") + (b"" if behind else others)
    data = file_of(bytes(head), bytes(stream), before, others if behind else b"", tuple(cuts))
    if fault == "torn" and cuts:  # something stands among the pieces of the stream
        at = data.index(b"IDAT") - 4
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        data = data[:at] + chunk(b"tEXt", b"a\0b") + data[at:]
    assert_alike(data)


def test_a_stream_whose_checksum_is_wrong_is_refused() -> None:
    """Its pixels were changed before the chunks' checksums were made: only the stream's own tells."""
    rows = rows_of(64, 64, 8, 0, itertools.repeat(1), random.Random(2))
    stream = zlib.compress(rows)
    for wrong in (stream[:-1] + bytes([stream[-1] ^ 1]), stream[:-4]):
        with pytest.raises(UnreadableImageError, match=r"its pixels (cannot be decoded|are not what was compressed)"):
            decode_image(file_of(header(64, 64, 8, 0), wrong), "part.png")
