"""A value that exists is valid."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from onspec import domain
from onspec.domain import (
    Decision,
    Defect,
    Ellipse,
    Inspection,
    MaskFile,
    OnspecError,
    Prediction,
    Sample,
    ScoredBox,
    ScoreMap,
    Verdict,
)

DEFECT = {
    "class": "scratch", "score": 0.5, "bbox": (1, 2, 3, 4), "centroid": (2.0, 3.0), "area_px": 5,
    "length_px": 4.0, "width_px": 2.0, "elongation": 2.0, "orientation_deg": 30.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((4, 4)),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 1), np.float32),
        np.zeros((0, 4), np.float32),
        np.full((4, 4), np.nan, np.float32),
        np.full((4, 4), 1.01, np.float32),
        np.full((4, 4), -0.01, np.float32),
        np.array([[0.0, np.inf]], np.float32),
        np.array([[np.nan, 0.0]], np.float32),
    ],
)
def test_what_is_no_score_map(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    with pytest.raises(ValueError, match="ScoreMap"):
        ScoreMap(values)


def test_the_size_of_a_score_map_is_width_and_height() -> None:
    assert ScoreMap(np.zeros((3, 5), np.float32)).size == (5, 3)


@pytest.mark.parametrize(
    "change",
    [{"score": 1.1}, {"score": float("nan")}, {"area_px": 0}, {"elongation": 0.5}, {"orientation_deg": 180.0}],
)
def test_what_is_no_defect(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Defect.model_validate({**DEFECT, **change})


@pytest.mark.parametrize(
    "change",
    [{"score": 1.1}, {"score": float("nan")}, {"x": float("nan")}, {"y": float("inf")}, {"width": 0.0}, {"height": -1}],
)
def test_what_is_no_box(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="ScoredBox"):
        ScoredBox(**{"cls": "pore", "score": 0.5, "x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, **change})  # type: ignore[arg-type]


def test_maps_of_a_prediction_have_one_size() -> None:
    small, large = (ScoreMap(np.zeros((3, side), np.float32), str(side)) for side in (4, 5))
    for maps, cores in (((), None), ((small, large), None), ((small,), large)):
        with pytest.raises(ValueError, match="Prediction takes maps of one size"):
            Prediction(maps, cores=cores)
    assert Prediction((small,)).size == (4, 3)


def test_the_total_is_the_score_of_any_class_in_whatever_order() -> None:
    maps = [ScoreMap(np.full((2, 3), score, np.float32), name) for name, score in (("a", 0.1), ("b", 0.7), ("c", 0.15))]
    totals = [Prediction(tuple(order)).total().values for order in (maps, maps[::-1], maps[1:] + maps[:1])]
    assert totals[0] == pytest.approx(0.95)
    assert all((total == totals[0]).all() for total in totals)
    assert Prediction((maps[0],)).total() is maps[0]
    over = Prediction((ScoreMap(np.ones((2, 3), np.float32), "a"), maps[1]))
    assert (over.total().values == 1.0).all()


def test_a_decision_has_grounds_and_is_never_error() -> None:
    assert Decision(verdict=Verdict.OK, score=0.1).reasons == ()
    with pytest.raises(ValidationError, match="needs at least one reason"):
        Decision(verdict=Verdict.NG, score=0.9)
    with pytest.raises(ValidationError, match="cannot be ERROR"):
        Decision(verdict=Verdict.ERROR, score=0.9, reasons=("x",))


@pytest.mark.parametrize(
    "values",
    [
        {"verdict": "OK"},
        {"verdict": "OK", "score": 0.1},
        {"verdict": "OK", "score": 0.1, "size": (4, 4), "error": "x"},
        {"verdict": "OK", "score": float("nan"), "size": (4, 4)},
        {"verdict": "ERROR"},
        {"verdict": "ERROR", "error": ""},
    ],
)
def test_an_inspection_tells_the_truth(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Inspection.model_validate({"image": "a", "recipe": "r", "engine": "e", **values})


def test_an_inspection_in_json_has_the_fields_of_the_contract() -> None:
    inspection = Inspection(
        image="a.png", verdict=Verdict.NG, score=0.97, reasons=("r",), defects=(Defect.model_validate(DEFECT),),
        size=(4, 4), recipe="t@sha256:0", engine="e", ms={"read": 1.0, "infer": 2.0, "decide": 3.0},
    )  # fmt: skip
    tree = json.loads(inspection.to_json())
    assert {
        "image", "part_id", "verdict", "score", "reasons", "defects", "size", "recipe", "engine", "ms", "error",
    } <= set(tree)  # fmt: skip
    assert {
        "class", "score", "bbox", "centroid", "area_px", "area_mm2", "length_mm", "width_mm", "elongation",
        "orientation_deg", "polygon",
    } <= set(tree["defects"][0])  # fmt: skip
    assert "\n" not in inspection.to_json()


def test_a_sample_knows_its_truth() -> None:
    assert Sample("a", Path("a"), "p", defective=True).truth == "defective"
    assert Sample("a", Path("a"), "p", defective=False).truth == "good"
    with pytest.raises(ValueError, match="needs a name and a part"):
        Sample("", Path("a"), "p", defective=True)
    with pytest.raises(ValueError, match="labelled good and has 1 annotations"):
        Sample("a", Path("a"), "p", defective=False, annotations=(MaskFile(Path("m")),))


@pytest.mark.parametrize("axes", [(0, 1), (1, -1)])
def test_an_ellipse_encloses_something(axes: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="axes must be positive"):
        Ellipse(0, 0, *axes, 0)


def test_every_error_is_one_of_onspec() -> None:
    errors = [value for name, value in vars(domain).items() if name.endswith("Error")]
    assert len(errors) >= 14
    assert all(issubclass(error, OnspecError) for error in errors)
    assert set(domain.__all__) >= {error.__name__ for error in errors}
