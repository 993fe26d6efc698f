"""Masks unlike the others, marks outside the image, and images without a label."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.checking import check
from onspec.datasets.layouts import load
from onspec.datasets.problem import Problem

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]


def found(root: Path) -> list[Problem]:
    return list(check(load(root)).problems)


def test_a_mask_of_the_other_polarity(build: Build, sound: Files, mask: Make) -> None:
    (problem,) = found(build(sound | {"masks/07.png": mask(0, 255)}))
    assert (problem.severity, problem.code, problem.file) == ("warning", "mask-polarity", "images/07.png")
    assert problem.message.startswith("masks/07.png marks 96% of images/07.png and most of its border")
    assert problem.message.endswith("this set draws the background dark")


def test_a_mask_of_the_other_polarity_in_an_inverted_set(build: Build, sound: Files, mask: Make) -> None:
    inverted = {name: mask(0, 255) if name.startswith("masks") else pixels for name, pixels in sound.items()}
    assert found(build(inverted)) == []
    (problem,) = found(build(inverted | {"masks/07.png": mask()}))
    assert (problem.code, problem.file) == ("mask-polarity", "images/07.png")
    assert problem.message.endswith("this set draws the background bright")


def test_a_large_defect_inside_turns_nothing_around(build: Build, sound: Files) -> None:
    large = np.zeros((30, 40), np.uint8)
    large[1:-1, 1:-1] = 255
    assert found(build(sound | {"masks/07.png": large})) == []


def test_masks_of_another_encoding(build: Build, sound: Files, mask: Make) -> None:
    (problem,) = found(build(sound | {"masks/03.png": mask(1), "masks/04.png": mask(1)}))
    assert (problem.code, problem.files) == ("mask-encoding", ("images/03.png", "images/04.png"))
    assert problem.message == "2 of 20 masks hold 0/1, the others 0/255: masks/03.png, masks/04.png"


def test_gray_edges_are_no_other_encoding(build: Build, sound: Files, mask: Make) -> None:
    soft = mask()
    soft[4, 10:18] = 90
    assert found(build(sound | {"masks/03.png": soft})) == []


def test_one_forgotten_mask_among_defective_images(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"images/{n:02d}.png": picture(n) for n in range(40)}
    files |= {f"masks/{n:02d}.png": mask() for n in range(39)}
    codes = {p.code: p for p in found(build(files))}
    assert codes["image-without-label"].files == ("images/39.png",)
    assert "nearly all others have one; taken for good: images/39.png" in codes["image-without-label"].message


def test_no_mask_where_good_images_have_an_empty_one(build: Build, sound: Files, mask: Make) -> None:
    emptied = sound | {f"masks/{n:02d}.png": mask(0) for n in range(20, 38)}
    (problem,) = found(build(emptied))
    assert (problem.code, problem.files) == ("image-without-label", ("images/38.png", "images/39.png"))
    assert "while 18 others have an empty one" in problem.message


def test_a_folder_of_good_parts_needs_no_label(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"crack/{n:02d}.jpg": picture(n) for n in range(30)}
    files |= {"good/99.jpg": picture(99)}
    assert found(build(files | {f"crack/{n:02d}.png": mask() for n in range(30)})) == []


@pytest.mark.parametrize("suffix", ["txt", "json"])
def test_a_forgotten_label_file(suffix: str, build: Build, picture: Make) -> None:
    shape = {"label": "dent", "points": [[2, 2], [9, 2], [9, 9]], "shape_type": "polygon", "flags": {}}
    label = {"shapes": [shape], "imageHeight": 30, "imageWidth": 40, "flags": {}, "version": "5.0"}
    files: Files = {f"{n:02d}.png": picture(n) for n in range(40)}
    for n in range(39):
        files[f"{n:02d}.{suffix}"] = (
            "0 0.5 0.5 0.2 0.2" if suffix == "txt" else json.dumps(label | {"imagePath": f"{n:02d}.png"})
        )
    assert {p.code: p.file for p in found(build(files))}["image-without-label"] == "39.png"


@pytest.mark.parametrize(("box", "code"), [("34,2,10,8", "label-outside"), ("50,2,10,8", "label"), ("31,2,10,8", None)])
def test_boxes_outside_the_image(box: str, code: str | None, build: Build, picture: Make) -> None:
    files: Files = {f"{n:02d}.png": picture(n) for n in range(40)}
    rows = [f"{n:02d}.png,dent,{'2,2,10,8' if n else box}" for n in range(20)]
    problems = found(build(files | {"boxes.csv": "\n".join(["image,class,x,y,w,h", *rows])}))
    assert [(p.code, p.file) for p in problems] == ([(code, "00.png")] if code else [])
    if code == "label-outside":
        assert problems[0].message == "00.png: a label reaches 4 px beyond the image of 40×30 px"


@pytest.mark.parametrize(
    ("shares", "code"), [("1.0 0.5 0.2 0.2", "label-outside"), ("1.2 0.5 0.2 0.2", "label"), ("0.9 0.5 0.2 0.2", None)]
)
def test_yolo_boxes_outside_the_image(shares: str, code: str | None, build: Build, picture: Make) -> None:
    files: Files = {f"images/{n:02d}.png": picture(n) for n in range(40)}
    files |= {f"labels/{n:02d}.txt": f"0 {'0.5 0.5 0.2 0.2' if n else shares}" for n in range(20)}
    problems = found(build(files | {f"labels/{n:02d}.txt": "" for n in range(20, 40)}))
    assert [(p.code, p.file) for p in problems] == ([(code, "images/00.png")] if code else [])


@pytest.mark.parametrize(("x", "code"), [(60, "label"), (43, "label-outside"), (38, None)])
def test_ellipses_outside_the_image(x: int, code: str | None, build: Build, picture: Make) -> None:
    files: Files = {f"Class1/{n}.png": picture(n) for n in range(1, 31)}
    files |= {f"Class1_def/{n}.png": picture(100 + n) for n in range(1, 26)}
    rows = [f"{n}\t6\t4\t0.3\t{20 if n > 1 else x}\t15" for n in range(1, 26)]
    problems = found(build(files | {"Class1_def/labels.txt": "\n".join(rows)}))
    assert [(p.code, p.file) for p in problems] == ([(code, "Class1_def/1.png")] if code else [])
