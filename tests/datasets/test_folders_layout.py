"""A folder a class."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.checking import ClassReport, check
from onspec.datasets.layouts import load
from onspec.domain import LayoutError, Split

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]


def told(root: Path) -> dict[str, str | None]:
    """Class by image; `None` for a good one."""
    return {s.name: s.cls if s.defective else None for s in load(root, "folders").samples}


@pytest.mark.parametrize(
    "form", ["{cls}/{n}.png", "{split}/{cls}/{n}.png", "{cls}/{split}/{n}.png", "set/{cls}/{n}.png"]
)
def test_classes_in_and_around_split_folders(form: str, build: Build, picture: Make) -> None:
    files: Files = {}
    for n, cls in enumerate(["good", "scratch", "dent"] * 4):
        split = "TRAIN" if n < 6 else "test"
        files[form.format(cls=cls, n=n, split=split)] = picture(n)
    dataset = load(build(files))
    assert (dataset.layout, dataset.good, dataset.defective, dataset.problems) == ("folders", 4, 8, ())
    assert dataset.classes == ("dent", "scratch")
    assert {s.cls for s in dataset.samples if not s.defective} == {None}
    assert {s.split for s in dataset.samples} == ({Split.TRAIN, Split.TEST} if "split" in form else {None})


@pytest.mark.parametrize(
    ("good", "bad"), [("OK", "NG"), ("no_defect", "defect"), ("Good", "Bad"), ("def-free", "x_defective"), ("0", "1")]
)
def test_two_folders_of_good_and_defective(good: str, bad: str, build: Build, picture: Make) -> None:
    good = "defect-free" if good == "def-free" else good
    classes = told(build({f"{good}/1.png": picture(1), f"{bad}/2.png": picture(2)}))
    assert classes == {f"{good}/1.png": None, f"{bad}/2.png": "x_defective" if bad == "x_defective" else "defect"}


@pytest.mark.parametrize("other", ["scratch-deep", "scratch 2", "scratch.old", "scratch+dent"])
def test_a_name_may_go_on_after_that_of_another_folder(other: str, build: Build, picture: Make) -> None:
    files: Files = {f"{cls}/{n}.png": picture(n) for n, cls in enumerate(["good", "scratch", other])}
    assert told(build(files)) == {"good/0.png": None, "scratch/1.png": "scratch", f"{other}/2.png": other}


def test_0_and_1_are_a_guess_that_is_said(build: Build, picture: Make) -> None:
    dataset = load(build({"0/1.png": picture(1), "1/2.png": picture(2)}))
    assert [(p.severity, p.code) for p in dataset.problems] == [("warning", "truth-guessed")]
    assert "0 is taken for good, 1 for defective" in dataset.problems[0].message


def test_without_a_folder_of_good_parts_all_are_defective_and_it_is_said(build: Build, picture: Make) -> None:
    dataset = load(build({"crack/1.png": picture(1), "dent/2.png": picture(2), "scuff/3.png": picture(3)}))
    assert (dataset.good, dataset.classes) == (0, ("crack", "dent", "scuff"))
    assert [p.code for p in dataset.problems] == ["truth-guessed"]
    assert "no folder's name says good, so each is taken for a class of defects: crack, dent, scuff" in (
        dataset.problems[0].message
    )


@pytest.mark.parametrize(
    "form",
    ["{cls}/lot{lot}/{n}.png", "lot{lot}/{cls}/{n}.png", "{cls}/2024-01-0{lot}/{n}.png", "all/{cls}/images/{n}.png"],
)
def test_lots_inside_and_around_are_no_class(form: str, build: Build, picture: Make) -> None:
    files: Files = {
        form.format(cls=cls, n=n, lot=1 + n % 2): picture(n) for n, cls in enumerate(["good", "scratch"] * 4)
    }
    assert set(told(build(files)).values()) == {None, "scratch"}


def test_a_class_is_one_however_it_is_spelled(build: Build, picture: Make) -> None:
    names = ["train/Scratch/1.png", "train/Scratch/2.png", "test/scratch/3.png", "train/good/4.png"]
    dataset = load(build({name: picture(n) for n, name in enumerate(names)}))
    assert dataset.classes == ("Scratch",)


def test_an_image_in_no_class_folder_is_not_used(build: Build, picture: Make) -> None:
    dataset = load(build({"good/1.png": picture(1), "crack/2.png": picture(2), "3.png": picture(3)}))
    assert len(dataset.samples) == 2
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [("error", "no-class", "3.png")]


def test_label_images_or_files_are_never_passed_over(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"{cls}/{n}.png": picture(n) for n, cls in enumerate(["good", "crack"] * 2)}
    assert load(build(files)).layout == "folders"
    assert load(build({"ground_truth/crack/1_mask.png": mask()})).layout == "masks"


@pytest.mark.parametrize("label", ["crack/1.json", "crack/1.xml", "labels/1.txt", "crack/1_mask.png"])
def test_a_set_with_a_label_beside_an_image_is_no_set_of_folders(
    label: str, build: Build, picture: Make, mask: Make
) -> None:
    files: Files = {"good/0.png": picture(0), "crack/1.png": picture(1)}
    root = build(files | {label: mask() if label.endswith("png") else "nothing that can be read"})
    with pytest.raises(LayoutError, match="not laid out as folders"):
        load(root, "folders")


@pytest.mark.parametrize("folders", [("lot1", "lot2"), ("crack", "crack"), ("ng", "ng"), ("train", "test")])
def test_folders_that_tell_no_two_classes(folders: tuple[str, str], build: Build, picture: Make) -> None:
    root = build({f"{folder}/{n}.png": picture(n) for n, folder in enumerate(folders)})
    with pytest.raises(LayoutError, match="no known layout"):
        load(root)


@pytest.mark.parametrize(
    ("form", "splits"),
    [
        ("good/{n}.png", {None}),
        ("OK/lot{n}/{n}.png", {None}),
        ("lot{n}/ok/{n}.png", {None}),
        ("{split}/good/{n}.png", {Split.TRAIN, Split.TEST}),
    ],
)
def test_good_parts_alone_are_a_set(form: str, splits: set[Split | None], build: Build, picture: Make) -> None:
    names = [form.format(n=n, split="test" if n % 3 else "train") for n in range(6)]
    dataset = load(build({name: picture(n) for n, name in enumerate(names)}))
    assert (dataset.layout, dataset.good, dataset.defective, dataset.problems) == ("folders", 6, 0, ())
    assert {s.split for s in dataset.samples} == splits
    report = check(dataset)
    assert [(p.severity, p.code) for p in report.problems] == [("warning", "no-defective")]
    assert "--good-only" in report.problems[0].suggestion


def test_good_parts_beside_images_without_a_folder_are_no_set(build: Build, picture: Make) -> None:
    with pytest.raises(LayoutError, match="no known layout"):
        load(build({"good/1.png": picture(1), "2.png": picture(2)}))


def test_what_the_check_says(build: Build, picture: Make) -> None:
    files: Files = {
        f"{cls}/{n}.png": picture(n) for n, cls in enumerate(["good", "crack", "dent", "good", "crack"] * 8)
    }
    files |= {"dent/copy.png": picture(1), "ng/x.png": picture(99)}
    report = check(load(build(files)))
    assert report.classes == {
        "crack": ClassReport(images=16, defects=0),
        "dent": ClassReport(images=9, defects=0),
        "defect": ClassReport(images=1, defects=0),
    }
    assert (report.labels.located, report.labels.unlocated) == ("nowhere", 26)
    assert [(p.severity, p.code, p.file) for p in report.problems] == [
        ("error", "duplicate-labels", "crack/1.png"),
        ("warning", "class-unnamed", "ng/x.png"),
    ]


def test_a_name_that_begins_with_the_truth_says_it(build: Build, picture: Make) -> None:
    """The shape of a public set of castings."""
    files: Files = {
        f"{split}/{cls}/{cls}_{n}.png": picture(n)
        for n, (split, cls) in enumerate([("train", "ok_front"), ("train", "def_front"), ("test", "def_front")])
    }
    assert set(told(build(files)).values()) == {None, "def_front"}
