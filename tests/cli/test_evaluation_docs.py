"""docs/evaluation.md names every figure, and its tables are right."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from onspec.cli.evaluate import COLUMNS
from onspec.evaluation import calibration, detectability
from onspec.evaluation.boundary import TOLERANCE_PX
from onspec.evaluation.box_ranking import MOST_BOXES
from onspec.evaluation.evidence import best_rate, parts_needed, rank_allowed, worst_rate
from onspec.evaluation.intervals import clopper_pearson
from onspec.evaluation.metrics import (
    CalibrationBin,
    CalibrationFigures,
    ClassFigures,
    ClassificationFigures,
    CostFigures,
    DetectabilityFigures,
    DetectionFigures,
    Images,
    KindFigures,
    Metrics,
    PartFigures,
    PixelFigures,
    ZoneFigures,
)
from onspec.evaluation.operating_point import ODD_SHARE
from onspec.evaluation.what_if import MOST_STEPS
from onspec.imaging.boxes import FLOOR

TEXT = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "model",
    [
        *(Metrics, Images, PartFigures, PixelFigures, DetectionFigures, ClassificationFigures, ClassFigures),
        *(KindFigures, ZoneFigures, DetectabilityFigures, CalibrationFigures, CalibrationBin, CostFigures),
    ],
)
def test_every_figure_is_explained(model: type[BaseModel]) -> None:
    assert [name for name in model.model_fields if f"`{name}`" not in TEXT] == []


def test_parts_needed() -> None:
    rows = re.findall(r"^\| ([\d.]+) % \| (\d+) \| (\d+) \| (\d+) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 5
    for rate, *needed in rows:
        told = [parts_needed(float(rate) / 100, confidence) for confidence in (0.90, 0.95, 0.99)]
        assert [int(n) for n in needed] == told


def test_examples_in_the_text() -> None:
    assert "0 escapes of 26" in TEXT
    assert f"{clopper_pearson(0, 26)[1]:.1%}" == "13.2%"
    assert "71 defective parts support at best 4.1 %" in TEXT
    assert f"{best_rate(71, 0.95):.1%}" == "4.1%"
    assert "40 images with\nnone over the threshold support 7.2 % at 95 %, 299 with 5 over it 3.5 %" in TEXT
    assert [f"{worst_rate(int(ODD_SHARE * n), n, 0.95):.1%}" for n in (40, 299)] == ["7.2%", "3.5%"]
    assert "93 parts support 5 % at 95 % with one of them" in TEXT
    assert (rank_allowed(93, 0.05, 0.95), rank_allowed(92, 0.05, 0.95)) == (2, 1)


def test_the_rows_of_predictions() -> None:
    assert [column for column in COLUMNS if f"`{column}`" not in TEXT] == []


def test_constants_in_the_text() -> None:
    assert f"runs within {TOLERANCE_PX} px of the labelled one" in TEXT
    assert f"not 100 but {MOST_BOXES} boxes of an image and class count" in TEXT
    assert f"down to a score of {FLOOR:g}" in TEXT
    assert f"fewer than {detectability.FEWEST} defects" in TEXT
    assert f"{detectability.ADVISED} that the handbook asks for" in TEXT
    assert f"{calibration.BINS} bins of equal width" in TEXT
    assert f"at most about {MOST_STEPS} thresholds" in TEXT
