"""The operating point of detectors and classifiers, and where a kind of image is missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoredBox, ScoreMap, Task
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.observed import LEVELS, Regions
from onspec.evaluation.operating_point import Chooser

CLASSES = ("dent", "scratch")
Rect = tuple[int, int, int, int]
Spot = tuple[Rect, float]
A, B, C = (2, 2, 8, 8), (20, 2, 8, 8), (20, 20, 8, 8)


def plane(*spots: Spot, ground: float = 0.0) -> NDArray[np.float32]:
    """40×40 px with rectangles (x, y, w, h) of one score each."""
    values = np.full((40, 40), ground, np.float32)
    for (x, y, w, h), score in spots:
        values[y : y + h, x : x + w] = score
    return values


def seen(*spots: Spot, ground: float = 0.0) -> Prediction:
    return Prediction((ScoreMap(plane(*spots, ground=ground)),))


def truth(*rects: Rect) -> NDArray[np.uint8]:
    return (plane(*[(rect, 1.0) for rect in rects]) > 0).astype(np.uint8)[None]


def labels(*rects: Rect) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    return np.array(rects, np.float32).reshape(-1, 4), np.zeros(len(rects), np.int64)


def boxes(*spots: Spot) -> Prediction:
    """A detector's answer; its maps are of no account."""
    return Prediction((ScoreMap(plane()),), tuple(ScoredBox("defect", score, *rect) for rect, score in spots))


def test_a_board_has_always_some_defect() -> None:
    """Without good images, cost would sink the threshold to nothing: the best F1 of regions is taken instead."""
    chooser = Chooser((1, 3))
    for noise in (0.3, 0.4, 0.35):
        chooser.add(True, seen((A, 0.9), (B, 0.8), (C, noise)), truth(A, B))
    chosen = chooser.choose()
    assert 0.4 < chosen.image <= 0.8
    assert chosen.pixel <= chosen.image
    assert chosen.basis.startswith(
        "on 0 good and 3 defective validation images: image by best F1 of marked regions (1.000), as no good part "
        "could be rejected falsely (escapes: 0, false rejects: 0)"
    )


@pytest.mark.parametrize("window", [1, 3])
def test_the_f1_that_it_promises_is_the_one_that_is_measured(window: int) -> None:
    """Hot pixels are among what is found; a window averages them away."""
    rng = np.random.default_rng(3)
    chooser, images = Chooser((window,)), []
    for _ in range(8):
        spots = [
            ((int(x), int(y), 5, 5), float(s))
            for x, y, s in zip(*rng.integers(0, 34, (2, 6)), rng.random(6), strict=True)
        ]
        hot: Spot = ((int(rng.integers(0, 40)), 39, 1, 1), 0.97)
        images.append((seen(*spots, hot, ground=0.05), truth(*[rect for rect, _ in spots[::2]])))
        chooser.add(True, *images[-1])
    chosen = chooser.choose()
    measured = Evaluator(("defect",), chosen)
    for i, (prediction, label) in enumerate(images):
        measured.add(str(i), str(i), True, prediction, label)
    assert f"regions ({measured.metrics().detection.f1:.3f})" in chosen.basis


def test_evidence_is_taken_where_it_ranks_better_than_any_window() -> None:
    """A large faint defect against a good part with a small sure spot."""
    chooser = Chooser((1, 3), sharpness=(1.0,))
    chooser.add(True, seen(((0, 0, 30, 30), 0.6)), None)
    chooser.add(False, seen(((5, 5, 3, 3), 0.8)), None)
    chosen = chooser.choose()
    assert (chosen.pooling, chosen.sharpness) == ("odds", 1.0)
    assert "; sharpness by best average precision (1.0000)" in chosen.basis


def test_regions_are_kept_only_as_long_as_they_may_be_needed() -> None:
    regions = Regions(window=1)
    prediction, label = seen((A, 0.9)), truth(A)[0]
    regions.add(prediction.total(), label)
    assert regions.best(int(LEVELS[8])) is not None
    regions.forget()
    regions.add(prediction.total(), label)
    assert regions.best(int(LEVELS[8])) is None


