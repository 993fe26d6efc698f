"""The fine network on those parts of an image that a coarse one has it look at.

What it says there is what it says of the whole image: it is given windows with a halo that covers its reach, on the
grid of its stride, as an image that is larger than a tile is always run. Elsewhere the scores are 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onspec.imaging.preparation import Infer, InputSpec, Prepared, Tensor, run
from onspec.runtime.coarse import Blocks

_LEAST = 8
"""Blocks along the side of the smallest window, without halo. The others have twice, four times … as many, so that an
engine sees few sizes."""

_WHOLE = 0.9
"""From this share of the work of the whole image on, the image is run as a whole."""


@dataclass(frozen=True, slots=True)
class Window:
    """What the network is given at a time, and what of it is wanted; working px."""

    rows: slice
    columns: slice
    inner: tuple[slice, slice]

    @property
    def pixels(self) -> int:
        """What the network has to work through."""
        return int((self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start))


def run_where(looks_at: Blocks, prepared: Prepared, block: int, planes: int, infer: Infer) -> Tensor:
    """As `preparation.run`: the network's output (P, *cells), with 0 where it did not look."""
    windows = plan_windows(looks_at, prepared.padded, block, prepared.spec)
    if windows is None:
        return run(prepared, infer)
    result = np.zeros((planes, *prepared.cells), np.float32)
    c = prepared.cell
    for window in windows:
        out = infer(np.ascontiguousarray(prepared.piece(window.rows, window.columns)[None]))[0]
        rows, columns = window.inner
        target = result[:, rows.start // c : rows.stop // c, columns.start // c : columns.stop // c]
        top, left = (rows.start - window.rows.start) // c, (columns.start - window.columns.start) // c
        target[...] = out[:, top : top + target.shape[1], left : left + target.shape[2]]
    return result


def work_left(looks_at: Blocks, size: tuple[int, int], block: int, spec: InputSpec) -> float:
    """Share of the fine network's work on a whole image that it does where it looks; arguments as of `plan_windows`."""
    windows = plan_windows(looks_at, size, block, spec)
    return 1.0 if windows is None else sum(w.pixels for w in windows) / _work_of_whole(size, spec)


def plan_windows(looks_at: Blocks, size: tuple[int, int], block: int, spec: InputSpec) -> list[Window] | None:
    """The windows that show all these blocks with the least work; `None` where the whole image is no more.

    They are the squares of a tree: each is taken as one window, or as its four quarters, whichever is less.

    Args:
        size: (height, width) of the network's input, multiples of the stride.
    """
    if not looks_at.any():
        return []
    side = _LEAST
    while side < max(looks_at.shape):
        side *= 2
    windows = _cheapest(looks_at, size, block, spec, (0, 0), side)
    if windows is None or sum(w.pixels for w in windows) >= _WHOLE * _work_of_whole(size, spec):
        return None
    return windows


def _cheapest(
    looks_at: Blocks, size: tuple[int, int], block: int, spec: InputSpec, at: tuple[int, int], side: int
) -> list[Window] | None:
    """The windows for the blocks of one square; `None` where no window that fits a tile can show them."""
    top, left = at
    if not looks_at[top : top + side, left : left + side].any():
        return []
    whole = _window(size, block, spec, at, side)
    if side == _LEAST:
        return None if whole is None else [whole]
    half = side // 2
    parts: list[Window] = []
    for y, x in ((top, left), (top, left + half), (top + half, left), (top + half, left + half)):
        found = _cheapest(looks_at, size, block, spec, (y, x), half)
        if found is None:
            return None if whole is None else [whole]
        parts += found
    return parts if whole is None or sum(w.pixels for w in parts) < whole.pixels else [whole]


def _window(size: tuple[int, int], block: int, spec: InputSpec, at: tuple[int, int], side: int) -> Window | None:
    """The window of a square of blocks, moved into the image where it reaches beyond it; `None` if it fits no tile."""
    spans, inner = [], []
    for length, first in zip(size, at, strict=True):
        start, stop = first * block, min(length, (first + side) * block)
        taken = min(length, side * block + 2 * spec.halo)
        if taken > spec.tile:
            return None
        begin = min(max(0, start - spec.halo), length - taken)
        spans.append(slice(begin, begin + taken))
        inner.append(slice(start, stop))
    return Window(spans[0], spans[1], (inner[0], inner[1]))


def _work_of_whole(size: tuple[int, int], spec: InputSpec) -> int:
    """Pixels that the network works through for the whole image."""
    if max(size) <= spec.tile:
        return size[0] * size[1]
    down, across = (sum(_along(length, spec)) for length in size)
    return down * across


def _along(length: int, spec: InputSpec) -> Iterator[int]:
    """Lengths of the tiles along one side."""
    step = spec.tile - 2 * spec.halo
    for start in range(0, length, step):
        yield min(length, start + step + spec.halo) - max(0, start - spec.halo)
