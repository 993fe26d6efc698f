"""The label of an image in as much memory as it has marked surface: most of a part, and most parts, are good."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onspec.imaging.masks import Mask

_SIDE = 256
"""Side of a block in px; blocks without a marked pixel are not kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """A mask, uint8 (K, H, W) of 0/1, of which only the blocks with marked pixels are kept, by place in blocks."""

    shape: tuple[int, int, int]
    blocks: Mapping[tuple[int, int], Mask]

    @classmethod
    def of(cls, mask: Mask) -> "Marks":
        """What is marked in a mask; its memory is not shared."""
        planes, height, width = mask.shape
        places = [(y, x) for y in range(-(-height // _SIDE)) for x in range(-(-width // _SIDE))]
        pieces = {(y, x): mask[:, y * _SIDE : (y + 1) * _SIDE, x * _SIDE : (x + 1) * _SIDE] for y, x in places}
        return cls((planes, height, width), {at: piece.copy() for at, piece in pieces.items() if piece.any()})

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(block.nbytes for block in self.blocks.values())

    def window(self, rows: slice, columns: slice) -> Mask:
        """These rows and columns of the mask, which lie in it: an array of its own."""
        found = np.zeros((self.shape[0], rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        for y in range(rows.start // _SIDE, -(-rows.stop // _SIDE)):
            for x in range(columns.start // _SIDE, -(-columns.stop // _SIDE)):
                block = self.blocks.get((y, x))
                if block is not None:
                    (to_y, of_y), (to_x, of_x) = _common(rows, y, block.shape[1]), _common(columns, x, block.shape[2])
                    found[:, to_y, to_x] = block[:, of_y, of_x]
        return found

    def whole(self) -> Mask:
        """The mask."""
        return self.window(slice(0, self.shape[1]), slice(0, self.shape[2]))


def _common(wanted: slice, at: int, length: int) -> tuple[slice, slice]:
    """What a window and a block have in common along one side: where it lies in the window, and where in the block."""
    start, end = max(wanted.start, at * _SIDE), min(wanted.stop, at * _SIDE + length)
    return slice(start - wanted.start, end - wanted.start), slice(start - at * _SIDE, end - at * _SIDE)
