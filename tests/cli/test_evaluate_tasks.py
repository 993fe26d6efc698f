"""`onspec evaluate` and `onspec threshold` with detectors, classifiers and several classes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import Task
from onspec.imaging.writing import write_image
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package

Run = Callable[..., tuple[int, str, str]]
Part = Callable[..., NDArray[np.uint8]]
Toned = Callable[..., Package]
Spot = tuple[int, int, int, int, int]

LARGE = {"bright": (40, 24, 24, 16, 255), "dark": (40, 24, 24, 16, 0)}
CELL = {"bright": (40, 24, 4, 4, 255), "dark": (20, 8, 4, 4, 0)}
"""A spot of just one of the detector's cells, which is also the box that the cell draws."""


def run_of(package: Package, folder: Path) -> Path:
    write_draft(folder, package.recipe, package.model, [])
    return folder


def spots(kinds: list[str], of: dict[str, Spot]) -> list[Spot]:
    return [of[kind] for kind in kinds]


def folders(root: Path, make: Part, images: dict[str, list[str]]) -> Path:
    """Layout `folders`: name → kinds of its spots; the folder is the first kind, or good."""
    for number, (name, kinds) in enumerate(images.items()):
        image = make(*spots(kinds, LARGE))
        image[0, number] = 129  # no two images are the same file: copies would be taken for one part
        write_image(root / (name.partition("-")[0]) / f"{name}.png", image)
    return root


def coco(root: Path, make: Part, images: dict[str, list[str]], of: dict[str, Spot]) -> Path:
    """Layout `coco`: name → kinds of its spots, each with its box."""
    names = ["bright", "dark"]
    annotations = []
    for number, (name, kinds) in enumerate(images.items(), 1):
        image = make(*spots(kinds, of))
        image[0, number] = 129
        write_image(root / "images" / f"{name}.png", image)
        for kind in kinds:
            x, y, w, h, _ = of[kind]
            annotations.append({"image_id": number, "category_id": names.index(kind) + 1, "bbox": [x, y, w, h]})
    listed = [{"id": i, "file_name": f"{name}.png", "width": 96, "height": 64} for i, name in enumerate(images, 1)]
    tree = {
        "images": listed,
        "annotations": [{"id": i, "area": 1, "iscrowd": 0, **a} for i, a in enumerate(annotations, 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, 1)],
    }
    (root / "annotations.json").write_text(json.dumps(tree), encoding="utf-8")
    return root


