"""Rules over measured defects: which fire, what they say, and what holds for all of them."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.decision.acceptance import accept as ruling
from onspec.decision.conditions import Condition
from onspec.decision.found import Found, measured
from onspec.decision.rules import Rule, RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.decision.zones import Zone
from onspec.domain import Defect, RulesError, Verdict
from onspec.domain.fired import Ground
from onspec.domain.pixel_size import PixelSize

ZONES = {"seal": Zone(rectangle=(0, 0, 9, 9), use="forbid"), "edge": Zone(rectangle=(9, 0, 9, 9))}
THRESHOLDS = Thresholds(image=0.6, review=0.3)
PIXEL = PixelSize.of(0.1)
SEVERITY = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}


def accept(found: list[Found], rules: RuleSet, thresholds: Thresholds) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict and the reasons of a ruling."""
    made = ruling(found, rules, thresholds)
    return made.verdict, made.reasons


def defect(score: float = 0.97, area: int = 100, length: float = 20.0, cls: str = "defect", x: int = 0) -> Defect:
    """A defect with these measures."""
    return Defect(
        cls=cls, score=score, bbox=(x, 0, 5, 5), centroid=(x + 2.0, 2.0), area_px=area, length_px=length,
        width_px=5.0, elongation=max(1.0, length / 5.0), orientation_deg=0.0,
    )  # fmt: skip


def found(*zones: str, certain: bool = True, **measures: Any) -> Found:  # noqa: ANN401
    """A found defect that touches these zones."""
    return Found(measured(defect(**measures), PIXEL), frozenset(zones), certain)


def rule(name: str = "r", max_count: int = 0, outcome: str = "NG", **when: Any) -> RuleSet:  # noqa: ANN401
    """One rule, with the zones of this file but without the forbidden one."""
    made = Rule(name=name, when=Condition.model_validate(when), max_count=max_count, outcome=outcome)
    return RuleSet(zones={"edge": ZONES["edge"]}, rules=(made,))


defects = st.builds(
    lambda score, area, length, cls, x, zones: Found(
        measured(defect(score, area, length, cls, x), PIXEL), frozenset(zones), certain=score >= THRESHOLDS.image
    ),
    st.floats(THRESHOLDS.review or 0, 1),
    st.integers(1, 1000),
    st.floats(1, 100),
    st.sampled_from(["defect", "scratch"]),
    st.integers(0, 500),
    st.sets(st.sampled_from(sorted(ZONES))),
)
conditions = st.builds(
    Condition,
    cls=st.none() | st.sampled_from(["defect", "scratch"]),
    zone=st.none() | st.just("edge"),
    min_score=st.none() | st.floats(0, 1),
    min_area_px=st.none() | st.floats(0, 1000),
    min_area_mm2=st.none() | st.floats(0, 10),
    min_length_px=st.none() | st.floats(0, 100),
    min_length_mm=st.none() | st.floats(0, 10),
)
rule_sets = st.builds(
    lambda parts, forbid: RuleSet(
        pixel_size_mm=0.1,
        zones=ZONES if forbid else {"edge": ZONES["edge"]},
        rules=tuple(
            Rule(name=f"r{index}", when=when, max_count=count, outcome=outcome)
            for index, (when, count, outcome) in enumerate(parts)
        ),
    ),
    st.lists(st.tuples(conditions, st.integers(0, 3), st.sampled_from(["NG", "REVIEW"])), max_size=4),
    st.booleans(),
)


@given(rule_sets, st.lists(defects, max_size=6), defects)
def test_one_more_defect_never_makes_a_verdict_better(rules: RuleSet, parts: list[Found], more: Found) -> None:
    before, _ = accept(parts, rules, THRESHOLDS)
    after, _ = accept([*parts, more], rules, THRESHOLDS)
    assert SEVERITY[after] >= SEVERITY[before]


@given(rule_sets, st.lists(defects, max_size=4))
def test_the_order_of_defects_decides_nothing(rules: RuleSet, parts: list[Found]) -> None:
    results = {accept(list(order), rules, THRESHOLDS) for order in itertools.permutations(parts)}
    assert len(results) == 1


@given(rule_sets, st.lists(defects, max_size=6))
def test_a_verdict_that_is_not_ok_has_reasons(rules: RuleSet, parts: list[Found]) -> None:
    verdict, reasons = accept(parts, rules, THRESHOLDS)
    assert (verdict is Verdict.OK) == (reasons == ())


@given(st.integers(1, 10_000), st.floats(0.5, 200), st.floats(0.001, 10), st.floats(0.001, 10))
def test_mm_rules_scale_with_the_pixel_size(area: int, length: float, pixel: float, factor: float) -> None:
    one = measured(defect(area=area, length=length), PixelSize.of(pixel))
    other = measured(defect(area=area, length=length), PixelSize.of(pixel * factor))
    assert one.area_mm2 == pytest.approx(area * pixel**2)
    assert other.area_mm2 == pytest.approx((one.area_mm2 or 0) * factor**2)
    assert other.length_mm == pytest.approx((one.length_mm or 0) * factor)
    assert other.width_mm == pytest.approx((one.width_mm or 0) * factor)


def test_without_rules_every_defect_is_ng() -> None:
    assert accept([], RuleSet(), THRESHOLDS) == (Verdict.OK, ())
    assert accept([found()], RuleSet(), THRESHOLDS) == (Verdict.NG, ("defect: score 0.97 >= 0.60",))


