"""DeepPCB: boxes in text files, templates, lists."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.checking import check
from onspec.datasets.labels import load_boxes
from onspec.datasets.layouts import load
from onspec.domain import Box, DataError, LabelError, LayoutError, Split, SplitError

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]

GROUP = "PCBData/group10000/"


@pytest.fixture
def boards(picture: Make) -> Files:
    """Four boards with a template each; boxes separated by blanks, commas, both; the last board is good."""
    files: Files = {}
    for n in range(1, 5):
        files[f"{GROUP}10000/1000000{n}_test.jpg"] = picture(n)
        files[f"{GROUP}10000/1000000{n}_temp.jpg"] = picture(10 + n)
    labels = ["2 3 12 13 1\n20 4 25 9 6\n", "2,3,12,13,3\n", "2, 3, 12, 13, 5\n\n", ""]
    files |= {f"{GROUP}10000_not/1000000{n}.txt": text for n, text in enumerate(labels, 1)}
    rows = [f"group10000/10000/1000000{n}.jpg group10000/10000_not/1000000{n}.txt" for n in range(1, 5)]
    return files | {"PCBData/trainval.txt": "\n".join(rows[:3]) + "\n", "PCBData/test.txt": rows[3]}


def test_boxes_classes_and_splits(build: Build, boards: Files) -> None:
    dataset = load(build(boards))
    assert (dataset.layout, dataset.problems, dataset.good) == ("deeppcb", (), 1)
    assert [s.name for s in dataset.samples] == [f"{GROUP}10000/1000000{n}_test.jpg" for n in range(1, 5)]
    assert dataset.samples[0].annotations == (Box(2, 3, 10, 10, "open"), Box(20, 4, 5, 5, "pin-hole"))
    assert dataset.classes == ("copper", "mousebite", "open", "pin-hole")
    assert [s.split for s in dataset.samples] == [Split.TRAIN] * 3 + [Split.TEST]
    boxes, kinds = load_boxes(dataset.samples[1], (40, 30), dataset.classes)
    assert (boxes.tolist(), kinds.tolist()) == ([[2, 3, 10, 10]], [1])


def test_without_lists_no_split_is_assigned(build: Build, boards: Files) -> None:
    dataset = load(build({k: v for k, v in boards.items() if k.count("/") > 1}))
    assert (dataset.layout, {s.split for s in dataset.samples}, dataset.problems) == ("deeppcb", {None}, ())


def test_one_group_alone_is_read(build: Build, boards: Files) -> None:
    dataset = load(build(boards) / "PCBData" / "group10000")
    assert (dataset.layout, len(dataset.samples)) == ("deeppcb", 4)


def test_an_image_on_no_list_is_for_training_and_said(build: Build, boards: Files) -> None:
    boards["PCBData/trainval.txt"] = str(boards["PCBData/trainval.txt"]).split("\n")[0]
    dataset = load(build(boards))
    assert [s.split for s in dataset.samples] == [Split.TRAIN] * 3 + [Split.TEST]
    assert [(p.code, p.file) for p in dataset.problems] == [("unlisted", f"{GROUP}10000/10000002_test.jpg")]
    assert dataset.problems[0].message.startswith("2 images stand on none of the lists")


def test_an_image_without_a_label_file_is_not_used(build: Build, boards: Files) -> None:
    del boards[f"{GROUP}10000_not/10000002.txt"]
    dataset = load(build(boards))
    assert len(dataset.samples) == 3
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [
        ("error", "label-missing", f"{GROUP}10000/10000002_test.jpg")
    ]


def test_a_listed_image_that_is_not_there_is_missed(build: Build, boards: Files) -> None:
    del boards[f"{GROUP}10000/10000002_test.jpg"]
    report = check(load(build(boards)))
    assert ("missing", f"{GROUP}10000/10000002_test.jpg") in [(p.code, p.file) for p in report.problems]


def test_upper_and_lower_case_make_no_difference(build: Build, boards: Files) -> None:
    dataset = load(build({k.upper(): v for k, v in boards.items()}))
    assert (dataset.layout, len(dataset.samples), dataset.defective) == ("deeppcb", 4, 3)
    assert {s.split for s in dataset.samples} == {Split.TRAIN, Split.TEST}


@pytest.mark.parametrize(
    "line",
    [
        "2 3 12 13",
        "2 3 12 13 7",
        "2 3 12 13 0",
        "12 3 2 13 1",
        "2 3 2 13 1",
        "a 3 12 13 1",
        "1 2 3 4 inf",
        "2 3 12 13 1 9",
    ],
)
def test_a_line_that_is_no_box_is_named_with_file_and_line(line: str, build: Build, boards: Files) -> None:
    boards[f"{GROUP}10000_not/10000002.txt"] = f"2 3 12 13 1\n\n{line}\n"
    with pytest.raises(
        LabelError, match=rf"10000002\.txt, line 3: got '{line}'; expected x1 y1 x2 y2 class.*6 pin-hole"
    ):
        load(build(boards))


def test_a_box_outside_the_image_is_found_by_the_check(build: Build, boards: Files) -> None:
    boards[f"{GROUP}10000_not/10000002.txt"] = "50 3 60 13 1"
    report = check(load(build(boards)))
    assert [(p.code, p.file) for p in report.problems if p.severity == "error"] == [
        ("label", f"{GROUP}10000/10000002_test.jpg")
    ]
    assert "a box at (50, 3) px lies outside the image of 40×30 px" in report.problems[0].message


@pytest.mark.parametrize(
    ("name", "text", "kind", "why"),
    [
        (
            "test.txt",
            "group10000/10000/10000001.jpg x\n",
            SplitError,
            r"trainval\.txt, line 1: .*10000001_test\.jpg stands in test and in train; keep one",
        ),
        ("trainval.txt", b"\xff\xfe\x00", LabelError, r"trainval\.txt: label file is not UTF-8 text"),
    ],
)
def test_lists_that_cannot_be_right(
    name: str, text: str | bytes, kind: type[DataError], why: str, build: Build, boards: Files
) -> None:
    with pytest.raises(kind, match=why):
        load(build(boards | {f"PCBData/{name}": text}))


def test_a_listed_image_without_image_and_label_is_said(build: Build, boards: Files) -> None:
    dataset = load(build(boards | {"PCBData/val.txt": "\ngroup10000/10000/10000009.jpg\n"}))
    assert [(p.code, p.file) for p in dataset.problems] == [("label-missing", f"{GROUP}10000/10000009_test.jpg")]


def test_pictures_and_text_files_that_do_not_belong_together_are_no_deeppcb(build: Build, boards: Files) -> None:
    root = build({k: v for k, v in boards.items() if "_not" not in k})
    with pytest.raises(LayoutError, match="not laid out as deeppcb"):
        load(root, "deeppcb")
