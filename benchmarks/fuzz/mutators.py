"""Bytes of a file → bytes of a damaged file. Each takes the file, another of its format, and the chance."""

import random
from collections.abc import Callable

Mutator = Callable[[bytes, bytes, random.Random], bytes]


def flip_bit(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """One bit turned."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def overwrite(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Up to 64 bytes replaced with garbage."""
    at = chance.randrange(len(data))
    end = min(len(data), at + chance.randint(1, 64))
    return data[:at] + chance.randbytes(end - at) + data[end:]


def truncate(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """The end cut off."""
    return data[: chance.randrange(len(data))]


def extreme_number(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Two or four bytes of the first 128 made 0, 1 or huge: lengths, dimensions, tags, offsets."""
    number = chance.choice((b"\0\0\0\0", b"\0\0\0\1", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\xff\xff", b"\0\0"))
    at = chance.randrange(max(1, min(128, len(data) - len(number))))
    return data[:at] + number + data[at + len(number) :]


def splice(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """The start of one file and the end of another."""
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


def garbage_body(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A right header, then garbage."""
    kept = min(len(data) - 1, chance.randint(8, 128))
    return data[:kept] + chance.randbytes(len(data) - kept)


def repeat(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A stretch of bytes twice: a chunk, marker or member that comes again."""
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.randint(1, 256))
    return data[:end] + data[start:end] + data[end:]


def trail(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Bytes after the end."""
    return data + chance.randbytes(chance.randint(1, 64))


MUTATORS: tuple[Mutator, ...] = (
    flip_bit, overwrite, truncate, extreme_number, splice, garbage_body, repeat, trail,
)  # fmt: skip
