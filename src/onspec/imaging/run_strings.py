"""COCO's compressed run lengths: the counts of a mask as a short ASCII string, as pycocotools and its users write.

Each count (from the fourth on, its difference to the count two before it, which is small where a shape changes
little from column to column) is cut in groups of five bits, lowest first. A group is one character: the bits, plus 32
if another group follows, plus 48. The highest bit of the last group is the sign.
"""

from collections.abc import Sequence

_MOST_GROUPS = 12
"""60 bits: no image has more pixels."""


def decode_string(text: str) -> tuple[int, ...]:
    """The counts, 0 and 1 in turn, beginning with 0.

    Raises:
        ValueError: a character that is none of the code, a count that is cut off or negative; says where.
    """
    counts: list[int] = []
    value = groups = 0
    for at, character in enumerate(text):
        bits = ord(character) - 48
        if not 0 <= bits < 64 or groups >= _MOST_GROUPS:
            raise ValueError(f"character {at + 1} ({character!r}) is no compressed run length")
        value |= (bits & 31) << (5 * groups)
        groups += 1
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << (5 * groups)
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        if counts[-1] < 0:
            raise ValueError(f"character {at + 1}: a run of {counts[-1]} px")
        value = groups = 0
    if groups:
        raise ValueError(f"cut off after {len(text)} characters")
    return tuple(counts)


def encode_string(counts: Sequence[int]) -> str:
    """The string of run lengths."""
    characters: list[str] = []
    for at, count in enumerate(counts):
        value = count - counts[at - 2] if at > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            characters.append(chr(bits + 32 * more + 48))
    return "".join(characters)