def test_zones_without_rules_leave_the_default_rule() -> None:
    assert accept([found()], RuleSet(zones=ZONES), THRESHOLDS)[0] is Verdict.NG


@pytest.mark.parametrize(
    ("when", "part", "reason"),
    [
        ({"min_area_mm2": 1.0}, {"area": 190}, "r: area_mm2 1.9 >= 1.0"),
        ({"min_area_mm2": 1.0}, {"area": 99}, None),
        ({"min_area_px": 100}, {"area": 100}, "r: area_px 100 >= 100"),
        ({"min_area_px": 101}, {"area": 100}, None),
        ({"min_length_mm": 2}, {"length": 42.0}, "r: length_mm 4.2 >= 2.0"),
        ({"min_length_px": 2.5}, {"length": 2.51}, "r: length_px 2.51 >= 2.50"),
        ({"min_score": 0.9}, {"score": 0.97}, "r: score 0.97 >= 0.90"),
        ({"min_score": 0.98}, {"score": 0.97}, None),
        ({"class": "scratch"}, {"cls": "scratch"}, "r: score 0.97 >= 0.60"),
        ({"class": "scratch"}, {"cls": "pore"}, None),
        ({"min_score": 0.5, "min_area_px": 9}, {}, "r: score 0.97 >= 0.50, area_px 100 >= 9"),
        ({"min_score": 0.5, "min_area_px": 999}, {}, None),
    ],
)
def test_a_rule_fires_at_its_limit_and_names_figure_and_limit(
    when: dict[str, Any], part: dict[str, Any], reason: str | None
) -> None:
    verdict, reasons = accept([found(**part)], rule(**when), THRESHOLDS)
    assert reasons == (() if reason is None else (reason,))
    assert verdict is (Verdict.OK if reason is None else Verdict.NG)


def test_a_rule_about_a_zone_fires_only_there() -> None:
    assert accept([found("edge")], rule(zone="edge"), THRESHOLDS)[0] is Verdict.NG
    assert accept([found()], rule(zone="edge"), THRESHOLDS)[0] is Verdict.OK


def test_a_count_is_accepted_up_to_its_limit() -> None:
    specks = [found(x=10 * i) for i in range(4)]
    assert accept(specks[:3], rule("specks", max_count=3), THRESHOLDS)[0] is Verdict.OK
    assert accept(specks, rule("specks", max_count=3), THRESHOLDS) == (Verdict.NG, ("specks: count 4 > 3",))


def test_what_cannot_be_measured_is_not_judged() -> None:
    for limit in ("min_area_mm2", "max_area_mm2", "min_contrast"):
        with pytest.raises(RulesError, match=r"which cannot be told"):
            accept(
                [Found(defect())],
                RuleSet(rules=(Rule(name="r", when=Condition.model_validate({limit: 0.0})),)),
                THRESHOLDS,
            )


def test_a_review_rule_and_ng_beside_it() -> None:
    assert accept([found()], rule(outcome="REVIEW"), THRESHOLDS) == (Verdict.REVIEW, ("r: score 0.97 >= 0.60",))
    both = RuleSet(rules=(Rule(name="a", outcome="REVIEW"), Rule(name="b")))
    verdict, reasons = accept([found()], both, THRESHOLDS)
    assert verdict is Verdict.NG
    assert [reason.split(":")[0] for reason in reasons] == ["b", "a"]


def test_a_forbidden_zone_rejects_however_small_the_defect() -> None:
    rules = RuleSet(zones=ZONES, rules=(Rule(name="big", when=Condition(min_area_px=1e6)),))
    assert accept([found(area=1)], rules, THRESHOLDS)[0] is Verdict.OK
    verdict, reasons = accept([found("seal", area=1)], rules, THRESHOLDS)
    assert (verdict, reasons) == (Verdict.NG, ("seal: forbidden zone touched by a defect, score 0.97 >= 0.60",))
    verdict, reasons = accept([found("seal", score=0.4, certain=False)], rules, THRESHOLDS)
    assert (verdict, reasons) == (Verdict.REVIEW, ("review band: score 0.40 in 0.30…0.60",))


def test_the_review_band_asks_only_where_a_certain_defect_would_reject() -> None:
    unsure = found(score=0.42, certain=False, area=50)
    review = (Verdict.REVIEW, ("review band: score 0.42 in 0.30…0.60",))
    assert accept([unsure], RuleSet(), THRESHOLDS) == review
    assert accept([unsure], rule(min_area_px=50), THRESHOLDS) == review
    assert accept([unsure], rule(min_area_px=51), THRESHOLDS)[0] is Verdict.OK
    assert accept([unsure, found(x=9)], rule(max_count=1), THRESHOLDS) == review


@pytest.mark.parametrize(
    ("value", "limit", "measure", "text"),
    [
        (0.97, 0.5, "score", "0.97 >= 0.50"),
        (0.99871, 0.99869, "score", "0.99871 >= 0.99869"),
        (0.4, 0.001, "score", "0.400 >= 0.001"),
        (0.5, 0.5, "score", "0.50 >= 0.50"),
        (812, 100, "area_px", "812 >= 100"),
        (1.9, 1.0, "area_mm2", "1.9 >= 1.0"),
        (0.004, 0.002, "area_mm2", "0.004 >= 0.002"),
        (1.0, 0.0, "area_mm2", "1.0 >= 0.0"),
    ],
)
def test_figures_tell_value_and_limit_apart(value: float, limit: float, measure: str, text: str) -> None:
    assert str(Ground(measure=measure, figure=value, relation=">=", limit=limit)) == f"{measure} {text}"
