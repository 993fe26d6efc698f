"""JPEG: segments lost, doubled and changed, frames of other kinds, scans cut and missing."""

import random
import struct

from benchmarks.fuzz.mutators import Mutation, strange

Segments = list[tuple[int, bytes, bytes]]
"""Marker, content, and what follows up to the next marker: of a scan its compressed coefficients."""

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _RESTART_INTERVAL = 0xDA, 0xD9, 0xDD


def segments_of(data: bytes) -> Segments:
    """Of a whole file, from after its first marker to before its last."""
    found, at = [], 2
    while data[at + 1] != _END:
        length = struct.unpack_from(">H", data, at + 2)[0]
        end = at + 2 + length
        tail = end
        while not (data[tail] == 0xFF and data[tail + 1] != 0 and not 0xD0 <= data[tail + 1] <= 0xD7):
            tail += 1
        found.append((data[at + 1], data[at + 4 : end], data[end:tail]))
        at = tail
    return found


def file_of(segments: Segments) -> bytes:
    """A file with right lengths, those too long for their field cut."""
    body = b"".join(
        struct.pack(">BBH", 0xFF, marker, min(65535, 2 + len(content))) + content[:65533] + tail
        for marker, content, tail in segments
    )
    return b"\xff\xd8" + body + b"\xff\xd9"


def segment_lost(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """One left out."""
    segments = segments_of(data)
    del segments[chance.randrange(len(segments))]
    return file_of(segments)


def segment_twice(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """One again, somewhere."""
    segments = segments_of(data)
    segments.insert(chance.randint(0, len(segments)), chance.choice(segments))
    return file_of(segments)


def segments_shuffled(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """In another order."""
    segments = segments_of(data)
    chance.shuffle(segments)
    return file_of(segments)


def frame(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Depth, height, width, or anything of a component changed."""
    segments = segments_of(data)
    at = next(n for n, segment in enumerate(segments) if segment[0] in _FRAMES)
    marker, content, tail = segments[at]
    depth, height, width, count = struct.unpack_from(">BHHB", content)
    field = chance.randrange(5)
    if field == 0:
        depth = strange(depth, 8, chance)
    elif field == 1:
        height = strange(height, 16, chance)
    elif field == 2:
        width = strange(width, 16, chance)
    elif field == 3:
        count = strange(count, 8, chance)
    rest = bytearray(content[6:])
    if field == 4:
        rest[chance.randrange(len(rest))] = chance.randrange(256)
    segments[at] = (marker, struct.pack(">BHHB", depth, height, width, count) + rest, tail)
    return file_of(segments)


def frame_of_another_kind(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Said to be progressive, lossless, hierarchical or arithmetically coded."""
    kind = chance.choice(sorted(_FRAMES))
    return file_of(
        [(kind if marker in _FRAMES else marker, content, tail) for marker, content, tail in segments_of(data)]
    )


def tables(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Bytes of a table, of the scan's header or of any other segment changed."""
    segments = segments_of(data)
    at = chance.randrange(len(segments))
    marker, content, tail = segments[at]
    changed = bytearray(content)
    for _n in range(chance.randint(1, 3)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    segments[at] = (marker, bytes(changed), tail)
    return file_of(segments)


def scan_damaged(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Bytes of the coefficients changed, none of them into a marker."""
    segments = segments_of(data)
    at = chance.choice([n for n, segment in enumerate(segments) if segment[2]])
    changed = bytearray(segments[at][2])
    for _n in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(255)
    segments[at] = (*segments[at][:2], bytes(changed))
    return file_of(segments)


def scan_cut(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A scan ends early, and the next marker follows."""
    segments = segments_of(data)
    at = chance.choice([n for n, segment in enumerate(segments) if segment[2]])
    segments[at] = (*segments[at][:2], segments[at][2][: chance.randrange(len(segments[at][2]))])
    return file_of(segments)


def scan_lost(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """A scan left out."""
    segments = segments_of(data)
    del segments[chance.choice([n for n, segment in enumerate(segments) if segment[0] == _SCAN])]
    return file_of(segments)


def scans_again(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """The last scan some hundred times."""
    segments = segments_of(data)
    return file_of([*segments, *segments[-1:] * chance.randint(100, 1000)])


def restarts(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """An interval of restart markers that do not come, or markers that nobody announced."""
    segments = segments_of(data)
    if chance.random() < 0.5:
        return file_of([(_RESTART_INTERVAL, struct.pack(">H", chance.randint(1, 9)), b""), *segments])
    marker, content, tail = segments[-1]
    at = chance.randrange(len(tail))
    return file_of(
        [*segments[:-1], (marker, content, tail[:at] + bytes((0xFF, 0xD0 + chance.randrange(8))) + tail[at:])]
    )


def foreign_segment(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """Another: Adobe's with strange colours, EXIF without sense, a comment, a line count, an unknown one."""
    some = (
        (0xEE, b"Adobe\0d\0\0\0\0" + bytes([chance.randrange(256)])),
        (0xE1, b"Exif\0\0" + chance.choice((b"II*\0\x08\0\0\0", b"MM\0*\xff\xff\xff\xff")) + chance.randbytes(24)),
        (0xFE, chance.randbytes(60000)), (0xDC, chance.randbytes(2)), (chance.randrange(1, 255), chance.randbytes(9)),
    )  # fmt: skip
    segments = segments_of(data)
    segments.insert(chance.randint(0, len(segments)), (*chance.choice(some), b""))
    return file_of(segments)


def bomb(data: bytes, _: bytes, chance: random.Random) -> bytes:
    """So many pixels that they take gigabytes; the scans of few."""
    segments = segments_of(data)
    at = next(n for n, segment in enumerate(segments) if segment[0] in _FRAMES)
    marker, content, tail = segments[at]
    size = struct.pack(">HH", *chance.choice(((65535, 65535), (16000, 65000), (20000, 20000), (65535, 64))))
    segments[at] = (marker, content[:1] + size + content[5:], tail)
    return file_of([*segments, *segments[-1:] * chance.choice((0, 200))])


MUTATIONS: tuple[Mutation, ...] = (
    Mutation(segment_lost), Mutation(segment_twice), Mutation(segments_shuffled), Mutation(frame),
    Mutation(frame_of_another_kind), Mutation(tables), Mutation(scan_damaged), Mutation(scan_cut, told=True),
    Mutation(scan_lost, told=True), Mutation(scans_again), Mutation(restarts), Mutation(foreign_segment),
    Mutation(bomb),
)  # fmt: skip
