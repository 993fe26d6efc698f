"""The report's tables."""

import numpy as np

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap, Task
from onspec.evaluation.classification import classification_figures
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.metrics import ClassificationFigures
from onspec.evaluation.tables import Cell, class_table, confusion_table

CLASSES = ("dent", "scratch")


def seen(dent: float, scratch: float) -> Prediction:
    return Prediction(
        tuple(ScoreMap(np.full((8, 8), s, np.float32), c) for c, s in zip(CLASSES, (dent, scratch), strict=True))
    )


def evaluator(task: Task = Task.CLASSIFY) -> Evaluator:
    e = Evaluator(CLASSES, Thresholds(image=0.5), task)
    e.add("a", "a", True, seen(0.8, 0.1), None, cls="dent")
    e.add("b", "b", True, seen(0.8, 0.1), None, cls="scratch")
    e.add("c", "c", False, seen(0.1, 0.2), None)
    return e


def test_rows_are_the_truth() -> None:
    told = classification_figures([("good", "good"), ("good", "good"), ("good", "dent"), ("dent", "scratch")], CLASSES)
    table = confusion_table(told, [])
    assert table is not None
    assert table.labels == ("good", "dent", "scratch")
    assert table.totals == (3, 1, 0)
    assert table.rows[0] == (Cell(2, 2 / 3, "ok"), Cell(1, 1 / 3, "bad"), Cell(0, 0.0, ""))
    assert table.rows[1][2] == Cell(1, 1.0, "bad")
    assert table.rows[2] == (Cell(0, 0.0, ""),) * 3


def test_no_table_where_images_have_no_class_or_several() -> None:
    assert confusion_table(ClassificationFigures(), []) is None
    e = Evaluator(CLASSES, Thresholds(image=0.5))
    both = np.ones((2, 8, 8), np.uint8)
    for name in "ab":
        e.add(name, name, True, seen(0.6, 0.3), both)
    assert e.metrics().classification.confusion == [[2, 0], [0, 0]]
    assert confusion_table(e.metrics().classification, e.results) is None
    e.add("c", "c", True, seen(0.6, 0.3), None, cls="dent")
    e.add("d", "d", True, seen(0.6, 0.3), None, cls="dent")
    assert confusion_table(e.metrics().classification, e.results) is not None


def test_the_figures_that_any_class_has() -> None:
    e = evaluator()
    confusion = confusion_table(e.metrics().classification, e.results)
    table = class_table(e.metrics(), confusion)
    assert table is not None
    assert table.headings == ("escapes", "false rejects", "told right", "image AP")
    none = "0 of 1 (0 % to 97.5 %)"
    assert table.rows == (("dent", (none, "0", "1 of 1", "1.000")), ("scratch", (none, "0", "0 of 1", "0.500")))
    assert [heading for heading, _ in table.meanings] == list(table.headings)


def test_what_a_class_lacks_is_not_defined() -> None:
    e = evaluator(Task.DETECT)
    e.add("d", "d", True, seen(0.0, 0.0), None, boxes=(np.array([[1, 1, 4, 4]], np.float32), np.array([0])))
    table = class_table(e.metrics(), None)
    assert table is not None
    assert dict(table.rows)["dent"][table.headings.index("found")] == "0 of 1"
    assert dict(table.rows)["scratch"][table.headings.index("found")] == "n/a"


def test_one_class_needs_no_table() -> None:
    e = Evaluator(("defect",), Thresholds())
    assert class_table(e.metrics(), None) is None
