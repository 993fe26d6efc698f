"""AUPRO of maps that can be reckoned by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import ScoreMap
from onspec.evaluation.region_overlap import RegionOverlap, area_up_to


def overlap_of(values: NDArray[np.float32], truth: NDArray[np.uint8]) -> RegionOverlap:
    counts = RegionOverlap()
    counts.add(ScoreMap(values), truth)
    return counts


def two_defects() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A defect of 4 px and one of 64 px on 400 px."""
    truth = np.zeros((20, 20), np.uint8)
    truth[1:3, 1:3] = 1
    truth[8:16, 8:16] = 1
    return np.where(truth > 0, 0.9, 0.1).astype(np.float32), truth


def test_a_perfect_map_scores_one() -> None:
    assert overlap_of(*two_defects()).aupro() == pytest.approx(1.0)


def test_a_small_defect_weighs_as_much_as_a_large_one() -> None:
    values, truth = two_defects()
    values[1:3, 1:3] = 0.0  # missed until everything is marked
    assert overlap_of(values, truth).aupro() == pytest.approx(0.5)
    values, truth = two_defects()
    values[8:16, 8:16] = 0.0
    assert overlap_of(values, truth).aupro() == pytest.approx(0.5)


def test_a_map_that_says_nothing() -> None:
    """One score everywhere: the curve is the diagonal, whose area up to 0.3 is 0.15 · 0.3 / 0.3."""
    _, truth = two_defects()
    assert overlap_of(np.full((20, 20), 0.5, np.float32), truth).aupro() == pytest.approx(0.15)


def test_halves_by_hand() -> None:
    """Half of the defect is marked before any good pixel, the other half after a tenth of them."""
    truth = np.zeros((10, 12), np.uint8)
    truth[:, :2] = 1
    values = np.full((10, 12), 0.1, np.float32)
    values[:, 0], values[:, 1] = 0.9, 0.5
    values[:, 2] = 0.7  # 10 of 100 good pixels
    # PRO is 0.5 up to a rate of 0.1, then 1.0.
    assert overlap_of(values, truth).aupro() == pytest.approx((0.1 * 0.5 + 0.2 * 1.0) / 0.3)


def test_diagonal_pixels_are_one_defect() -> None:
    """A diagonal of four pixels, one of them missed, and a single pixel: (3/4 + 1) / 2 is marked, not (3 + 1) / 5."""
    truth = np.zeros((8, 40), np.uint8)
    truth[range(4), range(4)] = truth[6, 30] = 1
    scores = truth.astype(np.float32)
    scores[0, 0] = 0.0
    level = (3 / 4 + 1) / 2
    at_limit = level + (1 - level) * 0.3  # all else scores 0, so the curve climbs in a line to (1, 1)
    assert overlap_of(scores, truth).aupro() == pytest.approx((level + at_limit) / 2)


def test_nothing_to_find_is_not_perfect() -> None:
    assert overlap_of(np.zeros((4, 4), np.float32), np.zeros((4, 4), np.uint8)).aupro() is None
    assert overlap_of(np.ones((4, 4), np.float32), np.ones((4, 4), np.uint8)).aupro() is None
    assert RegionOverlap().aupro() is None


@given(st.permutations(range(4)))
def test_order_of_images_does_not_matter(order: list[int]) -> None:
    rng = np.random.default_rng(3)
    images = [(rng.random((9, 9)).astype(np.float32), (rng.random((9, 9)) > 0.8).astype(np.uint8)) for _ in range(4)]
    one, other = RegionOverlap(), RegionOverlap()
    for index in range(4):
        one.add(ScoreMap(images[index][0]), images[index][1])
        other.add(ScoreMap(images[order[index]][0]), images[order[index]][1])
    assert one.aupro() == pytest.approx(other.aupro())


def test_area_ends_at_the_limit() -> None:
    x, y = np.array([0.0, 0.2, 0.4, 1.0]), np.array([0.0, 0.5, 1.0, 1.0])
    assert area_up_to(x, y, 0.3) == pytest.approx(0.05 + 0.1 * (0.5 + 0.75) / 2)
    assert area_up_to(x, y, 0.4) == pytest.approx(0.05 + 0.15)
    assert area_up_to(x, y, 1.0) == pytest.approx(0.2 + 0.6)


def test_area_with_steps() -> None:
    assert area_up_to(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]), 0.3) == pytest.approx(0.3)
