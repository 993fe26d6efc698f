"""An image that does not look like those of the training is never OK."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.decision.inspectability import NAME, Gate, trained_limit
from onspec.decision.inspectable import MEASURES, Inspectable
from onspec.decision.rules import RuleSet, read_rules
from onspec.domain import Decision, NotInspectableError, RulesError, Verdict
from onspec.domain.look import STEPS, Look, Quantiles, Reference

OK = Decision(verdict=Verdict.OK, score=0.1)
NG = Decision(verdict=Verdict.NG, score=0.9, reasons=("defect: score 0.90 >= 0.50",))
USUAL = Look(brightness=0.4, contrast=0.3, black=0.0, white=0.01, sharpness=0.3)


def steps(low: float, high: float) -> Quantiles:
    return tuple(np.linspace(low, high, STEPS + 1).tolist())


REFERENCE = Reference(
    images=200,
    looks={
        "brightness": steps(0.38, 0.42), "contrast": steps(0.25, 0.35), "black": steps(0, 0), "white": steps(0, 0.02),
        "sharpness": steps(0.21, 0.44),
    },
)  # fmt: skip


def looking(**changes: float) -> Look:
    return USUAL.model_copy(update=changes)


def gate(**own: object) -> Gate:
    return Gate(REFERENCE, Inspectable.model_validate(own) if own else None)


def test_an_image_as_in_training_stays_what_it_is() -> None:
    assert gate().judge(OK, USUAL, "a.png") == OK
    assert gate().judge(NG, USUAL, "a.png") == NG


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sharpness": 0.08}, "not inspectable: blurred: sharpness 0.08, training 0.21 to 0.44"),
        ({"sharpness": 0.9}, "not inspectable: sharper or noisier: sharpness 0.9, training 0.21 to 0.44"),
        ({"brightness": 0.2}, "not inspectable: too dark: brightness 0.2, training 0.38 to 0.42"),
        ({"brightness": 0.6}, "not inspectable: too bright: brightness 0.6, training 0.38 to 0.42"),
        ({"contrast": 0.1}, "not inspectable: too flat: contrast 0.1, training 0.25 to 0.35"),
        ({"black": 0.5}, "not inspectable: cut off at black: black 0.5, training 0"),
        ({"white": 0.2}, "not inspectable: cut off at white: white 0.2, training 0 to 0.02"),
    ],
)
def test_an_ok_outside_becomes_review_and_says_why(changes: dict[str, float], says: str) -> None:
    told = gate().judge(OK, looking(**changes), "a.png")
    assert (told.verdict, told.reasons) == (Verdict.REVIEW, (says,))
    (fired,) = told.fired
    assert (fired.rule, fired.outcome) == (NAME, "REVIEW")
    assert fired.grounds[0].measure == next(iter(changes))
    rejected = gate().judge(NG, looking(**changes), "a.png")
    assert (rejected.verdict, rejected.reasons) == (Verdict.NG, (*NG.reasons, says))


def test_every_measure_outside_is_told() -> None:
    told = gate().judge(OK, looking(brightness=0.1, sharpness=0.05), "a.png")
    assert [reason.split(":")[1] for reason in told.reasons] == [" too dark", " blurred"]


def test_an_image_that_shows_nothing_is_an_error() -> None:
    plain = Look(brightness=0.4, contrast=0.004, black=0, white=0, sharpness=0)
    for decision in (OK, NG):
        with pytest.raises(
            NotInspectableError, match=r"a\.png: not inspectable: the image shows nothing: contrast 0.0"
        ):
            gate().judge(decision, plain, "a.png")
    with pytest.raises(NotInspectableError, match="shows nothing"):
        gate(outside="accept").judge(OK, plain, "a.png")
    assert gate(outside="accept", contrast={"min": 0}).judge(OK, plain, "a.png") == OK
    flat = REFERENCE.model_copy(update={"looks": {"contrast": steps(0.0, 0.3)}})
    assert Gate(flat, None).judge(OK, plain, "a.png") == OK  # training had such images


def test_the_plant_decides() -> None:
    dark = looking(brightness=0.2)
    assert gate(outside="accept").judge(OK, dark, "a.png") == OK
    with pytest.raises(NotInspectableError, match=r"too dark: brightness 0\.2"):
        gate(outside="ERROR").judge(OK, dark, "a.png")
    assert gate(brightness={"min": 0.1}).judge(OK, dark, "a.png") == OK
    assert gate(brightness={"min": 0.1}).judge(OK, looking(brightness=0.9), "a.png").verdict is Verdict.REVIEW
    strict = gate(brightness={"min": 0.405, "max": 0.41}).judge(OK, USUAL, "a.png")
    assert strict.reasons == ("not inspectable: too dark: brightness 0.4, allowed from 0.405, training 0.38 to 0.42",)


def test_without_a_reference_only_own_limits_hold() -> None:
    assert not Gate(None, None).looks
    assert Gate(None, None).judge(OK, None, "a.png") == OK
    own = Gate(None, Inspectable.model_validate({"sharpness": {"min": 0.5}}))
    assert own.looks
    assert own.judge(OK, USUAL, "a.png").reasons == ("not inspectable: blurred: sharpness 0.3, allowed from 0.5",)
    assert not Gate(None, Inspectable(outside="error")).looks


@given(
    st.sampled_from(list(MEASURES)),
    st.lists(st.floats(0, 1), min_size=2, max_size=60),
    st.integers(1, 3000),
)
def test_no_limit_lies_inside_of_what_training_showed(measure: str, values: list[float], images: int) -> None:
    known = tuple(np.quantile(values, np.linspace(0, 1, STEPS + 1)).tolist())
    low, high = trained_limit(measure, known, images)
    assert low is None or low < min(values)
    assert high is None or high > max(values)
    fewer = trained_limit(measure, known, max(1, images // 2))
    assert low is None or fewer[0] is None or fewer[0] <= low


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 3))
def test_it_never_makes_a_verdict_better(brightness: float, contrast: float, white: float, sharpness: float) -> None:
    look = looking(brightness=brightness, contrast=contrast, white=white, sharpness=sharpness)
    try:
        one, other = (gate().judge(decision, look, "a.png") for decision in (OK, NG))
    except NotInspectableError:
        return
    assert other.verdict is Verdict.NG
    assert one.verdict is (Verdict.REVIEW if one.reasons else Verdict.OK)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("inspectable: {outside: maybe}", "1:15: inspectable.outside: got 'maybe'; allowed: 'review'"),
        ("inspectable:\n  brightness: {}", r"2:3: inspectable.brightness: needs min, max or both"),
        ("inspectable:\n  brightness: {min: 0.5, max: 0.2}", "2:16: .* min 0.5 is above max 0.2"),
        ("inspectable:\n  white: {max: 40}", r"2:11: inspectable: white lies between 0 and 1; got 40"),
        ("inspectable:\n  sharpnes: {min: 1}", "2:3: unknown key 'inspectable.sharpnes'.*did you mean 'sharpness'"),
        ("inspectable:\n  sharpness: {minimum: 1}", "2:15: unknown key .*allowed: min, max"),
        ("inspectable:\n  sharpness: {min: .nan}", r"2:15: inspectable.sharpness.min: .* a finite number"),
    ],
)
def test_what_is_wrong_in_a_rules_file_is_said_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    with pytest.raises(RulesError, match=says):
        read_rules(file)


def test_rules_come_back_as_they_were_written() -> None:
    rules = RuleSet.model_validate({"inspectable": {"outside": "Error", "tint": {"max": 0.2}}})
    assert RuleSet.model_validate_json(rules.model_dump_json(by_alias=True)) == rules
    assert rules.inspectable is not None
    assert rules.inspectable.model_dump() == {"outside": "error", "tint": {"max": 0.2}}


DOCS = Path(__file__).parents[2] / "docs" / "inspectable.md"


def test_the_page_names_every_figure_and_its_example_is_a_rules_file(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name, measure in MEASURES.items():
        assert f"`{name}`" in text
        assert measure.low.split(",")[0].split(" its ")[0] in text
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "rules.yaml"
    file.write_text(example)
    rules = read_rules(file)
    assert rules.inspectable is not None
    assert rules.inspectable.limited == ("brightness", "sharpness")


def test_the_page_says_how_far_limits_lie() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert "by (0.5 + 8 / images) times the spread between the quantiles 1/16 and 15/16" in text
    known = steps(0.2, 0.6)
    low, high = trained_limit("white", known, 100)
    assert high == pytest.approx(0.6 + (0.5 + 8 / 100) * 0.4 * 14 / 16, abs=1e-4)
    assert low is None  # it would lie under 0
    same = steps(0.4, 0.4)
    for measure, factor in (("brightness", 1.105), ("contrast", 1.162), ("sharpness", 1.105)):
        assert trained_limit(measure, same, 100)[1] == pytest.approx(0.4 * factor, rel=0.01)
    for measure, floor in (("black", 0.02), ("white", 0.02), ("tint", 0.05)):
        assert trained_limit(measure, same, 100) == pytest.approx((0.4 - floor, 0.4 + floor))
    assert trained_limit("likeness", same, 100) == (0.35, None)
