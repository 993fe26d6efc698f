"""Shapes → pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onspec.imaging.masks import Mask
from onspec.imaging.shapes import decode_runs, draw_box, draw_ellipse, draw_polygon, encode_runs


@given(
    x=st.floats(40, 60), y=st.floats(40, 60), a=st.floats(3, 35), ratio=st.floats(0.2, 1), angle=st.floats(-360, 360)
)
def test_an_ellipse_has_its_area_and_lies_around_its_centre(
    x: float, y: float, a: float, ratio: float, angle: float
) -> None:
    mask = np.zeros((100, 100), np.uint8)
    draw_ellipse(mask, (x, y), (a, a * ratio), angle)
    area = math.pi * a * a * ratio
    assert abs(int(mask.sum()) - area) <= 0.1 * area + 4 * math.sqrt(area) * 0.5 + 2
    rows, columns = np.nonzero(mask)
    assert (columns.mean(), rows.mean()) == (pytest.approx(x, abs=1), pytest.approx(y, abs=1))


def test_an_ellipse_turns_from_x_towards_y() -> None:
    mask = np.zeros((100, 100), np.uint8)
    draw_ellipse(mask, (50, 50), (30, 5), 45)
    assert mask[68, 68] == 1
    assert mask[32, 68] == 0


def test_an_ellipse_over_the_border_is_cut_and_one_outside_draws_nothing() -> None:
    mask = np.zeros((20, 20), np.uint8)
    draw_ellipse(mask, (0, 0), (5, 5), 0)
    assert (mask[0, :6].tolist(), mask[0, 6]) == ([1] * 6, 0)
    before = mask.copy()
    draw_ellipse(mask, (200, -300), (5, 5), 0)
    assert (mask == before).all()


def test_the_smallest_ellipse_is_a_pixel() -> None:
    mask = np.zeros((9, 9), np.uint8)
    draw_ellipse(mask, (4.5, 3.5), (0.1, 0.1), 0)
    assert mask.sum() == 1


@given(st.floats(-5, 25), st.floats(-5, 25), st.floats(1, 12), st.floats(1, 12))
def test_a_box_and_the_polygon_of_its_corners_are_the_same(x: float, y: float, w: float, h: float) -> None:
    box, polygon = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    draw_box(box, x, y, w, h)
    draw_polygon(polygon, [[(x, y), (x + w, y), (x + w, y + h), (x, y + h)]])
    assert (box == polygon).all()


def test_a_whole_box_has_its_whole_area() -> None:
    mask = np.zeros((10, 12), np.uint8)
    draw_box(mask, 2, 3, 4, 5)
    assert mask.sum() == 20
    assert mask[3:8, 2:6].all()


@given(st.floats(10, 40), st.floats(5, 40), st.floats(0, 6.3))
def test_a_polygon_has_its_area(radius: float, ratio: float, turn: float) -> None:
    mask = np.zeros((100, 100), np.uint8)
    angles = [turn + 2 * math.pi * i / 7 for i in range(7)]
    draw_polygon(mask, [[(50 + radius * math.cos(a), 50 + radius * math.sin(a)) for a in angles]])
    area = 3.5 * radius * radius * math.sin(2 * math.pi / 7)
    assert abs(int(mask.sum()) - area) <= 0.05 * area + 8


def test_rings_of_one_polygon_are_united() -> None:
    mask = np.zeros((10, 10), np.uint8)
    draw_polygon(mask, [[(0, 0), (4, 0), (4, 4), (0, 4)], [(6, 6), (8, 6), (8, 8), (6, 8)]])
    assert mask.sum() == 16 + 4


def test_the_smallest_shapes_are_a_pixel_and_outside_of_the_image_none() -> None:
    mask = np.zeros((9, 9), np.uint8)
    draw_box(mask, 4.6, 3.6, 0.2, 0.2)
    draw_polygon(mask, [[(1.6, 1.6), (1.8, 1.6), (1.7, 1.8)]])
    assert (mask.sum(), mask[3, 4], mask[1, 1]) == (2, 1, 1)
    draw_box(mask, 20, 20, 5, 5)
    draw_polygon(mask, [[(-9, -9), (-5, -9), (-5, -5)]])
    assert mask.sum() == 2


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 1)))
def test_run_lengths_there_and_back(mask: Mask) -> None:
    counts = encode_runs(mask)
    assert (decode_runs(counts, (mask.shape[1], mask.shape[0])) == mask).all()
    assert sum(counts) == mask.size


def test_run_lengths_go_down_the_columns() -> None:
    mask = np.array([[0, 1], [1, 1], [0, 0]], np.uint8)
    assert encode_runs(mask) == (1, 1, 1, 2, 1)


@pytest.mark.parametrize("value", [0, 1])
def test_run_lengths_of_one_value(value: int) -> None:
    assert encode_runs(np.full((2, 3), value, np.uint8)) == ((6,) if value == 0 else (0, 6))
