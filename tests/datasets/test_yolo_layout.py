"""YOLO, in the forms that trainers read and labelling tools write."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from onspec.datasets.checking import check
from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.domain import Box, LabelError, LayoutError, Polygon, Split, SplitError

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]

LINE = "0 0.35 0.266667 0.2 0.2\n"
"""The box at (10, 5) of 8×6 px in 40×30 px."""


def test_ultralytics_boxes_and_polygons(build: Build, picture: Make, mask: Make) -> None:
    ring = "1 0.25 0.166667 0.45 0.166667 0.45 0.366667 0.25 0.366667"
    files: Files = {f"images/{split}/lot 1/{n}.jpg": picture(n) for n, split in enumerate(("train", "train", "val"))}
    files |= {"labels/train/lot 1/0.txt": LINE + ring + "\n", "labels/val/lot 1/2.txt": ""}
    files["data.yaml"] = "path: ../data\ntrain: images/train\nval: images/val\nnc: 2\nnames:\n  0: crack\n  1: dent\n"
    dataset = load(build(files))
    assert (dataset.layout, dataset.problems, dataset.classes) == ("yolo", (), ("crack", "dent"))
    assert [(s.split, s.defective) for s in dataset.samples] == [
        (Split.TRAIN, True),
        (Split.TRAIN, False),
        (Split.VAL, False),
    ]
    box, polygon = dataset.samples[0].annotations
    assert isinstance(box, Box)
    assert (box.x, box.y, box.width, box.height) == pytest.approx((10, 5, 8, 6), abs=2e-5)
    assert isinstance(polygon, Polygon)
    planes = load_mask(dataset.samples[0], (40, 30), ("crack", "dent"))
    assert [(plane == mask(1)).all() for plane in planes] == [True, True]


def test_cvat_yolo_1_1(build: Build, picture: Make) -> None:
    files: Files = {f"obj_{split}_data/{n}.png": picture(n) for n, split in enumerate(("train", "valid"))}
    files |= {"obj_train_data/0.txt": LINE, "obj_valid_data/1.txt": ""}
    files |= {"train.txt": "data/obj_train_data/0.png\n", "valid.txt": "data/obj_valid_data/1.png\n"}
    files |= {"obj.names": "crack\ndent\n", "obj.data": "classes = 2\nnames = data/obj.names\ntrain = data/train.txt\n"}
    dataset = load(build(files))
    assert [(s.split, s.defective, [a.cls for a in s.annotations]) for s in dataset.samples] == [
        (Split.TRAIN, True, ["crack"]),
        (Split.VAL, False, []),
    ]
    assert dataset.problems == ()


def test_cvat_ultralytics_segmentation(build: Build, picture: Make) -> None:
    files: Files = {f"images/Train/{n}.png": picture(n) for n in (1, 2)}
    files |= {
        "labels/Train/1.txt": "0 0.1 0.1 0.5 0.1 0.5 0.5\n",
        "train.txt": "images/Train/1.png\nimages/Train/2.png\n",
    }
    files["data.yaml"] = "names:\n  0: crack\npath: .\ntrain: train.txt\n"
    dataset = load(build(files))
    assert [(s.split, len(s.annotations)) for s in dataset.samples] == [(Split.TRAIN, 1), (Split.TRAIN, 0)]
    assert dataset.samples[0].annotations == (Polygon((((4, 3), (20, 3), (20, 15)),), "crack"),)


def test_label_studio(build: Build, picture: Make) -> None:
    files: Files = {f"images/{name}.jpg": picture(n) for n, name in enumerate(("a1b2c3d4-top", "bb2c3d45-low"))}
    files |= {"labels/a1b2c3d4-top.txt": "1 0.35 0.26666666666666666 0.2 0.2\n", "classes.txt": "crack\ndent\n"}
    files["notes.json"] = '{"categories": [{"id": 0, "name": "crack"}], "info": {"contributor": "Label Studio"}}'
    dataset = load(build(files))
    assert [(s.defective, s.split) for s in dataset.samples] == [(True, None), (False, None)]
    assert dataset.samples[0].annotations == (Box(10, 5, 8, 6, "dent"),)


def test_roboflow(build: Build, picture: Make) -> None:
    files: Files = {
        f"{split}/images/{split}.rf.0123456789.jpg": picture(n) for n, split in enumerate(("train", "valid", "test"))
    }
    files |= {f"{split}/labels/{split}.rf.0123456789.txt": LINE for split in ("train", "valid")}
    files["data.yaml"] = (
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['my crack']\n"
    )
    dataset = load(build(files))
    assert [(s.split, s.defective) for s in dataset.samples] == [
        (Split.TEST, False),
        (Split.TRAIN, True),
        (Split.VAL, True),
    ]
    assert dataset.classes == ("my crack",)


def test_folders_and_lists_of_other_names_are_splits_by_the_yaml(build: Build, picture: Make) -> None:
    files: Files = {f"images/{lot}/{lot}.png": picture(n) for n, lot in enumerate("abc")}
    files["labels/a/a.txt"] = LINE
    files["line 3.yaml"] = "train: [images/a, images/b]\nval: fold/1.txt\nnames: {0: crack}\n"
    files["fold/1.txt"] = "../images/c/c.png\n"
    assert [s.split for s in load(build(files)).samples] == [Split.TRAIN, Split.TRAIN, Split.VAL]
    files["line 3.yaml"] = "train: images\nval: images\nnames: {0: crack}\n"
    assert [s.split for s in load(build(files)).samples] == [None, None, None]


def test_labelimg_side_by_side_without_names(build: Build, picture: Make) -> None:
    files: Files = {"a.png": picture(1), "a.txt": LINE.replace("0 ", "3 ", 1), "test.png": picture(2), "test.txt": LINE}
    dataset = load(build(files))
    assert [(s.name, s.split, [a.cls for a in s.annotations]) for s in dataset.samples] == [
        ("a.png", None, ["class3"]),
        ("test.png", None, ["class0"]),
    ]


@pytest.mark.parametrize("other", ["images/a.bmp", "original/a.png", "images/A.png"])
def test_a_file_that_may_be_of_two_images_is_refused_and_not_given_to_one(
    other: str, build: Build, picture: Make
) -> None:
    files: Files = {"images/a.png": picture(1), other: picture(2), "images/b.png": picture(3), "labels/a.txt": LINE}
    if other.startswith("original"):
        del files["images/a.png"]
        files["image/a.png"] = picture(1)
    with pytest.raises(LabelError, match=r"labels/a\.txt: may be of .* or .*; give every image a name of its own"):
        load(build(files), "yolo")
    assert load(build(files | {"labels/a.txt": ""}), "yolo").good == 3


def test_empty_files_alone_are_a_set_of_good_parts(build: Build, picture: Make) -> None:
    dataset = load(build({"images/a.png": picture(1), "labels/a.txt": ""}))
    assert (dataset.layout, dataset.good) == ("yolo", 1)


def test_images_turned_by_exif_are_labelled_as_they_are_seen(build: Build, picture: Make) -> None:
    data, exif = io.BytesIO(), Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(picture(1)).save(data, "JPEG", exif=exif)
    dataset = load(build({"images/a.jpg": data.getvalue(), "labels/a.txt": "0 0.5 0.5 1 1\n"}))
    assert dataset.samples[0].annotations == (Box(0, 0, 30, 40, "class0"),)


def test_rounding_is_cut_at_the_border(build: Build, picture: Make) -> None:
    lines = "0 0.05 0.5 0.1000002 1.002\n0 -0.0005 0 1.0003 0 0.5 1\n"
    dataset = load(build({"images/a.png": picture(1), "labels/a.txt": lines}))
    assert dataset.samples[0].annotations == (
        Box(0, 0, 4, 30, "class0"),
        Polygon((((0, 0), (40, 0), (20, 30)),), "class0"),
    )


WRONG = {
    "box far outside": ("0 1.45 0.5 0.2 0.2", "reaches to 1.55; expected shares of the image's size, 0 … 1"),
    "pixels": ("0 0.35 0.2 0.2 0.2\n0 14 8 8 6", r"reaches to 10; expected shares"),
    "polygon far outside": ("0 0.1 0.1 0.5 0.1 0.5 -0.6", r"reaches to -0\.6; expected shares"),
    "six numbers": (
        "0 0.5 0.5 0.1 0.1 0.9",
        r"got '0 0\.5 0\.5 0\.1 0\.1 0\.9'; expected class cx cy w h, or class and",
    ),
    "two points": ("0 0.1 0.1\n", "got '0 0.1 0.1'; expected"),
    "words": ("crack 0.5 0.5 0.1 0.1", "got 'crack 0.5 0.5 0.1 0.1'; expected"),
    "not finite": ("0 nan 0.5 0.1 0.1", "got '0 nan 0.5 0.1 0.1'; expected"),
    "half a class": ("0.5 0.5 0.5 0.1 0.1", "class is 0.5; it must be a whole number from 0"),
    "class without a name": ("2 0.5 0.5 0.1 0.1", r"class 2 has no name in data\.yaml; it names 0 crack, 1 dent"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_line_is_named(what: str, build: Build, picture: Make) -> None:
    lines, why = WRONG[what]
    files: Files = {"images/a.png": picture(1), "images/b.png": picture(2), "labels/b.txt": LINE}
    root = build(files | {"labels/a.txt": lines, "data.yaml": "names: [crack, dent]"})
    number = len(lines.strip().splitlines())
    with pytest.raises(LabelError, match=rf"labels/a\.txt, line {number}: {why}"):
        load(root)


YAMLS = {
    "no YAML": ("names: [crack\nnc: 1\n", r"data\.yaml, line 2: not valid YAML"),
    "names no list": ("names: crack\n", r"data\.yaml: names must be a list, or class number: name; got 'crack'"),
    "no numbers": ("names: {a: crack}\n", r"data\.yaml: names must be a list"),
    "no names": ("names: []\n", r"data\.yaml: names must be a list"),
    "key points": (
        "kpt_shape: [17, 3]\nnames: [crack]\n",
        r"data\.yaml: labels are key points, which enclose no defect",
    ),
}


@pytest.mark.parametrize("what", YAMLS)
def test_a_wrong_yaml_is_named(what: str, build: Build, picture: Make) -> None:
    text, why = YAMLS[what]
    with pytest.raises(LabelError, match=why):
        load(build({"images/a.png": picture(1), "labels/a.txt": LINE, "data.yaml": text}))


def test_yaml_runs_nothing(build: Build, picture: Make, tmp_path: Path) -> None:
    text = f"names: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n"
    with pytest.raises(LabelError, match=r"data\.yaml"):
        load(build({"images/a.png": picture(1), "labels/a.txt": LINE, "data.yaml": text}))
    assert not (tmp_path / "made").exists()


def test_lists_of_names_that_differ(build: Build, picture: Make) -> None:
    files: Files = {
        "images/a.png": picture(1),
        "labels/a.txt": LINE,
        "classes.txt": "crack\n",
        "labels/classes.txt": "dent\n",
    }
    with pytest.raises(LabelError, match=r"labels/classes\.txt: names other classes than classes\.txt; keep one list"):
        load(build(files))


def test_an_image_in_two_splits_is_refused(build: Build, picture: Make) -> None:
    files: Files = {"images/a.png": picture(1), "labels/a.txt": LINE}
    with pytest.raises(SplitError, match=r"images/a\.png stands in test by test\.txt and in train by train\.txt"):
        load(build(files | {f"{split}.txt": "images/a.png\n" for split in ("train", "test")}))


def test_absent_images_are_problems(build: Build, picture: Make) -> None:
    files: Files = {
        "images/a.png": picture(1),
        "labels/a.txt": LINE,
        "labels/b.txt": LINE,
        "train.txt": "images/b.png\n",
    }
    dataset = load(build(files))
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [
        ("warning", "label-without-image", "labels/b.txt"),
        ("error", "missing", "train.txt"),
    ]
    assert dataset.problems[1].message == "train.txt, line 1: 'images/b.png' is listed, but there is no such image"


def test_a_box_without_an_area_leaves_the_part_defective(build: Build, picture: Make) -> None:
    root = build({"images/a.png": picture(1), "labels/a.txt": "0 0.5 0.5 0 0.1\n0 0.1 0.1 0.1 0.1 0.2 0.2\n"})
    dataset = load(root)
    assert [(s.defective, s.annotations, s.cls) for s in dataset.samples] == [(True, (), "class0")]
    assert [p.code for p in dataset.problems] == ["label-no-area"] * 2


def test_an_image_that_cannot_be_read_stays_defective(build: Build, picture: Make) -> None:
    files: Files = {"images/a.png": b"broken", "images/b.png": picture(1), "labels/a.txt": LINE, "labels/b.txt": LINE}
    dataset = load(build(files))
    assert [(s.defective, len(s.annotations)) for s in dataset.samples] == [(True, 0), (True, 1)]
    assert ("unreadable", "images/a.png") in {(p.code, p.file) for p in check(dataset).problems}


@pytest.mark.parametrize("text", ["just some words\n", "1 2 3 4 5\n", "10 5 18 11 2\n", ""])
def test_text_beside_an_image_is_not_yolos(text: str, build: Build, picture: Make) -> None:
    with pytest.raises(LayoutError, match="no known layout"):
        load(build({"photos/a.png": picture(1), "photos/a.txt": text}))
