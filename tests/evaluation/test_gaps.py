"""Where between two scores a threshold lies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.evaluation.gaps import best_f1_threshold, logit, sigmoid

scores = st.floats(1 / 64, 1, width=16)


def f1(threshold: float, score: list[float], right: list[bool], found_at: list[float]) -> float:
    kept = [r for s, r in zip(score, right, strict=True) if s >= threshold]
    if not kept:
        return 0.0
    precision, recall = sum(kept) / len(kept), sum(s >= threshold for s in found_at) / len(found_at)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def best(
    score: list[float], right: list[bool], found_at: list[float], lowest: float = 0.0
) -> tuple[float, float] | None:
    return best_f1_threshold(np.array(score), np.array(right, bool), np.array(found_at), lowest)


def test_by_hand() -> None:
    """Three labels, of which two can be found: with 0.9 and 0.7 F1 is 4/5, whatever else is taken or left costs."""
    found = best([0.9, 0.7, 0.5, 0.4], [True, True, False, False], [0.9, 0.7, 0.0])
    assert found is not None
    assert 0.5 < found[0] <= 0.7
    assert found[1] == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))


def test_several_reports_of_one_defect_are_all_right() -> None:
    found = best([0.9, 0.8, 0.7], [True, True, False], [0.9])
    assert found is not None
    assert found[1] == 1.0
    assert 0.7 < found[0] <= 0.9


def test_nothing_to_find_or_nothing_found() -> None:
    assert best([], [], []) is None
    assert best([0.9], [False], [0.0]) is None
    assert best([0.9], [False], []) is None
    assert best([], [], [0.0]) is None


def test_not_under_the_lowest() -> None:
    assert best([0.5, 0.5], [True, True], [0.5, 0.5], lowest=0.5) == (0.5, 1.0)
    found = best([0.9, 0.5], [True, False], [0.9], lowest=0.5)
    assert found is not None
    assert 0.5 < found[0] <= 0.9


@given(
    st.lists(st.tuples(scores, st.booleans()), min_size=1, max_size=12),
    st.lists(st.integers(0, 12), min_size=1, max_size=6),
)
def test_no_other_threshold_gives_a_better_f1(reports: list[tuple[float, bool]], finders: list[int]) -> None:
    """Each label is found by one of the reports that are right, or by none."""
    score, right = [s for s, _ in reports], [r for _, r in reports]
    able = [0.0, *(s for s, r in reports if r)]
    found_at = [able[i % len(able)] for i in finders]
    chosen = best(score, right, found_at)
    if chosen is None:
        assert not any(right)
        return
    threshold, figure = chosen
    assert 0 < threshold <= 1
    assert figure == pytest.approx(f1(threshold, score, right, found_at))
    assert figure >= max(f1(t, score, right, found_at) for t in score) - 1e-9


@given(st.floats(0.001, 0.999))
def test_logit_and_back(score: float) -> None:
    assert sigmoid(logit(score)) == pytest.approx(score)
