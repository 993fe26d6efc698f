"""Boxes of a label and boxes that were found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.domain import Defect, ScoredBox
from onspec.evaluation.boxes import Boxes, around, found, labelled, right
from onspec.evaluation.detection import match_boxes
from onspec.evaluation.results import Matches

Row = tuple[float, float, float, float]


def boxes(*rows: tuple[Row, int, float]) -> Boxes:
    """Each as x, y, width, height; class index; score."""
    return Boxes(
        np.array([xywh for xywh, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([cls for _, cls, _ in rows], np.int64),
        np.array([score for *_, score in rows], np.float32),
    )


def test_made_of_labels_detections_and_defects() -> None:
    label = labelled((np.array([[1, 2, 3, 4]], np.float32), np.array([1])))
    assert (label.xywh.tolist(), label.classes.tolist(), label.scores.tolist()) == ([[1, 2, 3, 4]], [1], [1.0])
    told = found([ScoredBox("b", 0.5, 1, 2, 3, 4), ScoredBox("a", 0.75, 5, 6, 7, 8)], ("a", "b"))
    assert (told.classes.tolist(), told.scores.tolist(), told.xywh[0].tolist()) == ([0, 1], [0.75, 0.5], [5, 6, 7, 8])
    defect = Defect(
        cls="b", score=0.5, bbox=(1, 2, 3, 4), centroid=(2, 3), area_px=9, length_px=4, width_px=3, elongation=1.3,
        orientation_deg=0,
    )  # fmt: skip
    assert around([defect], ("a", "b")).xywh.tolist() == [[1, 2, 3, 4]]
    assert len(found([], ("a",))) == len(around([], ("a",))) == 0


def test_refuses_what_is_no_box() -> None:
    with pytest.raises(ValueError, match="positive sides"):
        boxes(((0, 0, 0, 4), 0, 1.0))
    with pytest.raises(ValueError, match="positive sides"):
        boxes(((0, float("nan"), 2, 4), 0, 1.0))
    with pytest.raises(ValueError, match=r"float32 \(n, 4\)"):
        labelled((np.zeros((1, 4)), np.zeros(1, np.int64)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"float32 \(n, 4\)"):
        labelled((np.ones((2, 4), np.float32), np.zeros(1, np.int64)))


def test_one_to_one_by_score() -> None:
    """Two boxes lie on one label: the surer one takes it, the other one is wrong, although it fits better."""
    truth = boxes(((0, 0, 10, 10), 0, 1), ((50, 50, 10, 10), 0, 1))
    told = boxes(((0, 0, 10, 10), 0, 0.6), ((0, 0, 10, 8), 0, 0.9), ((50, 50, 10, 10), 1, 0.8))
    assert right(told, truth).tolist() == [False, True, False]
    assert match_boxes(truth, told, 2) == (Matches(2, 1, 2, 1), Matches(0, 0, 1, 0))


def test_each_takes_the_label_that_it_overlaps_most() -> None:
    truth = boxes(((0, 0, 10, 10), 0, 1), ((2, 0, 10, 10), 0, 1))
    assert right(boxes(((2, 0, 10, 10), 0, 0.9), ((0, 0, 10, 10), 0, 0.8)), truth).tolist() == [True, True]


def test_half_is_enough_and_less_is_not() -> None:
    truth = boxes(((0, 0, 10, 10), 0, 1))
    assert right(boxes(((0, 0, 10, 5), 0, 0.9)), truth).tolist() == [True]
    assert right(boxes(((0, 0, 10, 4.99), 0, 0.9)), truth).tolist() == [False]
    assert right(boxes(), truth).tolist() == []
    assert right(boxes(((0, 0, 10, 5), 0, 0.9)), boxes()).tolist() == [False]


rows = st.lists(
    st.tuples(
        st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 12)] * 2),
        st.integers(0, 1),
        st.integers(1, 99).map(float),
    ),
    max_size=8,
)


@given(rows, rows, st.integers(1, 99))
def test_a_box_is_right_whatever_scores_less(
    told: list[tuple[Row, int, float]], truth: list[tuple[Row, int, float]], cut: int
) -> None:
    """So one matching says which boxes are right at every threshold."""
    every, label = boxes(*[(xywh, cls, score / 100) for xywh, cls, score in told]), boxes(*truth)
    kept = every.scores >= np.float32(cut / 100)
    np.testing.assert_array_equal(right(every.kept(kept), label), right(every, label)[kept])


@given(rows, rows)
def test_no_more_are_right_than_there_are(
    told: list[tuple[Row, int, float]], truth: list[tuple[Row, int, float]]
) -> None:
    for counts in match_boxes(boxes(*truth), boxes(*told), 2):
        assert counts.found == counts.right <= min(counts.truth, counts.predicted)
