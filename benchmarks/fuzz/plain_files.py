"""BMP and netpbm: headers that do not fit what follows."""

import random
import re
import struct

from benchmarks.fuzz.mutators import Mutation, strange

_BMP = (
    (2, "I"),
    (10, "I"),
    (14, "I"),
    (18, "i"),
    (22, "i"),
    (26, "H"),
    (28, "H"),
    (30, "I"),
    (34, "I"),
    (46, "I"),
    (50, "I"),
)
"""Where each number of a BMP's headers stands, and its form."""

_WORDS = re.compile(rb"(P\d)\s+(\d+)\s+(\d+)\s+(\d+)\s")


def bmp_field(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Size, start of the pixels, kind of header, sides, planes, depth, compression or colours changed."""
    changed = bytearray(data)
    at, form = chance.choice(_BMP)
    bits = 8 * struct.calcsize(form)
    value = strange(struct.unpack_from(f"<{form}", data, at)[0] & ((1 << bits) - 1), bits, chance)
    struct.pack_into(f"<{form.upper()}", changed, at, value)
    return bytes(changed)


def bmp_kind(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Another depth with another compression."""
    changed = bytearray(data)
    struct.pack_into("<HI", changed, 28, chance.choice((0, 1, 2, 4, 8, 16, 24, 32, 64)), chance.randrange(8))
    return bytes(changed)


def bmp_rows_lost(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """More rows than there are."""
    changed = bytearray(data)
    height = abs(struct.unpack_from("<i", data, 22)[0]) + chance.choice((1, 2, 100, 10_000_000))
    struct.pack_into("<i", changed, 22, chance.choice((-1, 1)) * height)
    return bytes(changed)


def bmp_few_colours(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A palette of fewer colours than the pixels name."""
    changed = bytearray(data)
    struct.pack_into("<I", changed, 46, chance.choice((1, 2, 3)))
    return bytes(changed)


def bmp_bomb(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Said to be of gigabytes, in runs of one colour."""
    changed = bytearray(data)
    struct.pack_into("<iiHHI", changed, 18, chance.choice((20_000, 65_535)), chance.choice((-20_000, 65_535)), 1, 8, 1)
    return bytes(changed) + b"\xff\0" * 50_000


BMP: tuple[Mutation, ...] = (
    Mutation(bmp_field), Mutation(bmp_kind), Mutation(bmp_rows_lost, told=True), Mutation(bmp_bomb, told=True),
)  # fmt: skip
BMP_PALETTE: tuple[Mutation, ...] = (*BMP, Mutation(bmp_few_colours, told=True))


def _words(data: bytes) -> tuple[list[bytes], bytes]:
    match = _WORDS.match(data)
    assert match is not None
    return list(match.groups()), data[match.end() :]


def pnm_header(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A word of the header: the kind, a side, the largest value; or comments between them."""
    words, body = _words(data)
    at = chance.randrange(5)
    if at == 0:
        words[0] = b"P%d" % chance.randrange(10)
    elif at < 4:
        odd = (b"-1", b"0", b"", b"1e9", b"0x40", b"+64", b"%d" % strange(int(words[at]), 32, chance), b"9" * 400)
        words[at] = chance.choice(odd)
    blanks = chance.choice((b" ", b"\n", b"\n#\n", b" # 5 5\n", b"\0", b"#" * 5000 + b"\n")) if at == 4 else b" "
    return blanks.join(words) + b"\n" + body


def pnm_more_pixels(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A header of more pixels than there are."""
    words, body = _words(data)
    at = chance.choice((1, 2))
    words[at] = b"%d" % (int(words[at]) + chance.choice((1, 7, 10_000_000)))
    return b" ".join(words) + b"\n" + body


def pnm_fewer_pixels(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A header of fewer pixels than there are."""
    words, body = _words(data)
    at = chance.choice((1, 2))
    words[at] = b"%d" % chance.randrange(1, int(words[at]))
    return b" ".join(words) + b"\n" + body


def pnm_words(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A number of a text file replaced with what is none, or too large."""
    words, body = _words(data)
    values = body.split()
    values[chance.randrange(len(values))] = chance.choice((b"-1", b"65536", b"x", b"1.5", b"9" * 50, b"\xff", b"1_0"))
    return b" ".join(words) + b"\n" + b" ".join(values)


PNM: tuple[Mutation, ...] = (
    Mutation(pnm_header), Mutation(pnm_more_pixels, told=True), Mutation(pnm_fewer_pixels, told=True),
)  # fmt: skip
PNM_TEXT: tuple[Mutation, ...] = (*PNM, Mutation(pnm_words, told=True))
