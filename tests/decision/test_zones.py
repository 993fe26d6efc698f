"""Zones: which pixels belong to a rectangle or polygon."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from onspec.decision.zones import Zone


def test_a_rectangle_has_its_pixels_and_no_more() -> None:
    mask = Zone(rectangle=(2, 1, 3, 2)).mask((8, 6))
    assert mask.shape == (6, 8)
    assert mask[1:3, 2:5].all()
    assert mask.sum() == 6


@given(st.tuples(*[st.integers(0, 20)] * 2), st.tuples(*[st.integers(1, 20)] * 2))
def test_a_polygon_with_the_corners_of_a_rectangle_covers_it(at: tuple[int, int], size: tuple[int, int]) -> None:
    (x, y), (w, h) = at, size
    rectangle = Zone(rectangle=(x, y, w, h)).mask((50, 50))
    polygon = Zone(polygon=((x, y), (x + w, y), (x + w, y + h), (x, y + h))).mask((50, 50))
    assert (polygon == rectangle).all()


def test_a_triangle_has_the_pixels_whose_centres_lie_in_it() -> None:
    mask = Zone(polygon=((0, 0), (40, 0), (0, 40))).mask((40, 40))
    assert [int(row.sum()) for row in mask] == list(range(39, -1, -1))


def test_a_polygon_may_have_notches() -> None:
    mask = Zone(polygon=((0, 0), (9, 0), (9, 9), (6, 9), (6, 3), (3, 3), (3, 9), (0, 9))).mask((9, 9))
    assert not mask[3:, 3:6].any()
    assert mask.sum() == 81 - 18


def test_a_zone_that_reaches_out_is_cut_and_one_outside_is_empty() -> None:
    assert Zone(rectangle=(-5, -5, 7, 7)).mask((10, 10)).sum() == 4
    assert not Zone(rectangle=(10, 0, 5, 5)).mask((10, 10)).any()
    assert not Zone(polygon=((1e9, 1e9), (2e9, 1e9), (1e9, 2e9))).mask((10, 10)).any()


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"rectangle": (0, 0, 1, 1), "polygon": ((0, 0), (1, 0), (0, 1))},
        {"rectangle": (0, 0, -1, 1)},
        {"rectangle": (np.nan, 0, 1, 1)},
        {"polygon": ((0, 0), (1, 0))},
        {"polygon": ((0, 0), (1, 0), (0, np.inf))},
    ],
)
def test_what_is_no_shape_is_refused(shape: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Zone.model_validate(shape)
