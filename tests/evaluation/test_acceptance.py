"""An acceptance test is passed by what its parts prove, and by nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from onspec.domain import EvidenceError, UsageError, Verdict
from onspec.evaluation.acceptance import Agreement, Judgement, Outcome, decide, require_enough
from onspec.evaluation.reference_part import Finding, JudgedImage, Reference, ReferencePart

OK, NG, REVIEW, ERROR = Verdict.OK, Verdict.NG, Verdict.REVIEW, Verdict.ERROR
AGREED = Agreement(max_escape_rate=0.05, max_false_reject_rate=0.05)


def image(*verdicts: Verdict, scores: tuple[float, ...] | None = None, told: str | None = None) -> JudgedImage:
    known = scores or tuple(0.5 for _ in verdicts)
    shown = tuple(None if v is ERROR else s for v, s in zip(verdicts, known, strict=True))
    return JudgedImage(image="a.png", sha256="0", verdicts=verdicts, scores=shown, told=told)


def part(reference: Reference, *verdicts: Verdict, cls: str | None = None, told: str | None = None) -> ReferencePart:
    named = cls or ("defect" if reference is Reference.DEFECTIVE else str(reference))
    return ReferencePart(part="p", reference=reference, cls=named, images=(image(*verdicts, told=told),))


def good(*verdicts: Verdict) -> ReferencePart:
    return part(Reference.GOOD, *verdicts)


def bad(*verdicts: Verdict) -> ReferencePart:
    return part(Reference.DEFECTIVE, *verdicts)


def judged(parts: list[ReferencePart], agreed: Agreement = AGREED, **more: object) -> Judgement:
    golden: dict[str, object] = {"golden": 4, **more}
    return decide(parts, agreed, classes=("defect",), **golden)  # type: ignore[arg-type]


def right(count: int) -> list[ReferencePart]:
    return [good(OK, OK, OK)] * count + [bad(NG, NG, NG)] * count


def test_59_parts_without_an_error_prove_5_percent() -> None:
    found = judged(right(59))
    assert (found.outcome, [c.met for c in found.criteria]) == (Outcome.ACCEPTED, [True] * 5)
    assert found.escapes.upper == pytest.approx(1 - 0.05 ** (1 / 59))
    assert found.summary.startswith("0 of 59 defective parts escaped (at most 5 %), 0 of 59 good parts")


@pytest.mark.parametrize(("good_parts", "bad_parts", "says"), [(58, 59, "good parts"), (59, 58, "defective parts")])
def test_too_few_parts_are_refused_with_how_many_it_takes(good_parts: int, bad_parts: int, says: str) -> None:
    with pytest.raises(EvidenceError, match=f"it takes 59 {says} without .*, 1 more"):
        require_enough(AGREED, good_parts, bad_parts)
    require_enough(AGREED, 59, 59)


def test_limits_that_say_nothing_are_refused() -> None:
    for values in ({"max_escape_rate": 0.0}, {"max_false_reject_rate": 1.0}, {"confidence": 1.0}):
        with pytest.raises(UsageError):
            require_enough(Agreement(**{**AGREED.model_dump(), **values}), 100, 100)
    with pytest.raises(EvidenceError, match="a review rate of at most 1 %"):
        require_enough(AGREED.model_copy(update={"max_review_rate": 0.01}), 100, 100)


@pytest.mark.slow
@given(st.integers(59, 400), st.data())
def test_accepted_is_what_the_exact_bound_allows(n: int, data: st.DataObject) -> None:
    escapes = data.draw(st.integers(0, n // 8))
    parts = [good(OK)] * 59 + [bad(NG)] * (n - escapes) + [bad(OK)] * escapes
    found = judged(parts, AGREED.model_copy(update={"repeats": 1}))
    upper = binomtest(escapes, n, alternative="less").proportion_ci(0.95, "exact").high
    assert found.escapes.upper == pytest.approx(upper)
    assert (found.outcome is Outcome.ACCEPTED) == (upper <= 0.05)


def test_once_wrong_is_wrong() -> None:
    parts = [*right(80), bad(NG, OK, NG), good(OK, OK, NG)]
    found = judged(parts)
    assert (found.escapes.count, found.false_rejects.count) == (1, 1)
    assert found.repeatability.same_verdicts == found.repeatability.images - 2
    assert [c.name for c in found.criteria if not c.met] == ["escapes", "false rejects", "repeatability"]
    assert found.outcome is Outcome.REFUSED


def test_a_system_that_always_asks_does_not_pass() -> None:
    parts = [good(REVIEW)] * 100 + [bad(REVIEW)] * 100
    once = AGREED.model_copy(update={"repeats": 1})
    assert judged(parts, once).false_rejects.count == 100
    with_limit = judged(parts, once.model_copy(update={"max_review_rate": 0.1}))
    assert (with_limit.false_rejects.count, with_limit.outcome) == (0, Outcome.REFUSED)
    assert [c.name for c in with_limit.criteria if not c.met] == ["reviews"]


def test_a_part_that_was_not_judged_is_never_passed_over() -> None:
    found = judged([*right(80), good(OK, ERROR, OK)])
    assert (found.outcome, found.unjudged, found.false_rejects.of) == (Outcome.REFUSED, 1, 80)
    assert judged([*right(80), good(OK, ERROR, OK)], conditions=["again"]).outcome is Outcome.REFUSED


def test_a_golden_sample_that_deviates_refuses_all() -> None:
    found = judged(right(80), golden_failed=["clear-good.png"])
    assert found.outcome is Outcome.REFUSED
    assert [c.found for c in found.criteria if not c.met] == ["3 of 4 samples; not clear-good.png"]


def test_conditions_let_pass_only_what_the_parts_leave_open() -> None:
    open_, over = [*right(80), bad(OK, OK, OK)], [*right(80), *[bad(OK, OK, OK)] * 6]
    (criterion,) = [c for c in judged(open_).criteria if not c.met]
    assert criterion.open
    assert "93 parts with as many would prove it" in criterion.found
    assert judged(open_).outcome is Outcome.REFUSED
    assert judged(open_, conditions=["93 parts by May"]).outcome is Outcome.CONDITIONS
    assert judged(over, conditions=["93 parts by May"]).outcome is Outcome.REFUSED
    assert judged(right(80), conditions=["a spare lamp"]).outcome is Outcome.CONDITIONS


def test_borderline_parts_count_in_no_rate() -> None:
    edge = part(Reference.BORDERLINE, OK, OK, OK)
    found = judged([*right(60), edge, part(Reference.BORDERLINE, NG, NG, NG)])
    assert (found.outcome, found.escapes.of, found.false_rejects.of) == (Outcome.ACCEPTED, 60, 60)
    (row,) = [row for row in found.matrix if row.reference is Reference.BORDERLINE]
    assert (row.counts[OK], row.counts[NG], row.wrong) == (1, 1, None)
    changing = judged([*right(60), part(Reference.BORDERLINE, OK, NG, OK)])
    assert changing.outcome is Outcome.REFUSED  # a system that says now this, now that


@pytest.mark.parametrize(
    ("reference", "verdicts", "finding"),
    [
        (Reference.GOOD, (OK, OK), Finding.RIGHT),
        (Reference.GOOD, (OK, NG), Finding.FALSE_REJECT),
        (Reference.GOOD, (REVIEW, OK), Finding.REVIEW),
        (Reference.DEFECTIVE, (NG, NG), Finding.RIGHT),
        (Reference.DEFECTIVE, (NG, OK), Finding.ESCAPE),
        (Reference.DEFECTIVE, (NG, REVIEW), Finding.REVIEW),
        (Reference.DEFECTIVE, (ERROR, OK), Finding.UNJUDGED),
        (Reference.BORDERLINE, (NG, NG), Finding.BORDERLINE),
        (Reference.BORDERLINE, (ERROR, NG), Finding.UNJUDGED),
    ],
)
def test_findings(reference: Reference, verdicts: tuple[Verdict, ...], finding: Finding) -> None:
    assert part(reference, *verdicts).finding is finding


def test_a_part_has_the_verdict_of_its_worst_image() -> None:
    two = ReferencePart(
        part="p", reference=Reference.DEFECTIVE, cls="defect", images=(image(OK, OK), image(NG, REVIEW))
    )
    assert two.verdicts == (NG, REVIEW)
    assert two.finding is Finding.REVIEW


def test_an_image_that_was_not_judged_is_not_made_up_for_by_another_of_the_part() -> None:
    two = ReferencePart(
        part="p", reference=Reference.DEFECTIVE, cls="defect", images=(image(NG, NG), image(ERROR, ERROR))
    )
    assert two.verdicts == (ERROR, ERROR)
    assert two.finding is Finding.UNJUDGED
    found = judged([*right(60), two], AGREED.model_copy(update={"repeats": 2}))
    assert found.outcome is Outcome.REFUSED


def test_classes_are_told_apart() -> None:
    parts = [
        *[part(Reference.GOOD, OK, told="good")] * 3,
        *[part(Reference.DEFECTIVE, NG, cls="dent", told="dent")] * 2,
        part(Reference.DEFECTIVE, NG, cls="pore", told="dent"),
        part(Reference.DEFECTIVE, OK, cls="pore", told="good"),
    ]
    found = decide(parts, AGREED.model_copy(update={"repeats": 1}), classes=("dent", "pore"), golden=0)
    assert found.told == {"good": {"good": 3}, "dent": {"dent": 2}, "pore": {"dent": 1, "good": 1}}
    assert [(row.cls, row.parts, row.wrong.count if row.wrong else None) for row in found.matrix] == [
        ("good", 3, 0),
        ("dent", 2, 0),
        ("pore", 2, 1),
    ]


def test_scores_that_differ_are_told() -> None:
    shaky = ReferencePart(part="p", reference=Reference.GOOD, cls="good", images=(image(OK, OK, scores=(0.25, 0.5)),))
    found = judged([shaky], AGREED.model_copy(update={"repeats": 2})).repeatability
    assert (found.same_verdicts, found.same_scores, found.largest_spread) == (1, 0, 0.25)
