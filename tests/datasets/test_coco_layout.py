"""COCO, in the forms that COCO itself and labelling tools give it."""

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
from onspec.domain import Box, LabelError, LayoutError, Polygon, RunLengths, Split, SplitError
from onspec.imaging.shapes import encode_runs

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]
Json = dict[str, Any]

CATEGORIES = [{"supercategory": "flaw", "id": 1, "name": "crack"}, {"supercategory": "flaw", "id": 7, "name": "dent"}]


def image(number: int, name: str, **more: object) -> Json:
    return {"id": number, "file_name": name, "width": 40, "height": 30, **more}


def mark(number: int, image_id: int, category: int = 1, **more: object) -> Json:
    whole = {"id": number, "image_id": image_id, "category_id": category, "bbox": [10, 5, 8, 6], "iscrowd": 0}
    return whole | {"area": 48, "segmentation": []} | more


def coco(images: list[Json], annotations: list[Json], **more: object) -> str:
    return json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES} | more)


def test_coco_itself(build: Build, picture: Make, mask: Make) -> None:
    facts = {"info": {"year": 2017, "contributor": "COCO Consortium"}, "licenses": [{"id": 1, "name": "x", "url": ""}]}
    web = {"license": 1, "coco_url": "http://images.example/1.jpg", "date_captured": "2013-11-14", "flickr_url": ""}
    train = [image(n, f"{n:012d}.jpg", **web) for n in (9, 25, 30)]
    crowd = {"segmentation": {"counts": list(encode_runs(mask(1))), "size": [30, 40]}, "iscrowd": 1}
    parts = [[1.5, 1.0, 6.5, 1.0, 6.5, 4.0], [20, 20, 25, 20, 25, 25, 20.0, 25]]
    marks = [mark(1768, 9, segmentation=parts, bbox=[1.5, 1, 23.5, 24]), mark(900100, 9, 7, **crowd), mark(3, 25)]
    root = build(
        {
            "annotations/instances_train2017.json": coco(train, marks, **facts),
            "annotations/instances_val2017.json": coco([image(42, "000000000042.jpg")], [mark(1, 42)], **facts),
            "annotations/person_keypoints_train2017.json": coco(train, [marks[2] | {"keypoints": [1, 2, 2]}]),
            "annotations/captions_train2017.json": json.dumps(
                {"images": train, "annotations": [{"image_id": 9, "id": 1, "caption": "a sheet of steel"}]}
            ),
            **{f"train2017/{n:012d}.jpg": picture(n) for n in (9, 25, 30)},
            "val2017/000000000042.jpg": picture(42),
        }
    )
    dataset = load(root)
    assert (dataset.layout, dataset.problems, dataset.classes) == ("coco", (), ("crack", "dent"))
    assert [(s.name, s.split, s.defective) for s in dataset.samples] == [
        ("train2017/000000000009.jpg", Split.TRAIN, True),
        ("train2017/000000000025.jpg", Split.TRAIN, True),
        ("train2017/000000000030.jpg", Split.TRAIN, False),
        ("val2017/000000000042.jpg", Split.VAL, True),
    ]
    rings = (((1.5, 1.0), (6.5, 1.0), (6.5, 4.0)), ((20.0, 20.0), (25.0, 20.0), (25.0, 25.0), (20.0, 25.0)))
    assert dataset.samples[0].annotations == (
        Polygon(rings, "crack"),
        RunLengths(encode_runs(mask(1)), (40, 30), "dent"),
    )
    assert dataset.samples[1].annotations == (Box(10, 5, 8, 6, "crack"),)
    assert (load_mask(dataset.samples[0], (40, 30), ("crack", "dent"))[1] == mask(1)).all()


def test_cvat_and_datumaro(build: Build, picture: Make, mask: Make) -> None:
    extra: Json = {"attributes": {"occluded": False, "rotation": 0.0}}
    runs: Json = {"segmentation": {"counts": list(encode_runs(mask(1))), "size": [30, 40]}, "iscrowd": 1}
    content = coco(
        [image(1, "lot a/1.png", license=0, flickr_url="", coco_url="", date_captured=0), image(2, "2.png")],
        [mark(1, 1, **runs, **extra), mark(2, 1, 7, segmentation=[[10, 5, 18, 5, 18, 11, 10, 11]], **extra)],
        licenses=[{"name": "", "id": 0, "url": ""}],
        info={"contributor": "", "date_created": ""},
    )
    files: Files = {f"images/train/{name}.png": picture(n) for n, name in enumerate(("lot a/1", "2"))}
    dataset = load(build(files | {"annotations/instances_train.json": content}))
    assert dataset.problems == ()
    assert [(s.name, s.split) for s in dataset.samples] == [
        ("images/train/2.png", Split.TRAIN),
        ("images/train/lot a/1.png", Split.TRAIN),
    ]
    planes = load_mask(dataset.samples[1], (40, 30), ("crack", "dent"))
    assert (planes[0] == mask(1)).all()
    assert (planes[1] == mask(1)).all()


