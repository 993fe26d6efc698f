"""Gauge R&R against the published example of AIAG."""

import itertools
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from onspec.evaluation.agreement import Level
from onspec.evaluation.gauge import GaugeFigures, GaugeStudy, analyse

AIAG = np.array(
    [
        [[0.29, 0.41, 0.64], [0.08, 0.25, 0.07], [0.04, -0.11, -0.15]],
        [[-0.56, -0.68, -0.58], [-0.47, -1.22, -0.68], [-1.38, -1.13, -0.96]],
        [[1.34, 1.17, 1.27], [1.19, 0.94, 1.34], [0.88, 1.09, 0.67]],
        [[0.47, 0.50, 0.64], [0.01, 1.03, 0.20], [0.14, 0.20, 0.11]],
        [[-0.80, -0.92, -0.84], [-0.56, -1.20, -1.28], [-1.46, -1.07, -1.45]],
        [[0.02, -0.11, -0.21], [-0.20, 0.22, 0.06], [-0.29, -0.67, -0.49]],
        [[0.59, 0.75, 0.66], [0.47, 0.55, 0.83], [0.02, 0.01, 0.21]],
        [[-0.31, -0.20, -0.17], [-0.63, 0.08, -0.34], [-0.46, -0.56, -0.49]],
        [[2.26, 1.99, 2.01], [1.80, 2.12, 2.19], [1.77, 1.45, 1.87]],
        [[-1.36, -1.25, -1.31], [-1.68, -1.62, -1.50], [-1.49, -1.77, -2.16]],
    ]
)
"""10 parts, 3 appraisers, 3 trials: AIAG, Measurement Systems Analysis, 4th ed., chapter III section B."""

designs = st.tuples(st.integers(2, 5), st.integers(2, 4), st.integers(2, 3))
values = designs.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(-50, 50).map(float)))


def study(data: NDArray[np.float64]) -> GaugeStudy:
    parts, appraisers, trials = (tuple(str(i) for i in range(size)) for size in data.shape)
    return GaugeStudy(parts, appraisers, trials, data)


@pytest.fixture(scope="module")
def aiag() -> GaugeFigures:
    return analyse(study(AIAG), tolerance=8.0)


def test_the_table_of_variance(aiag: GaugeFigures) -> None:
    """As AIAG and Minitab (its data set gageaiag) print it."""
    published = {
        "part": (9, 88.3619, 9.81799),
        "appraiser": (2, 3.1673, 1.58363),
        "interaction": (18, 0.3590, 0.01994),
        "repeatability": (60, 2.7589, 0.04598),
        "total": (89, 94.6471, None),
    }
    for name, (freedom, squares, mean) in published.items():
        source = aiag.anova[name]
        assert source.degrees_of_freedom == freedom
        assert source.sum_of_squares == pytest.approx(squares, abs=5e-5)
        assert mean is None or source.mean_square == pytest.approx(mean, abs=5e-6)
    assert aiag.anova["interaction"].f == pytest.approx(0.434, abs=5e-4)
    assert aiag.anova["interaction"].p == pytest.approx(0.974, abs=5e-4)


def test_the_interaction_is_pooled(aiag: GaugeFigures) -> None:
    assert aiag.pooled
    assert aiag.pooled_repeatability is not None
    assert aiag.pooled_repeatability.degrees_of_freedom == 78
    assert aiag.pooled_repeatability.sum_of_squares == pytest.approx(3.1179, abs=5e-5)
    for name, mean_square in (("part", 9.81799), ("appraiser", 1.58363)):
        assert aiag.anova[name].f == pytest.approx(mean_square / (3.1179 / 78), rel=2e-5)


@pytest.mark.parametrize(
    ("name", "deviation", "contribution", "of_study"),
    [
        ("repeatability", 0.199933, 0.034, 0.184),
        ("reproducibility", 0.226838, 0.044, 0.209),
        ("gauge_rr", 0.302373, 0.078, 0.279),
        ("part", 1.042327, 0.922, 0.960),
        ("total", 1.085300, 1.0, 1.0),
    ],
)
def test_the_components(aiag: GaugeFigures, name: str, deviation: float, contribution: float, of_study: float) -> None:
    """EV, AV, GRR, PV, TV as AIAG prints them."""
    component = aiag.components[name]
    assert component.standard_deviation == pytest.approx(deviation, abs=2e-6)
    assert component.contribution == pytest.approx(contribution, abs=5e-4)
    assert component.of_study_variation == pytest.approx(of_study, abs=5e-4)
    assert component.of_tolerance == pytest.approx(6 * deviation / 8, abs=2e-6)


