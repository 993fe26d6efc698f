"""Up to which threshold the rules reject an image."""

import numpy as np
import pytest

from onspec.decision.judge import judge
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap, Verdict
from onspec.evaluation.evaluator import Evaluator
from onspec.evaluation.reject_scores import NEVER, RejectScores, reject_scores

THRESHOLDS = Thresholds(image=0.5, pixel=0.3)


def rules(*conditions: dict[str, object]) -> RuleSet:
    return RuleSet.model_validate({"rules": [{"name": f"r{i}", **c} for i, c in enumerate(conditions)]})


def seen(*spots: tuple[int, float]) -> Prediction:
    """Squares of a side and a score, far apart, on 60×60 px."""
    values = np.zeros((60, 60), np.float32)
    for number, (side, score) in enumerate(spots):
        values[2 : 2 + side, 2 + 20 * number : 2 + 20 * number + side] = score
    return Prediction((ScoreMap(values),))


def asked(prediction: Prediction, given: RuleSet, thresholds: Thresholds = THRESHOLDS) -> RejectScores:
    e = Evaluator(("defect",), thresholds, rules=given)
    e.add("a", "a", True, prediction, None)
    found = e.results[0].rejects
    assert found is not None
    return found


def test_without_rules_it_is_the_score() -> None:
    assert asked(seen((4, 0.8), (9, 0.6)), RuleSet()) == RejectScores(0.800000011920929, 0.800000011920929)


def test_a_rule_about_area_asks_for_the_large_one() -> None:
    large = rules({"when": {"min_area_px": 50}})
    assert asked(seen((4, 0.8), (9, 0.6)), large).ng == pytest.approx(0.6, abs=2e-3)
    assert asked(seen((9, 0.8), (4, 0.6)), large).ng == pytest.approx(0.8, abs=1e-6)
    assert asked(seen((4, 0.8)), large).ng == NEVER


def test_a_rule_that_counts() -> None:
    two = rules({"max_count": 1})
    assert asked(seen((4, 0.8), (4, 0.6)), two).ng == pytest.approx(0.6, abs=2e-3)
    assert asked(seen((4, 0.8)), two).ng == NEVER


def test_a_rule_that_asks_for_a_person() -> None:
    both = rules({"when": {"min_area_px": 50}}, {"outcome": "REVIEW"})
    found = asked(seen((4, 0.8), (9, 0.6)), both)
    assert found.ng == pytest.approx(0.6, abs=2e-3)
    assert found.not_ok == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("review", [None, 0.4])
@pytest.mark.parametrize("second", [0.2, 0.45, 0.7])
def test_at_the_recipes_own_thresholds_it_is_exact(second: float, review: float | None) -> None:
    thresholds = Thresholds(image=0.5, pixel=0.3, review=review)
    given = rules({"when": {"min_area_px": 50}}, {"max_count": 1})
    prediction = seen((4, 0.9), (9, second))
    found = asked(prediction, given, thresholds)
    verdict = judge(prediction, thresholds, given).verdict
    low = thresholds.image if review is None else review
    told = Verdict.NG if found.ng >= 0.5 else Verdict.REVIEW if found.not_ok >= low else Verdict.OK
    assert told is verdict


def test_a_map_of_nearly_nothing_is_not_asked_about() -> None:
    def never(_: float) -> Verdict:
        raise AssertionError("asked")

    assert reject_scores(never, 5e-4, 0.5, None) == RejectScores(5e-4, 5e-4)
