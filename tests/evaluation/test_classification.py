"""Which class an image is of and was told to be; scikit-learn reckons the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from onspec.evaluation.boxes import Boxes
from onspec.evaluation.classification import classification_figures, told, true_label

CLASSES = ("dent", "scratch", "stain")
labels = st.sampled_from(["good", *CLASSES])


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=40))
def test_it_agrees_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, answers = zip(*pairs, strict=True)
    figures = classification_figures(pairs, CLASSES)
    assert figures.classes is not None
    assert figures.confusion == confusion_matrix(truth, answers, labels=figures.classes).tolist()
    assert figures.accuracy == pytest.approx(accuracy_score(truth, answers))
    occurring = sorted(set(truth) | set(answers))
    assert figures.f1_macro == pytest.approx(
        f1_score(truth, answers, labels=occurring, average="macro", zero_division=0)
    )


def test_by_hand() -> None:
    pairs = [("good", "good"), ("good", "dent"), ("dent", "dent"), ("stain", "good")]
    figures = classification_figures(pairs, CLASSES)
    assert figures.classes == ["good", "dent", "scratch", "stain"]
    assert figures.confusion == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert figures.accuracy == 0.5
    assert figures.f1_macro == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)  # scratch does not occur


def test_good_stands_first_where_it_occurs() -> None:
    assert classification_figures([("dent", "stain")], CLASSES).classes == list(CLASSES)
    assert classification_figures([("dent", "good")], CLASSES).classes == ["good", *CLASSES]
    assert classification_figures([], CLASSES).confusion is None


def test_what_the_scores_say() -> None:
    scores = {"dent": 0.3, "scratch": 0.5}
    assert told(0.8, scores, 0.6) == "scratch"
    assert told(0.59, scores, 0.6) == "good"
    assert told(0.6, {"scratch": 0.3, "dent": 0.3}, 0.6) == "dent"


def test_the_class_with_most_labelled_area() -> None:
    truth = np.zeros((3, 10, 10), np.uint8)
    truth[1, :2, :4] = truth[2, 5:7, :4] = 1
    assert true_label(True, None, truth, None, CLASSES) == "scratch"  # of equal ones the earlier
    truth[2, 9, 9] = 1
    assert true_label(True, None, truth, None, CLASSES) == "stain"
    xywh, kinds = np.array([[0, 0, 9, 9], [0, 0, 5, 5], [3, 3, 8, 8]], np.float32), np.array([0, 2, 2])
    boxes = Boxes(xywh, kinds, np.ones(3, np.float32))
    assert true_label(True, None, None, boxes, CLASSES) == "stain"


def test_what_is_known_of_the_class() -> None:
    assert true_label(False, None, None, None, CLASSES) == "good"
    assert true_label(True, "stain", np.ones((3, 4, 4), np.uint8), None, CLASSES) == "stain"
    assert true_label(True, None, None, None, CLASSES) is None
    assert true_label(True, "anything", None, None, ("defect",)) == "defect"
    with pytest.raises(ValueError, match="unknown class 'crack'"):
        true_label(True, "crack", None, None, CLASSES)
