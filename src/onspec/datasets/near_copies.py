"""Which images look almost the same: encoded anew, resized, exposed a little differently, or taken of one part twice.

Parts of one kind, aligned by a fixture, look alike without being copies. So the shrunk pictures are compared in what
sets images of *this* set apart: their mean is taken away, and the directions in which most of them vary (light,
position, design) count no more than all the others. Two surfaces of one material then have nothing in common, and two
pictures of one surface nearly everything.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from onspec.datasets.belonging import Belonging

Vectors = NDArray[np.float32]

ALIKE = 0.93
"""Correlation from which two images are taken for one. Pictures that were encoded anew, resized or brightened have 0.95
and more, one part under another light about 0.9; different surfaces, and different parts of one design, under 0.9."""

_FEWEST = 3
"""Images from which on it can be told what they have in common; of two, the mean would leave opposites."""

_DIRECTIONS, _COMMON = 192, 32
"""Directions that are compared, and how many of them at most are called common to the set."""

_SURVEYED = 4096
"""Images that the directions are learned from."""

_BLOCK = 1024
"""Images that are compared with all others at a time."""

_MOST_PAIRS = 20_000
"""Of a block; a set of hardly anything but copies would have hundreds of millions."""


def pairs_alike(small: NDArray[np.float16], shapes: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Pairs (i < j) of rows that look almost the same; where there are very many, enough to tell groups by.

    Args:
        small: float16 (n, d), each of zero mean.
        shapes: width over height of each image; pictures of other proportions are no copies.
    """
    own = _own(small) if len(small) >= _FEWEST else np.zeros((0, 1), np.float32)
    form = np.asarray(shapes, np.float32)
    for start in range(0, len(own), _BLOCK):
        block = own[start : start + _BLOCK]
        alike = np.triu(block @ own[start:].T >= ALIKE, 1)
        if np.count_nonzero(alike) > _MOST_PAIRS:  # thousands of copies: each is told with the first one alone
            alike &= np.cumsum(alike, axis=0, dtype=np.int32) == 1
        for i, j in zip(*(axis.tolist() for axis in np.nonzero(alike)), strict=True):
            if abs(form[start + i] / form[start + j] - 1) < 0.1:
                yield start + i, start + j


def groups_alike(small: NDArray[np.float16], shapes: Sequence[float]) -> list[list[int]]:
    """Rows that look almost the same, directly or by way of others; each group and the list of them rising."""
    alike = Belonging[int]()
    for pair in pairs_alike(small, shapes):
        alike.join(pair)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for row in range(len(small)):
        groups[alike.first(row)].append(row)
    return [group for group in groups.values() if len(group) > 1]


def _own(small: NDArray[np.float16]) -> Vectors:
    """What sets each image apart from the set, of unit length: float32 (n, at most `_DIRECTIONS`)."""
    surveyed = small[np.linspace(0, len(small) - 1, min(len(small), _SURVEYED)).astype(int)].astype(np.float32)
    mean = surveyed.mean(axis=0)
    surveyed -= mean
    spread, directions = np.linalg.eigh(surveyed.T @ surveyed)
    most = min(_DIRECTIONS, len(surveyed) - 1)
    spread, directions = spread[::-1][:most], directions[:, ::-1][:, :most]
    common = min(_COMMON, most // 8)
    weight = np.sqrt(spread[common] / np.maximum(spread, spread[common])).astype(np.float32)
    turned = np.ascontiguousarray(directions * weight, np.float32)
    return _unit(np.concatenate([(part.astype(np.float32) - mean) @ turned for part in _parts(small)]))


def _parts(small: NDArray[np.float16]) -> list[NDArray[np.float16]]:
    return [small[start : start + _BLOCK] for start in range(0, len(small), _BLOCK)]


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6), np.float32)
