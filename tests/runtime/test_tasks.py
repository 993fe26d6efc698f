"""The three tasks from an image file to JSON, and that a wrong answer of the network is ERROR for each."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import EngineError, Inspection, Task, Verdict
from onspec.imaging.preparation import predict
from onspec.imaging.writing import encode_image
from onspec.recipe.package import Package
from onspec.runtime.inspector import Inspector, Result

Batch = NDArray[np.float32]
Spot = tuple[int, int, int, int, int]
MakePart = Callable[..., NDArray[np.uint8]]
Toned = Callable[..., Package]
KINDS = [(Task.SEGMENT, False), (Task.SEGMENT, True), (Task.DETECT, False), (Task.CLASSIFY, False)]
FIELDS = {
    "image", "part_id", "verdict", "score", "class_scores", "class", "reasons", "defects", "size", "recipe", "engine",
    "ms", "error", "fired", "placement", "look", "record",
}  # fmt: skip
DEFECT_FIELDS = {
    "class", "score", "bbox", "centroid", "area_px", "area_mm2", "length_px", "width_px", "length_mm", "width_mm",
    "elongation", "orientation_deg", "polygon", "contrast", "distance_to_edge_px", "distance_to_edge_mm",
    "distance_to_defect_px", "distance_to_defect_mm", "grade",
}  # fmt: skip


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}{'-separate' * kind[1]}")
def inspector(request: pytest.FixtureRequest, make_toned: Toned) -> Iterator[Inspector]:
    """One for each task, with the classes bright and dark."""
    with closing(Inspector(make_toned(*request.param), threads=1)) as made:
        yield made


@pytest.fixture
def judged(inspector: Inspector, make_toned_part: MakePart) -> Callable[..., tuple[dict[str, Any], Result]]:
    """A gray part with these spots → the JSON and the result."""

    def run(*spots: Spot) -> tuple[dict[str, Any], Result]:
        result = inspector.inspect_bytes(encode_image(make_toned_part(*spots)), "part.png", "P1")
        return json.loads(result.inspection.to_json()), result

    return run


def spot(inspector: Inspector, x: int, gray: int) -> Spot:
    """One that the task's network marks exactly: a cell for the detector, else 24×16 px."""
    return (x, 24, 4, 4, gray) if inspector.recipe.task is Task.DETECT else (x, 24, 24, 16, gray)


def test_a_good_part_is_ok(inspector: Inspector, judged: Callable[..., tuple[dict[str, Any], Result]]) -> None:
    told, result = judged()
    assert set(told) == FIELDS
    assert (told["verdict"], told["defects"], told["reasons"], told["error"]) == ("OK", [], [], None)
    assert told["score"] < 1e-3
    assert set(told["class_scores"]) == {"bright", "dark"}
    assert told["class"] == ("good" if inspector.recipe.task is Task.CLASSIFY else None)
    assert result.prediction is not None
    assert result.maps == result.prediction.maps
    assert [m.size for m in result.maps] == [(96, 64)] * 2


@pytest.mark.parametrize(("gray", "cls", "other"), [(255, "bright", "dark"), (0, "dark", "bright")])
def test_a_defect_has_its_class_place_and_score(
    inspector: Inspector, judged: Callable[..., tuple[dict[str, Any], Result]], gray: int, cls: str, other: str
) -> None:
    at = spot(inspector, 40, gray)
    told, _ = judged(at)
    assert set(told) == FIELDS
    assert told["verdict"] == "NG"
    assert told["score"] > 0.999
    assert told["class_scores"][cls] == pytest.approx(told["score"], abs=1e-4)
    assert told["class_scores"][other] < 1e-3
    assert told["class"] == (cls if inspector.recipe.task is Task.CLASSIFY else None)
    (defect,) = told["defects"]
    assert set(defect) == DEFECT_FIELDS
    assert (defect["class"], defect["score"], defect["bbox"]) == (cls, told["score"], list(at[:4]))
    assert json.loads(Inspection.model_validate(told).to_json()) == told


def test_two_defects_of_two_classes(inspector: Inspector, judged: Callable[..., tuple[dict[str, Any], Result]]) -> None:
    told, _ = judged(spot(inspector, 8, 255), spot(inspector, 64, 0))
    found = {(d["class"], d["bbox"][0]) for d in told["defects"]}
    if inspector.recipe.task is Task.CLASSIFY:  # an image has one class, wherever it was seen
        assert {cls for cls, _ in found} == {told["class"]}
        assert {x for _, x in found} == {8, 64}
    else:
        assert found == {("bright", 8), ("dark", 64)}


def test_the_prediction_is_what_training_would_get(inspector: Inspector, make_toned_part: MakePart) -> None:
    image = make_toned_part(spot(inspector, 40, 255), size=(99, 61))
    recipe = inspector.recipe
    ours = inspector.predict(image)
    theirs = predict(image, recipe.input, recipe.classes, recipe.task, recipe.separate, inspector._engine.infer)
    assert all((a.values == b.values).all() for a, b in zip(ours.maps, theirs.maps, strict=True))
    assert ours.boxes == theirs.boxes
    assert (ours.cores is None) == (theirs.cores is None) == (not recipe.separate)


