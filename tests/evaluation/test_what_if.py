"""The figures at other thresholds, against counting them again."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap, Verdict
from onspec.evaluation import what_if as module
from onspec.evaluation.cost_figures import DEFAULT, cost_figures
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.figures import rate
from onspec.evaluation.least_cost import Costs
from onspec.evaluation.risk_page import other_thresholds, rate_texts, sides, slider_data, threshold_text
from onspec.evaluation.what_if import WhatIf, expected_costs, what_if

Image = tuple[str, bool, float]


def evaluated(images: list[Image], thresholds: Thresholds) -> Evaluator:
    """Images of 2×2 px as (part, defective, score)."""
    e = Evaluator(("defect",), thresholds)
    for number, (part, defective, score) in enumerate(images):
        e.add(f"{number}", part, defective, Prediction((ScoreMap(np.full((2, 2), score, np.float32)),)), None)
    return e


def table_of(images: list[Image], thresholds: Thresholds) -> WhatIf:
    table = what_if(evaluated(images, thresholds).results, thresholds)
    assert table is not None
    return table


images = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.booleans(), st.sampled_from([0.0, 0.01, 0.2, 0.5, 0.51, 0.9, 0.99, 1.0])),
    min_size=1,
    max_size=12,
)
borders = st.sampled_from([0.2, 0.5, 0.7, 0.99])


@pytest.mark.slow
@settings(max_examples=60)
@given(images, borders, borders)
def test_every_step_counts_what_judging_again_would(there: list[Image], one: float, other: float) -> None:
    """Over all pairs of steps, by image and by part, as verdicts at those thresholds."""
    table = table_of(there, Thresholds(image=max(one, other), review=min(one, other)))
    assert (table.thresholds[table.image], table.thresholds[table.review]) == (max(one, other), min(one, other))
    assert list(table.thresholds) == sorted(set(table.thresholds))
    for i, image in enumerate(table.thresholds):
        for j, review in enumerate(table.thresholds[: i + 1]):
            again = evaluated(there, Thresholds(image=image, review=review)).metrics()
            tallies = [(table.images, again.image)] + ([(table.parts, again.parts)] if table.parts else [])
            for tally, figures in tallies:
                assert tally.escapes[j] == figures.escapes
                assert tally.false_rejects[i] == figures.false_rejects
                assert tally.good - tally.passed[j] - tally.false_rejects[i] == figures.reviews_good
                assert tally.defective - tally.escapes[j] - tally.caught[i] == figures.reviews_defective


@settings(max_examples=40)
@given(images, borders)
def test_no_threshold_gives_other_counts_than_some_step(there: list[Image], probe: float) -> None:
    table = table_of(there, Thresholds(image=0.7))
    again = evaluated(there, Thresholds(image=probe)).metrics().image
    steps = list(zip(table.images.escapes.tolist(), table.images.false_rejects.tolist(), strict=True))
    assert (again.escapes, again.false_rejects) in steps


@settings(max_examples=40)
@given(images, borders)
def test_sides_are_verdicts(there: list[Image], image: float) -> None:
    thresholds = Thresholds(image=image)
    results = evaluated(there, thresholds).results
    table = what_if(results, thresholds)
    assert table is not None
    for result in results:
        ng, _ = sides(result, table)
        assert (table.image <= ng) == (result.verdict is Verdict.NG)


def test_many_scores_are_thinned_and_errors_kept() -> None:
    chance = np.random.default_rng(0)
    there = [(str(i), False, float(s)) for i, s in enumerate(chance.uniform(0, 0.5, 1500))]
    there += [(f"d{i}", True, float(s)) for i, s in enumerate(chance.uniform(0.45, 1, 1500))]
    table = table_of(there, Thresholds(image=0.47))
    assert 100 < len(table.thresholds) <= module.MOST_STEPS + 3
    assert table.thresholds[table.image] == 0.47
    inner = [t for t in table.thresholds if 0.45 < t < 0.5]
    assert len(inner) > 100


def test_a_part_with_an_image_that_could_not_be_judged_is_left_out() -> None:
    e = evaluated([("a", True, 0.2), ("b", False, 0.1), ("b", False, 0.3)], Thresholds(image=0.5))
    e.add_error("x", "a", True, "x: broken")
    table = what_if(e.results, e.thresholds)
    assert table is not None
    assert table.parts is not None
    assert (table.left_out, table.parts.good, table.parts.defective, table.images.defective) == (1, 1, 0, 1)
    assert what_if([], e.thresholds) is None


MIXED: list[Image] = [("a", True, 0.3), ("b", True, 0.9), ("c", False, 0.6), ("d", False, 0.1)]


def test_costs_by_hand() -> None:
    figures = cost_figures(table_of(MIXED, Thresholds(image=0.5)), Costs(20, 2, 0.1))
    assert figures.at_threshold == pytest.approx(0.1 * 20 * 0.5 + 0.9 * 2 * 0.5)
    assert figures.least == pytest.approx(0.9 * 2 * 0.5)
    assert figures.least_threshold is not None
    assert 0.1 < figures.least_threshold <= 0.3
    assert figures.all_ok == pytest.approx(2.0)
    assert figures.all_ng == pytest.approx(1.8)
    assert (figures.counted, figures.share_given, figures.defect_share) == ("images", True, 0.1)


def test_a_review_costs_nothing() -> None:
    plain = cost_figures(table_of(MIXED, Thresholds(image=0.5)), DEFAULT)
    band = cost_figures(table_of(MIXED, Thresholds(image=0.5, review=0.2)), DEFAULT)
    assert (plain.defect_share, plain.share_given) == (0.5, False)
    assert plain.at_threshold == pytest.approx(0.5 * 20 * 0.5 + 0.5 * 0.5)
    assert band.at_threshold == pytest.approx(0.5 * 0.5)


def test_without_one_kind_costs_are_not_defined() -> None:
    figures = cost_figures(table_of([("a", True, 0.3)], Thresholds()), DEFAULT)
    assert (figures.at_threshold, figures.least, figures.defect_share) == (None, None, None)
    assert cost_figures(None, DEFAULT).at_threshold is None
    assert [row.cost for row in other_thresholds(table_of([("a", True, 0.3)], Thresholds()), DEFAULT)] == ["n/a", "n/a"]


def test_other_thresholds() -> None:
    rows = {row.name: row for row in other_thresholds(table_of(MIXED, Thresholds(image=0.5)), DEFAULT)}
    assert list(rows) == ["this recipe", "least cost", "no escape", "no false reject"]
    assert (rows["this recipe"].threshold, rows["this recipe"].escapes) == ("0.5", "1 of 2 (50.0 %)")
    assert rows["no escape"].false_rejects == "1 of 2 (50.0 %)"
    assert rows["no false reject"].escapes == "1 of 2 (50.0 %)"
    assert threshold_text(0.99999999) != "1"


def test_what_the_slider_looks_up() -> None:
    thresholds = Thresholds(image=0.5)
    e = evaluated(MIXED, thresholds)
    e.results[0] = e.results[0].__class__(
        **{**{f: getattr(e.results[0], f) for f in e.results[0].__slots__}, "name": "</script>&"}
    )
    table = what_if(e.results, thresholds)
    assert table is not None
    text = slider_data(table, e.results, DEFAULT, 0.9, {"scores": [0.25]})
    assert "<" not in text
    data = json.loads(text)
    assert data["names"][0][0] == "</script>&"
    assert data["thresholds"][data["image"]] == "0.5"
    assert data["counts"]["images"]["escapeRates"]["1"] == list(rate_texts(rate(1, 2, 0.9)))
    assert data["places"] == {"scores": [25.0]}
    reckoned = expected_costs(table.images, DEFAULT)
    assert reckoned is not None
    assert data["costs"][0] == pytest.approx(reckoned[0].tolist())
