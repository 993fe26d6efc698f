"""The acceptance test of a classifying machine vision system, in the terms of VDI/VDE/VDMA 2632 part 3.

Test parts with a known reference classification are judged by the system as delivered. What supplier and user agreed
on before, the highest share of escapes and of false rejects and the confidence, decides: a rate counts as kept only if
its exact, one-sided upper bound is within its limit. A limit that this number of parts could never prove is refused
before anything is judged (`require_enough`).

Rates are about parts, and each part is judged several times; a part that was judged wrongly once is counted as wrong.
A borderline part, one of which the parties do not agree what it is, shows how the system draws the line, and counts in
no rate.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from onspec.domain import Verdict
from onspec.evaluation.evidence import (
    ESCAPES,
    FALSE_REJECTS,
    Claim,
    at_most,
    percent,
    rank_allowed,
    rank_for,
    worst_rate,
)
from onspec.evaluation.reference_part import VERDICTS, Finding, Reference, ReferencePart

STANDARD: Final = "VDI/VDE/VDMA 2632 part 3"

REVIEWS: Final = Claim("a review rate", "good", "a review")


class Outcome(StrEnum):
    """How the test ends."""

    ACCEPTED = "accepted"
    CONDITIONS = "accepted with conditions"
    REFUSED = "not accepted"


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Agreement(_Values):
    """What the parties agreed on before the test.

    Attributes:
        max_review_rate: share of good parts that may go to REVIEW; `None`: such a part counts as rejected falsely, or a
            system that always asks would pass.
    """

    max_escape_rate: float
    max_false_reject_rate: float
    max_review_rate: float | None = None
    confidence: float = 0.95
    repeats: int = Field(3, ge=1)


class Proof(_Values):
    """A rate against its limit; `upper` is the exact one-sided bound at `confidence` (Clopper and Pearson)."""

    count: int
    of: int
    value: float
    upper: float
    limit: float
    confidence: float

    @property
    def met(self) -> bool:
        """Whether the bound is within the limit."""
        return self.upper <= self.limit

    @property
    def within(self) -> bool:
        """Whether at least what was seen is within the limit."""
        return self.value <= self.limit


class Criterion(_Values):
    """One line of the result: agreed, found, and whether that is met. `open` says that more parts might prove it."""

    name: str
    agreed: str
    found: str
    met: bool
    open: bool = False


class Repeatability(_Values):
    """How far the repeats agree, over images."""

    repeats: int
    images: int
    same_verdicts: int
    same_scores: int
    largest_spread: float


class ClassRow(_Values):
    """The verdicts that the parts of one reference class got."""

    cls: str
    reference: Reference
    counts: dict[Verdict, int]
    wrong: Proof | None = Field(description="escapes, or false rejects of good parts; null for borderline parts")

    @property
    def parts(self) -> int:
        """In all."""
        return sum(self.counts.values())


class Judgement(_Values):
    """What the test found, and what follows."""

    outcome: Outcome
    criteria: tuple[Criterion, ...]
    escapes: Proof
    false_rejects: Proof
    reviews: Proof | None = Field(description="good parts to REVIEW, where a limit was agreed for them")
    unjudged: int
    repeatability: Repeatability
    golden_failed: tuple[str, ...] = Field(description="golden samples that were not judged as recorded")
    golden: int
    matrix: tuple[ClassRow, ...]
    told: dict[str, dict[str, int]] | None = Field(
        description="images by reference class and by the class they were taken for; null with one class of defects"
    )
    conditions: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence."""
        one, other = self.escapes, self.false_rejects
        return (
            f"{one.count} of {one.of} defective parts escaped (at most {at_most(one.upper)}), {other.count} of "
            f"{other.of} good parts were rejected falsely (at most {at_most(other.upper)}), each with "
            f"{percent(one.confidence)} confidence"
        )


def require_enough(agreement: Agreement, good: int, defective: int) -> None:
    """Refuse limits that this many parts could not prove even if all were judged rightly.

    Raises:
        EvidenceError: says how many parts it takes.
        UsageError: limits or a confidence that no data could support.
    """
    rank_for(defective, agreement.max_escape_rate, agreement.confidence, ESCAPES)
    rank_for(good, agreement.max_false_reject_rate, agreement.confidence, FALSE_REJECTS)
    if agreement.max_review_rate is not None:
        rank_for(good, agreement.max_review_rate, agreement.confidence, REVIEWS)


