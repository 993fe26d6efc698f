"""What each class's scores need for one threshold to suit all classes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.evaluation.boxes import Boxes
from onspec.evaluation.class_finds import ClassFinds
from onspec.evaluation.gaps import logit

SURE, FAINT, NOISE = 0, 1, 2


def boxes_at(places: Sequence[int], cls: int, score: float = 1.0) -> Boxes:
    xywh = np.array([(10 * place, 0, 8, 8) for place in places], np.float32).reshape(-1, 4)
    return Boxes(xywh, np.full(len(places), cls), np.full(len(places), score, np.float32))


def finds(*images: tuple[int, int, float, float]) -> ClassFinds:
    """Images of a labelled box that is found with one score, beside a wrong one with another: (class, count, ...)."""
    found = ClassFinds()
    for cls, count, right, wrong in images:
        for _ in range(count):
            found.add(boxes_at([0], cls, right), boxes_at([0], cls))
            found.add(boxes_at([5], cls, wrong), boxes_at([], cls))
    return found


def test_a_class_that_scores_lower_all_over_is_brought_to_the_others() -> None:
    found = finds((SURE, 40, 0.8, 0.3), (FAINT, 40, 0.2, 0.05))
    before, moved = found.best(), found.adjustments()
    after = found.best(moved)
    assert before is not None
    assert after is not None
    assert before[1] == pytest.approx(0.8)  # with faint ones: 80 right, 40 wrong, none missed
    assert after[1] == 1.0
    apart = (logit(0.8) + logit(0.3)) / 2 - (logit(0.2) + logit(0.05)) / 2
    assert moved.get(FAINT, 0.0) - moved.get(SURE, 0.0) == pytest.approx(40 / 50 * apart, abs=0.01)


def test_few_labels_move_a_class_less() -> None:
    moved = [finds((SURE, 200, 0.8, 0.3), (FAINT, count, 0.2, 0.05)).adjustments()[FAINT] for count in (2, 10, 90)]
    assert moved[0] < moved[1] < moved[2]
    assert moved[1] / moved[2] == pytest.approx((10 / 20) / (90 / 100), abs=0.01)


def test_a_class_that_is_hardly_told_is_left_as_it_is() -> None:
    """Its own best threshold reports ten wrong boxes with each right one: at that of all they would drown the rest."""
    found = finds((SURE, 40, 0.8, 0.3), (FAINT, 40, 0.5, 0.05))
    for _ in range(30):
        found.add(boxes_at(range(11), NOISE, 0.1), boxes_at([0], NOISE))
    moved = found.adjustments()
    assert NOISE not in moved
    assert moved[FAINT] > 0


def test_one_class_or_nothing_found_moves_nothing() -> None:
    assert ClassFinds().adjustments() == {}
    assert ClassFinds().best() is None
    assert finds((SURE, 20, 0.8, 0.3)).adjustments() == {}
    missed = ClassFinds()
    for cls in (SURE, FAINT):
        missed.add(boxes_at([], cls), boxes_at([0], cls))
    assert missed.adjustments() == {}


def test_a_move_is_one_on_the_logit_scale() -> None:
    """As the network adds it to its logits before the sigmoid; a label that no box finds stays missed."""
    found = finds((SURE, 5, 0.8, 0.3))
    found.add(boxes_at([], SURE), boxes_at([1], SURE))
    best = found.best({SURE: -1.0})
    assert best is not None
    low, high = (1 / (1 + math.exp(1.0 - math.log(s / (1 - s)))) for s in (0.3, 0.8))
    assert low < best[0] <= high
    assert best[1] == pytest.approx(2 * 5 / (5 + 6))


IMAGE = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.floats(0.01, 0.99)), max_size=6)
LABELS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=4, unique=True)


def joined(parts: Sequence[Boxes]) -> Boxes:
    return Boxes(
        np.concatenate([np.zeros((0, 4), np.float32), *(p.xywh for p in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(p.classes for p in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(p.scores for p in parts)]),
    )


@given(st.lists(st.tuples(IMAGE, LABELS), min_size=1, max_size=8))
def test_moving_never_costs_what_was_found_before(
    images: list[tuple[list[tuple[int, int, float]], list[tuple[int, int]]]],
) -> None:
    found = ClassFinds()
    for reports, labels in images:
        found.add(
            joined([boxes_at([place], cls, score) for cls, place, score in reports]),
            joined([boxes_at([place], cls) for cls, place in labels]),
        )
    before, moved = found.best(), found.adjustments()
    after = found.best(moved)
    if before is None:
        assert moved == {}
    else:
        assert after is not None
        assert after[1] >= before[1] - 1e-9
        assert all(math.isfinite(by) for by in moved.values())