@pytest.mark.parametrize(
    "listed",
    [
        "images/a1b2c3d4-top.png",
        "images\\a1b2c3d4-top.png",
        "images\\1/a1b2c3d4-top.png",
        "..\\..\\label-studio\\media\\upload\\4\\a1b2c3d4-top.png",
        "C:\\Users\\joe\\a1b2c3d4-top.png",
        "/data/local-files/?d=lot%201/a1b2c3d4-top.png",
        "s3://bucket/lot/a1b2c3d4-top.png",
        "a1b2c3d4-TOP.PNG",
    ],
)
def test_label_studio(listed: str, build: Build, picture: Make) -> None:
    content = json.dumps(
        {
            "images": [image(0, listed), image(1, "images/bb2c3d45-b.png")],
            "categories": [{"id": 0, "name": "crack"}],
            "annotations": [mark(0, 0, 0, ignore=0)],
            "info": {"contributor": "Label Studio"},
        },
        indent=2,
    )
    files: Files = {"images/a1b2c3d4-top.png": picture(1), "images/bb2c3d45-b.png": picture(2), "result.json": content}
    dataset = load(build(files))
    assert [(s.name, s.defective) for s in dataset.samples] == [
        ("images/a1b2c3d4-top.png", True),
        ("images/bb2c3d45-b.png", False),
    ]
    assert dataset.problems == ()


def test_label_studio_without_its_images_finds_the_originals(build: Build, picture: Make) -> None:
    content = coco([image(0, "images/a1b2c3d4-top view.png"), image(1, "images/00c0ffee-low.png")], [mark(0, 1)])
    files: Files = {"photos/top view.png": picture(1), "photos/low.png": picture(2), "result.json": content}
    assert [(s.name, s.defective) for s in load(build(files)).samples] == [
        ("photos/low.png", True),
        ("photos/top view.png", False),
    ]


def test_roboflow(build: Build, picture: Make) -> None:
    categories = [
        {"id": 0, "name": "flaws", "supercategory": "none"},
        {"id": 1, "name": "hole", "supercategory": "flaws"},
    ]
    files: Files = {}
    for number, split in enumerate(("train", "valid", "test")):
        name = f"{split}_jpg.rf.0123456789abcdef.jpg"
        files[f"{split}/{name}"] = picture(number)
        marks = [mark(0, 0, 1, bbox=["10.5", "5", "8", "6"])]
        files[f"{split}/_annotations.coco.json"] = coco([image(0, name)], marks, categories=categories)
    files["README.roboflow.txt"] = "exported"
    dataset = load(build(files))
    assert [(s.name.split("/")[0], s.split) for s in dataset.samples] == [
        ("test", Split.TEST),
        ("train", Split.TRAIN),
        ("valid", Split.VAL),
    ]
    assert dataset.samples[0].annotations == (Box(10.5, 5, 8, 6, "hole"),)
    assert dataset.classes == ("hole",)


def test_one_file_beside_the_images(build: Build, picture: Make) -> None:
    dataset = load(build({"a.png": picture(1), "b.png": picture(2), "labels.json": coco([image(1, "a.png")], [])}))
    assert [s.name for s in dataset.samples] == ["a.png"]
    (problem,) = dataset.problems
    assert (problem.severity, problem.code) == ("warning", "unlisted")
    assert problem.message == "1 images are not in any COCO file and are not used; the first is b.png"


def test_compressed_run_lengths_of_pycocotools(build: Build, picture: Make, mask: Make) -> None:
    tools = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    runs = tools.encode(np.asfortranarray(mask(1)))
    found = {"size": runs["size"], "counts": runs["counts"].decode()}
    root = build({"a.png": picture(1), "x.json": coco([image(1, "a.png")], [mark(1, 1, segmentation=found)])})
    assert (load_mask(load(root).samples[0], (40, 30))[0] == mask(1)).all()


