"""Images that do not look like those of the training are counted apart, and no threshold makes them OK."""

import numpy as np

from onspec.decision.inspectability import NAME
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Prediction, ScoreMap, Verdict
from onspec.domain.fired import Fired
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.what_if import what_if

THRESHOLDS = Thresholds(image=0.6, pixel=0.5)
DARK = (f"{NAME}: too dark: brightness 0.1, training 0.3 to 0.4",)


def added(evaluator: Evaluator, name: str, defective: bool, score: float, inspectable: bool = True) -> None:
    values = np.full((20, 20), 0.0, np.float32)
    values[4:9, 4:9] = score
    rejected = score >= THRESHOLDS.image
    verdict = Verdict.NG if rejected else Verdict.OK if inspectable else Verdict.REVIEW
    decision = Decision(
        verdict=verdict, score=score, class_scores={"defect": score},
        reasons=(*(("defect",) if rejected else ()), *(() if inspectable else DARK)),
        fired=() if inspectable else (Fired(rule=NAME, outcome="REVIEW"),),
    )  # fmt: skip
    evaluator.add(name, name, defective, Prediction((ScoreMap(values, "defect"),)), None, decision=decision)


def test_they_are_reviews_and_told_apart() -> None:
    evaluator = Evaluator(("defect",), THRESHOLDS)
    added(evaluator, "good", False, 0.1)
    added(evaluator, "found", True, 0.9)
    added(evaluator, "missed", True, 0.2)
    added(evaluator, "dark good", False, 0.1, inspectable=False)
    added(evaluator, "dark missed", True, 0.2, inspectable=False)
    added(evaluator, "dark found", True, 0.9, inspectable=False)
    metrics = evaluator.metrics()
    assert metrics.not_inspectable.model_dump() == {"good": 1, "defective": 2}
    assert (metrics.images.good, metrics.images.defective, metrics.errors) == (2, 4, 0)
    assert (metrics.image.escapes, metrics.image.reviews_defective, metrics.image.reviews_good) == (1, 1, 1)
    assert [result.inspectable for result in evaluator.results] == [True] * 3 + [False] * 3


def test_no_threshold_makes_them_ok() -> None:
    evaluator = Evaluator(("defect",), THRESHOLDS)
    for name, defective, score in (("a", False, 0.1), ("b", True, 0.9), ("c", True, 0.2)):
        added(evaluator, name, defective, score, inspectable=False)
    told = what_if(evaluator.results, THRESHOLDS)
    assert told is not None
    assert told.images.escapes.tolist() == [0] * len(told.thresholds)
    assert told.images.passed.tolist() == [0] * len(told.thresholds)
    assert told.images.caught[told.image] == 1


def test_without_any_nothing_is_said() -> None:
    evaluator = Evaluator(("defect",), THRESHOLDS)
    added(evaluator, "good", False, 0.1)
    assert evaluator.metrics().not_inspectable.model_dump() == {"good": 0, "defective": 0}
