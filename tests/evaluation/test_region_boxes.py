"""Boxes around regions are those of the regions as they are reported, each found with far less work."""

import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap
from onspec.evaluation import region_boxes
from onspec.evaluation.box_ranking import MOST_BOXES, box_precision
from onspec.evaluation.boxes import Boxes, around
from onspec.evaluation.region_boxes import boxes_of_regions
from onspec.imaging.boxes import FLOOR
from onspec.imaging.regions import Region, find_regions
from onspec.imaging.weighing import Weighing

LABELLED = Boxes(
    np.array([[2, 3, 6, 5], [20, 10, 9, 9], [1, 25, 4, 4]], np.float32), np.array([0, 1, 0]), np.ones(3, np.float32)
)


def measured(prediction: Prediction, thresholds: Thresholds, classes: tuple[str, ...]) -> Boxes:
    """All boxes, by measuring every region: how they are defined."""
    weighing, low = thresholds.weighing, min(thresholds.floor, FLOOR)
    regions = find_regions(prediction, pixel_threshold=thresholds.pixel, floor=low, least=low, weighing=weighing)
    defects = [region.defect for region in regions]
    if weighing.floor(low) < weighing.floor(thresholds.floor):
        scores = own_scores(regions, prediction.total(), weighing)
        defects = [d.model_copy(update={"score": score}) for d, score in zip(defects, scores, strict=True)]
    return around(defects, classes)


def own_scores(regions: list[Region], total: ScoreMap, weighing: Weighing) -> list[float]:
    labels = np.zeros(total.values.shape, np.int32)
    for number, region in enumerate(regions, 1):
        x, y, w, h = region.defect.bbox
        labels[y : y + h, x : x + w][region.mask > 0] = number
    return [float(score) for score in weighing.regions(total, labels, len(regions) + 1)[1:]]


def noisy(seed: int, classes: tuple[str, ...], power: float, *, cores: bool, size: tuple[int, int]) -> Prediction:
    """Score maps of noise; of few levels with an even seed, so that many regions score the same."""
    rng = np.random.default_rng(seed)
    values = rng.random((len(classes), *size)) ** power
    values /= np.maximum(values.sum(axis=0), 1.0)
    if seed % 2 == 0:
        values = np.floor(values * 8) / 8
    maps = tuple(ScoreMap(plane.astype(np.float32), cls) for plane, cls in zip(values, classes, strict=True))
    return Prediction(maps, cores=ScoreMap(rng.random(size).astype(np.float32), "cores") if cores else None)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([("defect",), ("scratch", "dent")]),
    st.sampled_from([1.0, 4.0, 20.0]),
    st.booleans(),
    st.sampled_from([("peak", 1), ("peak", 3), ("odds", 1)]),
    st.sampled_from([(0.3, 0.5), (0.9, 0.9), (0.9, 0.2)]),
    st.sampled_from([3, 300]),
)
def test_boxes_are_those_of_measured_regions(
    seed: int,
    classes: tuple[str, ...],
    power: float,
    cores: bool,
    way: tuple[str, int],
    levels: tuple[float, float],
    most: int,
) -> None:
    prediction = noisy(seed, classes, power, cores=cores, size=(33, 40))
    thresholds = Thresholds.model_validate(
        {"image": levels[0], "pixel": levels[1], "pooling": way[0], "window": way[1], "sharpness": 0.5}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(region_boxes, "MOST_BOXES", most)
        told = boxes_of_regions(prediction, thresholds, classes)
    every = measured(prediction, thresholds, classes)
    first = [np.flatnonzero(every.classes == cls)[:most] for cls in range(len(classes))]
    wanted = every.kept(np.isin(np.arange(len(every)), np.concatenate(first)))
    for got, want in zip(
        (told.xywh, told.classes, told.scores), (wanted.xywh, wanted.classes, wanted.scores), strict=True
    ):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", [1, 2])
def test_average_precision_is_that_of_all_regions(seed: int) -> None:
    """Of some thousand regions in each image, more than count."""
    classes = ("scratch", "dent")
    predictions = [noisy(seed + 2 * i, classes, 6.0, cores=False, size=(160, 160)) for i in range(2)]
    thresholds = Thresholds(image=0.9, pixel=0.6)
    every = [measured(prediction, thresholds, classes) for prediction in predictions]
    told = [boxes_of_regions(prediction, thresholds, classes) for prediction in predictions]
    assert min(map(len, every)) > 2 * MOST_BOXES >= max(map(len, told))
    label = Boxes(every[0].xywh[::9][:60], every[0].classes[::9][:60], np.ones(60, np.float32))
    ours, wanted = (box_precision([(label, found[0]), (LABELLED, found[1])], 2) for found in (told, every))
    assert ours == wanted
    assert (wanted[0].ap_50 or 0.0) > 0.01


def test_the_boxes_of_thousands_of_regions_take_a_fraction_of_a_second() -> None:
    prediction = noisy(1, ("defect",), 30.0, cores=False, size=(512, 512))
    thresholds = Thresholds(image=0.999, pixel=0.999)
    assert cv2.connectedComponents((prediction.maps[0].values >= FLOOR).astype(np.uint8))[0] > 9000
    taken = []
    for _ in range(3):  # the least: others may use this core
        start = time.thread_time()
        assert len(boxes_of_regions(prediction, thresholds, ("defect",))) == MOST_BOXES
        taken.append(time.thread_time() - start)
    assert min(taken) < 0.3
