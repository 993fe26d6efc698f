"""Detectors, classifiers, and several classes at once: judged images → metrics, by hand."""

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoredBox, ScoreMap, Task
from onspec.evaluation.evaluator import Evaluator

THRESHOLDS = Thresholds(image=0.6, pixel=0.5)
CLASSES = ("dent", "scratch")
Rect = tuple[int, int, int, int]
Spot = tuple[Rect, float]
Boxes = tuple[NDArray[np.float32], NDArray[np.int64]]


def plane(*spots: Spot) -> NDArray[np.float32]:
    """40×40 px of 0 with rectangles (x, y, w, h) of one score each."""
    values = np.zeros((40, 40), np.float32)
    for (x, y, w, h), score in spots:
        values[y : y + h, x : x + w] = score
    return values


def seen(dent: list[Spot], scratch: list[Spot], *boxes: ScoredBox) -> Prediction:
    maps = (ScoreMap(plane(*dent), "dent"), ScoreMap(plane(*scratch), "scratch"))
    return Prediction(maps, tuple(sorted(boxes, key=lambda box: -box.score)))


def masks(dent: list[Rect], scratch: list[Rect]) -> NDArray[np.uint8]:
    return np.stack([(plane(*[(r, 1.0) for r in rects]) > 0).astype(np.uint8) for rects in (dent, scratch)])


def labels(dent: list[Rect], scratch: list[Rect]) -> Boxes:
    kinds = [0] * len(dent) + [1] * len(scratch)
    return np.array([*dent, *scratch], np.float32).reshape(-1, 4), np.array(kinds, np.int64)


def box(cls: str, score: float, rect: Rect) -> ScoredBox:
    return ScoredBox(cls, score, *rect)


A, B, C = (2, 2, 8, 8), (20, 2, 8, 8), (20, 20, 8, 4)


def segmented() -> Evaluator:
    """A dent found half as a scratch; a scratch found exactly; a good part with a faint mark; a dent with no label."""
    e = Evaluator(CLASSES, THRESHOLDS)
    half, rest = (2, 2, 8, 4), (2, 6, 8, 4)
    torn = seen([(half, 0.8), (rest, 0.35)], [(half, 0.1), (rest, 0.45)])
    e.add("torn", "1", True, torn, masks([A], []), boxes=labels([A], []))
    e.add("exact", "2", True, seen([], [(B, 0.9)]), masks([], [B]), boxes=labels([], [B]))
    e.add("good", "3", False, seen([(C, 0.55)], []), None)
    e.add("somewhere", "4", True, seen([(A, 0.7)], []), None, cls="dent")
    return e


def test_pixels_of_several_classes() -> None:
    """A pixel is marked where both classes together reach the threshold, for the one that is higher."""
    metrics = segmented().metrics()
    assert metrics.pixel.dice == pytest.approx(1.0)  # 0.9 above, 0.8 below
    assert metrics.per_class["dent"].pixel.dice == pytest.approx(2 * 32 / (32 + 64))
    assert metrics.per_class["scratch"].pixel.iou == pytest.approx(1.0)  # only where scratches are labelled
    dent, scratch = 32 / 64, 64 / (64 + 32)
    assert metrics.pixel.iou_classes == pytest.approx((dent + scratch) / 2)
    assert metrics.pixel.boundary_f1 == pytest.approx(1.0)
    assert metrics.pixel.good_marked_share == pytest.approx(32 / 1600)
    assert metrics.pixel.aupro == pytest.approx(1.0)  # torn or not, both defects score over all else
    dents = metrics.per_class["dent"].pixel.aupro
    assert dents is not None
    assert dents < 1.0  # half of one scores less for its class than the good part's mark
    assert metrics.pixel.images == 2


def test_regions_and_boxes_of_several_classes() -> None:
    """The torn dent is one region of class dent: 0.8 + 0.35 outweigh 0.1 + 0.45."""
    found = segmented().metrics().detection
    assert (found.defects, found.defects_found, found.reported, found.reported_right) == (2, 2, 2, 2)
    assert found.f1 == found.f1_iou50 == 1.0
    assert found.map_50 == found.map_50_95 == 1.0


def test_a_box_around_a_region_beside_its_label() -> None:
    """The region touches its label, so it counts as found; its box overlaps by a seventh, so the box does not."""
    e = Evaluator(CLASSES, THRESHOLDS)
    e.add("a", "a", True, seen([((8, 2, 8, 8), 0.9)], []), masks([A], []), boxes=labels([A], []))
    found = e.metrics().detection
    assert (found.f1, found.f1_iou50, found.map_50) == (1.0, 0.0, 0.0)


