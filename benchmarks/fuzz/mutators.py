"""Bytes of a file → bytes of a damaged file. Each change takes the file, another of its format, and the chance."""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

Mutator = Callable[[bytes, bytes, random.Random], bytes]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A way to damage a file.

    Attributes:
        change: makes the damaged file.
        told: the format says so much of itself (checksums, lengths, counts) that the damage can be seen: the file must
            be refused, or read with the pixels of the original.
    """

    change: Mutator
    told: bool = False


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


BYTES: tuple[Mutation, ...] = (
    Mutation(flip_bit), Mutation(overwrite), Mutation(truncate, told=True), Mutation(extreme_number),
    Mutation(splice), Mutation(garbage_body), Mutation(repeat), Mutation(trail, told=True),
)  # fmt: skip
"""Of any format."""

EXTREMES = (0, 1, 2, 3, 7, 255, 256, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at which counts, sizes and offsets overflow."""


def strange(value: int, bits: int, chance: random.Random) -> int:
    """Another number for a field of so many bits: near to what it was, extreme, or any."""
    near = value + chance.choice((-2, -1, 1, 2, 8, value))
    return chance.choice((near, chance.choice(EXTREMES), chance.getrandbits(bits))) & ((1 << bits) - 1)


def compressed_zeros(count: int) -> bytes:
    """A zlib stream of so many zeros, made out of one block: some hundred MB take no time (RFC 1950, RFC 1951)."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, wbits=-15)
    end = last.compress(bytes(count % (1 << 20))) + last.flush()
    checksum = (count % 65521) << 16 | 1
    return b"\x78\xda" + block * (count >> 20) + end + checksum.to_bytes(4, "big")