def test_categories_and_verdict(aiag: GaugeFigures) -> None:
    """4.861, cut to 4; AIAG's own text rounds it up."""
    assert aiag.distinct == pytest.approx(4.861, abs=1e-3)
    assert aiag.ndc == 4
    assert aiag.levels == dict.fromkeys(("of_study_variation", "of_tolerance", "ndc"), Level.MARGINAL)
    assert (aiag.verdict, aiag.acceptable) == (Level.MARGINAL, False)


def test_a_real_interaction_is_kept() -> None:
    """Mean squares by hand: 2 × 2 × 2 with cells ±1 crossed and trials 0.1 apart."""
    cells = np.array([[1.0, -1.0], [-1.0, 1.0]])
    figures = analyse(study(np.stack([cells - 0.05, cells + 0.05], axis=2)))
    assert not figures.pooled
    assert figures.pooled_repeatability is None
    assert figures.anova["interaction"].mean_square == pytest.approx(8.0)
    assert figures.anova["repeatability"].mean_square == pytest.approx(0.005)
    assert figures.components["interaction"].variance == pytest.approx((8 - 0.005) / 2)
    assert figures.components["part"].variance == 0
    assert (figures.distinct, figures.ndc, figures.verdict) == (0.0, 0, Level.UNACCEPTABLE)
    assert "The variance between parts was estimated below 0 and is taken as 0." in figures.notes


def test_a_good_gauge_is_acceptable() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (10, 3, 3))
    figures = analyse(study(noise + np.arange(10.0)[:, None, None]), tolerance=20.0)
    assert figures.acceptable
    assert figures.ndc is not None
    assert figures.ndc >= 100
    assert analyse(study(noise + np.arange(10.0)[:, None, None]), tolerance=0.01).verdict is Level.UNACCEPTABLE


def test_equal_values_say_nothing() -> None:
    figures = analyse(study(np.full((3, 2, 2), 0.1)), tolerance=1.0)
    assert figures.components["total"].variance == 0
    assert figures.components["gauge_rr"].of_study_variation is None
    assert (figures.ndc, figures.verdict, figures.acceptable) == (None, None, False)
    assert figures.notes == ("All values are equal: nothing can be said of the gauge.",)


def test_a_gauge_too_coarse_to_vary_is_noted() -> None:
    figures = analyse(study(np.broadcast_to(np.array([0.1, 0.2, 0.7])[:, None, None], (3, 2, 2)).copy()))
    assert figures.components["gauge_rr"].variance == 0
    assert figures.anova["part"].f is None
    assert figures.ndc is None
    assert figures.acceptable
    assert "too coarse" in figures.notes[0]


@given(values)
def test_components_are_not_negative_and_add_up(data: NDArray[np.float64]) -> None:
    figures = analyse(study(data))
    variance = {name: component.variance for name, component in figures.components.items()}
    assert min(variance.values()) >= 0
    assert variance["reproducibility"] == pytest.approx(variance["appraiser"] + variance["interaction"])
    assert variance["gauge_rr"] == pytest.approx(variance["repeatability"] + variance["reproducibility"])
    assert variance["total"] == pytest.approx(variance["gauge_rr"] + variance["part"])
    squares = [figures.anova[name].sum_of_squares for name in ("part", "appraiser", "interaction", "repeatability")]
    assert sum(squares) == pytest.approx(figures.anova["total"].sum_of_squares, abs=1e-6)
    assert figures.anova["total"].sum_of_squares == pytest.approx(data.var() * data.size, abs=1e-6)


@given(values, st.randoms(use_true_random=False), st.sampled_from([0.001, 1.0, 1000.0]), st.integers(-100, 100))
def test_order_origin_and_unit_change_nothing(
    data: NDArray[np.float64], random: Random, unit: float, origin: int
) -> None:
    orders = [list(range(size)) for size in data.shape]
    for order in orders[:2]:
        random.shuffle(order)
    one, other = analyse(study(data)), analyse(study((data[np.ix_(*orders)] + origin) * unit))
    assert (one.pooled, one.levels) == (other.pooled, other.levels)
    for name, component in one.components.items():
        assert other.components[name].standard_deviation == pytest.approx(
            component.standard_deviation * unit, abs=1e-6 * unit
        )


def test_refuses_what_no_variance_can_be_made_of() -> None:
    for shape in itertools.permutations((1, 2, 3)):
        with pytest.raises(ValueError, match="at least 2 of each"):
            study(np.zeros(shape))
    with pytest.raises(ValueError, match="finite"):
        study(np.full((2, 2, 2), np.nan))
    with pytest.raises(ValueError, match="tolerance"):
        analyse(study(AIAG), tolerance=0.0)
