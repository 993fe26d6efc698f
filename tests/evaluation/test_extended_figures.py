"""Kinds, zones, sizes and calibration: figures of single defects and of scores, by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap
from onspec.evaluation.diagrams import detectability_sentence
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.figures import rate
from onspec.evaluation.metrics import Metrics
from onspec.evaluation.report import ReportInput, render
from onspec.evaluation.tables import kind_table, zone_table
from onspec.evaluation.wording import ppm

THRESHOLDS = Thresholds(image=0.6, pixel=0.5)
RULES = RuleSet.model_validate(
    {
        "pixel_size_mm": 0.5,
        "zones": {
            "hole": {"rectangle": [0, 0, 20, 100], "use": "ignore"},
            "face": {"rectangle": [20, 0, 80, 50]},
        },
    }
)


def square(x: int, y: int, side: int, score: float = 1.0) -> NDArray[np.float32]:
    values = np.zeros((100, 100), np.float32)
    values[y : y + side, x : x + side] = score
    return values


def seen(*maps: NDArray[np.float32], classes: tuple[str, ...] = ("defect",)) -> Prediction:
    return Prediction(tuple(ScoreMap(values, cls) for values, cls in zip(maps, classes, strict=True)))


def truth(*maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.stack([(values > 0).astype(np.uint8) for values in maps])


def zoned() -> Evaluator:
    """Defects of 8 and 4 px on the face and one in the ignored hole; good parts with a false report each."""
    e = Evaluator(("defect",), THRESHOLDS, rules=RULES)
    e.add("big", "1", True, seen(square(30, 10, 8, 0.9)), truth(square(30, 10, 8)))
    e.add("small", "2", True, seen(square(30, 10, 4, 0.2)), truth(square(30, 10, 4)))
    e.add("below", "3", True, seen(square(30, 80, 4, 0.9)), truth(square(30, 80, 4)))
    e.add("hole", "4", True, seen(square(2, 2, 4, 0.9)), truth(square(2, 2, 4)))
    e.add("good", "5", False, seen(square(60, 20, 5, 0.9)), None)
    e.add("fine", "6", False, seen(square(2, 2, 5, 0.9)), None)
    return e


def test_zones_by_hand() -> None:
    zones = zoned().metrics().zones
    assert zones is not None
    face = zones["face"]
    assert (face.defects, face.found, face.missed, face.defective, face.escapes) == (2, 1, 1, 2, 1)
    assert (face.escape_rate, face.false_reports, face.false_rejects) == (rate(1, 2, 0.95), 1, 1)
    hole = zones["hole"]
    assert (hole.use, hole.defects, hole.found, hole.escapes, hole.false_reports) == ("ignore", 1, None, None, None)
    assert (zones["elsewhere"].defects, zones["elsewhere"].found) == (1, 1)
    table = zone_table(zones)
    assert table is not None
    assert dict(table.rows)["face"] == ("–", "2", "1", "1", "1 of 2 (1.3 % to 98.7 %)", "1", "1")
    assert dict(table.rows)["hole"] == ("ignore", "1", "n/a", "n/a", "n/a", "n/a", "n/a")
    assert Evaluator(("defect",), THRESHOLDS).metrics().zones is None


def test_kinds_are_sizes_where_there_is_one_class() -> None:
    """√16 px · 0.5 mm = 2 mm and √64 px · 0.5 mm = 4 mm."""
    first, second = zoned().metrics().kinds
    assert (first.kind, first.size_from, first.size_to, first.defects) == ("2 to 4 mm", 2.0, 4.0, 3)
    assert (first.found, first.missed, first.not_judged) == (1, 1, 1)
    assert first.area == pytest.approx(3 * 16 * 0.25)
    assert (first.cumulative_share, second.cumulative_share, second.kind) == (0.75, 1.0, "4 to 8 mm")
    table = kind_table((first, second), "mm")
    assert table is not None
    assert table.headings == ("defects", "found", "missed", "not judged", "area, mm²", "cumulative")
    assert kind_table((), "px") is None


def test_kinds_are_classes_where_there_are_several() -> None:
    classes = ("dent", "scratch")
    e = Evaluator(classes, THRESHOLDS)
    none = np.zeros((100, 100), np.float32)
    for name in "ab":
        e.add(name, name, True, seen(none, square(9, 9, 6, 0.9), classes=classes), truth(none, square(9, 9, 6)))
    e.add("c", "c", True, seen(none, square(9, 9, 6, 0.9), classes=classes), truth(square(9, 9, 6), none))
    e.add("d", "d", False, seen(none, square(9, 9, 6, 0.9), classes=classes), None)
    metrics = e.metrics()
    assert [(k.kind, k.defects, k.found, k.other_class) for k in metrics.kinds] == [
        ("scratch", 2, 2, 0),
        ("dent", 1, 0, 1),
    ]
    scratch = metrics.per_class["scratch"]
    assert (scratch.images, scratch.escapes, scratch.escape_rate, scratch.false_rejects) == (2, 0, rate(0, 2, 0.95), 1)
    assert metrics.per_class["dent"].false_rejects == 0


def sized(found_from: int) -> Metrics:
    """A hundred defects of sides from 2 to 21 px, of which chance leaves some near a size unseen."""
    e, chance = Evaluator(("defect",), THRESHOLDS), np.random.default_rng(5)
    for number in range(100):
        side = 2 + number % 20
        score = 0.9 if chance.random() < 1 / (1 + (side / found_from) ** -4.0) else 0.1
        e.add(f"{number}", f"{number}", True, seen(square(30, 30, side, score)), truth(square(30, 30, side)))
    return e.metrics()


def test_sizes_that_are_found() -> None:
    figures = sized(7).detectability
    assert figures is not None
    assert figures.a50 is not None
    assert figures.a90 is not None
    assert figures.a90_95 is not None
    assert 5.5 < figures.a50 < 8.5 < figures.a90 < figures.a90_95 < 21
    assert (figures.unit, figures.defects, figures.smallest, figures.largest) == ("px", 100, 2.0, 21.0)
    assert "(a90/95)" in detectability_sentence(figures)


def test_sizes_of_which_nothing_can_be_said() -> None:
    figures = zoned().metrics().detectability
    assert figures is not None
    assert (figures.a90, figures.a90_95, figures.defects, figures.unit) == (None, None, 3, "mm")
    assert "3 defects of known size are too few" in detectability_sentence(figures)
    empty = Evaluator(("defect",), THRESHOLDS).metrics().detectability
    assert empty is not None
    assert empty.reason == "the labels do not tell how large the defects are"


def test_calibration_by_hand() -> None:
    e = Evaluator(("defect",), THRESHOLDS)
    for number, (score, defective) in enumerate([(0.05, False), (0.05, True), (0.95, True), (1.0, True)]):
        e.add(f"{number}", f"{number}", defective, seen(square(0, 0, 100, score)), None)
    figures = e.metrics().calibration
    assert figures is not None
    assert [b.images for b in figures.bins] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert figures.bins[0].share == rate(1, 2, 0.95)
    assert figures.bins[1].mean_score is None
    assert figures.expected_calibration_error == pytest.approx(0.5 * 0.45 + 0.5 * 0.025)
    assert zoned().metrics().calibration is not None
    e.results[:] = e.results[1:]
    assert e.metrics().calibration is None


def test_the_page_shows_all_of_it() -> None:
    e = zoned()
    html = render(ReportInput("tile", e.results, e.metrics(), lambda _: None, pixel_size_mm=e.pixel_size_mm))
    for heading in (
        "Each zone",
        "Kinds of defects",
        "What errors cost",
        "If costs were others",
        "Are scores probabilities?",
    ):
        assert heading in html
    assert "No curve: 3 defects of known size are too few" in html
    assert "area, mm²" in html
    assert "500\u202f000" in html


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0"), (1e-7, "<1"), (0.0384615, "38\u202f462"), (0.9999999, "999\u202f999"), (1.0, "1\u202f000\u202f000")],
)
def test_parts_per_million(share: float, text: str) -> None:
    assert ppm(share) == text
