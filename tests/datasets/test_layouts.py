"""What every layout keeps to, and how one is chosen."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.converting import convert
from onspec.datasets.folder_names import folder_truth
from onspec.datasets.labels import is_located, load_mask
from onspec.datasets.layouts import LAYOUTS, load
from onspec.datasets.writers import WRITERS
from onspec.domain import LayoutError, Split, SplitError
from onspec.imaging.reading import read_image

Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]

Files = dict[str, "Pixels | str | bytes"]
Fake = Callable[[Make, Make], Files]


def paired(image: str, label: str) -> Fake:
    """Images with label images for the defective ones alone."""

    def write(picture: Make, mask: Make) -> Files:
        files: Files = {image.format(n=n): picture(n) for n in range(1, 5)}
        return files | {label.format(n=n): mask() for n in (1, 2)}

    return write


def deeppcb(picture: Make, mask: Make) -> Files:
    group = "PCBData/group10000/"
    files: Files = {f"{group}10000/1000000{n}_test.jpg": picture(n) for n in range(1, 5)}
    files |= {f"{group}10000/1000000{n}_temp.jpg": picture(10 + n) for n in range(1, 5)}
    files |= {f"{group}10000_not/1000000{n}.txt": "10 5 18 11 2\n" * (n < 3) for n in range(1, 5)}
    return files


def kolektor(picture: Make, mask: Make) -> Files:
    files: Files = {f"kos0{n}/Part0.jpg": picture(n) for n in range(1, 5)}
    return files | {f"kos0{n}/Part0_label.bmp": mask(n < 3) for n in range(1, 5)}


def severstal(picture: Make, mask: Make) -> Files:
    files: Files = {f"train_images/{n}.jpg": picture(n) for n in range(1, 5)}
    return files | {"train.csv": "ImageId,ClassId,EncodedPixels\n1.jpg,3,306 6 336 6\n2.jpg,4,1 1200\n"}


def folders(picture: Make, mask: Make) -> Files:
    return {f"{'crack' if n < 3 else 'good'}/{n}.png": picture(n) for n in range(1, 5)}


def coco(picture: Make, mask: Make) -> Files:
    images = [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 30} for n in range(1, 5)]
    marks = [{"id": n, "image_id": n, "category_id": 1, "bbox": [10, 5, 8, 6], "segmentation": []} for n in (1, 2)]
    text = json.dumps({"images": images, "annotations": marks, "categories": [{"id": 1, "name": "crack"}]})
    files: Files = {f"images/{n}.png": picture(n) for n in range(1, 5)}
    return files | {"annotations/instances_default.json": text}


def voc(picture: Make, mask: Make) -> Files:
    corners = "<xmin>11</xmin><ymin>6</ymin><xmax>18</xmax><ymax>11</ymax>"
    thing = f"<object><name>crack</name><bndbox>{corners}</bndbox></object>"
    files: Files = {f"JPEGImages/{n}.jpg": picture(n) for n in range(1, 5)}
    for n in range(1, 5):
        files[f"Annotations/{n}.xml"] = f"<annotation><filename>{n}.jpg</filename>{thing * (n < 3)}</annotation>"
    return files


def yolo(picture: Make, mask: Make) -> Files:
    files: Files = {f"images/{n}.jpg": picture(n) for n in range(1, 5)}
    return files | {f"labels/{n}.txt": "0 0.35 0.2666667 0.2 0.2\n" for n in (1, 2)} | {"data.yaml": "names: [crack]\n"}


def labelme(picture: Make, mask: Make) -> Files:
    shape = {"label": "crack", "points": [[10, 5], [18, 11]], "shape_type": "rectangle"}
    files: Files = {f"{n}.png": picture(n) for n in range(1, 5)}
    for n in (1, 2, 3):
        content = {"version": "5.5.0", "flags": {}, "shapes": [shape] * (n < 3), "imagePath": f"{n}.png"}
        files[f"{n}.json"] = json.dumps(content | {"imageData": None, "imageHeight": 30, "imageWidth": 40})
    return files


FAKES: dict[str, Fake] = {
    "coco": coco,
    "csv": severstal,
    "dagm": paired("Class1/Train/000{n}.PNG", "Class1/Train/Label/000{n}_label.PNG"),
    "deeppcb": deeppcb,
    "folders": folders,
    "kolektor": kolektor,
    "labelme": labelme,
    "masks": paired("images/{n}.png", "masks/{n}.png"),
    "voc": voc,
    "yolo": yolo,
}
"""Per layout: a set of the real form; images 1 and 2 are defective, 3 and 4 good."""

UNLOCATED = {"folders"}
"""Layouts that do not say where a defect is."""


@pytest.fixture(params=sorted(LAYOUTS))
def fake(request: pytest.FixtureRequest, build: Build, picture: Make, mask: Make) -> tuple[str, Path]:
    return request.param, build(FAKES[request.param](picture, mask))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as text")
@pytest.mark.parametrize("name", [b"good/Pr\xfcfteil.png", b"g\xfct/1.png"])
def test_a_name_that_is_not_utf_8_is_refused(name: bytes, build: Build, picture: Make) -> None:
    root = build({"good/1.png": picture(1), "scratch/2.png": picture(2)})
    odd = root / os.fsdecode(name)
    odd.parent.mkdir(exist_ok=True)
    odd.write_bytes((root / "good/1.png").read_bytes())
    with pytest.raises(LayoutError, match=r"the image name .*\\udcfc.* is not UTF-8; rename the file or folder"):
        load(root)


def test_every_layout_has_a_fake() -> None:
    assert FAKES.keys() == LAYOUTS.keys()


def test_it_is_detected_and_may_be_named(fake: tuple[str, Path]) -> None:
    name, root = fake
    assert load(root).layout == name
    assert load(root, name).samples == load(root).samples


def test_its_samples_are_whole(fake: tuple[str, Path]) -> None:
    name, root = fake
    dataset = load(root)
    assert [s.defective for s in dataset.samples] == [True, True, False, False]
    for sample in dataset.samples:
        assert sample.image == dataset.root / sample.name
        assert is_located(sample) is not (sample.defective and name in UNLOCATED)
        if not is_located(sample):
            continue
        height, width = read_image(sample.image).shape[:2]
        planes = load_mask(sample, (width, height))
        assert planes.dtype == np.uint8
        assert planes.shape == (1, height, width)
        assert set(np.unique(planes)) <= {0, 1}
        assert bool(planes.any()) is sample.defective


@pytest.mark.parametrize("to", sorted(WRITERS))
def test_it_is_converted_to_every_layout_that_is_written(to: str, fake: tuple[str, Path], tmp_path: Path) -> None:
    name, root = fake
    if (name, to) == ("folders", "masks"):
        pytest.skip("nothing is located, so there would be no mask to know the layout by")
    before = load(root)
    done = convert(before, tmp_path / "out", to)
    left_out = sum(s.defective for s in before.samples) if name in UNLOCATED and not WRITERS[to].unlocated else 0
    after = load(tmp_path / "out")
    assert (after.layout, len(done.left_out)) == (to, left_out)
    truth = {s.image.read_bytes(): s.truth for s in before.samples if s.name not in done.left_out}
    assert {s.image.read_bytes(): s.truth for s in after.samples} == truth


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
    with pytest.raises(LayoutError, match=f"Unknown layout 'mask'; choose {', '.join(LAYOUTS)}"):
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
