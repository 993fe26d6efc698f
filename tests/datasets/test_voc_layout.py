"""Pascal VOC, in the forms that VOC itself and labelling tools give it."""

import io
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from onspec.datasets.checking import check
from onspec.datasets.labels import load_boxes, load_mask
from onspec.datasets.layouts import load
from onspec.datasets.voc_masks import voc_colour
from onspec.domain import Box, LabelError, LayoutError, Split, SplitError

Pixels = NDArray[np.uint8]
Files = dict[str, "Pixels | str | bytes"]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]
Corners = tuple[float, float, float, float]


def thing(name: str, corners: Corners = (11, 6, 18, 11), more: str = "") -> str:
    sides = "".join(f"<{s}>{v}</{s}>" for s, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{sides}</bndbox>{more}</object>"


def voc(filename: str, *things: str, more: str = "") -> str:
    size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
    return f"<annotation><folder>VOC</folder><filename>{filename}</filename>{size}{more}{''.join(things)}</annotation>"


def boxes(root: Path) -> list[tuple[float, ...]]:
    return [(b.x, b.y, b.width, b.height) for s in load(root).samples for b in s.annotations if isinstance(b, Box)]


def test_voc_itself(build: Build, picture: Make) -> None:
    names = ("2008_000001", "2008_000002", "2008_000003", "2008_000004")
    files: Files = {f"VOC2012/JPEGImages/{name}.jpg": picture(n) for n, name in enumerate(names)}
    files["VOC2012/JPEGImages/2008_000009.jpg"] = picture(9)
    part = thing("edge", (1, 1, 2, 2)).replace("object>", "part>")
    for name in names:
        found = [thing("crack", more=part), thing("dent", (1, 1, 1, 1))] if name == names[0] else []
        files[f"VOC2012/Annotations/{name}.xml"] = voc(f"{name}.jpg", *found)
    for split, listed in {"train": names[:1], "val": names[1:2], "test": names[2:3], "trainval": names[:2]}.items():
        files[f"VOC2012/ImageSets/Main/{split}.txt"] = "".join(f"{name}\n" for name in listed)
    files["VOC2012/ImageSets/Main/crack_train.txt"] = f"{names[0]}  1\n{names[3]} -1\n"
    dataset = load(build(files))
    assert dataset.layout == "voc"
    assert [(s.name[-8:], s.split, s.defective) for s in dataset.samples] == [
        ("0001.jpg", Split.TRAIN, True),
        ("0002.jpg", Split.VAL, False),
        ("0003.jpg", Split.TEST, False),
    ]
    assert dataset.samples[0].annotations == (Box(10, 5, 8, 6, "crack"), Box(0, 0, 1, 1, "dent"))
    assert [(p.severity, p.code) for p in dataset.problems] == [("warning", "unlisted")]
    assert dataset.problems[0].message.startswith(
        "2 images are not in ImageSets and are not used; the first is VOC2012"
    )


def test_trainval_alone_trains(build: Build, picture: Make) -> None:
    files: Files = {f"JPEGImages/{n}.jpg": picture(n) for n in (1, 2)}
    files |= {f"Annotations/{n}.xml": voc(f"{n}.jpg", thing("crack")) for n in (1, 2)}
    files |= {"ImageSets/Main/trainval.txt": "1\n", "ImageSets/Main/test.txt": "2\n"}
    assert [s.split for s in load(build(files)).samples] == [Split.TRAIN, Split.TEST]


def test_cvat_counts_from_0_in_fractions(build: Build, picture: Make) -> None:
    extra = (
        "<occluded>0</occluded><attributes><attribute><name>rotation</name><value>0.0</value></attribute></attributes>"
    )
    files: Files = {f"JPEGImages/sub dir/{n}.png": picture(n) for n in (1, 2)}
    files["Annotations/sub dir/1.xml"] = voc("sub dir/1.png", thing("crack", (10.25, 5.5, 18.25, 11.75), extra))
    files["ImageSets/Main/default.txt"] = '"sub dir/1"\nsub dir/2\n'
    files["labelmap.txt"] = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:128,0,0::\n"
    root = build(files)
    dataset = load(root)
    assert dataset.problems == ()
    assert [(s.name, s.split, s.defective) for s in dataset.samples] == [
        ("JPEGImages/sub dir/1.png", None, True),
        ("JPEGImages/sub dir/2.png", None, False),
    ]
    assert boxes(root) == [(10.25, 5.5, 8, 6.25)]


def test_label_studio_signs_counts_from_0_and_drops_the_suffix(build: Build, picture: Make) -> None:
    owner = "<owner><flickrid>NULL</flickrid><name>Label Studio</name></owner>"
    found = voc("a1b2c3d4-top", thing("crack", (10, 5, 18, 11)), more=owner)
    text = f'<?xml version="1.0" encoding="utf-8"?>\n{found}'
    root = build({"images/a1b2c3d4-top.png": picture(1), "Annotations/a1b2c3d4-top.xml": text})
    assert boxes(root) == [(10, 5, 8, 6)]
    assert load(root).problems == ()


def test_a_box_that_begins_at_0_shows_how_the_whole_set_counts(build: Build, picture: Make) -> None:
    files: Files = {f"{n}.png": picture(n) for n in (1, 2)}
    files |= {"1.xml": voc("1.png", thing("a", (0, 4, 8, 9))), "2.xml": voc("2.png", thing("a", (10, 5, 18, 11)))}
    assert boxes(build(files)) == [(0, 4, 8, 5), (10, 5, 8, 6)]


def test_labelimg_beside_the_images_under_an_old_name(build: Build, picture: Make) -> None:
    text = voc("IMG_0001.JPG", thing("crack"), more="<path>C:\\Users\\joe\\IMG_0001.JPG</path>")
    dataset = load(build({"part 7.jpg": picture(1), "part 7.xml": text, "part 8.jpg": picture(2)}))
    assert [(s.name, s.defective) for s in dataset.samples] == [("part 7.jpg", True), ("part 8.jpg", False)]
    assert dataset.problems == ()


def test_roboflow_folders_are_splits(build: Build, picture: Make) -> None:
    files: Files = {}
    for n, split in enumerate(("train", "valid")):
        files |= {
            f"{split}/{n}.rf.01234567.jpg": picture(n),
            f"{split}/{n}.rf.01234567.xml": voc(f"{n}.rf.01234567.jpg", thing("b")),
        }
    assert [(s.split, s.defective) for s in load(build(files)).samples] == [(Split.TRAIN, True), (Split.VAL, True)]


def palette(codes: Pixels, colours: list[tuple[int, int, int]]) -> bytes:
    image = Pillow.fromarray(codes, "L").convert("L")
    image = Pillow.frombytes("P", image.size, image.tobytes())
    image.putpalette([value for colour in colours for value in colour])
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def codes() -> Pixels:
    """Class 1 in two places, class 2 in one with an undecided border."""
    made = np.zeros((30, 40), np.uint8)
    made[2:4, 3:7] = made[20:25, 30:32] = 1
    made[9:16, 9:20] = 255
    made[10:15, 10:19] = 2
    return made


def test_masks_in_vocs_palette(build: Build, picture: Make, codes: Pixels) -> None:
    files: Files = {f"JPEGImages/{n}.jpg": picture(n) for n in (1, 2, 3)}
    files["SegmentationClass/1.png"] = palette(codes, [voc_colour(n) for n in range(256)])
    files["SegmentationObject/1.png"] = palette(codes, [voc_colour(n) for n in range(256)])
    files["ImageSets/Segmentation/train.txt"] = "1\n2\n"
    files["Annotations/2.xml"] = voc("2.jpg", thing("crack"))
    files["SegmentationClass/2.png"] = palette(codes, [voc_colour(n) for n in range(256)])
    dataset = load(build(files))
    assert (dataset.layout, dataset.classes) == ("voc", ("class1", "class2", "crack"))
    assert [(s.name, s.split, len(s.annotations)) for s in dataset.samples] == [
        ("JPEGImages/1.jpg", Split.TRAIN, 3),
        ("JPEGImages/2.jpg", Split.TRAIN, 1),
    ]
    planes = load_mask(dataset.samples[0], (40, 30), ("class1", "class2"))
    assert [(plane == (codes == n)).all() for n, plane in enumerate(planes, 1)] == [True, True]
    found, kinds = load_boxes(dataset.samples[0], (40, 30), ("class1", "class2"))
    assert found.tolist() == [[3, 2, 4, 2], [30, 20, 2, 5], [10, 10, 9, 5]]
    assert kinds.tolist() == [0, 0, 1]
    assert isinstance(dataset.samples[1].annotations[0], Box)


@pytest.mark.parametrize("form", ["palette", "rgb", "gray"])
def test_masks_with_a_label_map(form: str, build: Build, picture: Make, codes: Pixels) -> None:
    codes = np.where(codes == 255, 0, codes).astype(np.uint8)
    colours = [(0, 0, 0), (10, 10, 128), (200, 128, 0)]
    bgr = np.array(colours, np.uint8)[codes][..., ::-1]
    masks: dict[str, Pixels | bytes] = {"palette": palette(codes, colours), "rgb": bgr, "gray": codes}
    labels = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncrack:10,10,128::\ndent:200,128,0::\n"
    files: Files = {"images/a.png": picture(1), "SegmentationClass/a.png": masks[form], "labelmap.txt": labels}
    dataset = load(build(files))
    assert (dataset.layout, dataset.classes, [s.name for s in dataset.samples]) == (
        "voc",
        ("crack", "dent"),
        ["images/a.png"],
    )
    crack, dent = load_mask(dataset.samples[0], (40, 30), ("crack", "dent"))
    assert ((crack == (codes == 1)).all(), (dent == (codes == 2)).all()) == (True, True)


def test_what_masks_may_not_be(build: Build, picture: Make, codes: Pixels) -> None:
    files: Files = {
        "images/a.png": picture(1),
        "SegmentationClass/a.png": palette(codes, [(0, 0, 0), (9, 9, 9), (3, 200, 7)]),
    }
    files["labelmap.txt"] = "crack:9,9,9::\n"
    with pytest.raises(LabelError, match=r"SegmentationClass/a\.png: holds the colour 3,200,7, which no class has"):
        load(build(files))
    with pytest.raises(LabelError, match=r"labelmap\.txt, line 2: got 'dent:red'; expected name:red,green,blue"):
        load(build(files | {"labelmap.txt": "crack:9,9,9::\ndent:red\n"}))
    with pytest.raises(LabelError, match=r"SegmentationClass/a\.png: label image cannot be decoded"):
        load(build(files | {"SegmentationClass/a.png": b"none"}))


def test_a_mask_without_an_image(build: Build, picture: Make, codes: Pixels) -> None:
    colours = [voc_colour(n) for n in range(256)]
    files: Files = {f"SegmentationClass/{n}.png": palette(codes, colours) for n in "ab"}
    dataset = load(build({"images/a.png": picture(1)} | files))
    assert [(p.code, p.file) for p in dataset.problems] == [("label-without-image", "SegmentationClass/b.png")]


def test_vocs_palette_begins_as_it_is_known() -> None:
    assert [voc_colour(n) for n in (0, 1, 2, 3, 4, 8, 255)] == [
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 0),
        (0, 0, 128),
        (64, 0, 0),
        (224, 224, 192),
    ]


