"""What rules can say, and what holds for everything that they can say."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from onspec.decision.acceptance import Ruling, accept
from onspec.decision.conditions import MEASURES, Condition
from onspec.decision.found import Found, Site, measured
from onspec.decision.rules import Rule, RuleSet, read_rules
from onspec.decision.thresholds import Thresholds
from onspec.domain import Defect, RulesError, Verdict
from onspec.domain.pixel_size import PixelSize

THRESHOLDS = Thresholds(image=0.6, review=0.3)
SEVERITY = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}
SIZE = (60, 40)
ZONES: dict[str, dict[str, Any]] = {
    "rim": {"band": {"along": "left", "width": 10}},
    "seal": {"rectangle": [20, 0, 10, 40]},
}


def found(
    x: int = 30, y: int = 20, w: int = 4, h: int = 2, score: float = 0.9, cls: str = "scratch",
    contrast: float = 0.2, pixel: PixelSize = PixelSize(x=0.1, y=0.1),  # noqa: B008
) -> Found:  # fmt: skip
    """A box of a defect, with the zones of this file."""
    defect = Defect(
        cls=cls, score=score, bbox=(x, y, w, h), centroid=(x + w / 2, y + h / 2), area_px=w * h,
        length_px=max(w, h), width_px=min(w, h), elongation=max(w, h) / min(w, h),
        orientation_deg=0.0 if w >= h else 90.0, contrast=contrast,
    )  # fmt: skip
    zones = frozenset({"rim"} if x < 10 else ()) | frozenset({"seal"} if x < 30 and x + w > 20 else ())
    inside = frozenset({"rim"} if x + w <= 10 else ()) | frozenset({"seal"} if x >= 20 and x + w <= 30 else ())
    return Found(measured(defect, pixel, SIZE), zones, score >= THRESHOLDS.image, inside)


def site(rules: RuleSet, pixel: PixelSize = PixelSize(x=0.1, y=0.1)) -> Site:  # noqa: B008
    """The image of this file: 60 × 40 px, of which each zone of a rule has 400."""
    asked = {rule.when.zone or () for rule in rules.rules}
    return Site(pixel, {zones: 400 * len(zones) if zones else SIZE[0] * SIZE[1] for zones in asked})


def rules(*given: dict[str, Any], **more: Any) -> RuleSet:  # noqa: ANN401
    """A rule set, each rule with a name if it has none."""
    named = [{"name": f"r{index}", **rule} for index, rule in enumerate(given)]
    return RuleSet.model_validate({"zones": ZONES, "rules": named, **more})


def ruling(parts: list[Found], made: RuleSet) -> Ruling:
    """What the rules say of these defects."""
    return accept(parts, made, THRESHOLDS, site(made))


GRADES = ["minor", "major"]
leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"class": st.sampled_from(["scratch", "pore", ["scratch", "pore"]])}),
    st.fixed_dictionaries({"zone": st.sampled_from(["rim", "seal", ["rim", "seal"]])}),
    st.fixed_dictionaries({"inside": st.sampled_from(["rim", "seal"])}),
    st.fixed_dictionaries({"tone": st.sampled_from(["bright", "dark"])}),
    st.fixed_dictionaries({"grade": st.sampled_from(GRADES)}),
    st.fixed_dictionaries({"orientation_deg": st.sampled_from([[0, 45], [80, 100], [170, 10]])}),
    st.builds(
        lambda bound, measure, share: {f"{bound}_{measure}": 1 + share if measure == "elongation" else share},
        st.sampled_from(["min", "max"]),
        st.sampled_from(MEASURES),
        st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9]),
    ),
    st.builds(
        lambda bound, unit, reach: {f"{bound}_distance_to_defect_{unit}": reach},
        st.sampled_from(["min", "max"]),
        st.sampled_from(["px", "mm"]),
        st.sampled_from([0.3, 1.0, 5.0]),
    ),
)
conditions = st.recursive(
    st.just({}) | leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: {**a, "all": b}, leaves, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda b: {"any": b}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda b: {"not": b}, inner),
    ),
    max_leaves=4,
)
limits = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"max_count": st.integers(0, 2)}),
    st.fixed_dictionaries({"max_total_area_px": st.sampled_from([5, 20])}),
    st.fixed_dictionaries({"max_count": st.integers(0, 2), "within_px": st.sampled_from([2, 10])}),
    st.fixed_dictionaries({"max_total_area_mm2": st.just(0.1), "within_mm": st.sampled_from([0.5, 2])}),
    st.fixed_dictionaries({"max_count": st.integers(0, 2), "per_cm2": st.sampled_from([0.1, 1])}),
    st.fixed_dictionaries({"max_total_area_px": st.just(8), "per_px": st.sampled_from([400, 1000])}),
)
rule = st.one_of(
    st.builds(lambda when, group, out: {"when": when, **group, "outcome": out}, conditions, limits,
              st.sampled_from(["NG", "REVIEW"])),
    st.builds(lambda when: {"when": when, "outcome": "OK"}, conditions),
    st.builds(lambda when, grade: {"when": when, "outcome": "GRADE", "grade": grade}, conditions,
              st.sampled_from(GRADES)),
)  # fmt: skip
defects = st.builds(
    found, st.integers(0, 55), st.integers(0, 35), st.integers(1, 5), st.integers(1, 5),
    st.sampled_from([0.3, 0.5, 0.6, 0.9]), st.sampled_from(["scratch", "pore"]),
    st.sampled_from([-0.3, 0.0, 0.15, 0.6]),
)  # fmt: skip


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    """Whatever a rules file may say; what is refused is left out, rule by rule."""
    kept: list[dict[str, Any]] = []
    default = draw(st.sampled_from([None, "NG", "REVIEW", "OK"]))
    for one in draw(st.lists(rule, max_size=5)):
        try:
            rules(*kept, one)
        except ValidationError:
            continue
        kept.append(one)
    return rules(*kept, default=default)


@pytest.mark.slow
@settings(max_examples=300)
@given(rule_sets(), st.lists(defects, max_size=5), defects)
def test_one_more_defect_never_makes_a_verdict_better(made: RuleSet, parts: list[Found], more: Found) -> None:
    before, after = ruling(parts, made).verdict, ruling([*parts, more], made).verdict
    assert SEVERITY[after] >= SEVERITY[before]


@settings(max_examples=150)
@given(rule_sets(), st.lists(defects, max_size=4))
def test_the_order_of_defects_decides_nothing(made: RuleSet, parts: list[Found]) -> None:
    results = set()
    for order in itertools.permutations(parts):
        got = ruling(list(order), made)
        results.add((got.verdict, got.reasons, got.fired))
    assert len(results) == 1


@settings(max_examples=150)
@given(rule_sets(), st.lists(defects, max_size=5))
def test_what_is_unsure_never_makes_a_part_ng(made: RuleSet, parts: list[Found]) -> None:
    certain = ruling([f for f in parts if f.certain], made)
    every = ruling(parts, made)
    assert (every.verdict is Verdict.NG) == (certain.verdict is Verdict.NG)
    assert SEVERITY[every.verdict] >= SEVERITY[certain.verdict]
    assert (every.verdict is Verdict.OK) or every.reasons
    assert all(0 <= place < len(parts) for fired in every.fired for place in fired.defects)


@settings(max_examples=100)
@given(rule_sets())
def test_rules_survive_the_way_through_json(made: RuleSet) -> None:
    assert RuleSet.model_validate_json(made.model_dump_json()) == made


_POWER = {"mm2": 2, "mm": 1, "cm2": 2}


def _scaled(value: object, factor: float) -> object:
    """Rules as they are for a pixel that is so much larger."""
    if isinstance(value, dict):
        return {
            key: inner * factor ** _POWER[key.rsplit("_", 1)[-1]]
            if key.rsplit("_", 1)[-1] in _POWER and isinstance(inner, int | float)
            else _scaled(inner, factor)
            for key, inner in value.items()
        }
    return [_scaled(inner, factor) for inner in value] if isinstance(value, list) else value


@settings(max_examples=150)
@given(rule_sets(), st.lists(st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 5)] * 2), max_size=4),
       st.sampled_from([0.5, 2.0, 8.0]))  # fmt: skip
def test_mm_rules_scale_with_the_pixel_size(
    made: RuleSet, boxes: list[tuple[int, int, int, int]], factor: float
) -> None:
    small, large = PixelSize(x=0.125, y=0.25), PixelSize(x=0.125 * factor, y=0.25 * factor)
    other = RuleSet.model_validate(_scaled(made.model_dump(mode="json", by_alias=True), factor))
    one = accept([found(*box, pixel=small) for box in boxes], made, THRESHOLDS, site(made, small))
    two = accept([found(*box, pixel=large) for box in boxes], other, THRESHOLDS, site(other, large))
    assert one.verdict is two.verdict
    assert [fired.rule for fired in one.fired] == [fired.rule for fired in two.fired]


@pytest.mark.parametrize(
    ("when", "part", "text"),
    [
        ({"max_length_px": 4}, {"w": 4}, "length_px 4.0 <= 4.0"),
        ({"max_length_px": 4}, {"w": 5}, None),
        ({"min_width_mm": 0.2}, {}, "width_mm 0.2 >= 0.2"),
        ({"min_length_mm": 0.3, "max_width_mm": 0.2}, {}, "length_mm 0.4 >= 0.3, width_mm 0.2 <= 0.2"),
        ({"min_elongation": 2}, {}, "elongation 2.0 >= 2.0"),
        ({"orientation_deg": [80, 100]}, {"w": 2, "h": 4}, "orientation_deg 90 in 80…100"),
        ({"orientation_deg": [80, 100]}, {}, None),
        ({"orientation_deg": [170, 10]}, {}, "orientation_deg 0 in 170…10"),
        ({"orientation_deg": [170, 180]}, {}, "orientation_deg 0 in 170…180"),
        ({"orientation_deg": [170, 10]}, {"w": 2, "h": 4}, None),
        ({"min_contrast": 0.1}, {"contrast": -0.2}, "contrast 0.20 >= 0.10"),
        ({"min_contrast": 0.1, "tone": "bright"}, {"contrast": -0.2}, None),
        ({"tone": "dark"}, {"contrast": -0.2}, "score 0.90 >= 0.60"),
        ({"max_distance_to_edge_px": 2}, {"x": 54}, "distance_to_edge_px 2 <= 2"),
        ({"max_distance_to_edge_mm": 0.2}, {"x": 53}, None),
        ({"zone": ["rim", "seal"]}, {"x": 28}, "score 0.90 >= 0.60"),
        ({"inside": "seal"}, {"x": 28}, None),
        ({"class": ["pore", "scratch"]}, {}, "score 0.90 >= 0.60"),
        ({"class": ["pore", "dent"]}, {}, None),
        ({"any": [{"min_length_px": 9}, {"min_area_px": 8}]}, {}, "area_px 8 >= 8"),
        ({"all": [{"min_length_px": 9}, {"min_area_px": 8}]}, {}, None),
        ({"not": {"min_length_px": 9}}, {}, "length_px 4.0 < 9.0"),
        ({"not": {"any": [{"min_length_px": 9}, {"zone": "rim"}]}}, {}, "length_px 4.0 < 9.0"),
        ({"not": {"min_length_px": 4}}, {}, None),
        ({"class": "scratch", "not": {"not": {"min_length_px": 4}}}, {}, "length_px 4.0 >= 4.0"),
    ],
)
def test_conditions_hold_to_the_limit_and_name_it(when: dict[str, Any], part: dict[str, Any], text: str | None) -> None:
    got = ruling([found(**part)], rules({"when": when}))
    assert got.reasons == (() if text is None else (f"r0: {text}",))
    assert got.verdict is (Verdict.OK if text is None else Verdict.NG)


def test_a_rule_that_fired_is_told_in_figures() -> None:
    parts = [found(), found(x=40, w=5), found(x=50, w=1, h=1)]
    (fired,) = ruling(parts, rules({"when": {"min_length_mm": 0.4}})).fired
    assert fired.model_dump() == {
        "rule": "r0", "outcome": "NG", "grade": None, "defects": (0, 1), "unsure": False,
        "grounds": ({"measure": "length_mm", "figure": 0.5, "relation": ">=", "limit": 0.4, "scope": ""},),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("group", "parts", "text"),
    [
        ({"max_count": 2}, [10, 20, 40], "count 3 > 2"),
        ({"max_total_area_px": 16}, [10, 20], None),
        ({"max_total_area_px": 15}, [10, 20], "total_area_px 16 > 15"),
        ({"max_total_area_mm2": 0.15}, [10, 20], "total_area_mm2 0.16 > 0.15"),
        ({"max_count": 1, "within_px": 5}, [10, 20, 30], None),
        ({"max_count": 1, "within_px": 6}, [10, 20, 40], "count 2 > 1 within 6 px"),
        ({"max_count": 2, "within_mm": 0.6}, [10, 20, 30], "count 3 > 2 within 0.6 mm"),
        ({"max_total_area_px": 16, "within_px": 6}, [10, 20, 30], "total_area_px 24 > 16 within 6 px"),
        ({"max_count": 1, "per_px": 1200}, [10, 40], None),
        ({"max_count": 0.0, "max_total_area_px": 99}, [10], "score 0.90 >= 0.60"),
        ({"max_count": 2, "per_px": 2400}, [10, 20, 40], "count 3.00 > 2.00 per 2400 px"),
        ({"max_count": 11, "per_cm2": 1}, [10, 20, 40], "count 12.50 > 11.00 per 1 cm2"),
        ({"max_total_area_mm2": 9, "per_mm2": 600}, [10], None),
    ],
)
def test_groups_are_counted_and_summed(group: dict[str, Any], parts: list[int], text: str | None) -> None:
    got = ruling([found(x=x) for x in parts], rules(group))
    assert got.reasons == (() if text is None else (f"r0: {text}",))


def test_counts_per_area_are_about_the_zone_of_the_rule() -> None:
    made = rules({"when": {"zone": "seal"}, "max_count": 1, "per_px": 400})
    assert ruling([found(x=21), found(x=1)], made).verdict is Verdict.OK
    assert ruling([found(x=21), found(x=25, y=30)], made).reasons == ("r0: count 2.00 > 1.00 per 400 px",)


def test_only_the_defects_of_the_crowded_place_are_named() -> None:
    got = ruling([found(x=5), found(x=11), found(x=50)], rules({"max_count": 1, "within_px": 3}))
    assert got.fired[0].defects == (0, 1)


def test_an_exemption_is_listed_and_hides_defects_from_the_rules_below_only() -> None:
    exempt = {"name": "mark", "when": {"inside": "seal", "max_area_px": 8}, "outcome": "OK"}
    reject = {"name": "any"}
    inside = found(x=22)
    got = ruling([inside], rules(exempt, reject))
    assert (got.verdict, got.reasons) == (Verdict.OK, ("mark: accepted, area_px 8 <= 8",))
    assert [(fired.rule, fired.outcome, fired.defects) for fired in got.fired] == [("mark", "OK", (0,))]
    assert ruling([inside, found(x=40)], rules(exempt, reject)).reasons == (
        "any: score 0.90 >= 0.60",
        "mark: accepted, area_px 8 <= 8",
    )
    assert ruling([inside], rules(reject, exempt)).verdict is Verdict.NG
    forbidden = {"zones": {**ZONES, "seal": {**ZONES["seal"], "use": "forbid"}}}
    assert ruling([inside], rules(exempt, reject, **forbidden)).verdict is Verdict.NG
    assert ruling([inside], rules(exempt, default="NG")).verdict is Verdict.OK


def test_grades_are_given_once_and_counted() -> None:
    made = rules(
        {"when": {"min_area_px": 20}, "outcome": "GRADE", "grade": "major"},
        {"outcome": "GRADE", "grade": "minor"},
        {"name": "minors", "when": {"grade": "minor"}, "max_count": 1},
        {"name": "majors", "when": {"grade": "major"}, "grade": "worst"},
    )
    got = ruling([found(), found(x=40, w=5, h=5)], made)
    assert (got.verdict, got.reasons) == (Verdict.NG, ("majors: score 0.90 >= 0.60",))
    assert sorted(got.grades.values()) == ["major", "minor"]
    assert ruling([found(), found(x=40)], made).reasons == ("minors: count 2 > 1",)
    assert ruling([found()], made).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("default", "verdict"), [(None, Verdict.OK), ("OK", Verdict.OK), ("REVIEW", Verdict.REVIEW), ("NG", Verdict.NG)]
)
def test_the_default_is_for_defects_that_no_rule_is_about(default: str | None, verdict: Verdict) -> None:
    made = rules({"when": {"class": "pore"}, "max_count": 1}, {"outcome": "GRADE", "grade": "seen"}, default=default)
    assert ruling([found(cls="pore")], made).verdict is Verdict.OK
    got = ruling([found()], made)
    assert got.verdict is verdict
    assert got.reasons == (() if verdict is Verdict.OK else ("default: score 0.90 >= 0.60",))


def test_nearness_rejects_and_distance_accepts() -> None:
    near = rules({"when": {"max_distance_to_defect_mm": 0.6}})
    assert ruling([found(x=10), found(x=20)], near).reasons == ("r0: distance_to_defect_mm 0.6 <= 0.6",)
    assert ruling([found(x=10), found(x=21)], near).verdict is Verdict.OK
    assert ruling([found()], near).verdict is Verdict.OK
    apart = rules({"when": {"min_distance_to_defect_px": 7}, "outcome": "OK"}, {})
    assert ruling([found()], apart).reasons == ("r0: accepted, distance_to_defect_px (no other) >= 7.0",)
    assert ruling([found(x=10), found(x=20)], apart).verdict is Verdict.NG
    unsure = found(x=20, score=0.4)
    assert ruling([found(x=10), unsure], apart).verdict is Verdict.REVIEW
    assert ruling([found(x=10), unsure], apart).reasons[0] == "review band: score 0.40 in 0.30…0.60"


@pytest.mark.parametrize(
    ("text", "begins", "says"),
    [
        ("rules:\n  - name: a\n    when: {min_distance_to_defect_px: 3}\n", "3:5", "would make a part acceptable"),
        ("rules:\n  - name: a\n    when: {not: {max_distance_to_defect_px: 3}}\n", "3:5", "one more defect nearby"),
        (
            "rules:\n  - name: a\n    outcome: OK\n    when: {any: [{max_distance_to_defect_mm: 3}]}\n",
            "4:5",
            "one more defect nearby",
        ),
        ("rules:\n  - name: a\n    grade: x\n    when: {max_distance_to_defect_mm: 3}\n", "4:5", "must not depend"),
        ("rules:\n  - name: a\n    outcome: OK\n    max_count: 3\n", "4:5", "remove max_count"),
        ("rules:\n  - name: a\n    outcome: GRADE\n", "3:5", "add grade: NAME"),
        ("rules:\n  - name: a\n    within_mm: 3\n", "3:5", "within_mm needs a limit"),
        ("rules:\n  - name: a\n    max_count: 3\n    within_mm: 3\n    per_px: 3\n", "5:5", "within_mm and per_px"),
        ("rules:\n  - name: a\n    when: {grade: minor}\n", "3:12", "which no rule above it gives; given: none"),
        ("rules:\n  - name: a\n    when:\n      any:\n        - {not: {zone: rim}}\n", "5:18", "names the zone 'rim'"),
        ("rules:\n  - name: a\n    when:\n      any:\n        - {min_aera_px: 3}\n", "5:12", "mean 'min_area_px'"),
        ("rules:\n  - name: a\n    when: {all: [{not: {zoen: rim}}]}\n", "3:25", "did you mean 'zone'"),
        ("rules:\n  - name: a\n    when: {any: []}\n", "3:12", "at least 1"),
        ("rules:\n  - name: a\n    when: {min_length_px: 5, max_length_px: 3}\n", "3:12", "no defect is meant"),
        ("rules:\n  - name: a\n    when: {class: 3}\n", "3:12", "allowed: a name, or a list of names"),
        ("rules:\n  - name: a\n    when: {orientation_deg: [10, 200]}\n", "3:34", "less than or equal to 180"),
        ("rules:\n  - name: a\n    when: {orientation_deg: 80}\n", "3:12", "allowed: a list"),
        ("rules:\n  - name: a\n    when: {tone: grey}\n", "3:12", "'bright' or 'dark'"),
        ("default: NO\n", "1:1", "allowed: 'NG', 'REVIEW' or 'OK'"),
        ("default: NG\nrules:\n  - name: default\n", "1:1", "give it another name"),
        ("pixel_size_mm: [0.1]\n", "1:1", "got 1 values"),
        ("pixel_size_mm: {x: 0.1, z: 0.2}\n", "1:1", "allowed: x and y"),
        ("pixel_size_mm: [0.1, -2]\n", "1:1", "got -2; allowed: greater than 0"),
        ("pixel_size_mm: much\n", "1:1", "a number of mm"),
        ("zones:\n  a: {circle: {center: [0, 0], radius: 3}}\n", "2:16", "did you mean 'centre'"),
        ("zones:\n  a: {circle: {centre: [0, 0], radius: 0}}\n", "2:32", "greater than 0"),
        ("zones:\n  a: {ring: {centre: [0, 0], inner: 3, outer: 3}}\n", "2:40", "outer radius must be over"),
        ("zones:\n  a: {band: {along: above, width: 3}}\n", "2:14", "left, right, top, bottom"),
        ("zones:\n  a: {band: {along: [[0, 0]], width: 3}}\n", "2:14", "two or more corners"),
        ("zones:\n  a: {rectangle: [0, 0, 5, 5], relative_to: part}\n", "2:32", "add part:"),
        ("zones:\n  a: {band: {along: top, width: 3}, relative_to: part}\n", "2:7", "draw a line"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, begins: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RulesError) as raised:
        read_rules(file)
    assert str(raised.value).startswith(f"{file}:{begins}: "), str(raised.value)
    assert says in str(raised.value)


def test_every_measure_is_limited_both_ways_and_told_of_a_defect() -> None:
    for measure in MEASURES:
        assert measure in Defect.model_fields
        assert {f"min_{measure}", f"max_{measure}"} <= set(Condition.model_fields)


def test_rules_of_before_mean_the_same() -> None:
    old = {"name": "specks", "when": {"class": None, "zone": None, "min_area_px": 4.0, "min_score": None},
           "max_count": 0, "outcome": "NG"}  # fmt: skip
    kept = Rule.model_validate(old)
    assert kept.limits == {"count": 0}
    assert kept.model_dump(by_alias=True) == {
        "name": "specks", "when": {"min_area_px": 4.0}, "max_count": 0, "outcome": "NG",
    }  # fmt: skip


@given(rule_sets())
@settings(max_examples=50)
def test_without_defects_a_part_is_ok(made: RuleSet) -> None:
    assume(made.rules)
    assert ruling([], made) == Ruling(Verdict.OK) or ruling([], made).verdict is Verdict.OK