def test_an_annotation_is_a_defect_whatever_its_category_is_called(build: Build, picture: Make) -> None:
    content = coco([image(1, "a.png")], [mark(1, 1)], categories=[{"id": 1, "name": "background"}])
    assert load(build({"a.png": picture(1), "x.json": content})).samples[0].defective


def test_the_same_file_name_in_two_folders(build: Build, picture: Make) -> None:
    files: Files = {f"images/lot{n}/a.png": picture(n) for n in (1, 2)}
    files["x.json"] = coco([image(1, "lot1/a.png"), image(2, "lot2/a.png")], [mark(1, 2)])
    assert [(s.name, s.defective) for s in load(build(files)).samples] == [
        ("images/lot1/a.png", False),
        ("images/lot2/a.png", True),
    ]
    files["x.json"] = coco([image(1, "a.png")], [])
    with pytest.raises(LabelError, match=r"x\.json: 'a\.png' may mean images/lot./a\.png or images/lot./a\.png"):
        load(build(files))


def test_a_listed_image_that_is_absent_is_a_problem(build: Build, picture: Make) -> None:
    content = coco([image(1, "a.png"), image(2, "b.png")], [mark(1, 2)])
    dataset = load(build({"images/a.png": picture(1), "x.json": content}))
    assert [(s.name, s.defective) for s in dataset.samples] == [("b.png", True), ("images/a.png", False)]
    found = [(p.severity, p.code, p.file) for p in check(dataset).problems]
    assert ("error", "missing", "b.png") in found


@pytest.mark.parametrize("name", ["\0b.png", "ü" * 200 + ".png", "b\ud800.png", "lot\n1.png"])
def test_a_name_that_no_file_can_have_is_one_that_is_missing(name: str, build: Build, picture: Make) -> None:
    files: Files = {"a.png": picture(1), "x.json": coco([image(1, "a.png"), image(2, name)], [])}
    if "\ud800" in name:
        with pytest.raises(LabelError, match=r"images\[1\]\.file_name holds half of a character"):
            load(build(files))
        return
    assert "missing" in {p.code for p in check(load(build(files))).problems}


def test_a_file_whose_images_are_all_elsewhere_is_passed_over(build: Build, picture: Make) -> None:
    files: Files = {"val2017/1.jpg": picture(1), "annotations/instances_val2017.json": coco([image(1, "1.jpg")], [])}
    files["annotations/instances_train2017.json"] = coco([image(5, "5.jpg"), image(6, "6.jpg")], [mark(1, 5)])
    root = build(files)
    dataset = load(root)
    assert [s.name for s in dataset.samples] == ["val2017/1.jpg"]
    assert [(p.severity, p.code) for p in dataset.problems] == [("warning", "label-list")]
    assert "lists 2 images, and none of them is here" in dataset.problems[0].message
    (root / "annotations" / "instances_val2017.json").unlink()
    with pytest.raises(LayoutError, match=r"no COCO file with images that are here: .*lists 2 images"):
        load(root)


def test_an_image_in_two_splits_is_refused(build: Build, picture: Make) -> None:
    files: Files = {"images/1.jpg": picture(1)}
    files |= {f"instances_{split}.json": coco([image(1, "1.jpg")], []) for split in ("train", "test")}
    with pytest.raises(SplitError, match=r"images/1\.jpg stands in test by instances_test\.json and in train by inst"):
        load(build(files))


@pytest.mark.parametrize(
    "shape",
    [
        {"bbox": [10, 5, 0, 6]},
        {"bbox": []},
        {"segmentation": [[1, 1, 5, 5]], "bbox": [1, 1, 0, 4]},
        {"segmentation": {"size": [30, 40], "counts": [1200]}, "bbox": [0, 0, 0, 0]},
    ],
)
def test_a_label_that_encloses_nothing_leaves_the_part_defective(shape: Json, build: Build, picture: Make) -> None:
    root = build({"a.png": picture(1), "x.json": coco([image(1, "a.png")], [mark(1, 1, **shape)])})
    dataset = load(root)
    assert [(s.defective, s.annotations, s.cls) for s in dataset.samples] == [(True, (), "crack")]
    (problem,) = dataset.problems
    assert (problem.severity, problem.code, problem.file) == ("error", "label-no-area", "a.png")
    assert f"{root / 'x.json'}: annotations[0]: neither its segmentation nor its bbox is an area" in problem.message


def test_an_image_of_another_size_than_the_labels_were_made_for(build: Build, picture: Make) -> None:
    content = coco([image(1, "a.png", width=80, height=60)], [mark(1, 1)])
    (problem,) = load(build({"a.png": picture(1), "x.json": content})).problems
    assert (problem.severity, problem.code) == ("error", "label-size")
    assert problem.message == "a.png is 40×30 px, but x.json was made for 80×60 px"


