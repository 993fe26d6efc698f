"""Ranking figures against known values, scikit-learn as a second opinion, and what may not change them."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from onspec.evaluation.ranking import auroc, average_precision, false_rejects_at_zero_escapes, precision_recall

Images = tuple[NDArray[np.bool_], NDArray[np.float64]]
Figure = Callable[[NDArray[np.bool_], NDArray[np.float64]], float | int | None]


@st.composite
def images(draw: st.DrawFn) -> Images:
    """Both kinds at least once, scores with many ties."""
    rows = draw(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=2, max_size=40))
    truth = np.array([row[0] for row in rows])
    truth[:2] = [True, False]
    return truth, np.array([row[1] / 12 for row in rows])


def arrays(defective: list[int], score: list[float]) -> Images:
    return np.array(defective, bool), np.array(score, np.float64)


def test_average_precision_by_hand() -> None:
    # Ranked: defective, good, defective, good → 1/2 · 1/1 + 1/2 · 2/3
    assert average_precision(*arrays([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])) == pytest.approx(0.5 + 1 / 3)


def test_a_constant_score_is_worth_the_share_of_defective_images() -> None:
    truth, score = arrays([1, 0, 0, 0], [0.5] * 4)
    assert average_precision(truth, score) == pytest.approx(0.25)
    assert auroc(truth, score) == pytest.approx(0.5)


def test_perfect_and_reversed() -> None:
    assert average_precision(*arrays([0, 0, 1], [0.1, 0.2, 0.3])) == 1.0
    assert auroc(*arrays([0, 0, 1], [0.1, 0.2, 0.3])) == 1.0
    assert auroc(*arrays([1, 1, 0], [0.1, 0.2, 0.3])) == 0.0


@pytest.mark.parametrize("figure", [average_precision, auroc, false_rejects_at_zero_escapes])
@pytest.mark.parametrize("truth", [[], [1, 1], [0, 0]])
def test_one_kind_alone_defines_nothing(figure: Figure, truth: list[int]) -> None:
    assert figure(*arrays(truth, [0.5] * len(truth))) is None


def test_false_rejects_at_zero_escapes_counts_equal_scores() -> None:
    assert false_rejects_at_zero_escapes(*arrays([1, 1, 0, 0, 0], [0.5, 0.9, 0.5, 0.6, 0.4])) == 2
    assert false_rejects_at_zero_escapes(*arrays([1, 0], [0.5, 0.4])) == 0


def test_precision_and_recall_change_only_between_scores() -> None:
    precision, recall, thresholds = precision_recall(*arrays([1, 0, 1], [0.5, 0.5, 0.9]))
    assert thresholds.tolist() == [0.9, 0.5]
    assert precision.tolist() == [1.0, 2 / 3]
    assert recall.tolist() == [0.5, 1.0]


@given(images())
def test_agrees_with_scikit_learn(given_images: Images) -> None:
    truth, score = given_images
    assert average_precision(truth, score) == pytest.approx(average_precision_score(truth, score))
    assert auroc(truth, score) == pytest.approx(roc_auc_score(truth, score))


@given(images(), st.randoms(use_true_random=False))
def test_order_of_images_does_not_matter(given_images: Images, random: Random) -> None:
    truth, score = given_images
    order = list(range(len(truth)))
    random.shuffle(order)
    for figure in (average_precision, auroc, false_rejects_at_zero_escapes):
        assert figure(truth[order], score[order]) == pytest.approx(figure(truth, score))


@given(images())
def test_only_the_order_of_scores_matters(given_images: Images) -> None:
    truth, score = given_images
    for figure in (average_precision, auroc, false_rejects_at_zero_escapes):
        assert figure(truth, np.exp(3 * score) - 7) == pytest.approx(figure(truth, score))
