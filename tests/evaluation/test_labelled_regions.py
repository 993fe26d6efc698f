"""Which labelled defects a reported region finds: each that it touches, or the one object that it is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap
from onspec.evaluation.defects import Outcome
from onspec.evaluation.detection import match, reported
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.labelled_regions import LabelledRegions, connected, told_apart
from onspec.evaluation.results import Matches
from onspec.imaging.regions import Region, find_regions
from onspec.imaging.weighing import Peak

THRESHOLDS = Thresholds(image=0.6, pixel=0.5)
Rect = tuple[int, int, int, int]
LEFT, RIGHT = (4, 4, 10, 8), (14, 4, 6, 8)
"""Two rectangles (x, y, width, height) that touch, the left one larger."""

label_maps = arrays.arrays(np.int32, (9, 9), elements=st.integers(0, 5))


def numbered(*rects: Rect) -> NDArray[np.int32]:
    objects = np.zeros((24, 24), np.int32)
    for number, (x, y, w, h) in enumerate(rects, 1):
        objects[y : y + h, x : x + w] = number
    return objects


def seen(objects: NDArray[np.int32], *cores: Rect) -> Prediction:
    """All objects score 0.9; the network takes `cores` for what is well inside of one."""
    inside = (numbered(*cores) > 0).astype(np.float32)
    return Prediction((ScoreMap((objects > 0) * np.float32(0.9)),), cores=ScoreMap(inside, "cores"))


def regions_like(labels: NDArray[np.int32]) -> list[Region]:
    """The connected pieces of each number as reported regions."""
    return [
        region
        for number in range(1, 6)
        for region in find_regions(
            ScoreMap((labels == number).astype(np.float32)), pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1)
        )
    ]


def test_objects_that_come_apart_are_found_one_by_one() -> None:
    objects = numbered(LEFT, RIGHT)
    apart = seen(objects, (7, 6, 4, 4), (16, 6, 2, 4))
    (labelled,) = told_apart((objects > 0).astype(np.uint8)[None], objects)
    assert match(reported(apart, THRESHOLDS), labelled) == Matches(truth=2, found=2, predicted=2, right=2)


def test_two_objects_reported_as_one_are_at_most_one() -> None:
    objects = numbered(LEFT, RIGHT)
    merged = seen(objects, (7, 6, 11, 4))
    truth = (objects > 0).astype(np.uint8)[None]
    (labelled,), (touching,) = told_apart(truth, objects), connected(truth)
    assert match(reported(merged, THRESHOLDS), labelled) == Matches(truth=2, found=1, predicted=1, right=1)
    assert match(reported(merged, THRESHOLDS), touching) == Matches(truth=1, found=1, predicted=1, right=1)
    alike = numbered((4, 4, 8, 8), (12, 4, 8, 8))  # half of what is reported is no more one than the other
    (labelled,) = told_apart((alike > 0).astype(np.uint8)[None], alike)
    assert match(reported(seen(alike, (6, 6, 12, 4)), THRESHOLDS), labelled) == Matches(2, 0, 1, 0)


def test_an_object_is_of_the_class_that_marks_most_of_it() -> None:
    objects = numbered(LEFT, RIGHT)
    truth = np.zeros((2, 24, 24), np.uint8)
    truth[0, 4:12, 4:13] = truth[1, 4:12, 12:20] = 1  # the border between the classes is off by two columns
    dents, scratches = told_apart(truth, objects)
    assert (dents.numbers, scratches.numbers) == ([1], [2])
    assert (dents.areas[1], scratches.areas[2]) == (80, 48)
    assert scratches.at(2) == (slice(4, 12), slice(14, 20))


def test_objects_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"objects must be \(8, 9\) as the labels are; got \(9, 8\)"):
        told_apart(np.zeros((1, 8, 9), np.uint8), np.zeros((9, 8), np.int32))


@given(label_maps, label_maps)
def test_one_to_one_is_so_from_both_sides(objects: NDArray[np.int32], found: NDArray[np.int32]) -> None:
    labelled = LabelledRegions(objects, one_to_one=True)
    taken = [labelled.found_by(region) for region in regions_like(found)]
    assert all(len(numbers) <= 1 for numbers in taken)
    assert sum(len(numbers) for numbers in taken) == len(set().union(*taken))
    for region, numbers in zip(regions_like(found), taken, strict=True):
        assert numbers <= labelled.touched_by(region)


@given(label_maps)
def test_what_is_reported_as_labelled_is_found(objects: NDArray[np.int32]) -> None:
    (whole,) = connected((objects > 0).astype(np.uint8)[None])
    one_to_one = LabelledRegions(whole.labels, one_to_one=True)
    regions = regions_like((objects > 0).astype(np.int32))
    count = len(whole.numbers)
    assert match(regions, whole) == match(regions, one_to_one) == Matches(count, count, count, count)


def test_an_evaluation_counts_the_objects_that_the_label_numbers() -> None:
    objects = numbered(LEFT, RIGHT, (4, 16, 4, 4))
    truth = (objects > 0).astype(np.uint8)[None]
    e = Evaluator(("defect",), THRESHOLDS)
    e.add("merged", "1", True, seen(objects, (7, 6, 11, 4)), truth, objects=objects)
    compared = e.results[0].compared
    assert compared is not None
    assert [(d.area_px, d.outcome) for d in compared.defects] == [
        (80, Outcome.FOUND),
        (48, Outcome.MISSED),
        (16, Outcome.FOUND),
    ]
    assert compared.false_reports == ()
    metrics = e.metrics()
    figures = metrics.detection
    assert (figures.defects, figures.defects_found, figures.reported, figures.reported_right) == (3, 2, 2, 2)
    assert figures.one_to_one
    assert metrics.per_class["defect"].detection == figures
    assert [(k.kind, k.defects, k.found) for k in metrics.kinds] == [("4 to 8 px", 2, 1), ("8 to 16 px", 1, 1)]
    again = Evaluator(("defect",), THRESHOLDS)
    again.add("merged", "1", True, seen(objects, (7, 6, 11, 4)), truth)
    assert again.metrics().detection.defects == 2
    assert not again.metrics().detection.one_to_one
