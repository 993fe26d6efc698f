"""KolektorSDD and KolektorSDD2."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.datasets.splitting import assign, leaks
from onspec.domain import LabelError, Split

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]


@pytest.fixture
def items(picture: Make, mask: Make) -> Files:
    """Ten items of eight surfaces of 50×124 px, one surface of each defective, as the real set has them."""
    files: Files = {}
    for item in range(1, 11):
        for side in range(8):
            files[f"kos{item:02d}/Part{side}.jpg"] = picture(8 * item + side, (124, 50))
            files[f"kos{item:02d}/Part{side}_label.bmp"] = mask(255 if side == item % 8 else 0, shape=(124, 50))
    return files


def test_the_folder_is_the_part(build: Build, items: Files) -> None:
    dataset = load(build(items))
    assert (dataset.layout, dataset.good, dataset.defective, dataset.problems) == ("kolektor", 70, 10, ())
    assert (dataset.parts_known, dataset.parts_rule) == (True, "parts told by the set itself")
    assert {s.name: s.part for s in dataset.samples}["kos03/Part5.jpg"] == "kos03"
    assert len({s.part for s in dataset.samples}) == 10
    split = assign(dataset)
    assert set(split.values()) == set(Split)
    assert leaks(dataset.samples, split) == {}


def test_a_pattern_or_a_split_file_overrides_the_folder(build: Build, items: Files) -> None:
    root = build(items)
    by_pattern = load(root, part_pattern=r"/(Part\d)\.")
    assert len({s.part for s in by_pattern.samples}) == 8
    rows = [f"{s.name},train,{s.name[3:5]}x" for s in by_pattern.samples]
    (root / "split.csv").write_text("\n".join(["image,split,part", *rows]))
    assert load(root).samples[0].part == "01x"


@pytest.mark.parametrize("value", [1, 255])
def test_labels_of_0_and_1_or_0_and_255(value: int, build: Build, items: Files, mask: Make) -> None:
    items = {
        k: v // 255 * np.uint8(value) if k.endswith("bmp") and isinstance(v, np.ndarray) else v
        for k, v in items.items()
    }
    dataset = load(build(items))
    sample = next(s for s in dataset.samples if s.defective)
    assert int(load_mask(sample, (50, 124)).sum()) == 48


def test_split_folders_around_the_items_are_no_part_of_the_part(build: Build, items: Files) -> None:
    files = {f"{'Train' if k < 'kos08' else 'TEST'}/{k}": v for k, v in items.items()}
    dataset = load(build(files))
    assert (dataset.layout, dataset.samples[0].part, dataset.samples[0].split) == ("kolektor", "kos08", Split.TEST)


def test_an_image_without_a_label_is_not_used_and_a_label_without_an_image_is_said(build: Build, items: Files) -> None:
    del items["kos02/Part3_label.bmp"], items["kos04/Part1.jpg"]
    dataset = load(build(items))
    assert len(dataset.samples) == 78
    assert [(p.severity, p.code, p.file) for p in dataset.problems] == [
        ("error", "label-missing", "kos02/Part3.jpg"),
        ("warning", "label-without-image", "kos04/Part1_label.bmp"),
    ]


def test_a_label_that_cannot_be_read_never_makes_a_surface_good(build: Build, items: Files) -> None:
    items["kos01/Part0_label.bmp"] = b"no image"
    sample = load(build(items)).samples[0]
    assert sample.defective
    with pytest.raises(LabelError, match=r"Part0_label\.bmp: label image cannot be decoded"):
        load_mask(sample, (50, 124))


def test_the_second_set_has_numbers_and_says_nothing_of_parts(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {}
    for n in range(10):
        folder = "train" if n < 6 else "test"
        files[f"{folder}/{10300 + n}.png"] = picture(n, (64, 23))
        files[f"{folder}/{10300 + n}_GT.png"] = mask(255 * (n % 2), shape=(64, 23))
    dataset = load(build(files))
    assert (dataset.layout, dataset.good, dataset.defective, dataset.parts_known) == ("kolektor", 5, 5, False)
    assert [s.split for s in dataset.samples] == [Split.TEST] * 4 + [Split.TRAIN] * 6
    assert dataset.samples[0].name == "test/10306.png"


def test_lots_of_parts_are_not_items_of_surfaces(build: Build, picture: Make, mask: Make) -> None:
    files: Files = {f"lot1/Part{n}.jpg": picture(n) for n in range(4)}
    dataset = load(build(files | {f"lot1/Part{n}_label.bmp": mask() for n in range(4)}))
    assert (dataset.layout, dataset.parts_known) == ("masks", False)
