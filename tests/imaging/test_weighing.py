"""Pixels' scores → a region's score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from onspec.domain import ScoreMap
from onspec.imaging.regions import find_regions, image_score
from onspec.imaging.weighing import EVIDENCE_FLOOR, Evidence

maps = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.999, 1]),
)
sharpness = st.sampled_from([0.35, 0.5, 1.0, 4.0, 64.0])


def spot(side: int, score: float, size: int = 100) -> ScoreMap:
    """A square spot on a map of zeros of `size`×`size` px."""
    values = np.zeros((size, size), np.float32)
    values[10 : 10 + side, 10 : 10 + side] = score
    return ScoreMap(values)


@pytest.mark.parametrize("r", [0.5, 1.0, 3.0])
def test_a_thousandth_of_the_image_at_one_half_scores_one_half(r: float) -> None:
    values = np.zeros((100, 100), np.float32)
    values[5, :10] = 0.5
    assert image_score(ScoreMap(values), Evidence(r)) == pytest.approx(0.5, abs=1e-9)


def test_powers_of_odds_add_up_over_the_region() -> None:
    """20×20 px are 40 times a thousandth of the image, and the odds of 0.8 are 4: E = 40·4^½ = 80."""
    assert image_score(spot(20, 0.8), Evidence(0.5)) == pytest.approx(80 / 81, abs=1e-6)


@pytest.mark.parametrize(("r", "small_wins"), [(0.35, False), (4.0, True)])
def test_sharpness_weighs_size_against_sureness(r: float, small_wins: bool) -> None:
    small, large = (image_score(m, Evidence(r)) for m in (spot(3, 0.97), spot(30, 0.5)))
    assert (small > large) == small_wins


@given(maps, sharpness)
def test_the_images_score_is_that_of_its_strongest_region(values: NDArray[np.float32], r: float) -> None:
    m = ScoreMap(values)
    found = [
        region.defect
        for region in find_regions(m, pixel_threshold=EVIDENCE_FLOOR, floor=0.9, least=0.0, weighing=Evidence(r))
    ]
    if values.max() >= np.float32(EVIDENCE_FLOOR):
        assert found[0].score == image_score(m, Evidence(r))
    else:
        assert not found


@given(maps, sharpness, st.data())
def test_a_higher_score_anywhere_never_lowers_the_image(
    values: NDArray[np.float32], r: float, data: st.DataObject
) -> None:
    raised = values.copy()
    y, x = (data.draw(st.integers(0, side - 1)) for side in values.shape)
    raised[y, x] = max(values[y, x], data.draw(st.sampled_from([0.02, 0.06, 0.6, 1.0])))
    before, after = image_score(ScoreMap(values), Evidence(r)), image_score(ScoreMap(raised), Evidence(r))
    assert after >= before - 1e-12


@given(maps, sharpness)
def test_scores_are_scores(values: NDArray[np.float32], r: float) -> None:
    assert 0.0 <= image_score(ScoreMap(values), Evidence(r)) <= 1.0
