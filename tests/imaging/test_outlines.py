"""Outlines cover exactly the pixels they were made of."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from onspec.imaging.outlines import outline, pieces, placed
from onspec.imaging.shapes import Ring, draw_polygon

masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(0, 1))

RING = np.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]], np.uint8)


def drawn(shape: tuple[int, ...], *rings: Ring) -> NDArray[np.uint8]:
    mask = np.zeros(shape, np.uint8)
    draw_polygon(mask, rings)
    return mask


@given(masks)
def test_drawing_the_outlines_gives_the_mask_again(mask: NDArray[np.uint8]) -> None:
    size = (mask.shape[1], mask.shape[0])
    again = np.zeros_like(mask)
    for piece, at in pieces(mask):
        found = outline(piece, at)
        whole = placed(piece, at, size)
        assert (drawn(mask.shape, found.in_one()) == whole).all()
        filled = drawn(mask.shape, found.ring)
        for hole in found.holes:
            filled &= 1 - drawn(mask.shape, hole)
        assert (filled == whole).all()
        again |= whole
    assert (again == mask).all()
    assert len(list(pieces(mask))) == cv2.connectedComponents(mask, connectivity=8)[0] - 1


def test_corners_alone_clockwise_from_the_top_left() -> None:
    assert outline(np.ones((2, 3), np.uint8), (5, 1)).ring == ((5, 1), (8, 1), (8, 3), (5, 3))


def test_pixels_that_meet_at_a_corner_are_one_ring() -> None:
    found = outline(np.array([[1, 0], [0, 1]], np.uint8))
    assert (len(found.ring), found.holes) == (8, ())


def test_a_hole_is_reached_along_pixel_edges_alone() -> None:
    found = outline(RING)
    assert len(found.holes) == 1
    ring = found.in_one()
    steps = np.diff(np.array([*ring, ring[0]]), axis=0)
    assert (steps == 0).any(axis=1).all()


def test_two_defects_or_none_are_refused() -> None:
    for piece, count in ((np.array([[1, 0, 1]], np.uint8), 2), (np.zeros((2, 2), np.uint8), 0)):
        with pytest.raises(ValueError, match=f"one connected defect; got {count}"):
            outline(piece)
