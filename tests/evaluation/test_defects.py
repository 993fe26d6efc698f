"""What becomes of each labelled defect, by hand and against the counts of `detection`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoredBox, ScoreMap, Task
from onspec.evaluation.defects import Compared, Outcome, Seen
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.results import ImageResult, Matches

CLASSES = ("dent", "scratch")
THRESHOLDS = Thresholds(image=0.6, pixel=0.5)
Box = tuple[int, int, int, int]
RULES = RuleSet.model_validate(
    {
        "zones": {
            "seam": {"rectangle": [0, 0, 20, 40], "use": "ignore"},
            "face": {"rectangle": [20, 0, 10, 40]},
            "edge": {"rectangle": [28, 0, 12, 40], "use": "forbid"},
        }
    }
)


def planes(*boxes: tuple[str, Box, float]) -> Prediction:
    """Maps of 40×40 px, a square of a score for each box."""
    values = {cls: np.zeros((40, 40), np.float32) for cls in CLASSES}
    for cls, (x, y, w, h), score in boxes:
        values[cls][y : y + h, x : x + w] = score
    return Prediction(tuple(ScoreMap(values[cls], cls) for cls in CLASSES))


def mask(*boxes: tuple[str, Box]) -> NDArray[np.uint8]:
    truth = np.zeros((2, 40, 40), np.uint8)
    for cls, (x, y, w, h) in boxes:
        truth[CLASSES.index(cls), y : y + h, x : x + w] = 1
    return truth


def one(evaluator: Evaluator) -> Compared:
    compared = evaluator.results[-1].compared
    assert compared is not None
    return compared


def test_regions_are_found_taken_for_another_class_or_missed() -> None:
    e = Evaluator(CLASSES, THRESHOLDS)
    seen = planes(("dent", (2, 2, 6, 6), 0.9), ("dent", (20, 2, 6, 6), 0.8), ("scratch", (30, 30, 3, 3), 0.7))
    label = mask(("dent", (4, 4, 6, 6)), ("scratch", (22, 4, 5, 5)), ("dent", (2, 30, 4, 2)))
    e.add("a", "a", True, seen, label)
    defects = one(e).defects
    assert [(d.cls, d.outcome, d.area_px) for d in defects] == [
        ("dent", Outcome.FOUND, 36),
        ("dent", Outcome.MISSED, 8),
        ("scratch", Outcome.OTHER_CLASS, 25),
    ]
    assert [(f.cls, f.area_px) for f in one(e).false_reports] == [("scratch", 9)]


def test_zones() -> None:
    e = Evaluator(CLASSES, THRESHOLDS, rules=RULES)
    seen = planes(("dent", (2, 2, 4, 4), 0.9), ("dent", (26, 2, 6, 4), 0.9), ("scratch", (33, 30, 3, 3), 0.7))
    label = mask(("dent", (2, 2, 4, 4)), ("dent", (26, 2, 6, 4)), ("scratch", (15, 20, 10, 2)))
    e.add("a", "a", True, seen, label)
    outcomes = {frozenset(d.zones): d.outcome for d in one(e).defects}
    assert outcomes == {
        frozenset({"seam"}): Outcome.NOT_JUDGED,
        frozenset({"face", "edge"}): Outcome.FOUND,
        frozenset({"seam", "face"}): Outcome.MISSED,
    }
    assert [sorted(f.zones) for f in one(e).false_reports] == [["edge"]]


def test_boxes_are_found_one_to_one() -> None:
    e = Evaluator(CLASSES, THRESHOLDS, Task.DETECT)
    drawn = [
        ("dent", 0.9, 2, 2, 10, 10),
        ("dent", 0.8, 20, 2, 10, 10),
        ("scratch", 0.7, 2, 25, 8, 8),
        ("dent", 0.3, 20, 25, 8, 8),
    ]
    seen = Prediction(planes().maps, tuple(ScoredBox(*box) for box in drawn))
    xywh = np.array([[2, 2, 10, 10], [21, 2, 10, 10], [20, 25, 8, 8]], np.float32)
    e.add("a", "a", True, seen, None, boxes=(xywh, np.array([0, 1, 0])))
    assert [(d.cls, d.outcome, d.area_px) for d in one(e).defects] == [
        ("dent", Outcome.FOUND, 100),
        ("scratch", Outcome.OTHER_CLASS, 100),
        ("dent", Outcome.MISSED, 64),
    ]
    assert [f.cls for f in one(e).false_reports] == ["scratch"]


def test_to_classify_the_image_is_the_defect() -> None:
    e = Evaluator(CLASSES, THRESHOLDS, Task.CLASSIFY)
    e.add("a", "a", True, planes(("dent", (0, 0, 40, 40), 0.9)), mask(("dent", (0, 0, 4, 4))), cls="dent")
    e.add("b", "b", True, planes(("dent", (0, 0, 40, 40), 0.9)), None, cls="scratch")
    e.add("c", "c", True, planes(), None, cls="scratch")
    e.add("d", "d", False, planes(("dent", (0, 0, 40, 40), 0.9)), None)
    found = [[(d.cls, d.outcome, d.area_px) for d in r.compared.defects] for r in e.results if r.compared]
    assert found == [
        [("dent", Outcome.FOUND, 16)],
        [("scratch", Outcome.OTHER_CLASS, None)],
        [("scratch", Outcome.MISSED, None)],
        [],
    ]
    assert len(one(e).false_reports) == 1


def test_what_nobody_knows_is_not_counted() -> None:
    for task in (Task.SEGMENT, Task.DETECT):
        e = Evaluator(CLASSES, THRESHOLDS, task)
        e.add("a", "a", True, planes(("dent", (0, 0, 9, 9), 0.9)), None)
        assert e.results[0].compared is None
    e.add("b", "b", False, planes(), None)
    assert one(e) == Compared()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"zone x must be bool \(40, 40\); got bool \(9, 9\)"):
        Seen(planes(), THRESHOLDS, Task.SEGMENT, CLASSES, zones={"x": np.ones((9, 9), bool)})


boxes = st.tuples(
    st.sampled_from(CLASSES),
    st.tuples(*(st.integers(0, 30),) * 2, *(st.integers(1, 9),) * 2),
    st.sampled_from([0.55, 0.9]),
)


@settings(max_examples=40)
@given(st.lists(boxes, max_size=5), st.lists(boxes, min_size=1, max_size=5))
def test_outcomes_agree_with_the_counts_of_detection(
    told: list[tuple[str, Box, float]], there: list[tuple[str, Box, float]]
) -> None:
    """Where no zone is ignored, as many defects are found as `detection` counts, and none is lost."""
    distinct = {cls: [b for b in there if b[0] == cls] for cls in CLASSES}
    label = mask(*((cls, box) for cls, of_class in distinct.items() for _, box, _ in of_class[:1]))
    seen = planes(*told)
    maps = tuple(
        ScoreMap(np.minimum(m.values, np.float32(0.9) - (m.cls == "scratch") * seen.maps[0].values), m.cls)
        for m in seen.maps
    )
    e = Evaluator(CLASSES, THRESHOLDS)
    e.add("a", "a", True, Prediction(tuple(ScoreMap(np.maximum(m.values, 0), m.cls) for m in maps)), label)
    result: ImageResult = e.results[0]
    total = sum(result.matches, Matches())
    outcomes = [d.outcome for d in one(e).defects]
    assert outcomes.count(Outcome.FOUND) == total.found
    assert len(outcomes) == total.truth
    assert len(one(e).false_reports) <= total.predicted - total.right
