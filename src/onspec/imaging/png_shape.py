"""What the header of a PNG says."""

from typing import NamedTuple

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type → values a pixel (11.2.2)."""


class Chunk(NamedTuple):
    """A chunk's type, and where its content lies in the file."""

    kind: bytes
    start: int
    end: int


class Shape(NamedTuple):
    """What the header says (11.2.2)."""

    width: int
    height: int
    bits: int
    colour: int
    compression: int
    filters: int
    interlaced: int

    @property
    def pixel(self) -> int:
        """Bits of a pixel; 0 for a colour type that does not exist."""
        return self.bits * _CHANNELS.get(self.colour, 0)

    @property
    def size(self) -> int:
        """Bytes of all rows, each with its filter's number."""
        return self.height * (1 + (self.width * self.pixel + 7) // 8)