def evaluated(
    onspec: Run, run: Path, data: Path, out: Path
) -> tuple[dict[str, dict[str, str]], dict[str, object], str]:
    """Rows of predictions.csv by image, metrics.json, and what was printed."""
    code, said, err = onspec("evaluate", run, data, "--out", out, "--split", "all")
    assert code == 0, err
    with (out / "predictions.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    return rows, json.loads((out / "metrics.json").read_text()), said


def test_a_classifier(onspec: Run, make_toned: Toned, make_toned_part: Part, tmp_path: Path) -> None:
    data = folders(
        tmp_path / "parts",
        make_toned_part,
        {
            "good-1": [],
            "good-2": [],
            "bright-1": ["bright"],
            "bright-2": ["bright"],
            "dark-1": ["dark"],
            "dark-2": ["bright"],
        },
    )
    run = run_of(make_toned(Task.CLASSIFY), tmp_path / "run")
    rows, metrics, said = evaluated(onspec, run, data, tmp_path / "e")
    assert metrics["task"] == "classify"
    assert metrics["classification"] == {
        "accuracy": pytest.approx(5 / 6),
        "f1_macro": pytest.approx((1 + 4 / 5 + 2 / 3) / 3),
        "confusion": [[2, 0, 0], [0, 2, 0], [0, 1, 1]],
        "classes": ["good", "bright", "dark"],
    }
    confused = rows["dark/dark-2.png"]
    assert list(confused)[-4:] == ["error", "class", "true_class", "inspectable"]
    assert (confused["class"], confused["true_class"], confused["truth"]) == ("bright", "dark", "defective")
    assert rows["good/good-1.png"]["class"] == rows["good/good-1.png"]["true_class"] == "good"
    assert "class told right" in said
    assert "0.833, macro F1 0.822" in said
    assert "box AP" not in said
    html = (tmp_path / "e" / "report.html").read_text()
    assert "Classes told apart" in html
    assert "heat: where" in html


def test_a_detector(onspec: Run, make_toned: Toned, make_toned_part: Part, tmp_path: Path) -> None:
    images = {"both": ["bright", "dark"], "one": ["bright"], "good": []}
    data = coco(tmp_path / "parts", make_toned_part, images, CELL)
    run = run_of(make_toned(Task.DETECT), tmp_path / "run")
    rows, metrics, said = evaluated(onspec, run, data, tmp_path / "e")
    found = metrics["detection"]
    assert isinstance(found, dict)
    assert (found["map_50"], found["map_50_95"], found["f1"], found["f1_iou50"]) == (1.0, 1.0, 1.0, 1.0)
    assert (found["defects"], found["defects_found"], found["reported"]) == (3, 3, 3)
    assert metrics["image"]["escapes"] == 0  # type: ignore[index]
    assert metrics["pixel"]["dice"] is None  # type: ignore[index]
    assert {row["dice"] for row in rows.values()} == {""}
    assert "1.000 at IoU 0.5, 1.000 over 0.5 to 0.95" in said
    assert "Box AP" in (tmp_path / "e" / "report.html").read_text()


@pytest.mark.slow
def test_a_segmentation_of_several_classes_labelled_with_boxes(
    onspec: Run, make_toned: Toned, make_toned_part: Part, tmp_path: Path
) -> None:
    images = {"bright": ["bright"], "dark": ["dark"], "good": []}
    data = coco(tmp_path / "parts", make_toned_part, images, LARGE)
    run = run_of(make_toned(Task.SEGMENT), tmp_path / "run")
    rows, metrics, said = evaluated(onspec, run, data, tmp_path / "e")
    assert metrics["pixel"]["dice"] == metrics["pixel"]["iou_classes"] == metrics["pixel"]["boundary_f1"] == 1.0  # type: ignore[index]
    assert metrics["detection"]["map_50"] == 1.0  # type: ignore[index]
    assert metrics["classification"]["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]  # type: ignore[index]
    assert metrics["per_class"]["dark"]["average_precision"] == 1.0  # type: ignore[index]
    assert {row["class"] for row in rows.values()} == {"good", "bright", "dark"}
    assert "Dice on defective" in said


def test_an_ignored_zone_tells_no_class(onspec: Run, make_toned: Toned, make_toned_part: Part, tmp_path: Path) -> None:
    """A dark spot on the clamp is surer than the bright one on the part, and of no account."""
    spot = {"bright": (40, 24, 24, 16, 230)}
    data = coco(tmp_path / "parts", make_toned_part, {"clamped": ["bright"], "good": []}, spot)
    write_image(data / "images" / "clamped.png", make_toned_part(spot["bright"], (2, 2, 10, 60, 0)))
    (tmp_path / "rules.yaml").write_text("zones:\n  clamp: {rectangle: [0, 0, 20, 64], use: ignore}\n")
    run, recipe = run_of(make_toned(Task.SEGMENT), tmp_path / "run"), tmp_path / "x.onspec"
    assert onspec("pack", run, "--out", recipe, "--rules", tmp_path / "rules.yaml")[0] == 0
    rows, *_ = evaluated(onspec, recipe, data, tmp_path / "e")
    assert (rows["images/clamped.png"]["class"], rows["images/clamped.png"]["true_class"]) == ("bright", "bright")


def test_a_label_of_a_class_that_the_recipe_does_not_have(
    onspec: Run, make_toned: Toned, make_toned_part: Part, tmp_path: Path
) -> None:
    data = folders(tmp_path / "parts", make_toned_part, {"good-1": [], "bright-1": ["bright"], "torn-1": ["dark"]})
    run = run_of(make_toned(Task.CLASSIFY), tmp_path / "run")
    code, *_ = onspec("evaluate", run, data, "--out", tmp_path / "e", "--split", "all")
    assert code == 1
    with (tmp_path / "e" / "predictions.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert "unknown class 'torn'" in rows["torn/torn-1.png"]["error"]
    assert (rows["torn/torn-1.png"]["verdict"], rows["torn/torn-1.png"]["true_class"]) == ("NG", "")
    assert rows["bright/bright-1.png"]["error"] == ""
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert (metrics["errors"], metrics["images"]["defective"], metrics["image"]["escapes"]) == (0, 2, 0)
    assert any("Labels that cannot be used: 1;" in note for note in metrics["notes"])


def test_a_part_of_an_unknown_kind_counts_for_a_threshold(
    onspec: Run, make_toned: Toned, make_toned_part: Part, tmp_path: Path
) -> None:
    images = {f"torn-{i}": ["bright"] for i in range(6)} | {f"good-{i}": [] for i in range(3)}
    data = folders(tmp_path / "parts", make_toned_part, images)
    run = run_of(make_toned(Task.CLASSIFY), tmp_path / "run")
    code, out, err = onspec("threshold", run, data, "--max-escape-rate", 0.4, "--split", "all", "--json")
    assert (code, json.loads(out)["bound"]["parts"]) == (0, 6), err


@pytest.mark.parametrize("task", [Task.CLASSIFY, Task.DETECT])
def test_a_threshold_for_every_task(
    onspec: Run, make_toned: Toned, make_toned_part: Part, tmp_path: Path, task: Task
) -> None:
    images = {f"bright-{i}": ["bright"] for i in range(6)} | {f"good-{i}": [] for i in range(3)}
    if task is Task.CLASSIFY:
        data = folders(tmp_path / "parts", make_toned_part, images)
    else:
        data = coco(tmp_path / "parts", make_toned_part, images, CELL)
    run = run_of(make_toned(task), tmp_path / "run")
    before = open_package(run).recipe.thresholds
    code, out, err = onspec("threshold", run, data, "--max-escape-rate", 0.4, "--split", "all", "--json")
    assert code == 0, err
    told, after = json.loads(out), open_package(run).recipe.thresholds
    assert (told["bound"]["parts"], told["bound"]["escapes"], told["bound"]["false_rejects"]) == (6, 0, 0)
    assert told["after"]["image"] == after.image
    assert (after.pooling, after.sharpness, after.pixel) == (before.pooling, before.sharpness, before.pixel)


def test_touching_objects_are_counted_one_to_one(
    onspec: Run, make_toned: Toned, make_toned_part: Part, tmp_path: Path
) -> None:
    """Two pairs of touching squares, each pair one region; of the second the network sees no gap between the cores."""
    left, right = (20, 20, 10, 10, 220), (30, 20, 10, 10, 220)
    cores = {"apart": [(23, 23, 4, 4, 255), (33, 23, 4, 4, 255)], "merged": [(23, 23, 14, 4, 255)]}
    boxes, root = [], tmp_path / "parts"
    for image, (name, inside) in enumerate(cores.items(), 1):
        write_image(root / "images" / f"{name}.png", make_toned_part(left, right, *inside))
        boxes += [(image, [x, y, w, h]) for x, y, w, h, _ in (left, right)]
    tree = {
        "images": [{"id": i, "file_name": f"{n}.png", "width": 96, "height": 64} for i, n in enumerate(cores, 1)],
        "annotations": [
            {"id": i, "image_id": image, "category_id": 1, "bbox": box, "area": 100, "iscrowd": 0}
            for i, (image, box) in enumerate(boxes, 1)
        ],
        "categories": [{"id": 1, "name": "bright"}],
    }
    (root / "annotations.json").write_text(json.dumps(tree), encoding="utf-8")
    run = run_of(make_toned(Task.SEGMENT, cores=True), tmp_path / "run")
    rows, metrics, said = evaluated(onspec, run, root, tmp_path / "e")
    assert {name: row["defects"] for name, row in rows.items()} == {"images/apart.png": "2", "images/merged.png": "1"}
    found = metrics["detection"]
    assert isinstance(found, dict)
    counted = {key: found[key] for key in ("defects", "defects_found", "reported", "reported_right", "one_to_one")}
    assert counted == {"defects": 4, "defects_found": 2, "reported": 3, "reported_right": 2, "one_to_one": True}
    assert "single defects" in said
    assert "2 of 3 marked regions are one labelled object by more than half" in (tmp_path / "e/report.html").read_text()
