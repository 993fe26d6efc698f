"""The threshold of least expected cost, and the bounds that hold although the data chose it."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.stats import binom

from onspec.domain import EvidenceError, UsageError
from onspec.evaluation.evidence import worst_rate
from onspec.evaluation.least_cost import Costs, LeastCost, least_cost
from onspec.evaluation.part_scores import PartScores

scores = st.floats(0, 1, width=16)


def parts_of(good: ArrayLike, bad: ArrayLike) -> PartScores:
    return PartScores(np.sort(np.array(good, np.float64)), np.sort(np.array(bad, np.float64)))


def test_by_hand() -> None:
    """To catch the part at 0.3 costs two false rejects: worth it at 20 to 1, not at 1 to 1."""
    data = parts_of([0.1] * 8 + [0.4, 0.5], [0.3, 0.8, 0.9, 0.9])
    dear = least_cost(data, Costs(20), 0.95)
    assert (dear.escapes, dear.false_rejects) == (0, 2)
    assert 0.1 < dear.image <= 0.3
    assert dear.cost == pytest.approx(2 / 14)
    assert dear.defect_share == pytest.approx(4 / 14)
    assert not dear.share_given
    cheap = least_cost(data, Costs(1), 0.95)
    assert (cheap.escapes, cheap.false_rejects) == (1, 0)
    assert 0.5 < cheap.image <= 0.8


def test_the_share_of_production_weighs() -> None:
    """Where one part in 1,000 is defective, two tenths of the good parts are too dear to reject for a quarter of those:
    0.001·20·¼ < 0.999·0.2; at one in 3 it is the reverse."""
    data = parts_of([0.1] * 8 + [0.4, 0.5], [0.3, 0.8, 0.9, 0.9])
    rare = least_cost(data, Costs(20, defect_share=0.001), 0.95)
    assert (rare.escapes, rare.false_rejects) == (1, 0)
    assert rare.cost == pytest.approx(0.001 * 20 / 4)
    often = least_cost(data, Costs(20, defect_share=1 / 3), 0.95)
    assert (often.escapes, often.false_rejects, often.share_given) == (0, 2, True)
    assert often.cost == pytest.approx(2 / 3 * 0.2)


def test_it_says_what_it_rests_on() -> None:
    data = parts_of([0.1] * 98 + [0.4, 0.5], [0.3, *[0.9] * 49])
    told = least_cost(data, Costs(20, 2, 0.02), 0.95).basis("val")
    assert told.startswith(
        "least expected cost, an escape 20 and a false reject 2, 2 % of the parts defective: 0.008 a"
    )
    assert "escapes: 1 of 50 defective parts (13 % at most)" in told
    assert "2 % of the parts defective as here" not in told
    assert "33.33 % of the parts defective as here" in least_cost(data, Costs(20), 0.95).basis("val")


@pytest.mark.parametrize(
    ("good", "bad", "sentence"), [([], [0.5], "add good parts"), ([0.5], [], "add defective parts")]
)
def test_refuses_one_kind_alone(good: list[float], bad: list[float], sentence: str) -> None:
    with pytest.raises(EvidenceError, match=sentence):
        least_cost(parts_of(good, bad), Costs(20), 0.95)


@pytest.mark.parametrize("cost", [0.0, -1.0, math.inf, math.nan])
def test_refuses_what_is_no_cost(cost: float) -> None:
    with pytest.raises(UsageError, match="for an escape cannot be weighed; allowed: any number over 0"):
        Costs(cost)
    with pytest.raises(UsageError, match="for a false reject cannot be weighed"):
        Costs(1, cost)


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0, math.nan])
def test_refuses_what_is_no_share(share: float) -> None:
    with pytest.raises(UsageError, match="of defective parts cannot be weighed"):
        Costs(20, 1, share)


@given(
    st.lists(scores, min_size=1, max_size=25),
    st.lists(scores, min_size=1, max_size=25),
    st.floats(0.1, 100),
    st.floats(0.1, 10),
    st.one_of(st.none(), st.floats(0.01, 0.9)),
)
def test_no_threshold_costs_less(
    good: list[float], bad: list[float], escape: float, reject: float, share: float | None
) -> None:
    data = parts_of(good, bad)
    chosen = least_cost(data, Costs(escape, reject, share), 0.9)
    p = chosen.defect_share
    for threshold in [*(s for s in good + bad if s > 0), 1.0]:
        escapes, rejects = data.errors(threshold)
        cost = p * escape * escapes / len(bad) + (1 - p) * reject * rejects / len(good)
        assert chosen.cost <= cost * (1 + 1e-6)
    assert chosen.cost <= chosen.cost_bound
    assert 0 < chosen.image <= 1
    assert (chosen.escapes, chosen.false_rejects) == data.errors(chosen.image)


def drawn(escape_cost: float, confidence: float, spread: float) -> list[LeastCost]:
    """Choices on 1,000 draws of 60 defective parts, uniform on [0, 1], and 80 good ones, uniform on [0, spread]."""
    rng = np.random.default_rng(int(10 * spread) + int(escape_cost))
    pairs = zip(rng.random((1000, 80)) * spread, rng.random((1000, 60)), strict=True)
    return [least_cost(parts_of(good, bad), Costs(escape_cost, 1, 0.5), confidence) for good, bad in pairs]


@pytest.mark.parametrize(("escape_cost", "spread"), [(1, 1.0), (20, 0.5), (3, 0.8)])
def test_the_bounds_hold_over_a_thousand_draws(escape_cost: float, spread: float) -> None:
    """Of the escapes, of the false rejects and of the cost, each as often as promised, within what 1,000 draws tell."""
    allowed = binom.ppf(0.999, 1000, 0.1)
    broken = np.zeros(3, int)
    for choice in drawn(escape_cost, 0.9, spread):
        escapes, rejects = choice.image, max(0.0, 1 - choice.image / spread)
        cost = 0.5 * escape_cost * escapes + 0.5 * rejects
        broken += [
            escapes > choice.escape_bound,
            rejects > choice.false_reject_bound,
            cost > choice.cost_bound,
        ]
    assert (broken <= allowed).all(), broken


def test_a_bound_that_forgets_the_choice_breaks() -> None:
    """The control: the exact bound for a threshold set beforehand fails the same test, and so does the cost itself."""
    choices, allowed = drawn(1, 0.9, 1.0), binom.ppf(0.999, 1000, 0.1)
    broken = sum(c.image > worst_rate(c.escapes, c.parts, 0.9) for c in choices)
    assert broken > allowed
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert f"broken in {broken / 1000:.0%}".replace("%", " %") in text
    assert sum(c.cost < 0.5 for c in choices) > 900  # every threshold costs 0.5 in truth
