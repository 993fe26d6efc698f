"""Chunks of a TIFF → the values in them. A chunk that does not unpack to exactly its bytes is damaged."""

import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np

from onspec.imaging.raw import Pixels, opencv_decode

Chunk = bytes | memoryview
Codec = Callable[[Chunk, int, int], bytes | memoryview]
"""(chunk, rows, bytes a row) → rows × bytes; raises DamagedError."""

_CLEAR, _END = 256, 257
"""Codes of LZW that begin a new table, and end the data."""


class DamagedError(Exception):
    """A chunk that cannot be what was written; the message says why."""


def _stored(chunk: Chunk, rows: int, row: int) -> bytes | memoryview:
    if len(chunk) < rows * row:
        raise DamagedError(f"a piece has {len(chunk)} of {rows * row} bytes")
    return chunk[: rows * row]


def _deflate(chunk: Chunk, rows: int, row: int) -> bytes:
    """Its checksum is looked at, too."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(chunk, rows * row + 1)
    except zlib.error as error:
        raise DamagedError("a piece is not what was compressed") from error
    return _exact(data, rows * row, whole=stream.eof)


def _packbits(chunk: Chunk, rows: int, row: int) -> bytes:
    """TIFF 6.0, section 9."""
    data, at, parts, size = bytes(chunk), 0, [], 0
    while at < len(data) and size < rows * row:
        code = data[at]
        part = data[at + 1 : at + 2 + code] if code < 128 else data[at + 1 : at + 2] * (257 - code)
        if code != 128:
            parts.append(part)
            size += len(part)
        at += 2 + code if code < 128 else 1 if code == 128 else 2
    return _exact(b"".join(parts), rows * row, whole=at <= len(data))


def _lzw(chunk: Chunk, rows: int, row: int) -> bytes | memoryview:
    """TIFF 6.0, section 13. libtiff is quick, and through OpenCV it minds damage where samples have 16 bits: so the
    bytes are shown to it as such. An odd number of bytes cannot be, and takes the slower way."""
    if rows * row % 2 or row > 1 << 20:
        return lzw_in_python(chunk, rows, row)
    wide, high = (row // 2, rows) if row % 2 == 0 else (row, rows // 2)
    values = opencv_decode(_as_16_bit(bytes(chunk), wide, high), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape != (high, wide):
        raise DamagedError("a piece is not what was compressed")
    return values.astype("<u2", copy=False).tobytes()


def _as_16_bit(chunk: bytes, wide: int, high: int) -> bytes:
    """A TIFF of one LZW strip, 16 bit gray, little-endian."""
    tags = ((256, wide), (257, high), (258, 16), (259, 5), (262, 1), (273, 8), (277, 1), (278, high), (279, len(chunk)))
    filler = b"\0" * (len(chunk) % 2)
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    at = 8 + len(chunk) + len(filler)
    return struct.pack("<2sHI", b"II", 42, at) + chunk + filler + struct.pack("<H", len(tags)) + directory + bytes(4)


def lzw_in_python(chunk: Chunk, rows: int, row: int) -> bytes:
    """As libtiff unpacks it, about 50 times slower."""
    start = [bytes((n,)) for n in range(256)] + [b"", b""]
    table, width, held, bits = list(start), 9, 0, 0
    last, parts, size = b"", [], 0
    for byte in bytes(chunk):
        held, bits = (held << 8 | byte) & 0xFFFFFF, bits + 8
        if bits < width:
            continue
        bits -= width
        code = held >> bits & (1 << width) - 1
        if code == _END or size >= rows * row:
            break
        if code == _CLEAR:
            table, width, last = list(start), 9, b""
            continue
        if code > len(table) or (code == len(table) and not last):
            raise DamagedError("a piece is not what was compressed")
        part = table[code] if code < len(table) else last + last[:1]
        if last:
            table.append(last + part[:1])
        width = min(12, (len(table) + 1).bit_length())
        last = part
        parts.append(part)
        size += len(part)
    return _exact(b"".join(parts), rows * row, whole=True)


def _exact(data: bytes, size: int, *, whole: bool) -> bytes:
    if len(data) != size or not whole:
        raise DamagedError(f"a piece unpacks to {'more' if len(data) > size else 'other'} than its {size} bytes")
    return data


CODECS: dict[int, Codec] = {1: _stored, 5: _lzw, 8: _deflate, 32946: _deflate, 32773: _packbits}
"""The tag COMPRESSION → what unpacks: none, LZW, deflate (by Adobe's and by the older number), PackBits."""


def words_of(packed: bytes | memoryview, rows: int, wide: int, bits: int, order: str) -> Pixels:
    """(rows, wide) of the values in rows that each fill whole bytes; 1 bit becomes 0 and 255."""
    if bits == 16:
        return np.frombuffer(packed, f"{order}u2").reshape(rows, wide).astype(np.uint16)
    octets = np.frombuffer(packed, np.uint8).reshape(rows, -1)
    if bits == 8:
        return octets
    if bits == 1:
        return np.unpackbits(octets, axis=1, count=wide) * np.uint8(255)
    padded = np.pad(octets, ((0, 0), (0, 2))).astype(np.uint32)
    at = np.arange(wide) * bits
    first = at >> 3
    window = padded[:, first] << 16 | padded[:, first + 1] << 8 | padded[:, first + 2]
    return np.asarray(window >> (24 - bits - (at & 7)).astype(np.uint32) & np.uint32((1 << bits) - 1), np.uint16)


def undo_differences(values: Pixels) -> Pixels:
    """(rows, columns, samples) of differences to the pixel on the left → the values (TIFF 6.0, section 14)."""
    return np.add.accumulate(values, axis=1, dtype=values.dtype)