def test_absent_images_are_problems(build: Build, picture: Make) -> None:
    files: Files = {"JPEGImages/a.jpg": picture(1), "Annotations/b.xml": voc("b.jpg", thing("crack"))}
    files |= {"Annotations/a.xml": voc("a.jpg"), "ImageSets/Main/train.txt": "a\nb\nc\n"}
    dataset = load(build(files))
    assert [(s.name, s.defective, s.split) for s in dataset.samples] == [
        ("JPEGImages/a.jpg", False, Split.TRAIN),
        ("b.jpg", True, Split.TRAIN),
    ]
    found = {(p.severity, p.code, p.file) for p in check(dataset).problems}
    assert {("error", "missing", "b.jpg"), ("error", "missing", "ImageSets/Main/train.txt")} <= found


def test_a_box_without_an_area_leaves_the_part_defective(build: Build, picture: Make) -> None:
    found = voc("a.jpg", thing("crack", (9, 9, 7, 12)), "<object><name>dent</name></object>")
    root = build({"a.jpg": picture(1), "a.xml": found})
    dataset = load(root)
    assert [(s.defective, s.annotations, s.cls) for s in dataset.samples] == [(True, (), "crack")]
    assert [p.code for p in dataset.problems] == ["label-no-area"] * 2
    assert f"{root / 'a.xml'}: crack: its bndbox is absent or no area" in dataset.problems[0].message


