"""Tables that label images."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.checking import check
from onspec.datasets.dataset import Dataset
from onspec.datasets.labels import load_boxes, load_mask
from onspec.datasets.layouts import load
from onspec.datasets.row_labels import runs_of
from onspec.domain import Box, LabelError, LayoutError, Split
from onspec.imaging.shapes import decode_runs

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]


@pytest.fixture
def parts(picture: Make) -> Files:
    return {f"images/{c}.png": picture(n) for n, c in enumerate("abcd")}


def truths(dataset: Dataset) -> dict[str, str | None]:
    """By file name: the class of the image, or those of its labels; `None` for a good one."""
    return {
        s.name.split("/")[-1]: "+".join(a.cls for a in s.annotations) or s.cls if s.defective else None
        for s in dataset.samples
    }


# --- classes of whole images ---------------------------------------------------------------------------------------

CLASSES = "image,label\na.png,scratch\nb.png,good\nc.png,dent\nd.png,OK\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", " ; "])
def test_a_class_an_image_in_every_dialect(delimiter: str, build: Build, parts: Files) -> None:
    dataset = load(build(parts | {"labels.csv": CLASSES.replace(",", delimiter)}))
    assert (dataset.layout, dataset.problems) == ("csv", ())
    assert truths(dataset) == {"a.png": "scratch", "b.png": None, "c.png": "dent", "d.png": None}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("File Name,Defect-Type", "a.png"),
        ("IMAGE_PATH,class", "images/a.png"),
        ("Image ID,Category", "A"),
        ("id,filename,class_name", "7,images\\A.PNG"),
        ("path,target", "/home/someone/set/images/a.png"),
        ("path,verdict", "C:\\sets\\images\\a.png"),
        ("filepath,class", "./images/a.png"),
        ("filepath,class", "set/images/a.png"),
    ],
)
def test_columns_and_names_of_images_in_many_forms(header: str, name: str, build: Build, parts: Files) -> None:
    dataset = load(build(parts | {"train_labels.CSV": f"\ufeff{header}\r\n{name},scratch\r\n"}))
    assert truths(dataset) == {"a.png": "scratch"}


@pytest.mark.parametrize("place", ["images/labels.tsv", "labels.tsv", "meta/x/labels.tsv"])
def test_the_table_stands_beside_or_above_the_images(place: str, build: Build, parts: Files) -> None:
    assert truths(load(build(parts | {place: CLASSES.replace(",", "\t")})))["a.png"] == "scratch"


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ("0 1 1 0", [None, "defect", "defect", None]),
        ("0 1 2 0", [None, "class1", "class2", None]),
        ("0.0 1.0 3.0 0.0", [None, "class1", "class3", None]),
        ("OK NG NG OK", [None, "defect", "defect", None]),
        ("False True true false", [None, "defect", "defect", None]),
        ("pass fail pass pass", [None, "defect", None, None]),
        ("none scratch No_Defect free", [None, "scratch", None, None]),
    ],
)
def test_what_classes_mean(values: str, classes: list[str | None], build: Build, parts: Files) -> None:
    rows = [f"{c}.png,{value}" for c, value in zip("abcd", values.split(), strict=True)]
    assert list(truths(load(build(parts | {"l.csv": "\n".join(["file,label", *rows])}))).values()) == classes


def test_a_file_names_the_classes_by_number(build: Build, parts: Files) -> None:
    files = parts | {"l.csv": "file,label\na.png,0\nb.png,1\nc.png,2\n", "classes.txt": "background\ncrack\nhole\n"}
    assert truths(load(build(files))) == {"a.png": None, "b.png": "crack", "c.png": "hole"}
    with pytest.raises(LabelError, match=r"l\.csv, line 3: class 4 has no name .*, which has 1 crack, 2 hole"):
        load(build(files | {"l.csv": "file,label\na.png,0\nb.png,4\n"}))


def test_splits_and_parts(build: Build, parts: Files) -> None:
    rows = ["image,label,split,part", "a.png,ng,Train,7", "b.png,ok,train,7", "c.png,ng,validation,8", "d.png,ok,test,"]
    dataset = load(build(parts | {"l.csv": "\n".join(rows)}))
    assert [s.split for s in dataset.samples] == [Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST]
    assert [s.part for s in dataset.samples] == ["7", "7", "8", "images/d.png"]
    assert dataset.parts_known


def test_tables_of_splits_are_read_together(build: Build, parts: Files) -> None:
    tables = {"train.csv": "image,label\na.png,ng\nb.png,ok\n", "test.csv": "image,label\nc.png,ng\nd.png,ok\n"}
    dataset = load(build(parts | tables))
    assert [s.split for s in dataset.samples] == [Split.TRAIN, Split.TRAIN, Split.TEST, Split.TEST]
    with pytest.raises(LabelError, match=r"images/a\.png stands in test and in train by its tables"):
        load(build({"train.csv": "image,label\na.png,ng\n", "test.csv": "image,label\na.png,ng\nc.png,ng\n"}))


def test_of_two_tables_it_must_be_told_which_counts(build: Build, parts: Files) -> None:
    with pytest.raises(LayoutError, match=r"a\.csv, b\.csv all label images; keep one of them"):
        load(build(parts | {"a.csv": CLASSES, "b.csv": CLASSES}))


def test_onspecs_own_split_file_and_the_form_for_predictions_are_no_labels(build: Build, parts: Files) -> None:
    rows = [f"images/{c}.png,test,ng" for c in "abcd"]
    files = parts | {"split.csv": "\n".join(["image,split,label", *rows]), "sample_submission.csv": CLASSES}
    with pytest.raises(LayoutError, match="no known layout"):
        load(build(files))


def test_an_image_that_no_row_names_is_not_used(build: Build, parts: Files) -> None:
    dataset = load(build(parts | {"l.csv": "image,label\na.png,ng\nb.png,ok\n"}))
    assert [s.name for s in dataset.samples] == ["images/a.png", "images/b.png"]
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [("warning", "unlisted", "images/c.png")]


def test_a_row_whose_image_is_missing_is_said_with_its_line(build: Build, parts: Files) -> None:
    dataset = load(build(parts | {"l.csv": "image,label\na.png,ng\n\nlost.png,ok\nlost.png,ok\n,ok\n"}))
    found = [(p.code, p.message.split("l.csv, ")[1]) for p in dataset.problems if p.severity == "error"]
    assert found == [
        ("missing", "line 4: names lost.png, which is not there"),
        ("missing", "line 6: names no image"),
    ]


def test_a_file_of_the_name_in_another_folder_is_not_meant(build: Build, picture: Make) -> None:
    files: Files = {f"lot{k}/{n}.png": picture(2 * n + k) for k in (1, 2) for n in (1, 2)}
    del files["lot1/2.png"]
    dataset = load(build(files | {"l.csv": "image,label\nlot1/1.png,ok\nlot1/2.png,ok\nlot2/2.png,ng\n"}))
    assert {s.name: s.defective for s in dataset.samples} == {"lot1/1.png": False, "lot2/2.png": True}
    assert [p.file for p in dataset.problems if p.code == "missing"] == ["lot1/2.png"]


def test_a_name_that_several_images_have_is_refused(build: Build, picture: Make) -> None:
    files: Files = {"lot1/1.png": picture(1), "lot2/1.png": picture(2), "x.png": picture(3)}
    with pytest.raises(LabelError, match=r"l\.csv, line 3: '1\.png' may mean lot\d/1\.png or lot\d/1\.png"):
        load(build(files | {"l.csv": "image,label\nx.png,ok\n1.png,ng\n"}))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("image,label\na.png,\n", r"line 2: says nothing of images/a\.png; write its class"),
        ("image,label\na.png\n", r"line 2: says nothing of images/a\.png"),
        ("image,label\na.png,dent\na.png,crack\n", r"line 3: images/a\.png is crack here and dent on line 2; keep one"),
        ("image,label\na.png,dent\na.png,ok\n", r"line 3: images/a\.png is good here and dent on line 2"),
        ("image,label\na.png,1.5\n", r"line 2: class 1\.5 is neither a name nor one of 0, 1, 2"),
        ("image,label,split\na.png,ok,dev\n", r"line 2: split 'dev' is none; allowed: train, val, test"),
        ("image,label,part\na.png,ok,1\na.png,ok,2\n", r"line 3: part '2' of a\.png, which has part '1' on line 2"),
        ("image,probability\na.png,1.2\n", r"line 2: probability '1\.2' is no number from 0 to 1"),
        ("image,probability\na.png,often\n", r"line 2: probability 'often' is no number from 0 to 1"),
        ("image,x,y,w,h\na.png,1,2,3,\n", r"line 2: no box: left '1', top '2', width '3', height ''; expected numbers"),
        ("image,x1,y1,x2,y2\na.png,9,2,3,8\n", r"line 2: no box: left '9'"),
        ("image,x,y,w,h\na.png,1,2,inf,4\n", r"line 2: no box: .*width 'inf'"),
        ("image,EncodedPixels\na.png,1 2 3\n", r"line 2: runs of images/a\.png cannot be read: 3 numbers"),
        ("image,EncodedPixels\na.png,1 x\n", r"line 2: runs of images/a\.png cannot be read: invalid literal"),
        ("image,EncodedPixels\na.png,5 3 7 2\n", r"line 2: .*the run 7 2 overlaps the one before it"),
    ],
)
def test_what_a_row_may_not_say(rows: str, why: str, build: Build, parts: Files) -> None:
    with pytest.raises(LabelError, match=rf"l\.csv, {why}"):
        load(build(parts | {"l.csv": rows}))


@pytest.mark.parametrize("runs", ["1200 2", "0 2"])
def test_runs_of_another_image_are_listed_and_the_part_stays_defective(runs: str, build: Build, parts: Files) -> None:
    dataset = load(build(parts | {"l.csv": f"image,EncodedPixels\na.png,{runs}\nb.png,5 3\n"}))
    problem = next(p for p in dataset.problems if p.code == "label")
    assert f"line 2: runs of images/a.png cannot be drawn: the run {runs} leaves the image of 40×30" in problem.message
    sample = next(s for s in dataset.samples if s.name == problem.file)
    assert sample.defective
    assert not sample.annotations


def test_a_table_that_is_no_utf_8_is_named(build: Build, parts: Files) -> None:
    text = "image,label\na.png,Kratzer\nb.png,Öl\n".encode("latin-1")
    with pytest.raises(LabelError, match=r"l\.csv: label file is not UTF-8 text; save it again as UTF-8"):
        load(build(parts | {"l.csv": text}))


# --- runs, as Severstal has -----------------------------------------------------------------------------------------


def test_runs_count_from_1_down_the_columns() -> None:
    mask = decode_runs(runs_of("2 2 7 1", (4, 3)), (4, 3))
    assert mask.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_severstal(build: Build, picture: Make) -> None:
    """Images of 1600×256 px, several rows an image, good ones without a row, others to be predicted."""
    files: Files = {f"train_images/{n}.jpg": picture(n, (256, 160)) for n in range(4)}
    files |= {f"test_images/{n}.jpg": picture(9 + n, (256, 160)) for n in range(3)}
    files["train.csv"] = "ImageId,ClassId,EncodedPixels\n0.jpg,1,1 256 513 10\n0.jpg,3,40960 1\n2.jpg,4,257 2\n"
    files["sample_submission.csv"] = "ImageId,EncodedPixels,ClassId\n0.jpg,1 40960,1\n"
    dataset = load(build(files))
    assert truths(dataset) == {"0.jpg": "class1+class3", "1.jpg": None, "2.jpg": "class4", "3.jpg": None}
    first, third = load_mask(dataset.samples[0], (160, 256), ("class1", "class3"))
    assert (int(first.sum()), int(first[:, 0].sum()), int(first[:10, 2].sum())) == (266, 256, 10)
    assert (int(third.sum()), int(third[255, 159])) == (1, 1)
    assert [p.message for p in dataset.problems] == [
        "3 images are not in train.csv and are not used; the first is test_images/0.jpg"
    ]


def test_the_older_form_has_a_row_a_class_and_empty_runs(build: Build, picture: Make) -> None:
    files: Files = {f"train_images/x_{n}.jpg": picture(n) for n in range(2)}
    rows = [f"x_{n}.jpg_{cls},{'1 30' if (n, cls) == (1, 3) else ''}" for n in range(2) for cls in range(1, 5)]
    dataset = load(build(files | {"train.csv": "\n".join(["ImageId_ClassId,EncodedPixels", *rows])}))
    assert truths(dataset) == {"x_0.jpg": None, "x_1.jpg": "class3"}
    assert dataset.problems == ()


@pytest.mark.parametrize("nothing", ["", "-1", "nan", "NaN", " "])
def test_no_runs_are_no_defect(nothing: str, build: Build, parts: Files) -> None:
    dataset = load(build(parts | {"l.csv": f"image,rle\na.png,{nothing}\nb.png,1 2\n"}))
    assert truths(dataset) == {"a.png": None, "b.png": "defect", "c.png": None, "d.png": None}


def test_runs_of_an_image_that_cannot_be_read_leave_it_defective(build: Build, parts: Files) -> None:
    dataset = load(build(parts | {"images/a.png": b"no image", "l.csv": "image,rle,class\na.png,1 2,dent\n"}))
    assert truths(dataset)["a.png"] == "dent"
    assert ("error", "unreadable", "images/a.png") in [(p.severity, p.code, p.file) for p in check(dataset).problems]


def test_runs_longer_than_python_reads_by_default(build: Build) -> None:
    stripes = " ".join(f"{n} 1" for n in range(1, 60001, 2))
    files: Files = {"a.png": np.zeros((300, 200), np.uint8), "l.csv": f"image,rle\na.png,{stripes}\n"}
    assert int(load_mask(load(build(files)).samples[0], (200, 300)).sum()) == 30000


# --- boxes and masks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "numbers"),
    [
        ("xmin,ymin,xmax,ymax", "3,4,13,10"),
        ("x1,y1,x2,y2", "3.0,4.0,13.0,10.0"),
        ("x,y,w,h", "3,4,10,6"),
        ("bbox_x,bbox_y,bbox_width,bbox_height", "3,4,10,6"),
        ("width,height,xmin,ymin,xmax,ymax", "40,30,3,4,13,10"),
        ("left,top,right,bottom", '"3,0","4,0","13,0","10,0"'),
    ],
)
def test_boxes(header: str, numbers: str, build: Build, parts: Files) -> None:
    rows = [f"{image}.png,{cls},{numbers}" for image, cls in map(str.split, ("a dent", "a crack", "a dent", "b dent"))]
    dataset = load(build(parts | {"boxes.csv": "\n".join([f"filename,class,{header}", *rows])}))
    assert truths(dataset) == {"a.png": "dent+crack", "b.png": "dent", "c.png": None, "d.png": None}
    assert dataset.samples[0].annotations[0] == Box(3, 4, 10, 6, "dent")
    assert load_boxes(dataset.samples[1], (40, 30))[0].tolist() == [[3, 4, 10, 6]]


def test_numbered_boxes(build: Build, parts: Files) -> None:
    def classes(*numbers: int) -> set[str | None]:
        rows = [f"{c}.png,{n},1,1,5,5" for c, n in zip("abcd", numbers, strict=True)]
        return set(truths(load(build(parts | {"l.csv": "\n".join(["file,class,x,y,w,h", *rows])}))).values())

    assert classes(0, 0, 0, 0) == {"defect"}
    assert classes(1, 1, 1, 1) == {"defect"}
    assert classes(0, 1, 0, 1) == {"class0", "class1"}
    assert classes(2, 3, 2, 3) == {"class2", "class3"}


def test_a_row_without_a_box_is_a_good_image_or_one_not_located(build: Build, parts: Files) -> None:
    table = "image,class,x1,y1,x2,y2\na.png,,,,,\nb.png,dent,,,,\nc.png,good,,,,\nd.png,dent,1,1,5,5\n"
    dataset = load(build(parts | {"l.csv": table}))
    assert truths(dataset) == {"a.png": None, "b.png": "dent", "c.png": None, "d.png": "dent"}
    assert [(p.code, p.file) for p in dataset.problems] == [("unlocated", "images/b.png")]


def test_a_box_on_a_part_that_is_called_good_is_a_problem(build: Build, parts: Files) -> None:
    dataset = load(build(parts | {"l.csv": "image,class,x,y,w,h\na.png,good,1,1,5,5\nb.png,dent,1,1,5,5\n"}))
    assert truths(dataset)["a.png"] is None
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [("error", "good-with-label", "images/a.png")]
    assert "l.csv, line 2: images/a.png is good and has a mark" in dataset.problems[0].message


@pytest.mark.parametrize("folder", ["masks", "marked"])
def test_masks(folder: str, build: Build, parts: Files, mask: Make) -> None:
    parts |= {f"{folder}/a.png": mask(), f"{folder}/b_m.png": mask(0), f"{folder}/c.png": b"no image"}
    rows = [f"images/a.png,{folder}/a.png,dent", f"b.png,{folder}/b_m.png,", f"images/c.png,{folder}/c.png,dent"]
    dataset = load(build(parts | {"l.csv": "\n".join(["image,mask,class", *rows, "d.png,masks/lost.png,crack"])}))
    assert dataset.layout == "csv"
    assert truths(dataset) == {"a.png": "dent", "b.png": None, "c.png": "dent", "d.png": "crack"}
    assert int(load_mask(dataset.samples[0], (40, 30)).sum()) == 48
    errors = [(p.code, p.file) for p in check(dataset).problems if p.severity == "error"]
    assert errors == [("label", "images/c.png"), ("label-missing", "images/d.png")]


def test_a_mask_of_the_images_own_name_is_found_among_masks(build: Build, parts: Files, mask: Make) -> None:
    dataset = load(build(parts | {"masks/a.png": mask(), "l.csv": "image,mask\na.png,a.png\nb.png,\n"}))
    assert truths(dataset) == {"a.png": "defect", "b.png": None}
    assert int(load_mask(dataset.samples[0], (40, 30)).sum()) == 48


def test_masks_of_several_codes_name_classes(build: Build, parts: Files, mask: Make) -> None:
    both = mask(1)
    both[20:25, 20:25] = 2
    files = parts | {"masks/a.png": both, "l.csv": "image,mask\na.png,masks/a.png\nb.png,\n"}
    assert truths(load(build(files))) == {"a.png": "class1+class2", "b.png": None}


def test_masks_that_a_table_of_classes_does_not_name_are_read_first(build: Build, parts: Files, mask: Make) -> None:
    files = parts | {f"masks/{c}.png": mask() for c in "abcd"} | {"classes.csv": CLASSES}
    root = build(files)
    assert load(root).layout == "masks"
    assert len(load(root, "csv").samples) == 4


# --- probabilities, as ELPV has -------------------------------------------------------------------------------------

ELPV = """images/cell0001.png  1.0   mono
images/cell0002.png  0.6666666666666666   poly
images/cell0003.png  0.3333333333333333   poly
images/cell0004.png  0.0   mono
"""


def test_elpv(build: Build, picture: Make) -> None:
    files: Files = {f"images/cell000{n}.png": picture(n) for n in range(1, 5)}
    dataset = load(build(files | {"labels.csv": ELPV}))
    assert (dataset.layout, dataset.problems) == ("csv", ())
    assert list(truths(dataset).values()) == ["defect", "defect", None, None]
    assert all(s.annotations == () for s in dataset.samples)


def test_a_probability_of_a_half_is_defective(build: Build, parts: Files) -> None:
    table = "Image;Prob\na.png;0,5\nb.png;0,4999\nc.png;1\nd.png;0\n"
    assert list(truths(load(build(parts | {"l.csv": table}))).values()) == ["defect", None, "defect", None]


def test_a_table_without_a_header_that_gives_something_else_is_none(build: Build, parts: Files) -> None:
    with pytest.raises(LayoutError, match="not laid out as csv"):
        load(build(parts | {"l.csv": "images/a.png,17\nimages/b.png,3\n"}), "csv")


def test_a_jpeg_that_exif_turns_is_measured_as_it_is_seen(build: Build, picture: Make) -> None:
    """Runs of the turned size fit; of the size in the file they would not."""
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = cv2.imencode(".jpg", picture(1))[1].tobytes()
    data = data[:2] + b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned + data[2:]
    dataset = load(build({"a.jpg": data, "l.csv": "image,rle\na.jpg,1 40\n"}))
    mask = load_mask(dataset.samples[0], (30, 40))[0]
    assert (int(mask.sum()), int(mask[:, 0].sum())) == (40, 40)
