"""TIFF and BigTIFF: tags with wrong types, counts and values, circles, pieces in wrong places, bombs."""

import random
import struct
from collections.abc import Iterator
from functools import cache

from benchmarks.fuzz.mutators import EXTREMES, Mutation, compressed_zeros, strange

_KNOWN = (
    254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339, 347, 530,
)  # fmt: skip
_COMPRESSIONS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34712, 34925, 50000, 50001, 65535)
_SIZES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8}
_OFFSETS, _LENGTHS = (273, 324), (279, 325)


def _form(data: bytes) -> tuple[str, str, int, int]:
    """struct's form of an entry, that of an offset, bytes of a directory's count and of an entry; little-endian."""
    return ("<HHQQ", "<Q", 8, 20) if data[2] == 43 else ("<HHII", "<I", 2, 12)


def _directories(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the first entry of each stands, and how many there are."""
    _, offset, counts, size = _form(data)
    (at,) = struct.unpack_from(offset, data, 8 if data[2] == 43 else 4)
    while at:
        count = struct.unpack_from("<Q" if counts == 8 else "<H", data, at)[0]
        yield at + counts, count
        (at,) = struct.unpack_from(offset, data, at + counts + count * size)


def _entries(data: bytes) -> list[int]:
    """Where each entry stands."""
    size = _form(data)[3]
    return [first + n * size for first, count in _directories(data) for n in range(count)]


def entry(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Tag, type, count or value of an entry changed."""
    form, changed = _form(data)[0], bytearray(data)
    at = chance.choice(_entries(data))
    fields = list(struct.unpack_from(form, data, at))
    which = chance.randrange(4)
    if which == 0:
        fields[0] = chance.choice(_KNOWN)
    elif which == 1:
        fields[1] = chance.randrange(20)
    else:
        fields[which] = strange(fields[which], 64 if form == "<HHQQ" else 32, chance)
    struct.pack_into(form, changed, at, *fields)
    return bytes(changed)


def compression(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Said to be compressed otherwise."""
    return _with(data, (259,), chance.choice(_COMPRESSIONS))


def kind(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Another depth, colour, predictor, order of planes or bits, or form of values."""
    tag = chance.choice((258, 262, 266, 277, 284, 317, 338, 339))
    return _with(data, (tag,), chance.choice((*range(9), 12, 16, 32, 64, 255)))


def sides(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Another size of the image, its strips or tiles."""
    tag = chance.choice((256, 257, 278, 322, 323))
    return _with(data, (tag,), strange(64, 32, chance))


def places(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A strip or tile elsewhere, longer or shorter."""
    return _with(data, chance.choice((_OFFSETS, _LENGTHS)), chance.choice((*EXTREMES, len(data), len(data) - 1)))


def _with(data: bytes, tags: tuple[int, ...], value: int) -> bytes:
    """The first number of the first of these tags that there is, wherever it stands."""
    form, changed = _form(data)[0], bytearray(data)
    for at in _entries(data):
        tag, kind_, count, place = struct.unpack_from(form, data, at)
        if tag in tags and kind_ in _SIZES:
            room = 8 if form == "<HHQQ" else 4
            inside = _SIZES[kind_] * count <= room
            spot = at + struct.calcsize(form) - room if inside else place
            struct.pack_into(f"<{'BHIQ'[(1, 2, 4, 8).index(_SIZES[kind_])]}", changed, spot,
                             value & ((1 << 8 * _SIZES[kind_]) - 1))  # fmt: skip
            break
    return bytes(changed)


def entry_lost(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A tag that nobody knows takes the place of one."""
    changed = bytearray(data)
    struct.pack_into("<H", changed, chance.choice(_entries(data)), 65000)
    return bytes(changed)


def entry_twice(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """One takes the place of another."""
    size, changed = _form(data)[3], bytearray(data)
    source, target = (chance.choice(_entries(data)) for _n in range(2))
    changed[target : target + size] = data[source : source + size]
    return bytes(changed)


def circle(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """The last directory is followed by an earlier one."""
    offset, counts, size = _form(data)[1:]
    found = list(_directories(data))
    first, count = found[-1]
    changed = bytearray(data)
    struct.pack_into(offset, changed, first + count * size, chance.choice(found)[0] - counts)
    return bytes(changed)


def next_page(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """The last directory is followed by what is none."""
    offset, _counts, size = _form(data)[1:]
    first, count = list(_directories(data))[-1]
    changed = bytearray(data)
    struct.pack_into(offset, changed, first + count * size, chance.choice((1, 8, len(data) - 1, len(data), 1 << 31)))
    return bytes(changed)


def strip_damaged(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Bytes of the pixels changed, the directory right."""
    form, changed = _form(data)[0], bytearray(data)
    found: dict[int, int] = {}
    for at in _entries(data):
        tag, kind_, count, place = struct.unpack_from(form, data, at)
        if tag in (*_OFFSETS, *_LENGTHS) and tag not in found:
            found[tag] = place if count == 1 else struct.unpack_from("<H" if kind_ == 3 else "<I", data, place)[0]
    start = found.get(273, found.get(324, 8))
    length = found.get(279, found.get(325, 1))
    for _n in range(chance.randint(1, 4)):
        changed[start + chance.randrange(length)] ^= chance.randint(1, 255)
    return bytes(changed)


def bomb(_: bytes, __: bytes, chance: random.Random) -> bytes:
    """Some hundred KB, or a few bytes, that are said to be 100 to 900 MB."""
    return _bomb(*chance.choice(((10_000, 8), (20_000, 8), (20_000, 32773), (30_000, 5), (30_000, 1))))


@cache
def _bomb(side: int, packed: int) -> bytes:
    packings = {1: b"\0", 5: b"\x80\0\0\0", 8: compressed_zeros(side * side), 32773: b"\x81\0" * (side * side // 128)}
    body = packings[packed]
    body += b"\0" * (len(body) % 2)
    tags = (
        (256, side),
        (257, side),
        (258, 8),
        (259, packed),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, side),
        (279, len(body)),
    )
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(body)) + body + struct.pack("<H", len(tags)) + directory + bytes(4)


def many(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Hundred thousands of pages, or thousands of tags that each hold the whole file."""
    if chance.random() < 0.5:
        return struct.pack("<2sHI", b"II", 42, 8) + b"".join(_PAGES) + bytes(6)
    tag = struct.pack("<HHII", chance.choice(_KNOWN), 1, 48_000, 8) * 4000
    return struct.pack("<2sHIH", b"II", 42, 8, 4000) + tag + bytes(4) + data


_PAGES = [struct.pack("<HI", 0, 8 + 6 * (n + 1)) for n in range(200_000)]


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(entry), Mutation(compression), Mutation(kind), Mutation(sides), Mutation(places), Mutation(entry_lost),
    Mutation(entry_twice), Mutation(circle, told=True), Mutation(next_page), Mutation(strip_damaged), Mutation(bomb),
    Mutation(many),
)  # fmt: skip

CHECKED: tuple[Mutation, ...] = tuple(
    Mutation(mutation.change, told=mutation.told or mutation.change is strip_damaged) for mutation in MUTATIONS
)
"""Of deflate, which has a checksum over the pixels of each strip."""
