"""Whether a recorded image is inspectable is told from its recorded look, or not at all."""

import numpy as np
import pytest

from onspec.decision.rejudging import Basis, Lack, Rejudge
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Inspection, NotInspectableError, Task, Verdict
from onspec.domain.look import STEPS, Look, Quantiles, Reference

DARK = Look(brightness=0.2, contrast=0.3, black=0, white=0, sharpness=0.3, likeness=0.9)


def steps(low: float, high: float) -> Quantiles:
    return tuple(np.linspace(low, high, STEPS + 1).tolist())


def reference(low: float = 0.38, picture: str | None = None) -> Reference:
    looks = {"brightness": steps(low, 0.42), "contrast": steps(0.25, 0.35)}
    if picture is not None:
        looks["likeness"] = steps(0.8, 0.95)
    return Reference(images=200, looks=looks, picture=picture)


def basis(known: Reference | None = None, **own: object) -> Basis:
    rules = RuleSet.model_validate({"inspectable": own} if own else {})
    return Basis(Task.SEGMENT, Thresholds(), rules, reference=known)


def seen(look: Look | None = DARK, verdict: Verdict = Verdict.OK) -> Inspection:
    reasons = () if verdict is Verdict.OK else ("not inspectable: too dark: brightness 0.2, training 0.38 to 0.42",)
    return Inspection(
        image="a.png", verdict=verdict, score=0.1, reasons=reasons, size=(64, 48), look=look, recipe="a@sha256:00",
        engine="onnxruntime",
    )  # fmt: skip


def verdict(told: Decision | Lack) -> Verdict:
    assert isinstance(told, Decision)
    return told.verdict


def test_the_recorded_look_decides() -> None:
    strict, wide = basis(reference()), basis(reference(0.1))
    assert verdict(Rejudge(wide, strict)(seen())) is Verdict.REVIEW
    assert verdict(Rejudge(strict, wide)(seen(verdict=Verdict.REVIEW))) is Verdict.OK
    assert verdict(Rejudge(strict, basis())(seen(verdict=Verdict.REVIEW))) is Verdict.OK
    assert verdict(Rejudge(basis(), basis(brightness={"min": 0.3}))(seen())) is Verdict.REVIEW
    with pytest.raises(NotInspectableError, match="too dark"):
        Rejudge(strict, basis(reference(), outside="error"))(seen())


def test_without_a_look_it_cannot_be_told() -> None:
    assert Rejudge(basis(), basis(reference()))(seen(None)) is Lack.LOOK
    assert Rejudge(basis(), basis())(seen(None)) == Rejudge(basis(), basis())(seen())
    assert Rejudge(basis(), basis(reference(), outside="accept"))(seen(None)) is Lack.LOOK  # it may show nothing
    accepting = basis(reference(), outside="accept", contrast={"min": 0})
    assert verdict(Rejudge(basis(), accepting)(seen(None))) is Verdict.OK


def test_likeness_to_another_picture_says_nothing() -> None:
    one, other = basis(reference(picture="one")), basis(reference(picture="other"))
    assert Rejudge(one, other)(seen()) is Lack.LOOK
    assert verdict(Rejudge(one, one)(seen())) is Verdict.REVIEW
    assert verdict(Rejudge(one, basis(reference()))(seen())) is Verdict.REVIEW
