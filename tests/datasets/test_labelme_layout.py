"""labelme, with every shape that it draws."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.checking import check
from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.domain import Box, Ellipse, LabelError, Polygon, RunLengths, Split
from onspec.imaging.writing import encode_image

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]
Json = dict[str, Any]


def shape(kind: str, *points: tuple[float, float], label: str = "crack", **more: object) -> Json:
    whole = {"label": label, "points": [list(p) for p in points], "group_id": None, "description": ""}
    return whole | {"shape_type": kind, "flags": {}, "mask": None} | more


def labelme(image: str | None, *shapes: Json, **more: object) -> str:
    content: Json = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None}
    return json.dumps(content | {"imageHeight": 30, "imageWidth": 40} | more, indent=2)


RECTANGLE = shape("rectangle", (18, 11), (10, 5))
TRIANGLE = ((1.5, 2), (9, 2), (1.5, 8.25))


def coded(mask: Pixels) -> str:
    return base64.b64encode(encode_image(mask)).decode()


def test_every_shape(build: Build, picture: Make) -> None:
    cut = np.array([[1, 0, 1], [1, 1, 1]], np.uint8)
    shapes = [
        RECTANGLE,
        shape("polygon", *TRIANGLE, label="dent"),
        shape("circle", (20, 20), (23, 24)),
        shape("mask", (5, 25), (7, 26), mask=coded(cut)),
        shape("oriented_rectangle", (30, 5), (35, 10), (32, 13), (27, 8)),
    ]
    data = base64.b64encode(encode_image(picture(1))).decode()
    root = build({"a.png": picture(1), "a.json": labelme("a.png", *shapes, imageData=data)})
    dataset = load(root)
    assert (dataset.layout, dataset.problems, dataset.classes) == ("labelme", (), ("crack", "dent"))
    box, triangle, circle, runs, turned = dataset.samples[0].annotations
    assert (box, triangle) == (Box(10, 5, 8, 6, "crack"), Polygon((TRIANGLE,), "dent"))
    assert circle == Ellipse(19.5, 19.5, 5, 5, 0, "crack")
    assert isinstance(runs, RunLengths)
    assert isinstance(turned, Polygon)
    drawn = load_mask(dataset.samples[0], (40, 30))[0]
    assert drawn[25:27, 5:8].tolist() == cut.tolist()
    assert (drawn[20, 15:25].all(), drawn[20, 14], drawn[20, 25]) == (True, 0, 0)


def test_shapes_of_a_group_are_one_defect(build: Build, picture: Make) -> None:
    other = ((20, 20), (25, 20), (25, 25))
    shapes = [shape("polygon", *TRIANGLE, group_id=4), shape("polygon", *other, group_id=4)]
    shapes += [shape("polygon", *other, group_id=4, label="dent"), shape("polygon", *other)]
    dataset = load(build({"a.png": picture(1), "a.json": labelme("a.png", *shapes)}))
    assert dataset.samples[0].annotations == (
        Polygon((TRIANGLE, other), "crack"),
        Polygon((other,), "dent"),
        Polygon((other,), "crack"),
    )


@pytest.mark.parametrize("listed", ["../img/a.jpg", "..\\img\\a.jpg", "C:\\photos\\a.jpg", "IMG_7.jpg", None])
def test_files_in_a_folder_of_their_own(listed: str | None, build: Build, picture: Make) -> None:
    dataset = load(build({"img/a.jpg": picture(1), "ann/a.json": labelme(listed, RECTANGLE)}))
    assert [(s.name, s.defective) for s in dataset.samples] == [("img/a.jpg", True)]


def test_good_is_what_has_no_shape_or_no_file_and_folders_are_splits(build: Build, picture: Make) -> None:
    files: Files = {f"{split}/{n}.png": picture(n) for n, split in enumerate(("train", "val", "test"))}
    files |= {"train/0.json": labelme("0.png", RECTANGLE), "val/1.json": labelme("1.png")}
    dataset = load(build(files))
    assert [(s.split, s.defective) for s in dataset.samples] == [
        (Split.TEST, False),
        (Split.TRAIN, True),
        (Split.VAL, False),
    ]


def test_flags_that_say_good_or_defective(build: Build, picture: Make) -> None:
    flags = [{"defective": True}, {"ok": True, "ng": False}, {"reviewed": True, "occluded": True}, {"ok": True}]
    files: Files = {f"{n}.png": picture(n) for n in range(4)}
    files |= {f"{n}.json": labelme(f"{n}.png", *[RECTANGLE] * (n == 3), flags=flags[n]) for n in range(4)}
    dataset = load(build(files))
    assert [(s.defective, s.cls) for s in dataset.samples] == [
        (True, "defect"),
        (False, None),
        (False, None),
        (True, None),
    ]
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [("error", "good-with-label", "3.png")]


@pytest.mark.parametrize(
    "found",
    [
        shape("line", (1, 1), (9, 9)),
        shape("linestrip", (1, 1), (9, 9), (12, 3)),
        shape("point", (4, 4)),
        shape("rectangle", (1, 1), (1, 9)),
        shape("rectangle", (1, 1)),
        shape("polygon", (1, 1), (4, 4)),
        shape("circle", (4, 4), (4, 4)),
        shape("polygon"),
        shape("mask", (50, 50), (51, 51), mask=coded(np.ones((2, 2), np.uint8))),
    ],
)
def test_what_encloses_nothing_leaves_the_part_defective(found: Json, build: Build, picture: Make) -> None:
    root = build({"a.png": picture(1), "a.json": labelme("a.png", found)})
    dataset = load(root)
    assert [(s.defective, s.annotations, s.cls) for s in dataset.samples] == [(True, (), "crack")]
    (problem,) = dataset.problems
    assert (problem.severity, problem.code) == ("error", "label-no-area")
    assert f"{root / 'a.json'}: shapes[0]: a {found['shape_type']} of crack that encloses nothing" in problem.message


def test_a_mask_is_cut_where_it_leaves_the_image(build: Build, picture: Make) -> None:
    found = shape("mask", (38, -1), (41, 1), mask=coded(np.ones((3, 4), np.uint8)))
    drawn = load_mask(load(build({"a.png": picture(1), "a.json": labelme("a.png", found)})).samples[0], (40, 30))[0]
    assert np.argwhere(drawn).tolist() == [[0, 38], [0, 39], [1, 38], [1, 39]]


def test_an_image_that_is_only_in_the_json_is_missing(build: Build, picture: Make) -> None:
    data = base64.b64encode(encode_image(picture(2))).decode()
    files: Files = {"a.png": picture(1), "b.json": labelme("b.png", RECTANGLE, imageData=data)}
    dataset = load(build(files))
    assert [(s.name, s.defective) for s in dataset.samples] == [("a.png", False), ("b.png", True)]
    assert ("error", "missing", "b.png") in {(p.severity, p.code, p.file) for p in check(dataset).problems}


def test_an_image_of_another_size(build: Build, picture: Make) -> None:
    (problem,) = load(build({"a.jpg": picture(1, (60, 80)), "a.json": labelme("a.jpg", RECTANGLE)})).problems
    assert problem.message == "a.jpg is 80×60 px, but a.json was made for 40×30 px"


WRONG = {
    "truncated": (labelme("a.png", RECTANGLE)[:-9], r"a\.json, line \d+: label file is cut off"),
    "no label": (labelme("a.png", {"points": [[1, 2]]}), r"a\.json: shapes\[0\]\.label is missing"),
    "empty label": (labelme("a.png", RECTANGLE | {"label": " "}), r"a\.json: shapes\[0\]\.label is empty"),
    "no points": (labelme("a.png", {"label": "crack"}), r"a\.json: shapes\[0\]\.points is missing"),
    "no pair": (
        labelme("a.png", RECTANGLE | {"points": [[1, 2, 3]]}),
        r"shapes\[0\]\.points\[0\] has 3 numbers; it must have 2",
    ),
    "no number": (
        labelme("a.png", RECTANGLE | {"points": [[1, None]]}),
        r"points\[0\]\[1\] is null; it must be a finite",
    ),
    "unknown shape": (
        labelme("a.png", shape("star", (1, 2))),
        r"shapes\[0\] is a 'star' of 1 points, which is not known",
    ),
    "a circle of three": (labelme("a.png", shape("circle", *TRIANGLE)), r"shapes\[0\] is a 'circle' of 3 points"),
    "no base64": (labelme("a.png", shape("mask", (1, 2), mask="?")), r"shapes\[0\]\.mask is no base64 text"),
    "no PNG": (
        labelme("a.png", shape("mask", (1, 2), mask="AAAA")),
        r"shapes\[0\]\.mask: label image cannot be decoded",
    ),
    "no mask": (labelme("a.png", shape("mask", (1, 2))), r"shapes\[0\]\.mask is missing"),
    "no size": (
        labelme("a.png", shape("mask", (1, 2), mask="AAAA"), imageWidth=None),
        r"shapes\[0\] is a mask, and imageWidth, imageHeight or its points are missing",
    ),
    "a size that cannot be": (
        labelme("a.png", RECTANGLE, imageWidth=1e9),
        r"imageWidth is 1e\+09; it must be a number of px",
    ),
    "shapes no list": (labelme("a.png", shapes={}), r"shapes is an object; it must be a list"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_broken_file_is_named_with_its_field(what: str, build: Build, picture: Make) -> None:
    text, why = WRONG[what]
    with pytest.raises(LabelError, match=why):
        load(build({"a.png": picture(1), "a.json": text}))


def test_two_files_of_one_image_are_refused(build: Build, picture: Make) -> None:
    files: Files = {"img/a.png": picture(1), "x/a.json": labelme("a.png"), "y/a.json": labelme("a.png")}
    with pytest.raises(LabelError, match=r"y/a\.json: labels img/a\.png, and so does x/a\.json; keep one of them"):
        load(build(files))
