"""Label images that number objects: told by their look, or by a word, and kept apart ever after."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.datasets.checking import check
from onspec.datasets.converting import convert
from onspec.datasets.labels import load_boxes, load_instances, load_mask
from onspec.datasets.layouts import load
from onspec.datasets.numbered import numbers_objects, objects_in
from onspec.domain import LabelError, MaskFile
from onspec.imaging.writing import encode_image

Image = NDArray[np.uint8] | NDArray[np.uint16]
Build = Callable[[Mapping[str, "Image | str | bytes"]], Path]

SIZE = (96, 64)


def numbered(count: int, *, step: int = 1, dtype: type[np.unsignedinteger] = np.uint16) -> Image:
    """Squares of 6×6 px, two and two touching, numbered `step`, 2 · `step` …"""
    image = np.zeros(SIZE[::-1], dtype)
    for n in range(count):
        row, column = divmod(n, 10)
        x = 4 + 9 * column - 3 * (column % 2)
        image[2 + 9 * row : 8 + 9 * row, x : x + 6] = step * (n + 1)
    return image


@pytest.fixture
def cells(build: Build) -> Path:
    """Pictures of cells with 3, 5, 12 and no objects; the last without a mask of its own."""
    files: dict[str, Image | str | bytes] = {}
    for n, count in enumerate((3, 5, 12, 0)):
        rng = np.random.default_rng(n)
        files[f"images/{n}.png"] = np.asarray(40 * (numbered(count) > 0) + rng.integers(0, 40, SIZE[::-1]), np.uint8)
        files[f"masks/{n}.png"] = numbered(count)
    return build(files)


def test_every_object_is_one(cells: Path) -> None:
    dataset = load(cells)
    assert dataset.numbered
    assert dataset.classes == ("defect",)
    assert [s.defective for s in dataset.samples] == [True, True, True, False]
    twelve = dataset.samples[2]
    assert twelve.annotations == (MaskFile(cells / "masks" / "2.png", numbered=True),)
    assert load_instances(twelve, SIZE).max() == 12
    boxes, kinds = load_boxes(twelve, SIZE)
    assert boxes[:, 2:].tolist() == [[6, 6]] * 12
    assert kinds.tolist() == [0] * 12
    np.testing.assert_array_equal(load_mask(twelve, SIZE)[0], numbered(12) > 0)


def test_check_counts_them_and_finds_nothing_wrong(cells: Path) -> None:
    report = check(load(cells))
    assert report.labels.encodings == {"numbered objects": 3}
    assert report.labels.defects == 20
    assert not {p.code for p in report.problems} & {"classes-merged", "mask-encoding", "mask-values", "mask-polarity"}


def test_numbers_over_half_of_the_range_are_objects_as_well(build: Build) -> None:
    image = np.zeros((64, 96), np.uint8)
    mask = numbered(60, step=500)
    dataset = load(build({"images/a.png": image, "masks/a.png": mask}))
    assert load_instances(dataset.samples[0], SIZE).max() == 60


@pytest.mark.parametrize("layout", ["coco", "masks", "labelme", "yolo"])
def test_converted_they_stay_apart(cells: Path, tmp_path: Path, layout: str) -> None:
    convert(load(cells), tmp_path / "out", layout)
    again = {s.image.stem: s for s in load(tmp_path / "out").samples}
    counts = [int(load_instances(again[str(n)], SIZE).max()) if again[str(n)].annotations else 0 for n in range(4)]
    assert counts == [3, 5, 12, 0]


def test_class_codes_stay_classes(build: Build) -> None:
    """Codes leave out what an image does not show, and an image shows a class in several places."""
    a, b, c = (np.zeros((64, 96), np.uint8) for _ in range(3))
    a[2:10, 2:10], a[30:40, 2:10], a[2:10, 40:50] = 1, 2, 1
    b[2:10, 2:10] = 3
    c[2:10, 2:10], c[20:30, 20:30] = 2, 3
    files: dict[str, Image | str | bytes] = {f"images/{n}.png": np.zeros((64, 96), np.uint8) for n in "abc"}
    dataset = load(build(files | {"masks/a.png": a, "masks/b.png": b, "masks/c.png": c}))
    assert not dataset.numbered
    assert dataset.classes == ("class1", "class2", "class3")


@pytest.mark.parametrize("spread", [1.5, 6.0])
@pytest.mark.parametrize("spots", [1, 4])
def test_soft_borders_are_no_objects(spread: float, spots: int) -> None:
    """A blurred spot has many levels, each a ring in one piece."""
    drawn = np.zeros((200, 200), np.uint8)
    for n in range(spots):
        cv2.circle(drawn, (45 + 100 * (n % 2), 45 + 100 * (n // 2)), 30, 255, -1)
    soft = np.asarray(cv2.GaussianBlur(drawn, (0, 0), spread), np.uint8)
    assert objects_in(soft) is None
    assert not numbers_objects([(None, 255)] * 5)


@given(st.integers(2, 70), st.integers(1, 40), st.data())
@settings(max_examples=40, deadline=None)
def test_any_numbering_counts(count: int, step: int, data: st.DataObject) -> None:
    """Whatever the numbers are and in whatever order they stand."""
    image = numbered(count)
    numbers = np.array([0, *data.draw(st.permutations(range(1, count + 1)))], np.uint16) * np.uint16(step)
    assert objects_in(numbers[image]) == count


def test_a_folder_an_image_and_a_file_an_object(build: Build) -> None:
    """As the nuclei of the Data Science Bowl 2018 are published; file names say nothing."""
    files: dict[str, Image | str | bytes] = {}
    for n, count in (("a1", 3), ("b2", 5)):
        files[f"{n}/images/{n}.png"] = np.zeros((64, 96), np.uint8)
        for number in range(1, count + 1):
            name = f"{n}/masks/{number * 7919:x}.png"
            files[name] = np.asarray(255 * (numbered(count) == number), np.uint8)
    dataset = load(build(files))
    assert [int(load_instances(s, SIZE).max()) for s in dataset.samples] == [3, 5]
    report = check(dataset)
    assert report.labels.defects == 8
    assert not {p.code for p in report.problems} & {"label-without-image", "label-ambiguous"}


def test_said_beforehand(build: Build) -> None:
    """One or two objects an image could be two classes; the user knows."""
    files: dict[str, Image | str | bytes] = {f"images/{n}.png": np.zeros((64, 96), np.uint8) for n in "ab"}
    root = build(files | {"masks/a.png": numbered(2, dtype=np.uint8), "masks/b.png": numbered(1, dtype=np.uint8)})
    assert load(root).classes == ("class1", "class2")
    said = load(root, marked="numbers")
    assert said.classes == ("defect",)
    assert load_instances(said.samples[0], SIZE).max() == 2


def test_codes_on_demand(cells: Path, build: Build) -> None:
    assert len(load(cells, marked="codes").classes) == 12


def coloured(numbers: Image, *, shared: int | None = None) -> Image:
    """A colour an object, BGR; `shared`: only so many colours, that of a neighbour is always another one."""
    kinds = numbers if shared is None else np.where(numbers > 0, 1 + (numbers - 1) % shared, 0)
    each = kinds.astype(np.uint32) * 7919
    return np.dstack([each % 251, each // 251 % 251, each // 63001 % 251]).astype(np.uint8)


def test_a_colour_an_object(build: Build) -> None:
    """More colours than a set has classes, each of them one compact region: so viewers of cells save them."""
    files: dict[str, Image | str | bytes] = {f"images/{n}.png": np.zeros((64, 96), np.uint8) for n in "abc"}
    touching = numbered(40)
    masks = {"a": coloured(touching), "b": coloured(numbered(3)), "c": np.zeros((64, 96, 3), np.uint8)}
    dataset = load(build(files | {f"masks/{n}.png": encode_image(m) for n, m in masks.items()}))
    assert dataset.numbered
    assert [int(load_instances(s, SIZE).max()) for s in dataset.samples] == [40, 3, 0]
    np.testing.assert_array_equal(load_instances(dataset.samples[0], SIZE) > 0, touching > 0)
    assert check(dataset).labels.defects == 43


def test_few_colours_shared_by_many_objects_on_demand(build: Build) -> None:
    """Three colours suffice to keep touching objects apart; by their look they are classes."""
    image, mask = np.zeros((64, 96), np.uint8), coloured(numbered(30), shared=3)
    root = build({"images/a.png": image, "masks/a.png": encode_image(mask)})
    assert not load(root).numbered
    assert load_instances(load(root, marked="numbers").samples[0], SIZE).max() == 30


def test_soft_coloured_borders_are_no_objects(build: Build) -> None:
    drawn = np.zeros((64, 96, 3), np.uint8)
    for n in range(12):
        cv2.circle(drawn, (8 + 14 * (n % 6), 16 + 32 * (n // 6)), 6, (20 + 18 * n, 250 - 17 * n, 60 + 9 * n), -1)
    soft = np.asarray(cv2.GaussianBlur(drawn, (0, 0), 1.5), np.uint8)
    assert not load(build({"images/a.png": np.zeros((64, 96), np.uint8), "masks/a.png": encode_image(soft)})).numbered


def test_what_cannot_number_objects(build: Build) -> None:
    colours = np.zeros((64, 96, 4), np.uint8)
    colours[2:9, 2:9] = (10, 200, 30, 255)
    root = build(
        {"images/a.png": np.zeros((64, 96), np.uint8), "masks/a.png": cv2.imencode(".png", colours)[1].tobytes()}
    )
    with pytest.raises(LabelError, match=r"masks/a\.png cannot number objects: .*leave --marked numbers out"):
        load(root, marked="numbers")
