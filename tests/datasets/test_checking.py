"""What a check finds."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.checking import CheckReport, ClassReport, check
from onspec.datasets.layouts import load
from onspec.imaging.writing import encode_image

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]


def found(report: CheckReport) -> list[tuple[str, str, str | None]]:
    return [(p.severity, p.code, p.file) for p in report.problems]


def test_a_sound_set(build: Build, sound: Files) -> None:
    report = check(load(build(sound)))
    assert report.problems == ()
    assert (report.layout, report.images, report.parts) == (
        "masks",
        {"good": 20, "defective": 20},
        {"all": 40, "defective": 20},
    )
    assert (report.sizes, report.channels, report.dtypes) == ({"40×30": 40}, {"gray": 40}, {"uint8": 40})
    labels = report.labels
    assert (labels.files, labels.encodings, labels.inverted, labels.defects) == (20, {"0/255": 20}, False, 20)
    assert labels.share_median == pytest.approx(48 / 1200)
    assert CheckReport.model_validate_json(report.model_dump_json()) == report


def test_an_unreadable_truncated_or_empty_image(build: Build, sound: Files, picture: Make) -> None:
    whole = encode_image(picture(5))
    sound |= {"images/01.png": b"no image", "images/02.png": whole[:-40], "images/03.png": b""}
    report = check(load(build(sound)))
    assert found(report) == [("error", "unreadable", f"images/0{n}.png") for n in (1, 2, 3)]
    assert "truncated" in report.problems[1].message
    assert report.errors == 3


def test_a_listed_image_that_is_missing(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"Train/{n:04d}.PNG": picture(n) for n in range(1, 30)}
    files |= {f"Train/Label/{n:04d}_label.PNG": mask() for n in range(1, 25)}
    rows = [f"{n:04d}\t{int(n < 25)}\t{n:04d}.PNG\t0\t{f'{n:04d}_label.PNG' if n < 25 else '0'}" for n in range(1, 31)]
    report = check(load(build(files | {"Train/Label/Labels.txt": "\n".join(["1", *rows])})))
    assert found(report) == [("error", "missing", "Train/0030.PNG")]


def test_a_mask_of_another_size_or_unreadable(build: Build, sound: Files, mask: Make) -> None:
    sound |= {"masks/00.png": mask(shape=(31, 40)), "masks/01.png": b"no mask"}
    report = check(load(build(sound)))
    assert found(report) == [("error", "label", "images/00.png"), ("error", "label", "images/01.png")]
    assert "label of 40×31 px for image images/00.png of 40×30 px" in report.problems[0].message


def test_an_empty_label_of_a_defective_part(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"Train/{n:04d}.PNG": picture(n) for n in range(30)}
    files |= {f"Train/Label/{n:04d}_label.PNG": mask(255 if n else 0) for n in range(25)}
    assert found(check(load(build(files)))) == [("error", "label-empty", "Train/0000.PNG")]


def test_a_label_file_that_is_listed_and_missing(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"Train/{n:04d}.PNG": picture(n) for n in range(30)}
    files |= {f"Train/Label/{n:04d}_label.PNG": mask() for n in range(1, 25)}
    rows = [f"{n:04d}\t{int(n < 25)}\t{n:04d}.PNG\t0\t{f'{n:04d}_label.PNG' if n < 25 else '0'}" for n in range(30)]
    report = check(load(build(files | {"Train/Label/Labels.txt": "\n".join(["1", *rows])})))
    assert found(report) == [("error", "label-missing", "Train/0000.PNG")]


def test_copies_with_equal_and_with_different_labels(build: Build, sound: Files, picture: Make) -> None:
    sound |= {"images/01.png": picture(0), "images/30.png": picture(2), "images/31.png": picture(32)}
    assert found(check(load(build(sound)))) == [
        ("error", "duplicate-labels", "images/02.png"),
        ("warning", "duplicate", "images/00.png"),
        ("warning", "duplicate", "images/31.png"),
        ("warning", "few-defective", None),
    ]


def test_a_copy_in_another_split(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {
        f"{s}/images/{n}.png": picture(n + 100 * k) for k, s in enumerate(("train", "test")) for n in range(30)
    }
    files |= {f"{s}/masks/{n}.png": mask() for s in ("train", "test") for n in range(20)}
    report = check(load(build(files | {"test/images/7.png": picture(7)})))
    assert ("error", "duplicate-in-splits", "test/images/7.png") in found(report)


def surface(number: int) -> Pixels:
    """A cloudy texture of 160×128 px."""
    rng = np.random.default_rng(number)
    coarse = cv2.resize(rng.standard_normal((16, 20), np.float32), (160, 128))
    return np.asarray(np.clip(128 + 20 * coarse + 6 * rng.standard_normal((128, 160)), 0, 255), np.uint8)


def recoded(pixels: Pixels) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def marked(at: int = 20) -> Pixels:
    pixels = np.zeros((128, 160), np.uint8)
    pixels[at : at + 20, at : at + 20] = 255
    return pixels


@pytest.fixture
def surfaces() -> Files:
    """30 good and 30 defective textures in training, 15 of each in test."""
    folders = ["train"] * 60 + ["test"] * 30
    files: Files = {f"{folder}/images/{n:02d}.png": surface(n) for n, folder in enumerate(folders)}
    return files | {f"{folder}/masks/{n:02d}.png": marked() for n, folder in enumerate(folders) if n % 2}


def test_surfaces_of_one_material_are_no_near_duplicates(build: Build, surfaces: Files) -> None:
    assert found(check(load(build(surfaces)))) == []


def test_an_image_encoded_anew_within_a_split_in_another_and_with_another_label(build: Build, surfaces: Files) -> None:
    surfaces |= {"train/images/94.jpg": recoded(surface(4)), "test/images/96.jpg": recoded(surface(6))}
    surfaces |= {"train/images/97.jpg": recoded(surface(7)), "train/masks/97.png": marked(90)}
    surfaces |= {"train/images/98.jpg": recoded(surface(9))}
    report = check(load(build(surfaces)))
    assert [(p.severity, p.code, p.files) for p in report.problems] == [
        ("warning", "near-duplicate", ("train/images/04.png", "train/images/94.jpg")),
        ("warning", "near-duplicate-in-splits", ("test/images/96.jpg", "train/images/06.png")),
        ("warning", "near-duplicate-labels", ("train/images/07.png", "train/images/97.jpg")),
        ("warning", "near-duplicate-labels", ("train/images/09.png", "train/images/98.jpg")),
    ]
    assert (
        "train/images/09.png (defect) looks almost the same as train/images/98.jpg (good)" in report.problems[3].message
    )


def test_a_part_before_and_after_a_defect_has_two_right_labels(build: Build, surfaces: Files) -> None:
    after = surface(9)
    after[26:34, 26:34] = 60
    report = check(load(build(surfaces | {"train/images/99.png": surface(9), "train/images/09.png": after})))
    assert found(report) == [("warning", "near-duplicate", "train/images/09.png")]


def test_views_of_one_part_that_look_alike_are_no_news(build: Build, surfaces: Files) -> None:
    root = build(surfaces | {"train/images/04b.jpg": recoded(surface(4))})
    assert found(check(load(root))) == [("warning", "near-duplicate", "train/images/04.png")]
    assert found(check(load(root, part_pattern=r"/(\d\d)"))) == []


@pytest.mark.parametrize("known", [True, False])
def test_the_same_part_in_two_splits(known: bool, build: Build, picture: Make, mask: Make) -> None:
    names = [f"{split}/images/tile{n}_cam{cam}.png" for n in range(24) for cam, split in ((1, "train"), (2, "test"))]
    files: Files = {name: picture(n) for n, name in enumerate(names)}
    files |= {name.replace("images", "masks"): mask() for name in names[:44]}
    report = check(load(build(files), part_pattern=r"tile(\d+)_" if known else None))
    crossing = [p for p in report.problems if p.code == "part-in-splits"]
    assert len(crossing) == 24
    assert {p.severity for p in crossing} == {"error" if known else "warning"}


def test_the_same_lot_in_two_splits(build: Build, picture: Make, mask: Make) -> None:
    names = [f"{split}/images/coil{n % 3}_{n}.png" for n, split in enumerate(["train", "train", "test"] * 10)]
    files: Files = {name: picture(n) for n, name in enumerate(names)}
    files |= {name.replace("images", "masks"): mask() for name in names[:25]}
    files |= {"train/images/coil2_99.png": picture(99)}
    report = check(load(build(files), lot_from=r"coil(\d)"))
    crossing = [p for p in report.problems if p.code == "lot-in-splits"]
    assert [p.severity for p in crossing] == ["error"]
    assert "lot 2 stands in two splits" in crossing[0].message


def test_nothing_defective_or_nothing_good(build: Build, sound: Files, mask: Make) -> None:
    only_good = {k: v for k, v in sound.items() if k.startswith("images")} | {"masks/00.png": mask(0)}
    assert found(check(load(build(only_good)))) == [("warning", "no-defective", None)]


def test_nothing_good(build: Build, sound: Files) -> None:
    only_defective = {k: v for k, v in sound.items() if int(k[-6:-4]) < 20}
    assert found(check(load(build(only_defective)))) == [("warning", "no-good", None)]


def test_too_few_defective_parts(build: Build, sound: Files) -> None:
    del sound["masks/00.png"]
    report = check(load(build(sound)))
    assert found(report) == [("warning", "few-defective", None)]
    assert "only 19 defective parts" in report.problems[0].message


def test_different_depths(build: Build, sound: Files, picture: Make) -> None:
    sound["images/39.png"] = picture(1).astype(np.uint16)
    assert ("error", "mixed-depth", None) in found(check(load(build(sound))))


def test_colour_files_that_hold_gray_are_told_from_colour(build: Build, sound: Files, picture: Make) -> None:
    sound |= {"images/00.png": np.dstack([picture(0)] * 3), "images/01.png": picture(1, (30, 40, 3))}
    assert check(load(build(sound))).channels == {"gray": 38, "colour that holds gray": 1, "colour": 1}


def test_a_training_split_of_good_parts_is_said(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"train/good/{n}.png": picture(n) for n in range(5)}
    files |= {f"test/crack/{n}.png": picture(50 + n) for n in range(25)}
    files |= {f"ground_truth/crack/{n}_mask.png": mask() for n in range(25)}
    report = check(load(build(files)))
    assert found(report) == [("warning", "split-of-good", None)]
    assert report.splits == {"train": {"good": 5, "defective": 0}, "test": {"good": 0, "defective": 25}}


def test_boxes_are_counted_by_class_where_they_overlap_and_named_by_kind(build: Build, picture: Make) -> None:
    files: Files = {f"{n:02d}.png": picture(n) for n in range(40)}
    rows = [f"{n:02d}.png,{cls},2,2,10,8" for n in range(20) for cls in ("dent", "crack")]
    rows += [f"{n:02d}.png,dent,4,4,10,8" for n in range(5)]
    report = check(load(build(files | {"boxes.csv": "\n".join(["image,class,x,y,w,h", *rows])})))
    assert report.problems == ()
    assert report.classes == {"crack": ClassReport(images=20, defects=20), "dent": ClassReport(images=20, defects=25)}
    labels = report.labels
    assert (labels.located, labels.boxes, labels.files, labels.runs, labels.defects) == ("boxes", 45, 0, 0, 45)
    assert labels.share_min == pytest.approx(80 / 1200)
    assert labels.share_max == pytest.approx((80 + 80 - 48) / 1200)


def test_copies_whose_labels_differ_in_class_alone(build: Build, picture: Make) -> None:
    files: Files = {f"{n:02d}.png": picture(n % 39) for n in range(40)}
    rows = [f"{n:02d}.png,{'crack' if n else 'dent'},2,2,10,8" for n in (*range(20), 39)]
    report = check(load(build(files | {"boxes.csv": "\n".join(["image,class,x,y,w,h", *rows])})))
    assert found(report) == [("error", "duplicate-labels", "00.png"), ("warning", "few-of-class", "00.png")]


def test_images_that_name_no_class_among_others_that_do(build: Build, picture: Make) -> None:
    files: Files = {f"{n:02d}.png": picture(n) for n in range(40)}
    rows = [f"{n:02d}.png,{'' if n < 2 else 'dent'},2,2,10,8" for n in range(20)]
    report = check(load(build(files | {"boxes.csv": "\n".join(["image,class,x,y,w,h", *rows])})))
    assert found(report) == [("warning", "class-unnamed", "00.png")]
    assert report.problems[0].message == "2 defective images name no class, others dent; the first is 00.png"
    assert report.classes["defect"] == ClassReport(images=2, defects=2)