def test_a_hot_pixel_that_the_window_averages_away_is_no_region() -> None:
    """Nor is the threshold put under the outline's, where fainter regions would count."""
    regions = Regions(window=3)
    regions.add(seen((A, 0.6), ((30, 30, 1, 1), 0.97)).total(), truth(A)[0])
    best = regions.best(int(LEVELS[8]))
    assert best is not None
    assert best[1] == 1.0
    assert 0.5 <= best[0] <= 0.6


def test_one_good_image_is_enough_for_a_cost() -> None:
    chooser = Chooser((1,))
    chooser.add(True, seen((A, 0.9), (C, 0.4)), truth(A))
    chooser.add(False, seen((A, 0.2)), None)
    assert "by least cost" in chooser.choose().basis


def test_without_masks_regions_say_nothing() -> None:
    chooser = Chooser((1,))
    chooser.add(True, seen((A, 0.9)), None)
    assert "image by least cost" in chooser.choose().basis


def test_a_detector_with_good_images_goes_by_cost() -> None:
    chooser = Chooser((1,), Task.DETECT)
    chooser.add(True, boxes((A, 0.9), (B, 0.1)), None, labels(A))
    chooser.add(True, boxes((A, 0.5)), None, labels(A))
    chooser.add(False, boxes((A, 0.2)), None, labels())
    chooser.add(False, boxes(), None)
    chosen = chooser.choose()
    assert 0.2 < chosen.image <= 0.5
    assert "by least cost" in chosen.basis
    assert "pixel" not in chosen.basis
    assert (chosen.window, chosen.pooling) == (1, "peak")


def test_a_detector_of_boards_goes_by_f1() -> None:
    """At 0.6 two of three labels are found without a mistake; further down each find costs two wrong boxes."""
    chooser = Chooser((1,), Task.DETECT)
    chooser.add(True, boxes((A, 0.9), (B, 0.6), ((0, 30, 5, 5), 0.5), ((30, 30, 5, 5), 0.4)), None, labels(A, B, C))
    chooser.add(True, boxes((C, 0.3), ((0, 30, 5, 5), 0.35)), None, labels(C))
    chosen = chooser.choose()
    assert 0.5 < chosen.image <= 0.6
    assert "best F1 of boxes that overlap a label by half (0.667)" in chosen.basis
    assert "escapes: 1" in chosen.basis


def test_a_detector_that_finds_nothing_still_has_a_threshold() -> None:
    chooser = Chooser((1,), Task.DETECT)
    chooser.add(True, boxes(), None, labels(A))
    assert 0 < chooser.choose().image <= 1


def test_a_detector_of_several_classes_says_what_to_add_to_which() -> None:
    """Scratches score a fifth of what dents do, and are found as surely."""
    chooser = Chooser((1,), Task.DETECT)
    maps = tuple(ScoreMap(plane(), cls) for cls in CLASSES)
    for _ in range(20):
        for at, (cls, right, wrong) in enumerate([("dent", 0.9, 0.5), ("scratch", 0.18, 0.1)]):
            found = tuple(ScoredBox(cls, score, *rect) for rect, score in ((A, right), (B, wrong)))
            label = np.array([A], np.float32), np.array([at])
            chooser.add(True, Prediction(maps, found), None, label)
    moved = chooser.logit_adjustments()
    assert moved.keys() <= set(CLASSES)
    assert moved.get("scratch", 0.0) - moved.get("dent", 0.0) == pytest.approx(20 / 30 * 2.95, abs=0.01)


def mixed(cls: str, score: float, spread: float) -> Prediction:
    """A peak of one class, and the other class spread thinly over the image."""
    other = np.full((40, 40), spread, np.float32)
    values = plane((A, score), ground=0.01)
    other[values > spread] = 0.0
    maps = {cls: values, next(c for c in CLASSES if c != cls): other}
    return Prediction(tuple(ScoreMap(np.minimum(maps[c], np.float32(0.98)), c) for c in CLASSES))


def test_a_classifiers_sharpness_by_average_precision() -> None:
    """A good part that is a little suspect everywhere, and a small defect: only a sharp mean tells them apart."""
    chooser = Chooser((1,), Task.CLASSIFY, sharpness=(0.25, 8.0))
    for ground in (0.1, 0.12):
        chooser.add(False, seen(ground=ground), None)
    chooser.add(True, seen((A, 0.9)), None)
    chosen = chooser.choose()
    assert (chosen.pooling, chosen.sharpness) == ("odds", 8.0)
    assert "sharpness by best average precision (1.0000)" in chosen.basis
    assert chosen.pixel == 0.45
    assert "half of the median peak of defective images, as no label says where" in chosen.basis
    assert 0.1 < chosen.image < 0.9


