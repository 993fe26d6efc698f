"""What every layout keeps to, and how one is chosen."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import LAYOUTS, load
from onspec.datasets.tree import folder_truth
from onspec.domain import LayoutError, Split, SplitError
from onspec.imaging.reading import read_image

Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]

FAKES = {
    "dagm": ("Class1/Train/000{n}.PNG", "Class1/Train/Label/000{n}_label.PNG"),
    "masks": ("images/{n}.png", "masks/{n}.png"),
}
"""Per layout: an image and its label; images 1 and 2 are defective, 3 and 4 good and without a label."""


@pytest.fixture(params=sorted(LAYOUTS))
def fake(request: pytest.FixtureRequest, build: Build, picture: Make, mask: Make) -> tuple[str, Path]:
    image, label = FAKES[request.param]
    files: dict[str, Pixels | str | bytes] = {image.format(n=n): picture(n) for n in range(1, 5)}
    files |= {label.format(n=n): mask() for n in (1, 2)}
    return request.param, build(files)


def test_every_layout_has_a_fake() -> None:
    assert FAKES.keys() == LAYOUTS.keys()


def test_it_is_detected_and_may_be_named(fake: tuple[str, Path]) -> None:
    name, root = fake
    assert load(root).layout == name
    assert load(root, name).samples == load(root).samples


def test_its_samples_are_whole(fake: tuple[str, Path]) -> None:
    dataset = load(fake[1])
    assert [s.defective for s in dataset.samples] == [True, True, False, False]
    for sample in dataset.samples:
        assert sample.image == dataset.root / sample.name
        height, width = read_image(sample.image).shape[:2]
        planes = load_mask(sample, (width, height))
        assert planes.dtype == np.uint8
        assert planes.shape == (1, height, width)
        assert set(np.unique(planes)) <= {0, 1}
        assert bool(planes.any()) is sample.defective


def test_a_split_file_wins_over_folders_and_names_parts(fake: tuple[str, Path]) -> None:
    name, root = fake
    images = [s.name for s in load(root).samples]
    rows = [
        f"{image},{split},p{n // 2}"
        for n, (image, split) in enumerate(zip(images, ["test"] * 2 + ["train"] * 2, strict=True))
    ]
    (root / "split.csv").write_text("\n".join(["image,split,part", *rows]) + "\n")
    dataset = load(root, name)
    assert [s.split for s in dataset.samples] == [Split.TEST, Split.TEST, Split.TRAIN, Split.TRAIN]
    assert [s.part for s in dataset.samples] == ["p0", "p0", "p1", "p1"]
    assert dataset.parts_known


def test_a_split_file_that_leaves_an_image_out_is_refused(fake: tuple[str, Path]) -> None:
    _, root = fake
    first = load(root).samples[0].name
    (root / "split.csv").write_text(f"image,split\n{first},train\n")
    with pytest.raises(SplitError, match="is not listed"):
        load(root)


def test_an_unknown_layout_is_refused_by_name(fake: tuple[str, Path]) -> None:
    with pytest.raises(LayoutError, match="Unknown layout 'mask'; choose dagm, masks"):
        load(fake[1], "mask")


def test_a_layout_that_is_not_there_is_refused(build: Build, picture: Make, mask: Make) -> None:
    root = build({"images/a.png": picture(1), "masks/a.png": mask()})
    with pytest.raises(LayoutError, match="not laid out as dagm"):
        load(root, "dagm")


def test_a_missing_folder_a_file_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no such folder"):
        load(tmp_path / "absent")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(LayoutError, match="is a file, not a folder"):
        load(tmp_path / "x.txt")
    with pytest.raises(LayoutError, match="no image in this folder"):
        load(tmp_path)


def test_hidden_files_and_a_link_to_itself_are_passed_over(build: Build, picture: Make, mask: Make) -> None:
    root = build(
        {"images/a.png": picture(1), "masks/a.png": mask(), "images/._a.png": b"x", ".cache/images/q.png": picture(3)}
    )
    (root / "images" / "loop").symlink_to(root)
    assert [s.name for s in load(root).samples] == ["images/a.png"]


@pytest.mark.parametrize(
    ("folder", "defective"),
    [
        *((name, False) for name in ("good", "OK", "MT_Free", "normal", "defect-free", "no_defect", "non-defective")),
        *((name, True) for name in ("NG", "not_ok", "bad", "Defective", "no good", "not free")),
        *((name, None) for name in ("crack", "MT_Blowhole", "lot1", "Class1", "goods_in")),
    ],
)
def test_what_a_folder_says(folder: str, defective: bool | None) -> None:
    assert folder_truth(folder) is defective
