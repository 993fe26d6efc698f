"""Judged images → metrics, by hand."""

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Prediction, ScoreMap, Verdict
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.results import ImageResult, Overlap, by_part

THRESHOLDS = Thresholds(image=0.6, pixel=0.5)
Box = tuple[int, int, int, int]


def score_map(box: Box | None = None, score: float = 0.9, cls: str = "defect") -> ScoreMap:
    """20×20 px of 0 with a box (x, y, w, h) of one score."""
    values = np.zeros((20, 20), np.float32)
    if box:
        x, y, w, h = box
        values[y : y + h, x : x + w] = score
    return ScoreMap(values, cls)


def seen(*maps: ScoreMap) -> Prediction:
    """A prediction of these maps."""
    return Prediction(maps)


def truth(*boxes: Box | None) -> NDArray[np.uint8]:
    """A plane of 20×20 px for each box."""
    return np.stack([(score_map(box).values > 0).astype(np.uint8) for box in boxes])


def evaluator() -> Evaluator:
    return Evaluator(("defect",), THRESHOLDS)


def mixed() -> Evaluator:
    """Found with half of its area; missed; a good one rejected; a good one passed."""
    e = evaluator()
    e.add("found", "a", True, seen(score_map((0, 0, 4, 2))), truth((0, 0, 4, 4)))
    e.add("missed", "b", True, seen(score_map((0, 0, 4, 4), 0.4)), truth((0, 0, 4, 4)))
    e.add("rejected", "c", False, seen(score_map((5, 5, 2, 2))), None)
    e.add("passed", "d", False, seen(score_map()), truth(None))
    return e


def test_counts_and_figures() -> None:
    metrics = mixed().metrics(split="val", confidence=0.9)
    assert (metrics.task, metrics.split, metrics.threshold) == ("segment", "val", 0.6)
    assert (metrics.images.good, metrics.images.defective, metrics.errors) == (2, 2, 0)
    assert (metrics.image.escapes, metrics.image.false_rejects) == (1, 1)
    assert metrics.image.escape_rate.value == 0.5
    assert metrics.image.escape_rate.confidence == 0.9
    assert metrics.image.false_rejects_at_zero_escapes == 1
    assert metrics.image.average_precision == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3)  # 0.9 twice, then 0.4
    assert metrics.pixel.dice == pytest.approx((2 * 8 / (8 + 16) + 0) / 2)
    assert metrics.pixel.iou == pytest.approx((8 / 16 + 0) / 2)
    assert metrics.pixel.dice_pooled == pytest.approx(2 * 8 / (8 + 32))
    assert metrics.pixel.images == 2
    assert metrics.pixel.good_marked_share == pytest.approx((4 / 400 + 0) / 2)
    assert metrics.detection.recall == 0.5
    assert metrics.detection.precision == 0.5


def test_a_good_image_never_adds_to_dice() -> None:
    """An empty network is not nearly perfect, however many good images there are."""
    e = evaluator()
    e.add("defective", "a", True, seen(score_map()), truth((0, 0, 3, 3)))
    for i in range(50):
        e.add(f"good{i}", f"g{i}", False, seen(score_map()), truth(None))
    assert e.metrics().pixel.dice == 0.0
    assert e.results[1].dice is None


def test_json_has_the_names_of_the_contract() -> None:
    tree = json.loads(mixed().metrics().to_json())
    assert {
        "task",
        "split",
        "images",
        "threshold",
        "image",
        "pixel",
        "detection",
        "classification",
        "per_class",
    } <= set(tree)
    assert set(tree["images"]) == {"good", "defective"}
    image = {"average_precision", "auroc", "escapes", "false_rejects", "escape_rate", "false_reject_rate"}
    assert image | {"false_rejects_at_zero_escapes"} <= set(tree["image"])
    assert set(tree["image"]["escape_rate"]) == {"value", "low", "high", "confidence"}
    assert {"dice", "iou", "aupro"} <= set(tree["pixel"])
    assert {"map_50", "map_50_95", "f1"} <= set(tree["detection"])
    assert tree["classification"] == {"accuracy": None, "f1_macro": None, "confusion": None, "classes": None}
    assert tree["thresholds"]["image"] == tree["threshold"] == 0.6


def test_what_the_data_does_not_define_is_null() -> None:
    e = evaluator()
    e.add("good", "a", False, seen(score_map()), None)
    tree = json.loads(e.metrics().to_json())
    assert tree["image"]["average_precision"] is tree["image"]["auroc"] is tree["pixel"]["dice"] is None
    assert tree["image"]["escape_rate"] == {"value": None, "low": None, "high": None, "confidence": 0.95}
    assert tree["image"]["false_reject_rate"]["value"] == 0.0
    assert json.loads(evaluator().metrics().to_json())["images"] == {"good": 0, "defective": 0}


def test_an_image_that_could_not_be_judged_counts_apart() -> None:
    e = mixed()
    e.add_error("broken", "e", True, "broken: cannot be read")
    metrics = e.metrics()
    assert metrics.errors == 1
    assert metrics.images.defective == 2
    assert metrics.image.escapes == 1
    assert e.results[-1].verdict is Verdict.ERROR
    assert metrics.parts.errors == 1


