"""What a network is validated on while it trains: of large images a window, of very many images some of each truth.

Validating must not take the time that training has. The operating point, at the end, is chosen on all of them, whole.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from onspec.training.pool import Labelled, Pixels

_WIDEST = 2048
"""Longest side in working px that is looked at in one piece."""

_LEAST = 12
"""Images of each truth that always stay."""

_WINDOWS = 1 << 24
"""In place of a step in the seed of a window, so that no training crop has the same one."""


def windows(pool: Sequence[Labelled], seed: int) -> list[Labelled]:
    """The pool with a window in place of each large image: around one of its defects, or anywhere on a good part.

    An image whose defect is not located stays whole, since no window of it is known to show any.
    """
    return [_window(item, np.random.default_rng([seed, _WINDOWS, i])) for i, item in enumerate(pool)]


def thinned(pool: Sequence[Labelled], every: int) -> list[Labelled]:
    """Every so-manyth good image and every so-manyth defective one, in order; of either at least `_LEAST`, if there are
    so many."""
    kept: set[int] = set()
    for truth in (False, True):
        places = [i for i, item in enumerate(pool) if item.sample.defective is truth]
        kept.update(places[:: max(1, min(every, len(places) // _LEAST))])
    return [item for i, item in enumerate(pool) if i in kept]


def _window(item: Labelled, rng: Generator) -> Labelled:
    shown = item.spots or not item.sample.defective
    if max(item.size) <= _WIDEST or not item.located or not shown:
        return item
    columns, rows = (_span(length, at, rng) for length, at in zip(item.size, _place(item, rng), strict=True))
    moved = item.boxes - np.array([columns.start, rows.start, 0, 0], np.float32)
    x, y, width, height = moved.T
    inside = (x >= 0) & (y >= 0) & (x + width <= columns.stop - columns.start) & (y + height <= rows.stop - rows.start)

    def read() -> Pixels:
        return item.part(rows, columns)

    size = (columns.stop - columns.start, rows.stop - rows.start)
    return replace(item, size=size, boxes=moved[inside], kinds=item.kinds[inside], read=read)


def _place(item: Labelled, rng: Generator) -> tuple[float, float]:
    if not item.spots:
        x, y = rng.uniform((0, 0), item.size)
        return float(x), float(y)
    places = item.spots[rng.integers(len(item.spots))].places
    x, y = places[rng.integers(len(places))]
    return float(x), float(y)


def _span(length: int, at: float, rng: Generator) -> slice:
    """Where along one side a window lies that shows `at`, anywhere in it."""
    side = min(length, _WIDEST)
    start = round(min(max(at - rng.uniform(0.1, 0.9) * side, 0), length - side))
    return slice(start, start + side)