def decide(
    parts: Sequence[ReferencePart],
    agreement: Agreement,
    *,
    classes: Sequence[str],
    golden: int,
    golden_failed: Sequence[str] = (),
    conditions: Sequence[str] = (),
) -> Judgement:
    """Hold what was found against what was agreed.

    Conditions let pass what the parts leave open, a rate that is within its limit without a proof of it; they never
    make up for a rate over its limit, a part that was not judged or a verdict that changes.

    Raises:
        MissingExtraError: scipy is not installed.
        ValueError: parts that `require_enough` refuses.
    """
    judged = [part for part in parts if part.finding is not Finding.UNJUDGED]
    good = [part for part in judged if part.reference is Reference.GOOD]
    bad = [part for part in judged if part.reference is Reference.DEFECTIVE]
    rejecting = {Verdict.NG} if agreement.max_review_rate is not None else {Verdict.NG, Verdict.REVIEW}
    escapes = _proof(bad, {Verdict.OK}, agreement.max_escape_rate, agreement.confidence)
    rejects = _proof(good, rejecting, agreement.max_false_reject_rate, agreement.confidence)
    reviews = None
    if agreement.max_review_rate is not None:
        reviews = _proof(good, {Verdict.REVIEW}, agreement.max_review_rate, agreement.confidence)
    repeatability = _repeatability(parts, agreement.repeats)
    criteria = (
        _rate("escapes", "defective parts judged OK", escapes),
        _rate("false rejects", _rejects_are(agreement), rejects),
        *([] if reviews is None else [_rate("reviews", "good parts judged REVIEW", reviews)]),
        _all_of("every part judged", "no part ends as ERROR", len(judged), len(parts), "parts"),
        _all_of(
            "repeatability", f"the same verdict in all {agreement.repeats} repeats", repeatability.same_verdicts,
            repeatability.images, "images",
        ),
        _golden(golden, golden_failed),
    )  # fmt: skip
    return Judgement(
        outcome=_outcome(criteria, conditions),
        criteria=criteria,
        escapes=escapes,
        false_rejects=rejects,
        reviews=reviews,
        unjudged=len(parts) - len(judged),
        repeatability=repeatability,
        golden=golden,
        golden_failed=tuple(golden_failed),
        matrix=tuple(_matrix(parts, agreement, rejecting)),
        told=_told(parts) if len(classes) > 1 else None,
        conditions=tuple(conditions),
    )


def _outcome(criteria: Iterable[Criterion], conditions: Sequence[str]) -> Outcome:
    failed = [criterion for criterion in criteria if not criterion.met]
    if any(not criterion.open for criterion in failed) or (failed and not conditions):
        return Outcome.REFUSED
    return Outcome.CONDITIONS if conditions else Outcome.ACCEPTED


def _rejects_are(agreement: Agreement) -> str:
    return "good parts judged NG" + ("" if agreement.max_review_rate is not None else " or REVIEW")


def _proof(parts: Sequence[ReferencePart], wrong: set[Verdict], limit: float, confidence: float) -> Proof:
    count, of = sum(part.counted in wrong for part in parts), len(parts)
    upper = worst_rate(count, of, confidence)
    return Proof(
        count=count, of=of, value=count / of if of else 1.0, upper=upper, limit=limit, confidence=confidence
    )  # fmt: skip


def _rate(name: str, what: str, proof: Proof) -> Criterion:
    confidence, is_open = percent(proof.confidence), not proof.met and proof.within
    found = f"{proof.count} of {proof.of}; at most {at_most(proof.upper)}"
    if is_open:
        found += f"; {_parts_to_prove(proof)} parts with as many would prove it"
    return Criterion(
        name=name,
        agreed=f"at most {percent(proof.limit)} of {what}, proved with {confidence} confidence",
        found=found,
        met=proof.met,
        open=is_open,
    )


def _parts_to_prove(proof: Proof) -> int:
    """The fewest parts of which as many wrong ones as there were prove the limit."""
    low, high = proof.of, 2 * proof.of + 1
    while rank_allowed(high, proof.limit, proof.confidence) <= proof.count:
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        if rank_allowed(middle, proof.limit, proof.confidence) > proof.count:
            high = middle
        else:
            low = middle
    return high


def _all_of(name: str, agreed: str, count: int, of: int, what: str) -> Criterion:
    return Criterion(name=name, agreed=agreed, found=f"{count} of {of} {what}", met=count == of)


def _golden(golden: int, failed: Sequence[str]) -> Criterion:
    found = _all_of("golden samples", "judged as recorded in the recipe", golden - len(failed), golden, "samples")
    if not failed:
        return found
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    return found.model_copy(update={"found": f"{found.found}; not {', '.join(failed[:3])}{more}"})


def _repeatability(parts: Sequence[ReferencePart], repeats: int) -> Repeatability:
    images = [image for part in parts for image in part.images]
    return Repeatability(
        repeats=repeats,
        images=len(images),
        same_verdicts=sum(image.same_verdicts for image in images),
        same_scores=sum(len(set(image.scores)) == 1 for image in images),
        largest_spread=max((image.spread for image in images), default=0.0),
    )


def _matrix(parts: Sequence[ReferencePart], agreement: Agreement, rejecting: set[Verdict]) -> Iterable[ClassRow]:
    for reference in Reference:
        of_kind = [part for part in parts if part.reference is reference]
        for cls in sorted({part.cls for part in of_kind}):
            row = [part for part in of_kind if part.cls == cls]
            counts = {verdict: sum(part.counted is verdict for part in row) for verdict in VERDICTS}
            judged = [part for part in row if part.finding is not Finding.UNJUDGED]
            wrong = None
            if reference is Reference.GOOD:
                wrong = _proof(judged, rejecting, agreement.max_false_reject_rate, agreement.confidence)
            elif reference is Reference.DEFECTIVE:
                wrong = _proof(judged, {Verdict.OK}, agreement.max_escape_rate, agreement.confidence)
            yield ClassRow(cls=cls, reference=reference, counts=counts, wrong=wrong)


def _told(parts: Sequence[ReferencePart]) -> dict[str, dict[str, int]]:
    """Reference class → class that was told → images; of the first repeat."""
    table: dict[str, dict[str, int]] = {}
    for part in parts:
        for image in part.images:
            if image.told is not None:
                row = table.setdefault(part.cls, {})
                row[image.told] = row.get(image.told, 0) + 1
    return table
