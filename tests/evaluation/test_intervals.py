"""Clopper–Pearson against published and independently reckoned values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from onspec.evaluation.intervals import clopper_pearson


def test_nothing_seen_is_the_rule_of_three() -> None:
    """No event in n trials: the upper limit is 1 − (α/2)^(1/n)."""
    low, high = clopper_pearson(0, 71)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 71))


def test_all_seen() -> None:
    low, high = clopper_pearson(20, 20)
    assert low == pytest.approx(0.025 ** (1 / 20))
    assert high == 1.0


def test_no_trial_says_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 200), st.data(), st.floats(0.5, 0.999))
def test_agrees_with_scipy(n: int, data: st.DataObject, confidence: float) -> None:
    k = data.draw(st.integers(0, n))
    exact = binomtest(k, n).proportion_ci(confidence, method="exact")
    low, high = clopper_pearson(k, n, confidence)
    assert low == pytest.approx(exact.low, abs=1e-9)
    assert high == pytest.approx(exact.high, abs=1e-9)


@given(st.integers(1, 60), st.data())
def test_limits_are_where_the_observation_becomes_unlikely(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = clopper_pearson(k, n, 0.9)
    if k:
        assert binom.sf(k - 1, n, low) == pytest.approx(0.05)
    if k < n:
        assert binom.cdf(k, n, high) == pytest.approx(0.05)
    assert low <= k / n <= high


@pytest.mark.parametrize(
    ("k", "n", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 0.0), (1, 5, 1.0), (1, 5, math.nan)]
)
def test_refuses_what_cannot_be(k: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="0 <= k <= n"):
        clopper_pearson(k, n, confidence)