ONE = [image(1, "a.png")]
WRONG: dict[str, tuple[str, str]] = {
    "truncated": (coco(ONE, [mark(1, 1)])[:-40], r"line 1: label file is cut off \("),
    "cut within a word": (coco(ONE, [mark(1, 1)]).rsplit("crack", 1)[0] + "cr", r"line 1: label file is cut off \("),
    "no JSON": ('{"images": [],, "annotations"', r"line 1: label file is not valid JSON \("),
    "not UTF-8": ("", "label file is not UTF-8 text"),
    "no file name": (coco([{"id": 1}], []), r"images\[0\]\.file_name is missing"),
    "no id": (coco([{"file_name": "a.png"}], []), r"images\[0\]\.id is missing"),
    "no image id": (coco(ONE, [{"id": 1, "category_id": 1}]), r"annotations\[0\]\.image_id is missing"),
    "no category": (coco(ONE, [{"id": 1, "image_id": 1}]), r"annotations\[0\]\.category_id is missing"),
    "no categories": (json.dumps({"images": ONE, "annotations": [mark(1, 1)]}), "categories is missing"),
    "unknown category": (
        coco(ONE, [mark(1, 1, 9)]),
        r"annotations\[0\]\.category_id is 9, which no category has; known: 1 crack, 7 dent",
    ),
    "unknown image": (coco(ONE, [mark(1, 8)]), r"annotations\[0\]\.image_id is 8, which no image has"),
    "an id twice": (coco([*ONE, image(1, "b.png")], []), r"images\[1\]\.id is 1, and so is that of a\.png"),
    "one image twice": (
        coco([*ONE, image(2, "x/a.png")], []),
        r"images\[1\]\.file_name is x/a\.png, and a\.png stands for the same",
    ),
    "category twice": (
        coco(ONE, [mark(1, 1)], categories=[CATEGORIES[0], {"id": 1, "name": "hole"}]),
        r"categories\[1\]\.id is 1, and so is that of crack",
    ),
    "three numbers": (coco(ONE, [mark(1, 1, bbox=[1, 2, 3])]), r"annotations\[0\]\.bbox has 3 numbers; it must have 4"),
    "no number": (coco(ONE, [mark(1, 1, bbox=[1, "x", 3, 4])]), r"bbox\[1\] is 'x'; it must be a finite number"),
    "not finite": (coco(ONE, [mark(1, 1, bbox=[1, float("nan"), 3, 4])]), r"bbox\[1\] is nan; it must be a finite"),
    "odd ring": (coco(ONE, [mark(1, 1, segmentation=[[1, 2, 3]])]), r"segmentation\[0\] has 3 numbers; x and y must"),
    "runs too short": (
        coco(ONE, [mark(1, 1, segmentation={"size": [30, 40], "counts": [5, 5]})]),
        r"segmentation\.counts cannot be run lengths \(runs cover 10 px; the image has 40×30 px\)",
    ),
    "no run string": (
        coco(ONE, [mark(1, 1, segmentation={"size": [30, 40], "counts": "a b"})]),
        r"segmentation\.counts cannot be run lengths \(character 2 \(' '\)",
    ),
    "images no list": (
        json.dumps({"images": {}, "annotations": [], "categories": []}),
        "images is an object; it must be a",
    ),
    "empty name": (coco([image(1, "")], []), r"images\[0\]\.file_name is empty"),
    "no file's name": (coco([image(1, "../")], []), r"images\[0\]\.file_name is '\.\./', which is no file's name"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_broken_file_is_named_with_its_field(what: str, build: Build, picture: Make) -> None:
    content, why = WRONG[what]
    data = b'{"images": "\xff", "annotations"' if what == "not UTF-8" else content
    with pytest.raises(LabelError, match=rf"x\.json.*{why}"):
        load(build({"a.png": picture(1), "x.json": data}))


def test_a_list_of_images_alone_says_of_none_that_it_is_good(build: Build, picture: Make) -> None:
    alone = json.dumps({"images": ONE, "categories": CATEGORIES})
    root = build({"a.png": picture(1), "image_info_test.json": alone})
    with pytest.raises(LayoutError, match=r"image_info_test\.json: annotations is missing"):
        load(root)
    (root / "x.json").write_text(coco(ONE, []))
    dataset = load(root)
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [("error", "label-list", "image_info_test.json")]
