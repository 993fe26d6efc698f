"""Reported defects against labelled ones."""

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoreMap
from onspec.evaluation.detection import match, reported
from onspec.evaluation.figures import detection_figures
from onspec.evaluation.labelled_regions import connected
from onspec.evaluation.results import Matches

THRESHOLDS = Thresholds(image=0.6, pixel=0.5)


def blank() -> NDArray[np.float32]:
    return np.zeros((32, 32), np.float32)


def matches(scores: NDArray[np.float32], truth: NDArray[np.float32]) -> Matches:
    (labelled,) = connected((truth > 0).astype(np.uint8)[None])
    return match(reported(Prediction((ScoreMap(scores),)), THRESHOLDS), labelled)


def test_found_missed_and_invented() -> None:
    truth, scores = blank(), blank()
    truth[2:6, 2:6] = truth[20:24, 20:24] = 1  # two defects
    scores[5:8, 5:8] = 0.9  # touches the first in one pixel
    scores[2:4, 28:30] = 0.8  # touches none
    assert matches(scores, truth) == Matches(truth=2, found=1, predicted=2, right=1)


def test_one_report_may_cover_two_defects_and_two_reports_one() -> None:
    truth, scores = blank(), blank()
    truth[2:4, 2:4] = truth[2:4, 8:10] = 1
    scores[2:4, 2:10] = 0.9
    assert matches(scores, truth) == Matches(truth=2, found=2, predicted=1, right=1)
    assert matches(truth * np.float32(0.9), scores) == Matches(truth=1, found=1, predicted=2, right=2)


def test_what_rejects_no_part_is_not_reported() -> None:
    truth, scores = blank(), blank()
    truth[2:6, 2:6] = 1
    scores[2:6, 2:6] = 0.55  # outlined by the pixel threshold, under the image threshold
    assert matches(scores, truth) == Matches(truth=1, found=0, predicted=0, right=0)


def test_figures_by_hand() -> None:
    figures = detection_figures([Matches(4, 3, 5, 3), Matches(0, 0, 1, 0)])
    assert figures.recall == pytest.approx(3 / 4)
    assert figures.precision == pytest.approx(3 / 6)
    assert figures.f1 == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert (figures.defects, figures.defects_found, figures.reported, figures.reported_right) == (4, 3, 6, 3)


def test_nothing_there_and_nothing_reported_defines_nothing() -> None:
    figures = detection_figures([Matches()])
    assert (figures.precision, figures.recall, figures.f1) == (None, None, None)


def test_everything_missed_is_zero() -> None:
    figures = detection_figures([Matches(truth=3)])
    assert (figures.precision, figures.recall, figures.f1) == (None, 0.0, 0.0)
