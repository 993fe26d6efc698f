"""Masks that hold several classes, and the names of classes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.checking import ClassReport, check
from onspec.datasets.class_names import read_names
from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.domain import LabelError, MaskFile

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]

Palette = Callable[[Pixels, Sequence[tuple[int, int, int]]], bytes]

COLOURS = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]


def coded(*codes: int) -> Pixels:
    """30×40 px with a spot of 4×4 px for each code."""
    pixels = np.zeros((30, 40), np.uint8)
    for n, code in enumerate(codes):
        pixels[2:6, 2 + 8 * n : 6 + 8 * n] = code
    return pixels


@pytest.fixture
def files(picture: Make) -> Files:
    files: Files = {f"images/{c}.png": picture(n) for n, c in enumerate("abcd")}
    return files | {"masks/a.png": coded(1), "masks/b.png": coded(2, 1), "masks/c.png": coded()}


def test_each_code_is_a_class(build: Build, files: Files) -> None:
    dataset = load(build(files))
    assert (dataset.layout, dataset.classes, dataset.problems) == ("masks", ("class1", "class2"), ())
    assert [s.defective for s in dataset.samples] == [True, True, False, False]
    path = dataset.root / "masks" / "b.png"
    assert dataset.samples[1].annotations == (MaskFile(path, "class1", code=1), MaskFile(path, "class2", code=2))
    assert load_mask(dataset.samples[1], (40, 30), dataset.classes).sum(axis=(1, 2)).tolist() == [16, 16]
    assert load_mask(dataset.samples[1], (40, 30)).sum() == 32


def test_a_file_names_them(build: Build, files: Files) -> None:
    assert load(build(files | {"classes.txt": "crack\nhole\n"})).classes == ("crack", "hole")


def test_the_check_counts_defects_by_class(build: Build, files: Files) -> None:
    report = check(load(build(files | {"masks/d.png": coded(2, 2)})))
    assert report.classes == {
        "class1": ClassReport(images=2, defects=2),
        "class2": ClassReport(images=2, defects=3),
    }
    assert (report.labels.files, report.labels.defects, report.labels.located) == (3, 5, "pixels")
    assert set(report.labels.encodings) == {"0/1", "codes 0…2", "0/2"}


def test_palette_indices_are_classes(build: Build, files: Files, paletted: Palette) -> None:
    masks = {name: paletted(pixels, COLOURS) for name, pixels in files.items() if isinstance(pixels, np.ndarray)}
    dataset = load(build(files | {name: data for name, data in masks.items() if name.startswith("masks")}))
    assert dataset.classes == ("class1", "class2")
    assert load_mask(dataset.samples[1], (40, 30), dataset.classes)[1].sum() == 16
    assert "palette 0…2" in check(dataset).labels.encodings


@pytest.mark.parametrize("value", [1, 3, 255])
def test_one_code_is_one_class(value: int, build: Build, picture: Make) -> None:
    dataset = load(build({"images/a.png": picture(1), "masks/a.png": coded(value), "classes.txt": "crack\nhole\n"}))
    assert dataset.classes == ("defect",)
    assert dataset.samples[0].annotations == (MaskFile(dataset.root / "masks" / "a.png"),)


def test_codes_among_other_masks_are_one_class_and_said(build: Build, files: Files) -> None:
    dataset = load(build(files | {"masks/d.png": coded(255)}))
    assert dataset.classes == ("defect",)
    assert [(p.severity, p.code) for p in dataset.problems] == [("warning", "classes-merged")]
    assert (
        "masks hold class codes 1, 2, but masks/d.png holds other values; all of them are read as one defect class"
        in (dataset.problems[0].message)
    )


def test_classes_by_colour_are_one_class_and_said(build: Build, files: Files) -> None:
    colours = np.array(COLOURS, np.uint8)
    painted = {name: colours[v] for name, v in files.items() if name.startswith("masks") and isinstance(v, np.ndarray)}
    dataset = load(build({**files, **painted}))
    assert (dataset.classes, dataset.defective) == (("defect",), 2)
    assert load_mask(dataset.samples[1], (40, 30)).sum() == 32
    assert [(p.severity, p.code) for p in dataset.problems] == [("warning", "classes-merged")]
    assert dataset.problems[0].message == "masks draw 2 colours; all of them are read as one defect class"


def test_a_palette_with_a_border_colour_is_one_class_and_said(build: Build, picture: Make, paletted: Palette) -> None:
    colours = [*COLOURS, *[(0, 0, 0)] * 251, (224, 224, 192)]
    mask = paletted(coded(1, 2, 255), colours)
    dataset = load(build({"images/a.png": picture(1), "masks/a.png": mask}))
    assert dataset.classes == ("defect",)
    assert [p.message for p in dataset.problems] == ["masks draw 3 colours; all of them are read as one defect class"]


def test_codes_that_a_bright_border_cuts_off_are_said(build: Build, picture: Make) -> None:
    files: Files = {f"images/{n}.png": picture(n) for n in range(3)}
    masks = {f"masks/{n}.png": coded(1, 2, 255 * (n > 0)) for n in range(3)}
    dataset = load(build(files | masks))
    assert load_mask(dataset.samples[1], (40, 30)).sum() == 16
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [
        ("warning", "classes-merged", None),
        ("warning", "mask-values", "masks/1.png"),
    ]
    assert "2 masks hold class codes beside 255, and only 255 is read" in dataset.problems[1].message
    assert dataset.problems[1].message.endswith("the first is masks/1.png with 0, 1, 2, 255")


def test_one_colour_is_no_matter(build: Build, picture: Make) -> None:
    red = np.dstack([coded(), coded(), coded(200)])
    assert load(build({"images/a.png": picture(1), "masks/a.png": red})).problems == ()


def test_large_areas_of_several_codes_are_not_inverted(build: Build, picture: Make) -> None:
    grounds = {f"masks/{n}.png": np.where(coded(1) == 0, np.uint8(2), coded(1)) for n in range(4)}
    dataset = load(build({f"images/{n}.png": picture(n) for n in range(4)} | grounds))
    assert (dataset.inverted, dataset.classes) == (False, ("class1", "class2"))


def test_a_mask_that_cannot_be_read_is_named_in_a_set_of_classes(build: Build, files: Files) -> None:
    dataset = load(build(files | {"masks/c.png": b"no image"}))
    assert dataset.samples[2].defective
    with pytest.raises(LabelError, match=r"c\.png: label image cannot be decoded"):
        load_mask(dataset.samples[2], (40, 30), dataset.classes)


def test_codes_win_over_folders_of_defects(build: Build, picture: Make) -> None:
    files: Files = {"good/0.png": picture(0), "ground_truth/crack/1.png": coded(1), "ground_truth/hole/2.png": coded(2)}
    files |= {"crack/1.png": picture(1), "hole/2.png": picture(2), "hole/3.png": picture(3)}
    dataset = load(build(files | {"classes.txt": "background\ncrack\nhole"}))
    assert dataset.classes == ("crack", "hole")
    assert {s.name: s.cls for s in dataset.samples}["hole/3.png"] == "hole"


def test_a_code_without_a_name_is_refused(build: Build, files: Files) -> None:
    with pytest.raises(LabelError, match=r"classes\.txt: no name for class 2, which labels hold; it names 1 crack"):
        load(build(files | {"classes.txt": "crack\n"}))


@pytest.mark.parametrize("text", ["a.png 1\nb.png 2\n", "images/a.png\nimages/b.png\n"])
def test_a_list_of_images_names_no_classes(text: str, build: Build, files: Files) -> None:
    assert load(build(files | {"labels.txt": text})).classes == ("class1", "class2")


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("classes.txt", "crack\nhole\n", {1: "crack", 2: "hole"}),
        ("classes.txt", "\ufeffbackground\r\ncrack\r\n\r\nlong scratch\r\n", {1: "crack", 2: "long scratch"}),
        ("labels.txt", "__ignore__\n_background_\ncrack\n", {1: "crack"}),
        ("class_names.txt", "good\ncrack\n", {1: "crack"}),
        ("classes.txt", "0 background\n1: crack\n7, hole\n", {1: "crack", 7: "hole"}),
        ("classes.json", '["crack", "hole"]', {1: "crack", 2: "hole"}),
        ("classes.json", '{"0": "background", "2": "hole"}', {2: "hole"}),
        ("classes.json", '{"background": 0, "hole": 2}', {2: "hole"}),
    ],
)
def test_files_of_class_names(name: str, text: str, names: dict[int, str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_names(tmp_path / name) == names


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("classes.txt", "background\n", "names no class"),
        ("classes.json", "{", "no class names"),
        ("classes.json", "3", "no class names"),
        ("classes.json", '{"crack": null}', "no class names"),
        ("classes.json", '{"one": "crack"}', "no class names"),
        ("classes.txt", b"\xff\xfe", "cannot be read"),
    ],
)
def test_what_is_no_file_of_class_names(name: str, text: str | bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LabelError, match=rf"{name}: .*{why}"):
        read_names(tmp_path / name)
