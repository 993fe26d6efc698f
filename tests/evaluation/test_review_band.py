"""The review band takes the share that was wanted, and says what escapes then."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import beta, binom

from onspec.domain import EvidenceError, UsageError
from onspec.evaluation.bounded import bounded
from onspec.evaluation.least_cost import Costs, least_cost
from onspec.evaluation.part_scores import PartScores
from onspec.evaluation.review_band import review_band

scores = st.floats(0, 1, width=16)


def parts_of(good: ArrayLike, bad: ArrayLike) -> PartScores:
    return PartScores(np.sort(np.array(good, np.float64)), np.sort(np.array(bad, np.float64)))


def test_by_hand() -> None:
    """10 good parts, a fifth of them to review: those at 0.7 and 0.8; the threshold rejects the one at 0.9."""
    good = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    band = review_band(parts_of(good, [0.3, 0.75, 0.82, 0.95]), 0.85, 0.2, 0.95)
    assert 0.6 < band.review <= 0.7
    assert (band.good, band.of_good, band.defective, band.of_defective) == (2, 10, 2, 4)
    assert (band.escapes_review_caught, band.escapes_review_passed) == (1, 3)
    tail = 0.05 / 2 / 6  # one good part over the band: 1 / (2·3) of the allowed error
    assert band.low == pytest.approx(beta.ppf(tail, 1, 10))
    assert band.high == pytest.approx(beta.ppf(1 - tail, 3, 8))


def test_defective_parts_next_to_it_are_taken_along() -> None:
    band = review_band(parts_of([0.1, 0.2, 0.3, 0.6], [0.4, 0.9]), 0.8, 0.25, 0.9)
    assert 0.3 < band.review <= 0.4
    assert (band.good, band.defective, band.escapes_review_caught) == (1, 1, 0)


def test_ties_make_it_smaller_never_larger() -> None:
    """Nothing is claimed from below then, as the data chose the size."""
    band = review_band(parts_of([0.1, 0.2, 0.5, 0.5, 0.5, 0.6, 0.6, 0.7], []), 0.8, 0.5, 0.9)
    assert (band.good, band.low, band.bound_review_caught) == (3, 0.0, None)
    assert 0.5 < band.review <= 0.6


@pytest.mark.parametrize(
    ("good", "image", "sentence"),
    [
        ([0.1, 0.5, 0.5, 0.5], 0.8, r"the highest 3 under the threshold score the same \(0.5\); .* takes 75 %"),
        ([0.0] * 4, 0.8, "all 4 that score under the threshold score 0"),
        ([0.9] * 4, 0.8, "none scores under the threshold"),
    ],
)
def test_refuses_where_no_band_fits(good: list[float], image: float, sentence: str) -> None:
    with pytest.raises(EvidenceError, match=sentence):
        review_band(parts_of(good, []), image, 0.5, 0.9)


def test_refuses_a_share_that_no_part_makes_up() -> None:
    with pytest.raises(
        EvidenceError, match=r"one of 30 good parts is more than that; it takes 100 good parts, 70 more"
    ):
        review_band(parts_of([0.1] * 30, []), 0.5, 0.01, 0.95)


@pytest.mark.parametrize("share", [0.0, 1.0, 5.0, math.nan])
def test_refuses_what_is_no_share(share: float) -> None:
    with pytest.raises(UsageError, match="a review share of"):
        review_band(parts_of([0.1] * 30, []), 0.5, share, 0.95)


@given(
    st.lists(scores, min_size=1, max_size=40), st.lists(scores, max_size=20), st.floats(0.01, 1), st.floats(0.02, 0.98)
)
def test_what_it_says_is_so(good: list[float], bad: list[float], image: float, share: float) -> None:
    data = parts_of(good, bad)
    try:
        band = review_band(data, image, share, 0.9)
    except EvidenceError:
        return
    assert 0 < band.review <= image
    assert band.good == sum(band.review <= s < image for s in good)
    assert 1 <= band.good <= share * len(good) + 1e-6
    assert band.defective == sum(band.review <= s < image for s in bad)
    assert band.escapes_review_caught == data.errors(band.review)[0]
    assert band.escapes_review_passed == data.errors(image)[0]
    assert band.low <= band.good / len(good) <= band.high


@pytest.mark.slow
@pytest.mark.parametrize("by", ["escapes", "cost"])
def test_its_interval_holds_over_a_thousand_draws(by: str) -> None:
    """Also where the good parts helped to choose the threshold over it."""
    rng = np.random.default_rng(5)
    goods, bads = rng.random((1000, 100)), 0.4 + 0.6 * rng.random((1000, 60))
    outside = escaped = 0
    for good, bad in zip(goods, bads, strict=True):
        data = parts_of(good, bad)
        choice = bounded(data, 0.1, 0.9) if by == "escapes" else least_cost(data, Costs(1), 0.9)
        band = review_band(data, choice.image, 0.1, 0.9)
        outside += not band.low <= choice.image - band.review <= band.high
        escaped += (band.review - 0.4) / 0.6 > (band.bound_review_caught or 0)
    assert outside <= binom.ppf(0.999, 1000, 0.1)
    assert escaped <= binom.ppf(0.999, 1000, 0.1)


def test_a_narrower_interval_does_not_hold() -> None:
    """The control: an interval of a quarter of the width does not hold as often as promised."""
    rng = np.random.default_rng(6)
    outside = 0
    for good in rng.random((1000, 100)):
        band = review_band(parts_of(good, []), 0.9, 0.1, 0.9)
        low, high = (0.1 + 0.25 * (end - 0.1) for end in (band.low, band.high))
        outside += not low <= 0.9 - band.review <= high
    assert outside > binom.ppf(0.999, 1000, 0.1)
