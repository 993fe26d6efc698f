"""PNG: chunks with right checksums on wrong content, and in wrong order."""

import random
import struct
import zlib
from functools import cache
from itertools import pairwise

from benchmarks.fuzz.mutators import BYTES, Mutation, compressed_zeros, strange

_MAGIC = b"\x89PNG\r\n\x1a\n"

Chunks = list[tuple[bytes, bytes]]


def chunks_of(data: bytes) -> Chunks:
    """Kind and content of every chunk of a whole file."""
    found, at = [], len(_MAGIC)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        found.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def file_of(chunks: Chunks) -> bytes:
    """A file with right lengths and checksums."""
    return _MAGIC + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def header(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """One field of IHDR changed: width, height, depth, colour type, compression, filter, interlacing."""
    chunks = chunks_of(data)
    fields = list(struct.unpack(">IIBBBBB", chunks[0][1]))
    at = chance.randrange(7)
    fields[at] = strange(fields[at], 32 if at < 2 else 8, chance)
    return file_of([(b"IHDR", struct.pack(">IIBBBBB", *fields)), *chunks[1:]])


def chunk_lost(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """One chunk left out."""
    chunks = chunks_of(data)
    del chunks[chance.randrange(len(chunks))]
    return file_of(chunks)


def chunk_twice(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """One chunk again, somewhere."""
    chunks = chunks_of(data)
    chunks.insert(chance.randint(0, len(chunks)), chance.choice(chunks))
    return file_of(chunks)


def chunks_shuffled(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """In another order, the pixels in several pieces."""
    chunks = pieces(chunks_of(data), chance)
    chance.shuffle(chunks)
    return file_of(chunks)


def pixels_cut(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """The compressed pixels end early, or a piece of them is missing."""
    chunks = pieces(chunks_of(data), chance)
    spots = [n for n, (kind, _) in enumerate(chunks) if kind == b"IDAT"]
    at = chance.choice(spots)
    chunks[at] = (b"IDAT", chunks[at][1][: chance.randrange(len(chunks[at][1]))])
    return file_of(chunks)


def pixels_damaged(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Bytes of the compressed pixels changed, the checksum of the chunk right: zlib has one of its own."""
    body = bytearray(pixels_of(chunks_of(data)))
    for _n in range(chance.randint(1, 4)):
        body[chance.randrange(len(body))] ^= chance.randint(1, 255)
    return with_pixels(data, bytes(body))


def rows_wrong(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Rightly compressed, but too few or too many bytes, or a filter that there is not."""
    raw = bytearray(zlib.decompress(pixels_of(chunks_of(data))))
    how = chance.randrange(3)
    if how == 0:
        raw = raw[: chance.randrange(len(raw))]
    elif how == 1:
        raw += chance.randbytes(chance.randint(1, 500))
    else:
        raw[0] = chance.randint(5, 255)
    return with_pixels(data, zlib.compress(bytes(raw)))


def palette(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A palette of another length; of a file that needs none, a palette."""
    chunks = [chunk for chunk in chunks_of(data) if chunk[0] != b"PLTE"]
    chunks.insert(chance.randint(1, 2), (b"PLTE", chance.randbytes(chance.choice((0, 1, 3, 6, 45, 768, 771, 3000)))))
    return file_of(chunks)


def few_colours(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """The palette of a file that has one cut, so that pixels name colours that are not there."""
    chunks = chunks_of(data)
    at = next((n for n, (kind, _) in enumerate(chunks) if kind == b"PLTE"), None)
    if at is None:
        return data
    colours = len(chunks[at][1]) // 3
    chunks[at] = (b"PLTE", chunks[at][1][: 3 * chance.randrange(colours)])
    return file_of(chunks)


def foreign_chunk(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Another chunk: known with strange content, or unknown."""
    kinds = (b"tRNS", b"gAMA", b"cHRM", b"sBIT", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt", b"iTXt", b"bKGD",
             b"ABCD", b"abCd", b"PLTE", b"CgBI", b"\0\0\0\0")  # fmt: skip
    content = chance.choice((b"", b"a\0\0" + zlib.compress(bytes(1 << 20)), chance.randbytes(chance.randint(1, 40))))
    chunks = chunks_of(data)
    chunks.insert(chance.randint(1, len(chunks)), (chance.choice(kinds), content))
    return file_of(chunks)


def bomb(_: bytes, __: bytes, chance: random.Random) -> bytes:
    """Some hundred KB that unpack to 100 to 800 MB."""
    return _bomb(*chance.choice(((10_000, 0, 8), (20_000, 0, 8), (8_000, 2, 16), (8_000, 6, 8))))


@cache
def _bomb(side: int, colour: int, depth: int) -> bytes:
    row = side * {0: 1, 2: 3, 6: 4}[colour] * depth // 8
    body = compressed_zeros(side * (1 + row))
    ihdr = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    return file_of([(b"IHDR", ihdr), (b"IDAT", body), (b"IEND", b"")])


def pieces(chunks: Chunks, chance: random.Random) -> Chunks:
    """The same with the pixels in up to four chunks."""
    body = pixels_of(chunks)
    cuts = sorted({0, len(body), *(chance.randrange(1, len(body)) for _ in range(3))})
    parts = [(b"IDAT", body[a:b]) for a, b in pairwise(cuts)]
    first = next(n for n, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    others = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    return [*others[:first], *parts, *others[first:]]


def pixels_of(chunks: Chunks) -> bytes:
    """All that is compressed."""
    return b"".join(content for kind, content in chunks if kind == b"IDAT")


def with_pixels(data: bytes, body: bytes) -> bytes:
    """The file with another compressed body."""
    chunks = chunks_of(data)
    first = next(n for n, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    others = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    return file_of([*others[:first], (b"IDAT", body), *others[first:]])


MUTATIONS: tuple[Mutation, ...] = (
    *(Mutation(mutation.change, told=True) for mutation in BYTES),
    Mutation(header), Mutation(chunk_lost, told=True), Mutation(chunk_twice, told=True),
    Mutation(chunks_shuffled, told=True), Mutation(pixels_cut, told=True), Mutation(pixels_damaged, told=True),
    Mutation(rows_wrong, told=True), Mutation(few_colours, told=True), Mutation(palette), Mutation(foreign_chunk),
    Mutation(bomb),
)  # fmt: skip
"""Every byte is under a checksum. A header or palette that was written wrong may still make a right file."""
