"""A mask's defects as outlines along the edges of its pixels, so that drawing one gives the same pixels again."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.masks import Mask

Points = tuple[tuple[float, float], ...]
"""Corners (x, y) in px; pixel (0, 0) covers 0…1 on both axes."""

_STEP = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""East, south, west, north, as (x, y)."""


@dataclass(frozen=True, slots=True)
class Outline:
    """The ring around one connected defect, and the rings of the good places within it."""

    ring: Points
    holes: tuple[Points, ...]

    def in_one(self) -> Points:
        """One ring for formats that have no holes: it goes to each hole, around it, and back on the same way.

        Filled by the even-odd rule it covers the same pixels. The way runs along pixel edges, so that there and back
        cancel exactly.
        """
        ring = list(self.ring)
        for hole in self.holes:
            away = np.abs(np.array(ring) - hole[0]).sum(axis=1)
            at = int(away.argmin())
            corner = (hole[0][0], ring[at][1])
            ring[at + 1 : at + 1] = [corner, *hole, hole[0], corner, ring[at]]
        return tuple(ring)


def pieces(mask: Mask) -> Iterator[tuple[Mask, tuple[int, int]]]:
    """Each connected defect (8-neighbourhood) cut out: uint8 (h, w) of 0/1, and the place (x, y) of its corner."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    for label in range(1, count):
        x, y, w, h = (int(v) for v in stats[label, :4])
        yield np.ascontiguousarray(labels[y : y + h, x : x + w] == label).astype(np.uint8), (x, y)


def placed(piece: Mask, at: tuple[int, int], size: tuple[int, int]) -> Mask:
    """A piece where it belongs in an empty mask of `size` (width, height)."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[at[1] : at[1] + piece.shape[0], at[0] : at[0] + piece.shape[1]] = piece
    return mask


def outline(piece: Mask, at: tuple[int, int] = (0, 0)) -> Outline:
    """The outline of one connected defect (8-neighbourhood), uint8 (h, w) of 0/1 with its corner at (x, y).

    Raises:
        ValueError: there is not exactly one.
    """
    rings = [tuple((x + at[0], y + at[1]) for x, y in ring) for ring in _rings(piece)]
    outer = [ring for ring in rings if _turns_right(ring)]
    if len(outer) != 1:
        raise ValueError(f"outline needs one connected defect; got {len(outer)}")
    return Outline(outer[0], tuple(ring for ring in rings if ring is not outer[0]))


def _rings(piece: Mask) -> Iterator[Points]:
    """Closed walks along the border with the defect on the right; corners alone."""
    ways = _borders(piece)
    for y, x in zip(*(axis.tolist() for axis in np.nonzero(ways & 1)), strict=True):
        if ways[y, x] & 1:  # no walk has come along here yet
            yield tuple(_walk(ways, x, y))


def _walk(ways: NDArray[np.uint8], x: int, y: int) -> Iterator[tuple[float, float]]:
    """From a westernmost corner eastwards and around, taking each border away. Where two defects' pixels meet at a
    corner, the walk turns left, so that it goes around both."""
    heading, turned = 0, True
    while True:
        if turned:
            yield (x, y)
        ways[y, x] &= ~np.uint8(1 << heading)
        x, y = x + _STEP[heading][0], y + _STEP[heading][1]
        onwards = [h % 4 for h in (heading + 3, heading, heading + 1) if ways[y, x] >> (h % 4) & 1]
        if not onwards:
            return
        turned = onwards[0] != heading
        heading = onwards[0]


def _borders(piece: Mask) -> NDArray[np.uint8]:
    """Per corner of the pixel grid, a bit for each direction in which a border leaves it: uint8 (h + 1, w + 1)."""
    inside = np.pad(piece.astype(bool), 1)
    here = inside[1:-1, 1:-1]
    ways = np.zeros((piece.shape[0] + 1, piece.shape[1] + 1), np.uint8)
    ways[:-1, :-1] |= (here & ~inside[:-2, 1:-1]).astype(np.uint8)  # the upper edge runs east
    ways[:-1, 1:] |= (here & ~inside[1:-1, 2:]).astype(np.uint8) << 1
    ways[1:, 1:] |= (here & ~inside[2:, 1:-1]).astype(np.uint8) << 2
    ways[1:, :-1] |= (here & ~inside[1:-1, :-2]).astype(np.uint8) << 3
    return ways


def _turns_right(ring: Points) -> bool:
    """Whether a ring goes around a defect, not around a hole: by the sign of its area."""
    x, y = np.array(ring).T
    return bool((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() > 0)
