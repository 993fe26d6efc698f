"""Average precision of boxes: by hand, and against a second reckoning."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onspec.domain import MissingExtraError
from onspec.evaluation.box_ranking import BoxPrecision, Pair, box_precision
from onspec.evaluation.boxes import Boxes, right

Row = tuple[float, float, float, float]


def boxes(*rows: tuple[Row, int, float]) -> Boxes:
    """Each as x, y, width, height; class index; score."""
    return Boxes(
        np.array([xywh for xywh, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([cls for _, cls, _ in rows], np.int64),
        np.array([score for *_, score in rows], np.float32),
    )


def labels(*rows: Row, cls: int = 0) -> Boxes:
    return boxes(*[(row, cls, 1.0) for row in rows])


A, B, C = (0.0, 0.0, 10.0, 10.0), (30.0, 30.0, 10.0, 10.0), (60.0, 0.0, 10.0, 10.0)


def worked() -> list[Pair]:
    """Three labels on two images. By score: 0.9 right, 0.8 wrong, 0.7 right (it overlaps by 0.8), 0.6 wrong."""
    first = labels(A, B), boxes((A, 0, 0.9), ((80, 80, 5, 5), 0, 0.8))
    second = labels(C), boxes(((60, 0, 10, 8), 0, 0.7), (A, 0, 0.6))
    return [first, second]


def test_by_hand() -> None:
    """At IoU 0.5: precision 1 up to a recall of 1/3, then 2/3 up to 2/3, and 0 beyond, over the recalls 0, 0.01, … 1.

    34 recalls are at most 1/3, 33 more at most 2/3. From IoU 0.85 on the third box is wrong, too. At an IoU of exactly
    0.8 it is still right.
    """
    at_half = (34 * 1 + 33 * 2 / 3) / 101
    strict = 34 / 101
    mean, (own,) = box_precision(worked(), 1)
    assert mean.ap_50 == pytest.approx(at_half)
    assert mean.ap_50_95 == pytest.approx((7 * at_half + 3 * strict) / 10)
    assert own == mean


def test_classes_count_the_same_and_absent_ones_not_at_all() -> None:
    other = [(labels(A, cls=1), boxes((A, 1, 0.4))), (labels(), boxes((A, 2, 0.99)))]
    mean, (first, second, third) = box_precision([*worked(), *other], 3)
    assert second == BoxPrecision(1.0, 1.0)
    assert third == BoxPrecision(None, None)  # found here and there, labelled nowhere
    assert first.ap_50 is not None
    assert mean.ap_50 == pytest.approx((first.ap_50 + 1.0) / 2)


def test_a_box_of_the_wrong_class_is_wrong_twice() -> None:
    mean, (first, second) = box_precision([(labels(A), boxes((A, 1, 0.9)))], 2)
    assert (mean.ap_50, first.ap_50, second.ap_50) == (0.0, 0.0, None)


def test_boxes_on_good_images_count() -> None:
    alone, _ = box_precision([(labels(A), boxes((A, 0, 0.5)))], 1)
    beside, _ = box_precision([(labels(A), boxes((A, 0, 0.5))), (labels(), boxes((B, 0, 0.9)))], 1)
    assert (alone.ap_50, beside.ap_50) == (1.0, 0.5)


def test_what_defines_nothing() -> None:
    nothing = BoxPrecision(None, None)
    assert box_precision([], 2) == (nothing, (nothing, nothing))
    assert box_precision([(labels(), boxes((A, 0, 0.9)))], 1) == (nothing, (nothing,))
    assert box_precision([(labels(A), boxes())], 1)[0] == BoxPrecision(0.0, 0.0)


def test_three_hundred_boxes_of_an_image_count() -> None:
    """COCO's own limit of 100 would find a third of a row of small parts."""
    row = [(float(12 * i), 0.0, 10.0, 10.0) for i in range(301)]
    told = boxes(*[(xywh, 0, 1 - i / 1000) for i, xywh in enumerate(row)])
    assert box_precision([(labels(*row[:300]), told.kept(np.arange(301) < 300))], 1)[0].ap_50 == pytest.approx(1.0)
    assert box_precision([(labels(*row), told)], 1)[0].ap_50 == pytest.approx(100 / 101)  # one is beyond the limit


@pytest.mark.parametrize("side", [0.5, 4.0, 5e5])
def test_boxes_of_every_size_count(side: float) -> None:
    huge = (0.0, 0.0, side, side)
    assert box_precision([(labels(huge), boxes((huge, 0, 0.9)))], 1)[0].ap_50 == pytest.approx(1.0)


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    box_precision(worked(), 1)
    assert capfd.readouterr() == ("", "")


def test_without_its_package_it_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)
    with pytest.raises(MissingExtraError, match=r"onspec\[evaluate\]"):
        box_precision(worked(), 1)


def reckoned(images: list[Pair]) -> float:
    """AP at IoU 0.5 of one class, written down anew: falling precision at 101 recalls."""
    score = np.concatenate([told.scores for _, told in images])
    correct = np.concatenate([right(told, truth) for truth, told in images])
    ranked = correct[np.argsort(-score, kind="stable")]
    there = sum(len(truth) for truth, _ in images)
    precision, recall = ranked.cumsum() / (np.arange(len(ranked)) + 1), ranked.cumsum() / there
    return float(np.mean([precision[recall >= r - 1e-12].max(initial=0.0) for r in np.linspace(0, 1, 101)]))


spots = st.tuples(*[st.integers(0, 30).map(float)] * 2, *[st.integers(1, 15).map(float)] * 2)
images = st.lists(
    st.tuples(
        st.lists(spots, max_size=4).map(lambda rows: labels(*rows)),
        st.lists(st.tuples(spots, st.just(0), st.integers(1, 64).map(lambda s: s / 64)), max_size=6).map(
            lambda rows: boxes(*rows)
        ),
    ),
    min_size=1,
    max_size=4,
).filter(lambda pairs: any(len(truth) for truth, _ in pairs))


@settings(max_examples=60)
@given(images)
def test_it_agrees_with_a_second_reckoning(pairs: list[Pair]) -> None:
    figure = box_precision(pairs, 1)[0].ap_50
    assert figure == pytest.approx(reckoned(pairs), abs=1e-8)
