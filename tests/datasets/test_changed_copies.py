"""Copies that a program turned, mirrored or recoloured are known by their names, and stay with their original."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.datasets.changed_copies import originals
from onspec.datasets.checking import check
from onspec.datasets.layouts import load
from onspec.datasets.split_summary import describe
from onspec.datasets.splitting import assign
from onspec.domain import Split

Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]

LINE = "0 0.5 0.5 0.2 0.2\n"


@pytest.mark.parametrize(
    ("copy", "original"),
    [
        ("12_z0.jpg", "12.png"),
        ("12_flip_3.jpg", "12.jpg"),
        ("IMG_0032 (1).jpg", "img_0032.jpg"),
        ("scratch_mirrored.png", "scratch.png"),
        ("val/images/12_z3.jpg", "train/images/12.jpg"),
        ("crack/12-rot90.jpg", "crack/12.jpg"),
        ("augmented/12.jpg", "originals/12.jpg"),
        ("augmented/12_7.jpg", "12.jpg"),
        ("12_aug_2.jpg", "12.jpg"),
        ("12_flip_aug_2.jpg", "12.jpg"),
        ("test/12_jpg.rf.00aa11bb22.jpg", "train/12_jpg.rf.ffee11bb22.jpg"),
    ],
)
def test_a_copy_is_told_by_its_name(copy: str, original: str) -> None:
    of = originals([copy, original, "7.png"]).of
    assert of[copy] == of[original] != of["7.png"]


@pytest.mark.parametrize(
    "names",
    [
        ["scratch.png", "scratch_1.png", "scratch_2.png"],  # a series
        ["line2.png", *(f"line2_{n:03d}.png" for n in range(400))],
        ["12.png", "120.png", "12z0.png"],
        ["good/12.png", "crack/12_2.png"],
        ["train/12.png", "val/12.png"],
        ["_1.png", "_1a.png"],
    ],
)
def test_what_is_no_copy(names: list[str]) -> None:
    found = originals(names)
    assert (len(set(found.of.values())), found.rule) == (len(names), "")


def test_where_splits_count_anew_a_copy_goes_with_the_image_beside_it() -> None:
    of = originals(["train/1.png", "train/1_z0.png", "val/1.png", "val/1_z0.png"]).of
    assert of["train/1_z0.png"] == of["train/1.png"] != of["val/1.png"] == of["val/1_z0.png"]


def test_an_absent_original_is_called_as_its_first_copy_writes_it() -> None:
    names = ["test/images/A_JPG.rf.00aa11bb22.jpg", "train/images/a_jpg.rf.ffee11bb22.jpg"]
    assert set(originals(names).of.values()) == {"A_JPG"}


def test_the_rule_counts_what_it_found() -> None:
    names = ["1.png", "1_z0.png", "1_z1.png", "2_aug.png", "2.png", "augmented/2.png"]
    assert originals(names).rule == (
        "changed copies share the part of their original (told 1 by a folder of augmented images, "
        "2 by another image's name in theirs, 1 by the ending of an augmenting export)"
    )


@given(st.lists(st.from_regex(r"(train/|val/|aug/)?[a-c1-3](_[a-c1-3]){0,3}(_aug)?\.png", fullmatch=True), unique=True))
def test_an_original_is_its_own_and_the_order_is_no_matter(names: list[str]) -> None:
    of = originals(names).of
    assert of == originals(names[::-1]).of
    bare = {str(PurePosixPath(name).with_suffix("")): name for name in names}
    assert all(of[bare[origin]] == origin for origin in of.values() if origin in bare)


def split_folders(build: Build, picture: Callable[..., Pixels], copies: dict[str, str]) -> Path:
    """A YOLO set of 12 originals that train and 4 that validate, and these copies by name and split."""
    placed = {f"{n}": "train" if n < 12 else "val" for n in range(16)} | copies
    images = {f"{split}/images/{name}.png": picture(at) for at, (name, split) in enumerate(placed.items())}
    return build(images | {f"{split}/labels/{name}.txt": LINE for name, split in placed.items()})


def test_a_set_that_parts_copies_of_an_image_is_split_anew(build: Build, picture: Callable[..., Pixels]) -> None:
    data = load(split_folders(build, picture, {"3_z0": "train", "3_z1": "val", "13_z0": "val"}))
    assert {s.split for s in data.samples} == {None}
    assert len({s.part for s in data.samples}) == 16
    (problem,) = (p for p in check(data).problems if p.code == "split-of-copies")
    assert "1 such image, as train/images/3.png in train and val/images/3_z1.png in val" in problem.message
    assert "the set's own splits are not used" in data.parts_rule
    found = assign(data)
    assert len({found[f"{split}/images/{name}.png"] for name, split in (("3", "train"), ("3_z1", "val"))}) == 1
    assert "in two splits" not in describe(data, found)


def test_a_set_that_keeps_copies_together_keeps_its_split(build: Build, picture: Callable[..., Pixels]) -> None:
    data = load(split_folders(build, picture, {"3_z0": "train", "13_z0": "val"}))
    assert [s.split for s in data.samples].count(Split.VAL) == 5
    assert "split-of-copies" not in {p.code for p in check(data).problems}


def test_a_split_file_is_believed(build: Build, picture: Callable[..., Pixels]) -> None:
    root = split_folders(build, picture, {"3_z1": "val"})
    rows = [f"{s.name},{'val' if 'val' in s.name else 'train'},{s.name}\n" for s in load(root).samples]
    (root / "split.csv").write_text("image,split,part\n" + "".join(rows))
    data = load(root)
    assert [s.split for s in data.samples].count(Split.VAL) == 5
    assert "split-of-copies" not in {p.code for p in check(data).problems}


def test_parts_in_two_splits_are_told_before_training(build: Build, picture: Callable[..., Pixels]) -> None:
    views = {f"tile{n}_cam{cam}": "train" if n < 9 or cam == 1 else "val" for n in range(12) for cam in (1, 2)}
    images = {f"{split}/images/{name}.png": picture(at) for at, (name, split) in enumerate(views.items())}
    data = load(build(images | {f"{split}/labels/{name}.txt": LINE for name, split in views.items()}))
    assert "3 parts in two splits, so that figures are too good" in describe(data, assign(data))