def test_an_image_of_another_size(build: Build, picture: Make) -> None:
    (problem,) = load(build({"a.jpg": picture(1, (60, 80)), "a.xml": voc("a.jpg")})).problems
    assert problem.message == "a.jpg is 80×60 px, but a.xml was made for 40×30 px"


NAMES = "abcdefghijkl"
ENTITIES = "".join("<!ENTITY " + name + ' "' + 10 * f"&{before};" + '">' for before, name in pairwise(NAMES))
LAUGHS = f'<!DOCTYPE lolz [<!ENTITY a "ha">{ENTITIES}]><annotation><filename>&l;</filename></annotation>'
FETCHING = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation><filename>&e;</filename></annotation>'


@pytest.mark.parametrize(
    "text", [LAUGHS, FETCHING, '<!DOCTYPE annotation SYSTEM "http://example.com/x.dtd"><annotation/>']
)
def test_a_document_type_is_refused_unread(text: str, build: Build, picture: Make) -> None:
    root = build({"a.jpg": picture(1), "Annotations/a.xml": text, "Annotations/b.xml": voc("b.jpg")})
    with pytest.raises(LabelError, match=r"a\.xml: label file has a document type \(DOCTYPE\)"):
        load(root)
    (root / "Annotations" / "a.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(LabelError, match=r"a\.xml: label file has a document type \(DOCTYPE\)"):
        load(root)


WRONG = {
    "truncated": (voc("a.jpg", thing("crack"))[:-30], r"line 1: label file is not valid XML \("),
    "empty": ("", "line 1: label file is empty"),
    "no name": (voc("a.jpg", "<object><bndbox/></object>"), "object 1 has no name"),
    "no number": (
        voc("a.jpg", thing("crack").replace(">11<", ">left<", 1)),
        r"object 1 \(crack\): xmin is 'left'; it must",
    ),
    "no side": (
        voc("a.jpg", thing("crack").replace("ymax", "y")),
        r"object 1 \(crack\): ymax is missing; it must be a",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_broken_file_is_named_with_its_object(what: str, build: Build, picture: Make) -> None:
    text, why = WRONG[what]
    with pytest.raises(LabelError, match=rf"Annotations/a\.xml.*{why}"):
        load(build({"a.jpg": picture(1), "Annotations/a.xml": text, "Annotations/b.xml": voc("b.jpg")}))


def test_two_files_of_one_image_are_refused(build: Build, picture: Make) -> None:
    files: Files = {"a.jpg": picture(1), "x/a.xml": voc("a.jpg"), "y/a.xml": voc("a.jpg")}
    with pytest.raises(LabelError, match=r"y/a\.xml: labels a\.jpg, and so does x/a\.xml; keep one of them"):
        load(build(files))


def test_an_image_in_two_splits_is_refused(build: Build, picture: Make) -> None:
    files: Files = {"JPEGImages/a.jpg": picture(1), "Annotations/a.xml": voc("a.jpg")}
    files |= {f"ImageSets/Main/{split}.txt": "a\n" for split in ("train", "val")}
    with pytest.raises(SplitError, match=r"JPEGImages/a\.jpg stands in train by .*train\.txt and in val by"):
        load(build(files))


def test_xml_of_other_programs_is_not_vocs(build: Build, picture: Make) -> None:
    with pytest.raises(LayoutError, match="no known layout"):
        load(build({"images/a.jpg": picture(1), "annotations.xml": "<annotations><image name='a.jpg'/></annotations>"}))
