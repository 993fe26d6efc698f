"""Score maps → decision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

import onspec.decision.judge as judging
from onspec.decision.judge import judge
from onspec.decision.rules import Condition, Rule, RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.decision.zones import Zone
from onspec.domain import RulesError, ScoreMap, Verdict
from onspec.imaging.regions import image_score

Spot = tuple[int, int, int, int, float]
SEVERITY = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}


def score_map(*spots: Spot, size: tuple[int, int] = (40, 30), cls: str = "defect") -> ScoreMap:
    """Zeros with spots x, y, width, height, score."""
    values = np.zeros(size[::-1], np.float32)
    for x, y, w, h, score in spots:
        values[y : y + h, x : x + w] = score
    return ScoreMap(values, cls)


# Few levels and small maps: plateaus, ties and regions that touch are what goes wrong.
maps = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0.1, 0.3, 0.5, 0.7, 1])
)
thresholds = st.builds(
    lambda image, pixel, window, share: Thresholds(
        image=image, pixel=pixel, window=window, review=None if share is None else share * image
    ),
    st.sampled_from([0.05, 0.3, 0.5, 0.55, 0.9, 1.0]),
    st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.0]),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
)


def test_a_good_part_is_ok() -> None:
    decision = judge([score_map()], Thresholds())
    assert (decision.verdict, decision.score, decision.reasons, decision.defects) == (Verdict.OK, 0.0, (), ())


def test_a_defect_is_ng_with_its_measures() -> None:
    decision = judge([score_map((10, 5, 8, 4, 0.97))], Thresholds(), pixel_size_mm=0.5)
    assert decision.verdict is Verdict.NG
    assert decision.reasons == ("defect: score 0.97 >= 0.50",)
    (defect,) = decision.defects
    assert (defect.bbox, defect.area_px, defect.area_mm2) == ((10, 5, 8, 4), 32, 8.0)
    assert (defect.length_mm, defect.width_mm) == (4.0, 2.0)


@given(maps, thresholds)
def test_the_image_reaches_the_threshold_exactly_when_a_region_does(values: NDArray[np.float32], t: Thresholds) -> None:
    decision = judge([ScoreMap(values)], t)
    assert decision.score == image_score(ScoreMap(values), t.window)
    reached = any(defect.score >= t.image for defect in decision.defects)
    assert (decision.score >= t.image) == reached
    assert (decision.verdict is Verdict.NG) == reached
    assert not any("no region" in reason for reason in decision.reasons)


@given(maps, thresholds, st.data())
def test_a_higher_score_anywhere_never_makes_a_verdict_better(
    values: NDArray[np.float32], t: Thresholds, data: st.DataObject
) -> None:
    raised = values.copy()
    y, x = (data.draw(st.integers(0, side - 1)) for side in values.shape)
    raised[y, x] = max(values[y, x], data.draw(st.sampled_from([0.3, 0.6, 1.0])))
    before, after = judge([ScoreMap(values)], t), judge([ScoreMap(raised)], t)
    assert after.score >= before.score
    assert SEVERITY[after.verdict] >= SEVERITY[before.verdict]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from([0.2, 0.45, 0.8, 1.0])), max_size=6),
    st.sampled_from([RuleSet(), RuleSet(rules=(Rule(name="r", when=Condition(min_area_px=4), max_count=2),))]),
)
def test_one_more_defect_apart_from_the_others_never_turns_ng_into_ok(
    cells: list[tuple[int, int, float]], rules: RuleSet
) -> None:
    t = Thresholds(image=0.5, review=0.4, pixel=0.3, window=3)
    spots = {(8 * x, 8 * y): (8 * x, 8 * y, 4, 3, score) for x, y, score in cells}
    listed = list(spots.values())
    verdicts = [judge([score_map(*listed[:count])], t, rules).verdict for count in range(len(listed) + 1)]
    assert [SEVERITY[v] for v in verdicts] == sorted(SEVERITY[v] for v in verdicts)


@given(maps, maps, thresholds)
def test_the_order_of_classes_decides_nothing(a: NDArray[np.float32], b: NDArray[np.float32], t: Thresholds) -> None:
    b = np.resize(b, a.shape)
    pair = [ScoreMap(a, "a"), ScoreMap(b, "b")]
    assert judge(pair, t) == judge(pair[::-1], t)


def test_what_lies_in_an_ignored_zone_is_not_judged() -> None:
    rules = RuleSet(zones={"rim": Zone(rectangle=(0, 0, 40, 6), use="ignore")})
    decision = judge([score_map((3, 1, 5, 4, 1.0))], Thresholds(), rules)
    assert (decision.verdict, decision.score, decision.defects) == (Verdict.OK, 0.0, ())
    decision = judge([score_map((3, 1, 5, 8, 1.0))], Thresholds(), rules)
    assert decision.defects[0].bbox == (3, 6, 5, 3)


@pytest.mark.parametrize(("x", "verdict"), [(19, Verdict.OK), (20, Verdict.NG)])
def test_a_forbidden_zone_is_touched_by_one_pixel(x: int, verdict: Verdict) -> None:
    rules = RuleSet(
        zones={"seal": Zone(rectangle=(24, 0, 5, 30), use="forbid")},
        rules=(Rule(name="big", when=Condition(min_area_px=1000)),),
    )
    assert judge([score_map((x, 5, 5, 3, 1.0))], Thresholds(), rules).verdict is verdict


def test_a_ring_around_a_zone_does_not_touch_it() -> None:
    values = np.zeros((30, 40), np.float32)
    values[5:25, 5:25] = 1.0
    values[8:22, 8:22] = 0.0
    zone = Zone(rectangle=(12, 12, 5, 5), use="forbid")
    big = Rule(name="big", when=Condition(min_area_px=1000))
    assert judge([ScoreMap(values)], Thresholds(), RuleSet(zones={"z": zone}, rules=(big,))).verdict is Verdict.OK


def test_defects_that_no_rule_rejects_are_still_listed() -> None:
    rules = RuleSet(rules=(Rule(name="big", when=Condition(min_area_px=1000)),))
    decision = judge([score_map((3, 3, 4, 4, 1.0), (20, 3, 4, 4, 0.4))], Thresholds(review=0.3), rules)
    assert decision.verdict is Verdict.OK
    assert [round(d.score, 2) for d in decision.defects] == [1.0, 0.4]


def test_a_score_without_a_region_is_never_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "find_regions", lambda *_, **__: [])
    decision = judge([score_map((3, 3, 4, 4, 0.93))], Thresholds(image=0.9))
    assert decision.verdict is Verdict.NG
    assert decision.reasons == ("score: 0.93 >= 0.90 (no region outlined)",)


def test_mm_rules_need_a_pixel_size_from_somewhere() -> None:
    rule = Rule(name="big", when=Condition(min_area_mm2=8.0))
    part = [score_map((10, 5, 8, 4, 1.0))]
    with pytest.raises(RulesError, match="pixel_size_mm"):
        judge(part, Thresholds(), RuleSet(rules=(rule,)))
    assert judge(part, Thresholds(), RuleSet(rules=(rule,)), 0.5).verdict is Verdict.NG
    assert judge(part, Thresholds(), RuleSet(rules=(rule,)), 0.4).verdict is Verdict.OK
    assert judge(part, Thresholds(), RuleSet(rules=(rule,), pixel_size_mm=0.5)).verdict is Verdict.NG


def test_a_zone_outside_the_image_is_said() -> None:
    rules = RuleSet(zones={"far": Zone(rectangle=(900, 0, 5, 5), use="forbid")})
    with pytest.raises(RulesError, match="zone far lies outside the image of 40×30 px"):
        judge([score_map()], Thresholds(), rules)


def test_maps_must_have_one_size() -> None:
    with pytest.raises(ValueError, match="one size"):
        judge([], Thresholds())
    with pytest.raises(ValueError, match="one size"):
        judge([score_map(), score_map(size=(9, 9), cls="b")], Thresholds())