def test_faint_regions_are_ranked_but_not_reported() -> None:
    e = Evaluator(CLASSES, THRESHOLDS)
    spots: list[Spot] = [(A, 0.9), (B, 0.2), (C, 0.01)]
    e.add("a", "a", True, seen(spots, []), masks([A, B], []), boxes=labels([A, B], []))
    assert e.results[0].boxes is not None
    assert e.results[0].boxes[1].scores.tolist() == pytest.approx([0.9, 0.2])
    found = e.metrics().detection
    assert (found.reported, found.recall) == (1, 0.5)
    assert found.map_50 == pytest.approx(1.0)


def test_a_faint_region_does_not_borrow_its_neighbours_score() -> None:
    """Two spots that a faint bridge joins: each is ranked by its own."""
    e = Evaluator(CLASSES, THRESHOLDS)
    bridged = seen([((2, 2, 30, 8), 0.1), (A, 0.9), (B, 0.55)], [])
    e.add("a", "a", True, bridged, masks([A, B], []), boxes=labels([A, B], []))
    assert e.results[0].boxes is not None
    assert e.results[0].boxes[1].scores.tolist() == pytest.approx([0.9, 0.55])


def test_without_boxes_in_the_labels_nothing_is_said_of_them() -> None:
    e = Evaluator(CLASSES, THRESHOLDS)
    e.add("a", "a", True, seen([(A, 0.9)], []), masks([A], []))
    e.add("b", "b", False, seen([], []), None)
    found = e.metrics().detection
    assert (found.f1, found.f1_iou50, found.map_50, found.map_50_95) == (1.0, None, None, None)


def test_classes_of_images_that_were_segmented() -> None:
    e = segmented()
    assert [(r.true_cls, r.cls) for r in e.results] == [
        ("dent", "dent"),
        ("scratch", "scratch"),
        ("good", "good"),
        ("dent", "dent"),
    ]
    told = e.metrics().classification
    assert told.classes == ["good", "dent", "scratch"]
    assert told.confusion == [[1, 0, 0], [0, 2, 0], [0, 0, 1]]
    assert told.accuracy == told.f1_macro == 1.0


def test_average_precision_of_each_class_against_good() -> None:
    """Dents score 0.8 and 0.7 for dent, the good part 0.55; a scratch is no part of the question."""
    per_class = segmented().metrics().per_class
    assert per_class["dent"].average_precision == 1.0
    e = segmented()
    e.add("worse", "5", False, seen([(A, 0.75)], []), None)
    assert e.metrics().per_class["dent"].average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert e.metrics().per_class["scratch"].average_precision == 1.0
    only_bad = Evaluator(CLASSES, THRESHOLDS)
    only_bad.add("a", "a", True, seen([(A, 0.9)], []), masks([A], []))
    assert only_bad.metrics().per_class["dent"].average_precision is None


def detected() -> Evaluator:
    """Two of three defects found, one of them as the wrong class; one box too many; a good part without a box."""
    e = Evaluator(CLASSES, THRESHOLDS, Task.DETECT)
    boxes = (box("dent", 0.9, A), box("dent", 0.8, B), box("scratch", 0.7, (2, 30, 6, 6)), box("scratch", 0.3, C))
    e.add("bad", "1", True, seen([], [], *boxes), masks([A], [B, C]), boxes=labels([A], [B, C]))
    e.add("good", "2", False, seen([], [], box("dent", 0.5, A)), None)
    return e


def test_boxes_at_the_operating_point() -> None:
    metrics = detected().metrics()
    found = metrics.detection
    assert metrics.task == "detect"
    assert (found.defects, found.defects_found, found.reported, found.reported_right) == (3, 1, 3, 1)
    assert found.precision == found.recall == pytest.approx(1 / 3)
    assert found.f1 == found.f1_iou50 == pytest.approx(1 / 3)
    assert metrics.per_class["dent"].detection.precision == 0.5
    assert metrics.per_class["scratch"].detection.recall == 0.0
    assert (metrics.image.escapes, metrics.image.false_rejects) == (0, 0)


def test_ranked_boxes_of_a_detector() -> None:
    """Scratch: 0.7 wrong, then 0.3 right, of two: precision 1/2 up to a recall of 1/2, at 51 of 101 recalls."""
    metrics = detected().metrics()
    scratch = 51 / 101 / 2
    assert metrics.per_class["dent"].detection.map_50 == pytest.approx(1.0)
    assert metrics.per_class["scratch"].detection.map_50 == pytest.approx(scratch)
    assert metrics.detection.map_50 == pytest.approx((1 + scratch) / 2)


def test_a_detector_outlines_nothing() -> None:
    pixel = detected().metrics().pixel
    assert (pixel.dice, pixel.aupro, pixel.boundary_f1, pixel.good_marked_share, pixel.images) == (None,) * 4 + (0,)