def test_without_a_location_only_the_image_counts() -> None:
    e = evaluator()
    e.add("nowhere", "a", True, seen(score_map((0, 0, 2, 2))), None)
    e.add("empty mask", "b", True, seen(score_map((0, 0, 2, 2))), truth(None))
    metrics = e.metrics()
    assert not any(result.located for result in e.results)
    assert metrics.images.defective == 2
    assert (metrics.pixel.dice, metrics.pixel.aupro, metrics.detection.precision) == (None, None, None)


def test_a_decision_with_rules_wins_over_the_threshold() -> None:
    e = evaluator()
    review = Decision(verdict=Verdict.REVIEW, score=0.9, reasons=("size: area_px 4 >= 4",))
    e.add("a", "a", True, seen(score_map((0, 0, 2, 2))), truth((0, 0, 2, 2)), decision=review)
    e.add("b", "b", True, seen(score_map((0, 0, 2, 2))), None, decision=Decision(verdict=Verdict.OK, score=0.9))
    image = e.metrics().image
    assert (image.reviews_defective, image.escapes) == (1, 1)


def test_figures_by_part_take_the_worst_image() -> None:
    e = evaluator()
    e.add("1", "tile", True, seen(score_map((0, 0, 2, 2), 0.2)), None)
    e.add("2", "tile", True, seen(score_map((0, 0, 2, 2), 0.8)), None)
    e.add("3", "other", False, seen(score_map()), None)
    e.add_error("4", "other", False, "unreadable")
    metrics = e.metrics()
    assert metrics.image.escapes == 1
    assert (metrics.parts.defective, metrics.parts.escapes) == (1, 0)
    assert (metrics.parts.good, metrics.parts.errors) == (0, 1)


def test_part_verdicts() -> None:
    def of(*verdicts: Verdict) -> Verdict:
        images = [
            ImageResult(str(i), "p", False, v, None if v is Verdict.ERROR else 0.5) for i, v in enumerate(verdicts)
        ]
        return by_part(images)[0].verdict

    assert of(Verdict.OK, Verdict.NG, Verdict.ERROR) is Verdict.NG
    assert of(Verdict.OK, Verdict.REVIEW, Verdict.ERROR) is Verdict.ERROR
    assert of(Verdict.OK, Verdict.REVIEW) is Verdict.REVIEW
    assert of(Verdict.OK, Verdict.OK) is Verdict.OK


def test_classes_apart_and_together() -> None:
    e = Evaluator(("dent", "scratch"), THRESHOLDS)
    maps = seen(score_map((0, 0, 4, 4), cls="dent"), score_map(cls="scratch"))
    e.add("a", "a", True, maps, truth((0, 0, 4, 4), (10, 10, 2, 2)))
    metrics = e.metrics()
    assert metrics.per_class["dent"].pixel.dice == 1.0
    assert metrics.per_class["scratch"].pixel.dice == 0.0
    assert metrics.pixel.dice == pytest.approx(2 * 16 / (16 + 20))
    assert metrics.per_class["scratch"].detection.recall == 0.0


def test_refuses_what_does_not_fit() -> None:
    e = evaluator()
    with pytest.raises(ValueError, match="maps of"):
        e.add("a", "a", True, seen(score_map(cls="scratch")), None)
    with pytest.raises(ValueError, match="truth must be uint8"):
        e.add("a", "a", True, seen(score_map()), np.zeros((1, 20, 21), np.uint8))
    with pytest.raises(ValueError, match="labelled good"):
        e.add("a", "a", False, seen(score_map()), truth((0, 0, 1, 1)))
    with pytest.raises(ValueError, match="only an ERROR"):
        ImageResult("a", "a", False, Verdict.OK, None)


def test_overlap_of_nothing_is_not_defined() -> None:
    assert Overlap(0, 12, 0).dice is None
    assert Overlap(0, 12, 0).iou is None
    assert Overlap(3, 1, 0).dice == pytest.approx(6 / 7)
    assert Overlap(3, 1, 0).iou == pytest.approx(3 / 4)


@pytest.mark.slow
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=16)), min_size=1, max_size=12), st.randoms())
def test_order_of_images_does_not_matter(rows: list[tuple[bool, float]], random: Random) -> None:
    shuffled = list(enumerate(rows))
    random.shuffle(shuffled)
    one, other = evaluator(), evaluator()
    for e, images in ((one, list(enumerate(rows))), (other, shuffled)):
        for i, (defective, score) in images:
            box = (i, 0, 4, 3)
            e.add(str(i), str(i), defective, seen(score_map(box, score)), truth((i, 1, 4, 3) if defective else None))
    a, b = json.loads(one.metrics().to_json()), json.loads(other.metrics().to_json())
    assert _rounded(a) == _rounded(b)


def _rounded(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _rounded(value) for key, value in tree.items()}
    return round(tree, 9) if isinstance(tree, float) else tree