def test_a_classifiers_sharpness_by_macro_f1() -> None:
    """The defect is the peak; blunt means take it for the class that is spread over the image."""
    chooser = Chooser((1,), Task.CLASSIFY, sharpness=(0.25, 8.0))
    for cls in CLASSES:
        chooser.add(True, mixed(cls, 0.9, 0.4), None, cls=cls)
        chooser.add(False, Prediction(tuple(ScoreMap(plane(ground=0.01), c) for c in CLASSES)), None)
    chosen = chooser.choose()
    assert chosen.sharpness == 8.0
    assert "sharpness by best macro F1 (1.000)" in chosen.basis


def test_a_classifiers_heat_by_masks_where_there_are_some() -> None:
    chooser = Chooser((1,), Task.CLASSIFY)
    chooser.add(True, seen((A, 0.9), ((20, 20, 10, 10), 0.6)), truth(A))
    chooser.add(False, seen(ground=0.01), None)
    chosen = chooser.choose()
    assert 0.6 < chosen.pixel <= 0.9
    assert "pixel by best mean Dice (1.000)" in chosen.basis


def test_from_good_images_alone() -> None:
    chooser = Chooser((1,))
    for score in np.linspace(0.02, 0.05, 40):
        chooser.add(False, seen((A, float(score))), None)
    chosen = chooser.choose()
    assert chosen == chooser.choose_from_good()
    assert 0.05 < chosen.image < 0.15
    assert chosen.pixel == chosen.image
    assert "no defective part was there to choose on, so nothing is known about escapes" in chosen.basis
    assert "at most 7.2 % of good images are rejected falsely" in chosen.basis
    bound = 1 - 0.05 ** (1 / 40)
    assert bound == pytest.approx(0.072, abs=5e-4)


def test_one_odd_good_image_in_fifty_does_not_decide() -> None:
    """The bound is that of one rejected image of sixty: Beta(2, 59) at 95 %."""
    chooser = Chooser((1,))
    for score in [*np.linspace(0.02, 0.05, 59), 0.98]:
        chooser.add(False, seen((A, float(score))), None)
    chosen = chooser.choose()
    assert 0.05 < chosen.image < 0.98
    assert "over all but the 1 highest of 60 scores of good images" in chosen.basis
    assert "at most 7.7 % of good images are rejected falsely" in chosen.basis


def test_the_margin_is_wider_where_good_images_differ() -> None:
    def over(*scores: float) -> float:
        chooser = Chooser((1,))
        for score in scores:
            chooser.add(False, seen((A, score)), None)
        return chooser.choose().image

    assert over(0.1) == pytest.approx(1 / (1 + 9 * np.exp(-0.5)), rel=0.01)
    assert over(0.001, 0.1) > over(0.09, 0.1) == over(0.1)


def test_from_good_images_only() -> None:
    chooser = Chooser((1,))
    with pytest.raises(ValueError, match="good images alone"):
        chooser.choose_from_good()
    chooser.add(True, seen((A, 0.9)), truth(A))
    with pytest.raises(ValueError, match="got 1 defective of 1"):
        chooser.choose_from_good()


@given(st.lists(st.floats(0, 1, width=16), min_size=1, max_size=6), st.sampled_from(list(Task)))
def test_no_good_image_that_was_seen_is_rejected(scores: list[float], task: Task) -> None:
    """But for those that score 1, which no threshold can pass."""
    chooser, measured = Chooser((1,), task), None
    images = [boxes(((2, 2, 8, 8), s)) if task is Task.DETECT else seen(ground=s) for s in scores]
    for image in images:
        chooser.add(False, image, None)
    chosen = chooser.choose()
    measured = Evaluator(("defect",), Thresholds.model_validate(chosen.model_dump()), task)
    for i, image in enumerate(images):
        measured.add(str(i), str(i), False, image, None)
    beyond = sum((result.score or 0.0) >= 1.0 for result in measured.results)
    assert measured.metrics().image.false_rejects == beyond