def test_a_detectors_images_have_the_class_with_most_boxed_area() -> None:
    e = Evaluator(CLASSES, THRESHOLDS, Task.DETECT)
    e.add("a", "a", True, seen([], [], box("dent", 0.9, A)), None, boxes=labels([A], [(1, 1, 30, 30)]))
    assert (e.results[0].true_cls, e.results[0].cls) == ("scratch", "dent")
    assert e.metrics().classification.confusion == [[0, 0], [1, 0]]


def classified() -> Evaluator:
    """Told right: a good part and a dent; a scratch told to be a dent, and one that escapes."""
    e = Evaluator(CLASSES, THRESHOLDS, Task.CLASSIFY)
    e.add("good", "1", False, seen([(A, 0.5)], [(C, 0.3)]), None)
    e.add("dent", "2", True, seen([(A, 0.9)], []), masks([A], []), cls="dent")
    e.add("confused", "3", True, seen([(A, 0.7)], [(B, 0.65)]), None, cls="scratch")
    e.add("missed", "4", True, seen([], [(A, 0.2)]), None, cls="scratch")
    return e


def test_a_classifiers_figures() -> None:
    metrics = classified().metrics()
    told = metrics.classification
    assert told.classes == ["good", "dent", "scratch"]
    assert told.confusion == [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert told.accuracy == 0.5
    assert told.f1_macro == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert (metrics.image.escapes, metrics.image.false_rejects) == (1, 0)
    assert metrics.pixel.dice == pytest.approx(1.0)  # of the one heat map whose defect is outlined
    assert metrics.per_class["scratch"].average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert (metrics.detection.defects, metrics.detection.f1, metrics.detection.map_50) == (0, None, None)


def test_a_classifier_of_one_class_has_a_confusion_too() -> None:
    e = Evaluator(("defect",), THRESHOLDS, Task.CLASSIFY)
    for name, defective, score in (("a", True, 0.9), ("b", True, 0.1), ("c", False, 0.2)):
        e.add(name, name, defective, Prediction((ScoreMap(plane((A, score))),)), None)
    told = e.metrics().classification
    assert (told.classes, told.confusion) == (["good", "defect"], [[1, 0], [1, 1]])


def test_the_scores_of_odds_are_those_of_the_decision() -> None:
    odds = THRESHOLDS.model_copy(update={"pooling": "odds", "sharpness": 1.0})
    e = Evaluator(CLASSES, odds, Task.CLASSIFY)
    e.add("even", "a", True, seen([((0, 0, 40, 40), 0.5)], [((0, 0, 40, 40), 0.25)]), None, cls="scratch")
    assert e.results[0].score == pytest.approx(0.75)
    assert e.results[0].class_scores == pytest.approx((0.5, 0.25))


def test_refuses_boxes_that_do_not_fit() -> None:
    e = Evaluator(CLASSES, THRESHOLDS, Task.DETECT)
    with pytest.raises(ValueError, match="labelled good and has 1 boxes"):
        e.add("a", "a", False, seen([], []), None, boxes=labels([A], []))
    with pytest.raises(ValueError, match=r"classes \[7\] of 2"):
        e.add("a", "a", True, seen([], []), None, boxes=(np.array([A], np.float32), np.array([7])))
    with pytest.raises(ValueError, match="unknown class"):
        e.add("a", "a", True, seen([], []), None, cls="crack")
    assert e.results == []


def test_no_box_on_a_defective_image_says_nothing() -> None:
    e = Evaluator(CLASSES, THRESHOLDS, Task.DETECT)
    e.add("a", "a", True, seen([], [], box("dent", 0.9, A)), None, boxes=labels([], []))
    found = e.metrics().detection
    assert (found.reported, found.precision, found.map_50) == (0, None, None)


rects = st.tuples(*[st.integers(0, 28)] * 2, *[st.integers(3, 12)] * 2)
boxed = st.tuples(st.lists(rects, max_size=3), st.lists(st.tuples(rects, st.integers(1, 20)), max_size=4))


@settings(max_examples=40)
@given(st.lists(boxed, min_size=1, max_size=5), st.randoms())
def test_order_of_images_does_not_matter(rows: list[tuple[list[Rect], list[tuple[Rect, int]]]], random: Random) -> None:
    """But for boxes of one score, of which COCO's code takes the first."""
    shuffled = list(enumerate(rows))
    random.shuffle(shuffled)
    one, other = (Evaluator(CLASSES, THRESHOLDS, Task.DETECT) for _ in range(2))
    for e, images in ((one, list(enumerate(rows))), (other, shuffled)):
        for i, (truth, told) in images:
            boxes = [box(CLASSES[j % 2], (s + i / 10 + j / 100) / 21, r) for j, (r, s) in enumerate(told)]
            e.add(str(i), str(i), bool(truth), seen([], [], *boxes), None, boxes=labels(truth, []))
    a, b = json.loads(one.metrics().to_json()), json.loads(other.metrics().to_json())
    for part in ("image", "detection", "classification", "per_class"):
        assert a[part] == b[part]
