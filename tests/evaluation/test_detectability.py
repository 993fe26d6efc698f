"""The probability-of-detection curve, against published figures, a second opinion and simulation."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from onspec.evaluation.detectability import FEWEST, Fit, Refusal, fit

DOSE = (1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839)
EXPOSED = (59, 60, 62, 56, 63, 59, 62, 60)
KILLED = (6, 13, 18, 28, 52, 53, 61, 60)
"""Bliss's beetles (1935): log10 of the dose, how many were exposed to it, and how many died."""


def beetles() -> Fit:
    size = np.repeat([10**dose for dose in DOSE], EXPOSED)
    hit = np.concatenate([np.arange(n) < k for n, k in zip(EXPOSED, KILLED, strict=True)])
    curve = fit(size.tolist(), hit.tolist())
    assert isinstance(curve, Fit)
    return curve


def drawn(n: int, slope: float, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Sizes from 3 to 40, evenly on the log scale; half of those of size 10 are found."""
    chance = np.random.default_rng(seed)
    size = np.exp(chance.uniform(math.log(3), math.log(40), n))
    return size, chance.random(n) < 1 / (1 + (size / 10) ** -slope)


def test_the_published_example() -> None:
    """Dobson, An Introduction to Generalized Linear Models, table 7.4: -60.717 and 34.270 on log10 of the dose."""
    curve = beetles()
    assert curve.intercept == pytest.approx(-60.717, abs=5e-4)
    assert curve.slope * math.log(10) == pytest.approx(34.270, abs=5e-4)
    assert math.log10(curve.size_at(0.5)) == pytest.approx(60.717 / 34.270, abs=1e-5)


def test_a_second_opinion() -> None:
    size, hit = drawn(200, 3.0, seed=4)
    curve = fit(size.tolist(), hit.tolist())
    assert isinstance(curve, Fit)
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(np.log(size)[:, None], hit)
    assert curve.slope == pytest.approx(float(other.coef_[0, 0]), rel=1e-4)
    assert curve.intercept == pytest.approx(float(other.intercept_[0]), rel=1e-4)


def test_the_bound_is_where_the_lower_curve_reaches_90_percent() -> None:
    curve = beetles()
    bound = curve.size_bound(0.9)
    assert bound is not None
    assert curve.size_at(0.9) < bound < 1.1 * curve.size_at(0.9)
    assert curve.lower(bound) == pytest.approx(0.9, abs=1e-5)
    assert curve.probability(np.array([curve.size_at(0.9)]))[0] == pytest.approx(0.9)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "slope"), [(80, 5.0), (60, 2.0)])
def test_how_often_the_bound_holds(n: int, slope: float) -> None:
    """a90/95 is over the true a90 in 95 % of data sets and more; chance leaves 300 of them at 92 %."""
    true = 10 * 9 ** (1 / slope)
    curves = [fit(*(values.tolist() for values in drawn(n, slope, seed))) for seed in range(300)]
    bounds = [curve.size_bound(0.9) for curve in curves if isinstance(curve, Fit)]
    assert len(bounds) > 290
    held = sum(bound is None or bound >= true for bound in bounds) / len(bounds)
    assert 0.92 < held < 0.995


@pytest.mark.parametrize(
    ("size", "found", "says"),
    [
        ([4.0] * (FEWEST - 1), [True] * (FEWEST - 1), "9 defects of known size are too few"),
        (np.arange(1.0, 41).tolist(), [True] * 40, "all 40 defects were found"),
        (np.arange(1.0, 41).tolist(), [False] * 40, "none of the 40"),
        ([5.0] * 20, [True, False] * 10, "the same size"),
        (np.arange(1.0, 21).tolist(), [False] * 8 + [True] * 12, "steepness is not defined"),
        (np.arange(1.0, 21).tolist(), [True] * 8 + [False] * 12, "missed is at least as large"),
        (
            np.arange(1.0, 21).tolist(),
            [True, True, False, True] * 2 + [True, False] * 3 + [False] * 6,
            "do not explain",
        ),
    ],
)
def test_what_the_data_cannot_support_is_refused(size: list[float], found: list[bool], says: str) -> None:
    curve = fit(size, found)
    assert isinstance(curve, Refusal)
    assert says.replace("do not explain", "does not explain") in curve.reason


def test_all_found_says_what_that_proves() -> None:
    """0.05^(1/40) = 92.8 %: the rule of 29 of 29 for other numbers."""
    curve = fit(list(range(1, 41)), [True] * 40)
    assert isinstance(curve, Refusal)
    assert "at least 92.7 % (95 % confidence)" in curve.reason
    assert 0.927 < 0.05 ** (1 / 40) < 0.928


def test_a_slope_that_may_be_nothing_has_no_bound() -> None:
    size, hit = drawn(40, 0.3, seed=1)
    curve = fit(size.tolist(), hit.tolist())
    assert isinstance(curve, Fit)
    assert curve.size_bound(0.9) is None
