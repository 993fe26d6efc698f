"""What is told from a record is what judging the image says."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from onspec.decision.judge import judge
from onspec.decision.rejudging import Basis, Lack, Rejudge, redrawn
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Inspection, Prediction, ScoreMap, Task, Verdict
from onspec.domain.placement import Placement

SIZE = (64, 48)
ZONES = {"left": {"polygon": [[0, 0], [30, 0], [30, 47], [0, 47]]}}
RULES: tuple[dict[str, object], ...] = (
    {},
    {"rules": [{"name": "large", "when": {"min_area_px": 20}}]},
    {"rules": [{"name": "long", "when": {"min_length_px": 9.0}, "outcome": "REVIEW"}], "default": "OK"},
    {"rules": [{"name": "many", "max_count": 1, "within_px": 6}]},
    {"zones": ZONES, "rules": [{"name": "there", "when": {"zone": "left"}, "max_count": 1}]},
    {"zones": ZONES, "rules": [{"name": "inside", "when": {"inside": "left"}, "outcome": "OK"}], "default": "NG"},
    {"zones": {"left": {**ZONES["left"], "use": "ignore"}}},
    {"zones": {"left": {**ZONES["left"], "use": "forbid"}}, "rules": [{"name": "a", "when": {"min_area_px": 30}}]},
    {"rules": [{"name": "mm", "when": {"min_area_mm2": 0.3}}, {"name": "g", "outcome": "GRADE", "grade": "B"}]},
    {"rules": [{"name": "near", "when": {"max_distance_to_defect_px": 5.0}}]},
    {"rules": [{"name": "dense", "max_count": 1, "per_px": 900}]},
    {"zones": ZONES, "rules": [{"name": "dense", "when": {"zone": "left"}, "max_total_area_px": 9, "per_px": 400}]},
)
THRESHOLDS = (
    Thresholds(image=0.6, pixel=0.5),
    Thresholds(image=0.8, pixel=0.5),
    Thresholds(image=0.8, review=0.55, pixel=0.5),
    Thresholds(image=0.45, pixel=0.5),
    Thresholds(image=0.8, pixel=0.7),
    Thresholds(image=0.8, pixel=0.5, window=3),
    Thresholds(image=0.8, pixel=0.5, pooling="odds"),
)
Spot = tuple[int, int, int, int, float]
spots = st.lists(
    st.tuples(
        st.integers(0, 60), st.integers(0, 44), st.integers(1, 14), st.integers(1, 10),
        st.sampled_from([0.3, 0.48, 0.52, 0.58, 0.65, 0.75, 0.85, 0.95]),
    ),
    max_size=6,
)  # fmt: skip


def prediction(of: list[Spot]) -> Prediction:
    """A map with rectangles of a score."""
    values = np.zeros(SIZE[::-1], np.float32)
    for x, y, w, h, score in of:
        values[y : y + h, x : x + w] = score
    return Prediction((ScoreMap(values, "defect"),))


def inspected(seen: Prediction, basis: Basis) -> Inspection:
    """The record of an inspection."""
    told = judge(seen, basis.thresholds, basis.rules, basis.pixel_size_mm, basis.task)
    return Inspection(
        image="a.png", verdict=told.verdict, score=told.score, class_scores=told.class_scores, reasons=told.reasons,
        defects=told.defects, size=SIZE, recipe="t@sha256:00", engine="none",
    )  # fmt: skip


def basis(thresholds: Thresholds, rules: object, pixel: float | None = 0.1) -> Basis:
    """To segment."""
    return Basis(Task.SEGMENT, thresholds, RuleSet.model_validate(rules), pixel)


bases = st.builds(
    basis, st.sampled_from((*THRESHOLDS[:4] * 4, *THRESHOLDS)), st.sampled_from(RULES), st.sampled_from([0.1, 0.2])
)


@pytest.mark.slow
@settings(max_examples=400)
@given(spots, bases, bases)
def test_what_is_told_from_a_record_is_what_the_image_says(of: list[Spot], then: Basis, now: Basis) -> None:
    seen = prediction(of)
    record = Inspection.model_validate_json(inspected(seen, then).to_json())
    assume(all(redrawn(d).defect.area_px == d.area_px for d in record.defects))  # holes are filled
    told = Rejudge(then, now)(record)
    if isinstance(told, Lack):
        return
    wanted = judge(seen, now.thresholds, now.rules, now.pixel_size_mm, now.task)
    assert told.verdict == wanted.verdict
    assert told.reasons == wanted.reasons
    assert [d.bbox for d in told.defects] == [d.bbox for d in wanted.defects]


SCRATCH: list[Spot] = [(10, 10, 12, 3, 0.9)]
LOW, HIGH = Thresholds(image=0.6), Thresholds(image=0.95)


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        (basis(LOW, {}), basis(LOW, {}), Verdict.NG),
        (basis(LOW, {}), basis(HIGH, {}), Verdict.OK),
        (basis(LOW, {}), basis(LOW, RULES[1]), Verdict.NG),
        (basis(LOW, {}), basis(LOW, {"rules": [{"name": "huge", "when": {"min_area_px": 99}}]}), Verdict.OK),
        (basis(HIGH, {}), basis(LOW, {}), Lack.FAINT),
        (basis(LOW, {}), basis(Thresholds(image=0.6, pixel=0.55), {}), Lack.OUTLINE),
        (basis(LOW, {}), basis(Thresholds(image=0.6, window=3), {}), Lack.POOLING),
        (basis(LOW, RULES[6]), basis(LOW, {}), Lack.IGNORED),
        (basis(LOW, {}), basis(LOW, RULES[6]), Verdict.OK),
        (basis(LOW, {}), basis(LOW, {"rules": [{"name": "c", "when": {"min_contrast": 0.1}}]}), Lack.CONTRAST),
    ],
)
def test_each_lack_is_said(then: Basis, now: Basis, expected: Verdict | Lack) -> None:
    told = Rejudge(then, now)(inspected(prediction(SCRATCH), then))
    assert (told if isinstance(told, Lack) else told.verdict) is expected


PART = {"find": "contour"}
ON_PART = {
    "part": PART,
    "zones": {"seal": {"rectangle": [8, 8, 20, 20], "relative_to": "part"}},
    "rules": [
        {"name": "seal", "when": {"zone": "seal"}},
        {"name": "in", "when": {"inside": "seal"}, "outcome": "REVIEW"},
    ],
}


@settings(max_examples=60)
@given(spots, st.floats(-9, 9), st.integers(-5, 5), st.integers(-5, 5))
def test_zones_follow_the_part_as_it_was_recorded(of: list[Spot], angle: float, right: int, down: int) -> None:
    """To a thousandth of a pixel, so that only a pixel whose centre lies on a zone's edge could differ."""
    place = Placement((20.0, 20.0), (20.0 + right, 20.0 + down), angle, 0.9)
    then, now = basis(LOW, {"part": PART}), basis(LOW, ON_PART)
    record = inspected(prediction(of), then).model_copy(update={"placement": place.place()})
    assume(all(redrawn(d).defect.area_px == d.area_px for d in record.defects))
    told = Rejudge(then, now)(Inspection.model_validate_json(record.to_json()))
    rounded = Placement((20.0, 20.0), (20.0 + right, 20.0 + down), round(angle, 4), 0.9)
    wanted = judge(prediction(of), LOW, now.rules, 0.1, placement=rounded)
    assert not isinstance(told, Lack)
    assert (told.verdict, told.reasons) == (wanted.verdict, wanted.reasons)


def test_a_defect_across_an_ignored_zone_takes_the_image() -> None:
    then = basis(LOW, {})
    record = inspected(prediction([(25, 10, 12, 3, 0.9)]), then)
    assert Rejudge(then, basis(LOW, RULES[6]))(record) is Lack.IGNORED


def test_a_part_that_was_not_located_takes_the_image() -> None:
    now = basis(LOW, {"part": {"find": "contour"}})
    assert Rejudge(basis(LOW, {}), now)(inspected(prediction(SCRATCH), basis(LOW, {}))) is Lack.PART