@pytest.mark.parametrize("task", Task)
def test_tiles_change_nothing(task: Task, make_toned: Toned, make_toned_part: MakePart) -> None:
    package = make_toned(task)
    spec = package.recipe.input.model_copy(update={"width": package.recipe.input.width.model_copy(update={"max": 999})})
    image = make_toned_part((8, 8, 16, 16, 0), (160, 24, 4, 4, 255), (240, 40, 32, 16, 255), size=(300, 90))
    told = []
    for tile in (96, 1024):
        recipe = package.recipe.model_copy(update={"input": spec.model_copy(update={"tile": tile, "halo": 32})})
        with closing(Inspector(replace(package, recipe=recipe), threads=1)) as made:
            told.append(made.inspect_bytes(encode_image(image), "x.png").inspection)
    assert told[0].defects == told[1].defects
    assert (told[0].score, told[0].class_scores) == (told[1].score, told[1].class_scores)


def test_touching_objects_are_two_defects(make_toned: Toned, make_toned_part: MakePart) -> None:
    image = make_toned_part((20, 20, 10, 10, 255), (30, 20, 2, 10, 230), (32, 20, 10, 10, 255))
    for cores, count in ((False, 1), (True, 2)):
        with closing(Inspector(make_toned(Task.SEGMENT, cores), threads=1)) as made:
            defects = made.inspect_bytes(encode_image(image), "x.png").inspection.defects
        assert len(defects) == count
        assert sum(defect.area_px for defect in defects) == 220


def answer(inspector: Inspector, batch: Batch, fill: float = 0.0) -> Batch:
    """What a network that sees nothing gives: zeros, and `fill` in the planes after the classes."""
    cell = inspector.recipe.input.cell
    output = np.zeros((len(batch), inspector.recipe.planes, batch.shape[2] // cell, batch.shape[3] // cell), np.float32)
    output[:, len(inspector.recipe.classes) :] = fill
    return output


def judged_with(inspector: Inspector, part: NDArray[np.uint8], output: Callable[[Batch], Batch]) -> Inspection:
    """The inspection with a network that gives this output."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspector._engine, "infer", output)
        return inspector.inspect_bytes(encode_image(part), "x.png").inspection


def test_an_answer_of_the_right_form_is_judged(inspector: Inspector, make_toned_part: MakePart) -> None:
    inspection = judged_with(inspector, make_toned_part(), lambda batch: answer(inspector, batch))
    assert (inspection.verdict, inspection.score) == (Verdict.OK, 0.0)
    rounded = judged_with(inspector, make_toned_part(), lambda batch: answer(inspector, batch) - np.float32(1e-6))
    assert rounded.verdict is Verdict.OK


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.5, 1.1])
@pytest.mark.parametrize("plane", [0, 1])
def test_a_score_that_is_none_is_error(inspector: Inspector, make_toned_part: MakePart, bad: float, plane: int) -> None:
    def infer(batch: Batch) -> Batch:
        output = answer(inspector, batch)
        output[0, plane, 1, 1] = bad
        return output

    inspection = judged_with(inspector, make_toned_part(), infer)
    assert inspection.verdict is Verdict.ERROR
    assert "the model gave scores from" in str(inspection.error)
    assert (inspection.score, inspection.cls, inspection.class_scores) == (None, None, {})


@pytest.mark.parametrize(
    ("kind", "fill", "says"),
    [
        ((Task.SEGMENT, True), np.nan, "scores from"),
        ((Task.SEGMENT, True), 1.5, "allowed: 0 to 1"),
        ((Task.DETECT, False), np.nan, "distances from nan to nan"),
        ((Task.DETECT, False), np.inf, "distances from inf to inf; allowed: 0 and more, finite"),
        ((Task.DETECT, False), -0.5, "distances from -0.5"),
    ],
)
def test_the_planes_after_the_classes_are_checked_too(
    kind: tuple[Task, bool], fill: float, says: str, make_toned: Toned, make_toned_part: MakePart
) -> None:
    with closing(Inspector(make_toned(*kind), threads=1)) as made:
        inspection = judged_with(made, make_toned_part(), lambda batch: answer(made, batch, fill))
    assert inspection.verdict is Verdict.ERROR
    assert says in str(inspection.error)


def test_far_edges_are_no_fault(make_toned: Toned, make_toned_part: MakePart) -> None:
    def infer(batch: Batch) -> Batch:
        output = answer(made, batch, 3e38)
        output[0, 0, 2, 2] = 0.9
        return output

    with closing(Inspector(make_toned(Task.DETECT), threads=1)) as made:
        (defect,) = judged_with(made, make_toned_part(), infer).defects
    assert defect.bbox == (0, 0, 96, 64)


@pytest.mark.parametrize(
    "change",
    [
        lambda output: output[:, :-1],
        lambda output: np.concatenate([output, output[:, :1]], axis=1),
        lambda output: output[:, :, :-1],
        lambda output: output.repeat(2, axis=3),
        lambda output: output.astype(np.float64),
        lambda output: output[0],
    ],
)
def test_an_answer_of_another_form_is_error(
    inspector: Inspector, make_toned_part: MakePart, change: Callable[[Batch], Batch]
) -> None:
    inspection = judged_with(inspector, make_toned_part(), lambda batch: change(answer(inspector, batch)))
    assert inspection.verdict is Verdict.ERROR
    assert "this recipe takes float32 (1, " in str(inspection.error)


@pytest.mark.parametrize(("task", "model_of"), [(a, b) for a in Task for b in Task if a is not b])
def test_the_network_of_another_task_is_found_at_the_start(task: Task, model_of: Task, make_toned: Toned) -> None:
    with pytest.raises(EngineError, match=f"recipe toned-{task}: the model gave float32"):
        Inspector(replace(make_toned(task), model=make_toned(model_of).model), threads=1)
