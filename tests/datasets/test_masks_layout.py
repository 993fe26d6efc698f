"""Images with label images, in every arrangement and encoding."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.labels import is_located, load_mask
from onspec.datasets.layouts import load
from onspec.domain import LabelError, LayoutError, Split

Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]

ARRANGEMENTS = {
    "images-masks": ("images/{}.png", "masks/{}.png"),
    "upper-case": ("Images/{}.PNG", "MASKS/{}.PNG"),
    "image-label": ("image/{}.png", "label/{}.png"),
    "suffix-in-masks": ("images/{}.jpg", "masks/{}_mask.png"),
    "one-folder-jpg-png": ("{}.jpg", "{}.png"),
    "one-folder-bmp-label": ("{}.png", "{}_label.bmp"),
    "one-folder-gt": ("data/{}.png", "data/{}_GT.png"),
    "instance-files": ("images/{}.png", "masks/{}_1.png"),
    "instance-folders": ("images/{}.png", "masks/{}/1.png"),
    "lots": ("lot1/images/{}.png", "lot1/masks/{}.png"),
    "masks-of-lots": ("images/lot1/{}.png", "masks/lot1/{}.png"),
    "split-in-the-name": ("train_img/{}.jpg", "train_lab/{}.png"),
    "names-of-two-words": ("Train-Images/{}.png", "Train-Ground_Truth/{}.png"),
    "dirs": ("img_dir/train/{}.jpg", "ann_dir/train/{}.png"),
}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_arrangements(arrangement: str, build: Build, picture: Make, mask: Make) -> None:
    image, label = ARRANGEMENTS[arrangement]
    files = {image.format(f"part{c}"): picture(n) for n, c in enumerate("abc")}
    files |= {label.format("parta"): mask(), label.format("partb"): mask(), label.format("partc"): mask(0)}
    dataset = load(build(files))
    assert dataset.layout == "masks"
    assert [s.name for s in dataset.samples] == [image.format(f"part{c}") for c in "abc"]
    assert [s.defective for s in dataset.samples] == [True, True, False]
    assert [int(load_mask(s, (40, 30)).sum()) for s in dataset.samples] == [48, 48, 0]
    assert dataset.problems == ()


def test_folders_of_two_words_say_the_split(build: Build, picture: Make, mask: Make) -> None:
    files = {"train_img/1.png": picture(1), "test_img/1.png": picture(2)}
    dataset = load(build(files | {"train_lab/1.png": mask(), "test_lab/1.png": mask(0)}))
    assert [(s.name, s.split, s.defective) for s in dataset.samples] == [
        ("test_img/1.png", Split.TEST, False),
        ("train_img/1.png", Split.TRAIN, True),
    ]
    assert dataset.problems == ()


def test_a_missing_mask_means_good_where_folders_say_nothing(build: Build, picture: Make, mask: Make) -> None:
    dataset = load(build({"images/a.png": picture(1), "images/b.png": picture(2), "masks/a.png": mask()}))
    assert [s.defective for s in dataset.samples] == [True, False]


def test_instances_are_one_mask(build: Build, picture: Make, mask: Make) -> None:
    other = mask(0)
    other[20:22, 1:3] = 255
    dataset = load(build({"images/a.png": picture(1), "masks/a_1.png": mask(), "masks/a_2.png": other}))
    assert int(load_mask(dataset.samples[0], (40, 30)).sum()) == 52


def test_a_number_at_the_end_is_an_image_first(build: Build, picture: Make, mask: Make) -> None:
    files = {"images/a.png": picture(1), "images/a_1.png": picture(2), "masks/a.png": mask(0), "masks/a_1.png": mask()}
    dataset = load(build(files))
    assert [(s.name, s.defective) for s in dataset.samples] == [("images/a.png", False), ("images/a_1.png", True)]


ENCODINGS: dict[str, Callable[[Make], NDArray[Any]]] = {
    "0/255": lambda mask: mask(255),
    "0/1": lambda mask: mask(1),
    "codes": lambda mask: mask(4),
    "rgb": lambda mask: cv2.cvtColor(mask(255), cv2.COLOR_GRAY2BGR),
    "red": lambda mask: np.dstack([mask(0), mask(0), mask(64)]),
    "rgba": lambda mask: np.dstack([mask(9), mask(9), mask(9), mask(255)]),
    "16-bit": lambda mask: mask(255).astype(np.uint16) * 257,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(encoding: str, build: Build, picture: Make, mask: Make) -> None:
    dataset = load(build({"images/a.png": picture(1), "masks/a.png": ENCODINGS[encoding](mask)}))
    assert (load_mask(dataset.samples[0], (40, 30))[0] == mask(1)).all()


def test_gray_edges_are_cut_at_half(build: Build, picture: Make, mask: Make) -> None:
    blurred = np.asarray(cv2.GaussianBlur(mask(255), (0, 0), 1), np.uint8)
    dataset = load(build({"images/a.png": picture(1), "masks/a.png": blurred}))
    got = load_mask(dataset.samples[0], (40, 30))[0]
    assert (got == (blurred > 127)).all()
    assert got.sum() == pytest.approx(48, abs=8)


def test_inverted_masks_are_known_by_the_whole_set(build: Build, picture: Make, mask: Make) -> None:
    files = {f"train/image/{n}.png": picture(n) for n in range(4)}
    files |= {f"train/label/{n}.png": mask(0, ground=255) for n in range(3)} | {"train/label/3.png": mask(255, 255)}
    dataset = load(build(files))
    assert dataset.inverted
    assert [s.defective for s in dataset.samples] == [True, True, True, False]
    assert int(load_mask(dataset.samples[0], (40, 30)).sum()) == 48


def test_one_large_defect_does_not_invert_a_set(build: Build, picture: Make, mask: Make) -> None:
    files = {f"images/{n}.png": picture(n) for n in range(5)}
    files |= {f"masks/{n}.png": mask() for n in range(4)} | {"masks/4.png": mask(0, ground=255)}
    dataset = load(build(files))
    assert not dataset.inverted
    assert int(load_mask(dataset.samples[4], (40, 30)).sum()) == 30 * 40 - 48


def test_two_masks_are_too_few_to_call_them_inverted(build: Build, picture: Make, mask: Make) -> None:
    files = {f"images/{n}.png": picture(n) for n in range(2)} | {f"masks/{n}.png": mask(0, 255) for n in range(2)}
    assert not load(build(files)).inverted


def mvtec(picture: Make, mask: Make) -> dict[str, Pixels]:
    return {
        "train/good/000.png": picture(1),
        "test/good/000.png": picture(2),
        "test/crack/000.png": picture(3),
        "test/hole/000.png": picture(4),
        "ground_truth/crack/000_mask.png": mask(),
        "ground_truth/hole/000_mask.png": mask(),
    }


def test_good_and_defect_folders_with_ground_truth(build: Build, picture: Make, mask: Make) -> None:
    dataset = load(build(mvtec(picture, mask)))
    assert [(s.name, s.defective, s.split, len(s.annotations)) for s in dataset.samples] == [
        ("test/crack/000.png", True, Split.TEST, 1),
        ("test/good/000.png", False, Split.TEST, 0),
        ("test/hole/000.png", True, Split.TEST, 1),
        ("train/good/000.png", False, Split.TRAIN, 0),
    ]
    assert dataset.problems == ()


def test_ground_truth_beside_good_and_defect_folders(build: Build, picture: Make, mask: Make) -> None:
    files = {"good/0.png": picture(1), "crack/0.png": picture(2), "ground_truth/crack/0.png": mask()}
    assert [(s.name, s.defective) for s in load(build(files)).samples] == [("crack/0.png", True), ("good/0.png", False)]


@pytest.mark.parametrize("labelled", [True, False])
def test_a_defect_folder_without_a_mark_is_defective_somewhere(
    labelled: bool, build: Build, picture: Make, mask: Make
) -> None:
    files = {k: v for k, v in mvtec(picture, mask).items() if "ground_truth/hole" not in k}
    if labelled:
        files["ground_truth/hole/000_mask.png"] = mask(0)
    dataset = load(build(files))
    sample = next(s for s in dataset.samples if "hole" in s.name)
    assert (sample.defective, sample.annotations, is_located(sample), sample.cls) == (True, (), False, "hole")
    assert [(p.severity, p.code) for p in dataset.problems] == [("warning", "unlocated")]
    with pytest.raises(LabelError, match="no label says where"):
        load_mask(sample, (40, 30))


def test_class_folders_with_image_and_mask_together(build: Build, picture: Make, mask: Make) -> None:
    files = {
        "MT_Free/Imgs/a.jpg": picture(1),
        "MT_Free/Imgs/a.png": mask(0),
        "MT_Crack/Imgs/b.jpg": picture(2),
        "MT_Crack/Imgs/b.png": mask(),
    }
    dataset = load(build(files))
    assert [(s.name, s.defective) for s in dataset.samples] == [
        ("MT_Crack/Imgs/b.jpg", True),
        ("MT_Free/Imgs/a.jpg", False),
    ]


def test_a_mark_on_a_good_part_is_a_problem(build: Build, picture: Make, mask: Make) -> None:
    files = {"good/a.jpg": picture(1), "good/a.png": mask(), "bad/b.jpg": picture(2), "bad/b.png": mask()}
    dataset = load(build(files))
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [("error", "good-with-label", "good/a.jpg")]
    assert dataset.good == 1


def test_an_unreadable_mask_never_makes_a_part_good(build: Build, picture: Make, mask: Make) -> None:
    files: dict[str, Pixels | str | bytes] = {"images/a.png": picture(1), "masks/a.png": b"not an image"}
    sample = load(build(files)).samples[0]
    assert sample.defective
    with pytest.raises(LabelError, match=r"a\.png: label image cannot be decoded"):
        load_mask(sample, (40, 30))


def test_a_label_without_an_image_is_a_problem(build: Build, picture: Make, mask: Make) -> None:
    dataset = load(build({"images/a.png": picture(1), "masks/a.png": mask(), "masks/z.png": mask()}))
    assert [(p.code, p.file) for p in dataset.problems] == [("label-without-image", "masks/z.png")]


def test_a_label_for_two_images_is_a_problem(build: Build, picture: Make, mask: Make) -> None:
    files = {"train/crack/0.png": picture(1), "val/crack/0.png": picture(2), "ground_truth/crack/0.png": mask()}
    assert "label-ambiguous" in [p.code for p in load(build(files)).problems]


@pytest.mark.parametrize("folders", ["{split}/{kind}/{n}.png", "{kind}/{split}/{n}.png"])
def test_split_folders_in_any_case_and_place(folders: str, build: Build, picture: Make, mask: Make) -> None:
    files = {}
    for n, split in enumerate(("TRAIN", "Validation", "test")):
        files[folders.format(split=split, kind="images", n=n)] = picture(n)
        files[folders.format(split=split, kind="masks", n=n)] = mask()
    assert {s.split for s in load(build(files)).samples} == set(Split)


def test_images_without_any_label_are_no_layout(build: Build, picture: Make) -> None:
    with pytest.raises(LayoutError, match=r"no known layout \(2 images.*known: dagm: .*masks: "):
        load(build({"a.png": picture(1), "b.png": picture(2)}))
