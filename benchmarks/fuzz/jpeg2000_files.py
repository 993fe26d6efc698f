"""JPEG 2000: boxes and markers lost, doubled and changed, the codestream cut where its lengths tell it."""

import random
import struct

from benchmarks.fuzz.mutators import Mutation, strange

_STREAM, _TILE, _DATA = b"jp2c", 0x90, 0x93

Boxes = list[tuple[bytes, bytes]]


def boxes_of(data: bytes) -> Boxes:
    """Kind and content of each box of a whole file."""
    found, at = [], 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + length if length else len(data)
        found.append((kind, data[at + 8 : end]))
        at = end
    return found


def file_of(boxes: Boxes) -> bytes:
    """With right lengths."""
    return b"".join(struct.pack(">I4s", 8 + len(content), kind) + content for kind, content in boxes)


def box_lost(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """One left out, doubled, or moved."""
    boxes = boxes_of(data)
    box = boxes.pop(chance.randrange(len(boxes)))
    for _n in range(chance.choice((0, 1, 2))):
        boxes.insert(chance.randint(0, len(boxes)), box)
    return file_of(boxes)


def box_changed(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A byte of a box before the codestream, or a length."""
    changed = bytearray(data)
    end = data.index(_STREAM) + 4
    changed[chance.randrange(end)] = chance.choice((0, 1, 2, 3, 8, 16, 255, chance.randrange(256)))
    return bytes(changed)


def _header(stream: bytes) -> list[tuple[int, int]]:
    """Where the content of each marker of the main header begins and ends."""
    found, at = [], 2
    while stream[at + 1] != _TILE:
        length = struct.unpack_from(">H", stream, at + 2)[0]
        found.append((at + 2, at + 2 + length))
        at += 2 + length
    return found


def _with_stream(data: bytes, stream: bytes) -> bytes:
    return file_of([(kind, stream if kind == _STREAM else content) for kind, content in boxes_of(data)])


def _stream(data: bytes) -> bytes:
    return next(content for kind, content in boxes_of(data) if kind == _STREAM)


def header(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A byte or number of the main header: size, tiles, components, wavelet, quantisation."""
    stream = bytearray(_stream(data))
    start, end = chance.choice(_header(bytes(stream)))
    if chance.random() < 0.5:
        stream[chance.randrange(start, end)] = chance.randrange(256)
    else:
        at = chance.randrange(start, max(start + 1, end - 4))
        struct.pack_into(">I", stream, at, strange(struct.unpack_from(">I", stream, at)[0], 32, chance))
    return _with_stream(data, bytes(stream))


def tile(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A number of the tile's header: which it is, its length, its part."""
    stream = bytearray(_stream(data))
    at = stream.index(b"\xff\x90") + 4
    form, place = chance.choice(((">H", at), (">I", at + 2), (">B", at + 6), (">B", at + 7)))
    bits = 8 * struct.calcsize(form)
    struct.pack_into(form, stream, place, strange(struct.unpack_from(form, stream, place)[0], bits, chance))
    return _with_stream(data, bytes(stream))


def coefficients(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Bytes of the packets changed."""
    stream = bytearray(_stream(data))
    start = stream.index(b"\xff\x93") + 2
    for _n in range(chance.randint(1, 4)):
        stream[chance.randrange(start, len(stream) - 2)] = chance.randrange(256)
    return _with_stream(data, bytes(stream))


def stream_cut(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """The codestream ends early, its box right; with and without a marker at the end."""
    stream = _stream(data)
    start = stream.index(b"\xff\x93") + 2
    return _with_stream(data, stream[: chance.randrange(start, len(stream) - 3)] + chance.choice((b"", b"\xff\xd9")))


def bomb(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """So many pixels that they take gigabytes, in one tile or in very many."""
    stream = bytearray(_stream(data))
    side = chance.choice((20_000, 30_000, 100_000, 0xFFFFFFFF))
    tile_side = chance.choice((side, 64, 1))
    struct.pack_into(">IIIIIIII", stream, 8, side, side, 0, 0, tile_side, tile_side, 0, 0)
    return _with_stream(data, bytes(stream))


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(box_lost), Mutation(box_changed), Mutation(header), Mutation(tile), Mutation(coefficients),
    Mutation(stream_cut, told=True), Mutation(bomb),
)  # fmt: skip
