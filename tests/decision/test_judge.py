"""Prediction → decision, for each task."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

import onspec.decision.tasks as reading
from onspec.decision.conditions import Condition
from onspec.decision.judge import judge
from onspec.decision.rules import Rule, RuleSet
from onspec.decision.tasks import TASKS, image_scores
from onspec.decision.thresholds import Thresholds
from onspec.decision.zones import Zone
from onspec.domain import Prediction, RulesError, ScoredBox, ScoreMap, Task, Verdict
from onspec.imaging.pooling import pooled_scores
from onspec.imaging.regions import image_score

Spot = tuple[int, int, int, int, float]
Floats = tuple[float, float, float, float, float]
SEVERITY = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}
LEVELS = [0, 0.1, 0.3, 0.5, 0.7, 1]


def score_map(*spots: Spot, size: tuple[int, int] = (40, 30), cls: str = "defect") -> ScoreMap:
    """Zeros with spots x, y, width, height, score."""
    values = np.zeros(size[::-1], np.float32)
    for x, y, w, h, score in spots:
        values[y : y + h, x : x + w] = score
    return ScoreMap(values, cls)


def seen(*spots: Spot) -> Prediction:
    """What a network with one class says."""
    return Prediction((score_map(*spots),))


def boxed(*spots: Floats, cls: str = "defect", size: tuple[int, int] = (40, 30)) -> Prediction:
    """What a detector with one class says."""
    boxes = tuple(ScoredBox(cls, score, x, y, w, h) for x, y, w, h, score in spots)
    return Prediction((score_map(size=size, cls=cls),), boxes)


# Few levels and small maps: plateaus, ties and regions that touch are what goes wrong.
maps = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0.1, 0.3, 0.5, 0.7, 1])
)
thresholds = st.builds(
    lambda image, pixel, window, share, pooling, sharpness: Thresholds(
        image=image,
        pixel=pixel,
        window=window,
        review=None if share is None else share * image,
        pooling=pooling,
        sharpness=sharpness,
    ),
    st.sampled_from([0.05, 0.3, 0.5, 0.55, 0.9, 1.0]),
    st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.0]),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
    st.sampled_from(["peak", "odds"]),
    st.sampled_from([0.25, 1.0, 4.0, 64.0]),
)


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    """One to three classes that exclude each other, boxes of them, and sometimes cores."""
    height, width, classes = (draw(st.integers(1, most)) for most in (9, 9, 3))
    elements = st.sampled_from(LEVELS)
    planes = draw(arrays.arrays(np.float32, (classes, height, width), elements=elements))
    planes /= np.maximum(planes.sum(axis=0), 1)
    names = "abc"[:classes]
    side = st.sampled_from([0.4, 1.0, 3.5])
    boxes = draw(
        st.lists(
            st.builds(ScoredBox, st.sampled_from(names), elements, st.floats(-1, 9), st.floats(-1, 9), side, side),
            max_size=5,
        )
    )
    cores = draw(st.none() | arrays.arrays(np.float32, (height, width), elements=elements))
    return Prediction(
        tuple(ScoreMap(plane, name) for plane, name in zip(planes, names, strict=True)),
        tuple(sorted(boxes, key=lambda box: -box.score)),
        None if cores is None else ScoreMap(cores, "cores"),
    )


tasks = st.sampled_from(list(Task))


def test_a_good_part_is_ok() -> None:
    decision = judge(seen(), Thresholds())
    assert (decision.verdict, decision.score, decision.reasons, decision.defects) == (Verdict.OK, 0.0, (), ())
    assert (decision.class_scores, decision.cls) == ({"defect": 0.0}, None)


def test_a_defect_is_ng_with_its_measures() -> None:
    decision = judge(seen((10, 5, 8, 4, 0.97)), Thresholds(), pixel_size_mm=0.5)
    assert decision.verdict is Verdict.NG
    assert decision.reasons == ("defect: score 0.97 >= 0.50",)
    (defect,) = decision.defects
    assert (defect.bbox, defect.area_px, defect.area_mm2) == ((10, 5, 8, 4), 32, 8.0)
    assert (defect.length_mm, defect.width_mm) == (4.0, 2.0)


@given(maps, thresholds)
def test_the_score_of_one_class_is_that_of_its_map(values: NDArray[np.float32], t: Thresholds) -> None:
    decision = judge(Prediction((ScoreMap(values),)), t)
    assert decision.score == image_score(ScoreMap(values), t.weighing)
    assert decision.class_scores == {"defect": decision.score}


@pytest.mark.slow
@settings(max_examples=300)
@given(predictions(), thresholds, tasks)
def test_the_image_reaches_the_threshold_exactly_when_a_region_does(p: Prediction, t: Thresholds, task: Task) -> None:
    decision = judge(p, t, task=task)
    assert (decision.score, decision.class_scores) == (
        image_scores(p, t, task).image,
        image_scores(p, t, task).classes,
    )
    reached = any(defect.score >= t.image for defect in decision.defects)
    assert (decision.score >= t.image) == reached
    assert (decision.verdict is Verdict.NG) == reached
    assert not any("no region" in reason for reason in decision.reasons)
    assert (decision.verdict is Verdict.OK) == (decision.score < t.lowest)


@pytest.mark.slow
@settings(max_examples=300)
@given(predictions(), thresholds, tasks, st.data())
def test_a_higher_score_anywhere_never_makes_a_verdict_better(
    p: Prediction, t: Thresholds, task: Task, data: st.DataObject
) -> None:
    chosen = data.draw(st.integers(0, len(p.maps) - 1))
    y, x = (data.draw(st.integers(0, side - 1)) for side in p.size[::-1])
    values = p.maps[chosen].values.copy()
    values[y, x] += (1 - p.total().values[y, x]) * np.float32(data.draw(st.sampled_from([0.25, 0.5, 1.0])))
    raised = tuple(ScoreMap(np.minimum(values, 1), m.cls) if i == chosen else m for i, m in enumerate(p.maps))
    boxes = list(p.boxes)
    if boxes:
        boxes[0] = replace(boxes[0], score=max(boxes[0].score, data.draw(st.sampled_from([0.3, 0.6, 1.0]))))
    before, after = judge(p, t, task=task), judge(replace(p, maps=raised, boxes=tuple(boxes)), t, task=task)
    assert after.score >= before.score - (1e-12 if task is Task.CLASSIFY else 0)
    assert SEVERITY[after.verdict] >= SEVERITY[before.verdict]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from([0.2, 0.45, 0.8, 1.0])), max_size=6),
    st.sampled_from([RuleSet(), RuleSet(rules=(Rule(name="r", when=Condition(min_area_px=4), max_count=2),))]),
    tasks,
)
def test_one_more_defect_apart_from_the_others_never_turns_ng_into_ok(
    cells: list[tuple[int, int, float]], rules: RuleSet, task: Task
) -> None:
    t = Thresholds(image=0.5, review=0.4, pixel=0.3, window=3, pooling="odds")
    spots = {(8 * x, 8 * y): (8 * x, 8 * y, 4, 3, score) for x, y, score in cells}
    listed = list(spots.values())
    made = boxed if task is Task.DETECT else seen
    verdicts = [judge(made(*listed[:count]), t, rules, task=task).verdict for count in range(len(listed) + 1)]
    assert [SEVERITY[v] for v in verdicts] == sorted(SEVERITY[v] for v in verdicts)


@pytest.mark.slow
@settings(max_examples=300)
@given(predictions(), thresholds, tasks)
def test_the_order_of_classes_decides_nothing(p: Prediction, t: Thresholds, task: Task) -> None:
    assert judge(p, t, task=task) == judge(replace(p, maps=p.maps[::-1], boxes=p.boxes[::-1]), t, task=task)


def test_every_task_has_its_reading() -> None:
    assert set(TASKS) == set(Task)


def test_a_defect_between_two_classes_is_one_defect_of_the_likelier() -> None:
    p = Prediction((score_map((5, 5, 10, 10, 0.4), cls="pore"), score_map((5, 5, 10, 12, 0.45), cls="scratch")))
    decision = judge(p, Thresholds(image=0.5, pixel=0.4))
    (defect,) = decision.defects
    assert (defect.cls, defect.area_px) == ("scratch", 120)
    assert decision.score == defect.score == pytest.approx(0.85)
    assert decision.class_scores == pytest.approx({"pore": 0.4, "scratch": 0.45})


def test_a_detected_box_is_a_defect_in_whole_pixels() -> None:
    decision = judge(boxed((10.2, 5.0, 7.5, 3.4, 0.8), (1, 1, 2, 2, 0.3)), Thresholds(), RuleSet(), 0.5, Task.DETECT)
    assert (decision.verdict, decision.score, decision.class_scores) == (Verdict.NG, 0.8, {"defect": 0.8})
    (defect,) = decision.defects
    assert (defect.bbox, defect.area_px, defect.area_mm2) == ((10, 5, 8, 4), 32, 8.0)
    assert (defect.length_mm, defect.width_mm, defect.orientation_deg) == (4.0, 2.0, 0.0)
    assert judge(boxed(), Thresholds(), task=Task.DETECT).score == 0.0


def test_the_image_has_the_class_of_the_highest_score_or_is_good() -> None:
    p = Prediction((score_map((0, 0, 40, 15, 0.6), cls="pore"), score_map((0, 15, 40, 15, 0.9), cls="scratch")))
    t = Thresholds(image=0.5, pixel=0.8, pooling="odds")
    decision = judge(p, t, task=Task.CLASSIFY)
    assert decision.score == pytest.approx(5.25 / 6.25)  # odds: 1.5 and 9, each over half of the image
    assert decision.class_scores == pytest.approx({"pore": 0.75 / 6.25, "scratch": 4.5 / 6.25})
    assert (decision.verdict, decision.cls) == (Verdict.NG, "scratch")
    assert [(d.cls, d.score, d.bbox) for d in decision.defects] == [("scratch", decision.score, (0, 15, 40, 15))]
    under = judge(p, t.model_copy(update={"image": 0.9, "review": 0.8}), task=Task.CLASSIFY)
    assert (under.verdict, under.cls, len(under.defects)) == (Verdict.REVIEW, "good", 1)


def test_a_class_is_shown_at_its_peak_where_no_pixel_reaches_the_threshold() -> None:
    p = Prediction((score_map((0, 0, 40, 30, 0.5), (4, 6, 9, 7, 0.58), (6, 8, 2, 2, 0.6), (30, 20, 2, 2, 0.59)),))
    decision = judge(p, Thresholds(image=0.4, pixel=0.9, pooling="odds"), task=Task.CLASSIFY)
    (defect,) = decision.defects
    assert (defect.bbox, defect.area_px, defect.score) == ((4, 6, 9, 7), 63, decision.score)


def test_a_classifier_may_be_read_at_its_peak() -> None:
    p = seen((3, 3, 5, 5, 0.7))
    assert image_scores(p, Thresholds(window=5), Task.CLASSIFY).image == pytest.approx(0.7)
    odds = image_scores(p, Thresholds(pooling="odds"), Task.CLASSIFY)
    assert (odds.image, odds.classes) == pooled_scores(p.maps, 1.0)


@pytest.mark.parametrize("task", Task)
def test_what_lies_in_an_ignored_zone_is_not_judged(task: Task) -> None:
    rules = RuleSet(zones={"rim": Zone(rectangle=(0, 0, 40, 6), use="ignore")})
    t = Thresholds(pooling="odds", sharpness=64)
    inside = replace(boxed((3, 1, 5, 4, 1.0)), maps=seen((3, 1, 5, 4, 1.0)).maps)
    decision = judge(inside, t, rules, task=task)
    assert (decision.verdict, decision.score, decision.defects) == (Verdict.OK, 0.0, ())
    beyond = replace(boxed((3, 3, 5, 8, 1.0)), maps=seen((3, 3, 5, 8, 1.0)).maps)  # centre in row 7
    (defect,) = judge(beyond, t, rules, task=task).defects
    assert defect.bbox == ((3, 3, 5, 8) if task is Task.DETECT else (3, 6, 5, 5))


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize(("x", "verdict"), [(19, Verdict.OK), (20, Verdict.NG)])
def test_a_forbidden_zone_is_touched_by_one_pixel(x: int, verdict: Verdict, task: Task) -> None:
    rules = RuleSet(
        zones={"seal": Zone(rectangle=(24, 0, 5, 30), use="forbid")},
        rules=(Rule(name="big", when=Condition(min_area_px=1000)),),
    )
    p = replace(boxed((x, 5, 5, 3, 1.0)), maps=seen((x, 5, 5, 3, 1.0)).maps)
    assert judge(p, Thresholds(pooling="odds"), rules, task=task).verdict is verdict


def test_a_ring_around_a_zone_does_not_touch_it() -> None:
    values = np.zeros((30, 40), np.float32)
    values[5:25, 5:25] = 1.0
    values[8:22, 8:22] = 0.0
    zone = Zone(rectangle=(12, 12, 5, 5), use="forbid")
    rules = RuleSet(zones={"z": zone}, rules=(Rule(name="big", when=Condition(min_area_px=1000)),))
    assert judge(Prediction((ScoreMap(values),)), Thresholds(), rules).verdict is Verdict.OK


def test_a_box_far_outside_is_judged_where_it_is_nearest() -> None:
    rules = RuleSet(zones={"rim": Zone(rectangle=(0, 0, 5, 30), use="ignore")})
    assert judge(boxed((-90, 5, 4, 4, 1.0)), Thresholds(), rules, task=Task.DETECT).verdict is Verdict.OK
    (defect,) = judge(boxed((900, 5, 4, 4, 1.0)), Thresholds(), rules, task=Task.DETECT).defects
    assert defect.bbox == (39, 5, 1, 4)


def test_defects_that_no_rule_rejects_are_still_listed() -> None:
    rules = RuleSet(rules=(Rule(name="big", when=Condition(min_area_px=1000)),))
    decision = judge(seen((3, 3, 4, 4, 1.0), (20, 3, 4, 4, 0.4)), Thresholds(review=0.3), rules)
    assert decision.verdict is Verdict.OK
    assert [round(d.score, 2) for d in decision.defects] == [1.0, 0.4]


@pytest.mark.parametrize("task", [Task.SEGMENT, Task.CLASSIFY])
def test_a_score_without_a_region_is_never_ok(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "find_regions", lambda *_, **__: [])
    decision = judge(seen((3, 3, 4, 4, 0.93)), Thresholds(image=0.9), task=task)
    assert decision.verdict is Verdict.NG
    assert decision.reasons == ("score: 0.93 >= 0.90 (no region outlined)",)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        elements=st.sampled_from([0, 0.001, 0.01, 0.04, 0.0499]),
    ),
    st.sampled_from([1e-5, 1e-4, 1e-3, 0.01, 0.3]),
    st.sampled_from([None, 0.0, 0.1, 1.0]),
    st.sampled_from(["peak", "odds"]),
    st.sampled_from(list(Task)),
)
def test_an_image_that_is_too_faint_to_outline_is_judged_by_its_score(
    values: NDArray[np.float32], image: float, share: float | None, pooling: Literal["peak", "odds"], task: Task
) -> None:
    t = Thresholds(image=image, review=None if share is None else share * image, pooling=pooling, sharpness=0.35)
    decision = judge(Prediction((ScoreMap(values),)), t, task=task)
    assert (decision.verdict is Verdict.OK) == (decision.score < t.lowest)
    assert (decision.verdict is Verdict.NG) == (decision.score >= t.image)


def test_a_faint_score_in_the_review_band_is_a_question() -> None:
    faint = Thresholds(image=0.5, review=0.001, pooling="odds", sharpness=0.35)
    decision = judge(seen((3, 3, 1, 1, 0.04)), faint)
    assert (decision.verdict, decision.defects) == (Verdict.REVIEW, ())
    assert decision.reasons == (f"score: {decision.score:.3f} >= 0.001 (no region outlined)",)


def test_mm_rules_need_a_pixel_size_from_somewhere() -> None:
    rule = Rule(name="big", when=Condition(min_area_mm2=8.0))
    part = seen((10, 5, 8, 4, 1.0))
    with pytest.raises(RulesError, match="pixel_size_mm"):
        judge(part, Thresholds(), RuleSet(rules=(rule,)))
    assert judge(part, Thresholds(), RuleSet(rules=(rule,)), 0.5).verdict is Verdict.NG
    assert judge(part, Thresholds(), RuleSet(rules=(rule,)), 0.4).verdict is Verdict.OK
    assert judge(part, Thresholds(), RuleSet(rules=(rule,), pixel_size_mm=0.5)).verdict is Verdict.NG


def test_a_zone_outside_the_image_is_said() -> None:
    rules = RuleSet(zones={"far": Zone(rectangle=(900, 0, 5, 5), use="forbid")})
    with pytest.raises(RulesError, match="zone far lies outside the image of 40×30 px"):
        judge(seen(), Thresholds(), rules)
