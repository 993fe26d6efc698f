"""Converting: what is read from one layout is written in another and read again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.datasets.converting import convert
from onspec.datasets.dataset import Dataset
from onspec.datasets.labels import load_boxes, load_mask
from onspec.datasets.layouts import LAYOUTS, detect, load
from onspec.datasets.tree import list_tree
from onspec.datasets.writers import WRITERS, Job, Writer
from onspec.datasets.writers.names import flat_names
from onspec.domain import (
    DEFECT,
    Annotation,
    Box,
    DataError,
    Ellipse,
    MaskFile,
    Polygon,
    RunLengths,
    Sample,
    Split,
    UsageError,
)
from onspec.imaging.shapes import encode_runs
from onspec.imaging.writing import write_image

Pixels = NDArray[np.uint8]
SIZE = (40, 30)

HOLDS: dict[str, set[str]] = {
    "dagm": {"pixels"},
    "masks": {"pixels", "classes"},
    "coco": {"pixels", "boxes", "classes"},
    "voc": {"boxes", "classes"},
    "yolo": {"pixels", "classes"},
    "labelme": {"pixels", "classes"},
    "folders": {"class"},
}
"""What of located defects a layout holds, whatever their labels are: the same pixels, boxes, classes of each defect, or
one class an image."""


def pixels(*places: tuple[int, int, int, int], hole: bool = False) -> Pixels:
    """0/1 with rectangles x, y, width, height; the first has a hole."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for x, y, width, height in places:
        mask[y : y + height, x : x + width] = 1
    if hole:
        x, y, _, _ = places[0]
        mask[y + 1, x + 1] = 0
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with six images, named alike in two folders, and label images of every encoding."""
    folder = tmp_path / "data"
    for n in range(6):
        image = np.random.default_rng(n).integers(0, 256, (SIZE[1], SIZE[0]), dtype=np.uint8)
        write_image(folder / f"lot{n % 2}" / f"{n // 2}.png", image)
    write_image(folder / "labels" / "white.png", 255 * pixels((3, 4, 8, 6), (20, 20, 5, 5), hole=True))
    write_image(folder / "labels" / "black.png", np.uint8(255) - 255 * pixels((3, 4, 8, 6), hole=True))
    write_image(folder / "labels" / "codes.png", pixels((3, 4, 8, 6)) + 2 * pixels((20, 20, 5, 5)))
    return folder


def labels(root: Path) -> dict[str, tuple[tuple[Annotation, ...], ...]]:
    """Labels of three images, of every kind."""
    white, black, codes = (root / "labels" / f"{name}.png" for name in ("white", "black", "codes"))
    triangle = ((2.5, 3.0), (12.25, 3.0), (2.5, 11.75))
    square = ((20.0, 20.0), (25.0, 20.0), (25.0, 25.0), (20.0, 25.0))
    runs = encode_runs(pixels((3, 4, 8, 6), (20, 20, 5, 5), hole=True))
    return {
        "boxes": ((Box(10, 5, 8, 6),), (Box(1, 1, 3, 3), Box(20, 20, 5, 5)), (Box(0, 0, 40, 30),)),
        "boxes of two classes": ((Box(10, 5, 8, 6, "dent"),), (Box(1, 1, 3, 3, "crack"), Box(20, 20, 5, 5, "dent"))),
        "polygons": ((Polygon((triangle,)),), (Polygon((triangle, square)),), (Polygon((square,)),)),
        "polygons of two classes": ((Polygon((triangle,), "my crack"), Polygon((square,), "dént & co")),),
        "ellipses": ((Ellipse(12, 11, 6, 3, 30),), (Ellipse(12, 11, 5, 5, 0),)),
        "run lengths": ((RunLengths(runs, SIZE),),),
        "run lengths of a class": ((RunLengths(runs, SIZE, "crack"),), (RunLengths(runs, SIZE, "crack"),)),
        "label images": ((MaskFile(white),),),
        "inverted label images": ((MaskFile(black, inverted=True),),),
        "label images of one class": ((MaskFile(white, "crack"),),),
        "codes": ((MaskFile(codes, "crack", code=1), MaskFile(codes, "dent", code=2)),),
        "all at once": ((Box(30, 2, 4, 4, "dent"), MaskFile(white, "crack"), Ellipse(30, 22, 4, 2, 0)),),
    }


KINDS = tuple(labels(Path()))


def dataset(root: Path, kind: str, splits: tuple[Split | None, ...] = (Split.TRAIN, Split.TEST)) -> Dataset:
    """Six images, three of them good at least, their labels of one kind."""
    marks = labels(root)[kind]
    samples = [
        Sample(
            name=f"lot{n % 2}/{n // 2}.png",
            image=root / f"lot{n % 2}" / f"{n // 2}.png",
            part=f"part {n // 2}{n % 2}",
            defective=n < len(marks),
            annotations=marks[n] if n < len(marks) else (),
            split=splits[n % len(splits)],
        )
        for n in range(6)
    ]
    return Dataset(root, "made", tuple(sorted(samples, key=lambda s: s.name)), "")


def matched(before: Dataset, after: Dataset) -> Iterator[tuple[Sample, Sample]]:
    """Samples with the same image."""
    by_bytes = {sample.image.read_bytes(): sample for sample in after.samples}
    assert len(by_bytes) == len(before.samples) == len(after.samples)
    for sample in before.samples:
        yield sample, by_bytes[sample.image.read_bytes()]


def classes_in(sample: Sample) -> list[str]:
    return sorted({a.cls for a in sample.annotations})


def found_boxes(sample: Sample) -> list[tuple[float, ...]]:
    return sorted(tuple(np.round(box, 3).tolist()) for box in load_boxes(sample, SIZE)[0])


def test_every_writer_is_listed_here_and_read_again_by_a_layout_of_its_name() -> None:
    assert HOLDS.keys() == WRITERS.keys()
    assert WRITERS.keys() <= LAYOUTS.keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", WRITERS)
def test_what_is_written_is_read_again(to: str, kind: str, root: Path, tmp_path: Path) -> None:
    before = dataset(root, kind)
    done = convert(before, tmp_path / "out", to)
    after = load(tmp_path / "out")
    assert after.layout == done.layout == to
    assert done.left_out == {}
    assert not [p for p in after.problems if p.severity == "error"]
    for old, new in matched(before, after):
        assert (new.defective, new.split) == (old.defective, old.split)
        if not old.defective:
            assert new.annotations == ()
            continue
        if "pixels" in HOLDS[to]:
            assert (load_mask(new, SIZE) == load_mask(old, SIZE)).all()
        if "boxes" in HOLDS[to]:
            assert found_boxes(new) == found_boxes(old)
        if "classes" in HOLDS[to]:
            assert classes_in(new) == classes_in(old)
        if "class" in HOLDS[to] and len(classes_in(old)) == 1:
            assert new.cls == classes_in(old)[0]


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        *((to, "boxes") for to in ("coco", "voc", "yolo", "labelme")),
        *((to, "boxes of two classes") for to in ("coco", "voc", "yolo", "labelme")),
        *(("coco", kind) for kind in ("polygons", "polygons of two classes", "run lengths")),
        *(("labelme", kind) for kind in ("polygons", "polygons of two classes")),
    ],
)
def test_what_a_layout_has_itself_stays_what_it_is(to: str, kind: str, root: Path, tmp_path: Path) -> None:
    before = dataset(root, kind)
    done = convert(before, tmp_path / "out", to)
    assert done.remarks == ()
    for old, new in matched(before, load(tmp_path / "out")):
        assert new.annotations == old.annotations


@pytest.mark.parametrize("first", WRITERS)
@pytest.mark.parametrize("second", WRITERS)
def test_any_layout_becomes_any_other(first: str, second: str, root: Path, tmp_path: Path) -> None:
    convert(dataset(root, "codes"), tmp_path / "first", first)
    between = load(tmp_path / "first")
    if (first, second) == ("folders", "masks"):
        with pytest.raises(DataError, match="could not be read again as masks"):
            convert(between, tmp_path / "second", second)
        return
    done = convert(between, tmp_path / "second", second)
    after = load(tmp_path / "second")
    unlocated = first == "folders" and not WRITERS[second].unlocated
    assert len(done.left_out) == unlocated
    kept = replace(between, samples=tuple(s for s in between.samples if s.name not in done.left_out))
    for old, new in matched(kept, after):
        assert (new.defective, new.split) == (old.defective, old.split)


@pytest.mark.parametrize("splits", [(None,), (Split.TRAIN,), tuple(Split), (Split.TRAIN, None)])
@pytest.mark.parametrize("to", WRITERS)
def test_splits_are_kept(to: str, splits: tuple[Split | None, ...], root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes", splits)
    done = convert(before, tmp_path / "out", to)
    for old, new in matched(before, load(tmp_path / "out")):
        assert new.split is (old.split or (Split.TRAIN if to == "dagm" else None))
    if to == "dagm":
        assert any("have no split and stand in Train" in remark for remark in done.remarks) is (None in splits)


@pytest.mark.parametrize("to", WRITERS)
def test_parts_are_kept(to: str, root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    before = replace(
        before, samples=tuple(replace(s, part=s.name[:4]) for s in before.samples), parts_known=True
    )  # a lot is a part
    done = convert(before, tmp_path / "out", to)
    after = load(tmp_path / "out")
    assert after.parts_known
    assert not any("which images show one part" in remark for remark in done.remarks)
    for old, new in matched(before, after):
        assert new.part == old.part


def test_parts_that_cannot_be_written_are_said(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes", (None,))
    before = replace(before, samples=tuple(replace(s, part=s.name[:4]) for s in before.samples), parts_known=True)
    assert not (tmp_path / "out" / "split.csv").exists()
    (remark,) = convert(before, tmp_path / "out", "coco").remarks
    assert remark.startswith("which images show one part is guessed otherwise from the new names; give --part-pattern")


@pytest.mark.parametrize("to", WRITERS)
def test_a_defect_that_is_nowhere(to: str, root: Path, tmp_path: Path) -> None:
    before = dataset(root, "label images of one class")
    samples = tuple(replace(s, defective=True, cls="dent") if s.name == "lot1/2.png" else s for s in before.samples)
    done = convert(replace(before, samples=samples), tmp_path / "out", to)
    after = load(tmp_path / "out")
    if not WRITERS[to].unlocated:
        why = f"it is defective, nobody knows where, and {to} cannot say that"
        assert (done.left_out, len(after.samples)) == ({"lot1/2.png": why}, 5)
        return
    (new,) = (new for old, new in matched(before, after) if old.name == "lot1/2.png")
    assert (new.defective, new.annotations) == (True, ())
    assert new.cls == (DEFECT if to == "labelme" else "dent")
    assert any("flagged as defective without its class" in r for r in done.remarks) is (to == "labelme")


REMARKS = {
    ("voc", "run lengths"): ["1 mask becomes the box around it"],
    ("voc", "polygons"): ["3 polygons become the boxes around them"],
    ("yolo", "label images"): [
        "1 label image becomes polygons around its pixels",
        "1 polygon is cut to the holes in it, as YOLO has no holes",
    ],
    ("yolo", "polygons"): ["1 polygon of several rings becomes a line a ring"],
    ("labelme", "label images"): [
        "1 label image becomes polygons around its pixels",
        "1 defect with holes becomes a mask, which needs labelme 5.4 or newer",
    ],
    ("coco", "ellipses"): ["2 ellipses become the pixels they cover"],
    ("coco", "label images"): [],
    ("masks", "boxes"): ["4 boxes are drawn into masks, filled"],
    ("masks", "label images"): [],
    ("dagm", "codes"): ["6 images get numbers for their names", "2 classes of defects are dropped: crack, dent"],
    ("folders", "codes"): [
        "1 image loses the place of its defects",
        "1 image with several classes keeps the most frequent",
    ],
}


@pytest.mark.parametrize(("to", "kind"), REMARKS)
def test_what_a_layout_cannot_hold_is_said(to: str, kind: str, root: Path, tmp_path: Path) -> None:
    assert list(convert(dataset(root, kind), tmp_path / "out", to).remarks) == REMARKS[to, kind]


def test_fractions_of_a_pixel_in_voc(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    samples = (replace(before.samples[0], annotations=(Box(1.5, 2, 3, 4.25),)), *before.samples[1:])
    done = convert(replace(before, samples=samples), tmp_path / "out", "voc")
    assert done.remarks == ("1 box is rounded outwards to whole pixels",)
    assert Box(1, 2, 4, 5) in [a for s in load(tmp_path / "out").samples for a in s.annotations]


def test_classes_that_no_layout_of_folders_can_hold(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    for cls, to in (("ok", "masks"), ("a/b", "folders"), ("labels", "masks"), ("..", "folders")):
        marked = tuple(
            replace(s, annotations=tuple(replace(a, cls=cls) for a in s.annotations)) for s in before.samples
        )
        done = convert(replace(before, samples=marked), tmp_path / f"{to}{len(cls)}", to)
        assert f"3 images lose their class {cls!r}, which no folder can be called" in done.remarks
        assert load(tmp_path / f"{to}{len(cls)}").defective == 3


def test_a_class_that_no_mask_shows_is_said_to_be_dropped(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    first, second, third = [s for s in before.samples if s.defective][:3]
    told = {
        first.name: replace(first, annotations=(Box(2, 2, 3, 3, "crack"),)),
        second.name: replace(second, annotations=(Box(2, 2, 3, 3, "dent"),)),
        third.name: replace(third, annotations=(), cls="stain"),
    }
    samples = tuple(told.get(s.name, s) for s in before.samples)
    done = convert(replace(before, samples=samples), tmp_path / "out", "masks")
    assert "1 class is dropped, as no mask shows it: stain" in done.remarks
    assert "stain" not in load(tmp_path / "out").classes


def test_overlapping_classes_in_a_mask(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    both = (Box(2, 2, 3, 3, "small"), Box(1, 1, 20, 20, "large"))
    samples = (replace(before.samples[0], annotations=both), *before.samples[1:])
    done = convert(replace(before, samples=samples), tmp_path / "out", "masks")
    assert "1 image has overlapping defects of several classes; the smaller lies on top" in done.remarks
    new = next(s for s in load(tmp_path / "out").samples if {"large", "small"} <= {a.cls for a in s.annotations})
    planes = load_mask(new, SIZE, ("large", "small", DEFECT))
    assert planes.sum(axis=(1, 2)).tolist() == [391, 9, 0]


def test_images_and_labels_that_cannot_be_used_are_left_out_and_named(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    (root / "lot1" / "2.png").unlink()
    (root / "lot0" / "2.png").write_bytes(b"broken")
    write_image(root / "labels" / "empty.png", pixels())
    border = Polygon((((40, 1), (40, 5), (40, 9)),))
    marked: tuple[Annotation, ...] = (Box(90, 5, 3, 3), border, MaskFile(root / "labels" / "empty.png"))
    spoilt = [
        replace(sample, defective=True, annotations=(label,))
        for sample, label in zip((before.samples[n] for n in (0, 1, 3)), marked, strict=True)
    ]
    samples = tuple(sorted((*spoilt, before.samples[2], *before.samples[4:]), key=lambda s: s.name))
    done = convert(replace(before, samples=samples), tmp_path / "out", "coco")
    assert list(done.left_out) == ["lot0/0.png", "lot0/1.png", "lot0/2.png", "lot1/0.png", "lot1/2.png"]
    assert done.left_out["lot1/0.png"] == "lot1/0.png is defective, but its label marks nothing"
    assert "a box at (90, 5) px lies outside the image" in done.left_out["lot0/0.png"]
    assert "a polygon at (40, 1) px lies outside the image" in done.left_out["lot0/1.png"]
    assert "not an image that can be decoded" in done.left_out["lot0/2.png"]
    assert "no such image file" in done.left_out["lot1/2.png"]
    assert len(load(tmp_path / "out").samples) == 1


def test_nothing_that_can_be_written_is_refused(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    good = tuple(replace(s, defective=True, annotations=(), cls="dent") for s in before.samples)
    with pytest.raises(DataError, match="no image can be written as coco: it is defective, nobody knows where"):
        convert(replace(before, samples=good), tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("to", WRITERS)
def test_images_are_the_same_bytes_and_nothing_given_is_touched(
    to: str, link: bool, root: Path, tmp_path: Path
) -> None:
    before, was = dataset(root, "label images"), snapshot(root)
    counted: list[int] = []
    convert(before, tmp_path / "new" / "out", to, link=link, tell=counted.append)
    assert counted == [1, 2, 3, 4, 5, 6]
    assert snapshot(root) == was
    for old, new in matched(before, load(tmp_path / "new" / "out")):
        assert old.image.samefile(new.image) is link
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out"]


def test_where_nothing_may_be_written(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for out in (tmp_path / "full", tmp_path / "file", root):
        with pytest.raises(UsageError, match=f"{out} is not empty; choose a folder that is new or empty"):
            convert(before, out, "coco")
    with pytest.raises(UsageError, match="lies in the data set"):
        convert(before, root / "coco", "coco")
    with pytest.raises(UsageError, match="Unknown layout 'coca' to write; choose dagm, masks, coco"):
        convert(before, tmp_path / "out", "coca")
    with pytest.raises(UsageError, match="cannot be written"):
        convert(before, tmp_path / "file" / "out", "coco")
    assert (tmp_path / "full" / "mine").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    convert(before, tmp_path / "empty", "coco")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("a fault")])
def test_nothing_half_written_is_left(
    error: BaseException, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(job: Job) -> None:
        job.place(job.entries[0], "a.png")
        raise error

    monkeypatch.setitem(WRITERS, "coco", Writer("coco", unlocated=False, write=write))
    with pytest.raises(UsageError if isinstance(error, OSError) else type(error)):
        convert(dataset(root, "boxes"), tmp_path / "out", "coco")
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_what_would_be_read_otherwise_is_not_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(job: Job) -> None:
        for n, entry in enumerate(job.entries):
            job.place(entry, f"images/x{n}.png")
            job.write(f"labels/x{n}.txt", "")
            if n == 5 and losing:
                (job.root / "images" / "x5.png").unlink()

    monkeypatch.setitem(WRITERS, "yolo", Writer("yolo", unlocated=False, write=write))
    losing, before = False, dataset(root, "boxes", (None,))
    with pytest.raises(DataError, match=r"x0\.png \(defective, split none\) would be read as good, split none; write"):
        convert(before, tmp_path / "out", "yolo")
    good = tuple(replace(s, defective=False, annotations=()) for s in before.samples)
    split = tuple(replace(s, split=Split.TEST) for s in good)
    with pytest.raises(DataError, match=r"x0\.png \(good, split test\) would be read as good, split none; write"):
        convert(replace(before, samples=split), tmp_path / "out", "yolo")
    losing = True
    with pytest.raises(DataError, match=r"as images/x5\.png \(good, split none\) would be read not; write another"):
        convert(replace(before, samples=good), tmp_path / "out", "yolo")
    assert not (tmp_path / "out").exists()


def test_a_set_that_a_layout_cannot_hold_is_refused_in_a_sentence(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    one_class = (replace(s, defective=True, annotations=(), cls="crack") for s in before.samples)
    bad = replace(before, samples=tuple(one_class))
    with pytest.raises(
        DataError, match=r"out: not written, as it could not be read again as folders \(a folder a class"
    ):
        convert(bad, tmp_path / "out", "folders")


names = st.lists(
    st.tuples(
        st.sampled_from(["", "a/", "A/", "train/", "test/", "images/", "a/images/"]),
        st.sampled_from(["x", "X", "x_2", "a_x", "test", "classes", "x_mask", "ü x", "1"]),
        st.sampled_from([".png", ".jpg", ".PNG"]),
    ).map("".join),
    min_size=1,
    max_size=12,
    unique=True,
)


@given(names)
def test_names_are_told_apart_by_their_stems_in_any_case(found: list[str]) -> None:
    samples = [Sample(name, Path(name), name, defective=False) for name in sorted(found)]
    flat = flat_names(samples)
    stems = {Path(name).stem.lower() for name in flat.values()}
    assert len(stems) == len(flat) == len(samples)
    assert all("/" not in name and Path(name).suffix == Path(old).suffix for old, name in flat.items())
    assert not stems & {"train", "test", "classes", "labels"}


def test_unlike_names_are_kept_and_like_ones_get_their_folders() -> None:
    def flat(*found: str) -> list[str]:
        return list(flat_names([Sample(n, Path(n), n, defective=False) for n in found]).values())

    assert flat("good/1.png", "bad/2.png") == ["1.png", "2.png"]
    assert flat("good/1.png", "bad/1.png", "bad/2.png") == ["good_1.png", "bad_1.png", "bad_2.png"]
    assert flat("train/1.png", "test/1.png") == ["train_1.png", "test_1.png"]
    assert flat("1.png", "1.jpg") == ["1.png", "1_2.jpg"]


shapes = st.builds(
    Box,
    st.integers(0, 30), st.integers(0, 20), st.integers(1, 10), st.integers(1, 10), st.sampled_from(["crack", "dent"]),
)  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.lists(st.lists(shapes, max_size=4), min_size=3, max_size=3),
    to=st.sampled_from(["coco", "voc", "yolo", "labelme"]),
)
def test_any_boxes_come_back(found: list[list[Box]], to: str, root: Path, tmp_path: Path) -> None:
    samples = tuple(
        Sample(f"lot0/{n}.png", root / "lot0" / f"{n}.png", f"{n}", bool(b), tuple(dict.fromkeys(b)))
        for n, b in enumerate(found)
    )
    out = tmp_path / f"{to}{len(list(tmp_path.iterdir()))}"
    before = Dataset(root, "made", samples, "")
    convert(before, out, to)
    assert detect(list_tree(out)).name == to
    for old, new in matched(before, load(out)):
        assert new.annotations == old.annotations


def test_16_bit_images_and_colour_are_copied_too(root: Path, tmp_path: Path) -> None:
    before = dataset(root, "boxes")
    cv2.imwrite(str(before.samples[0].image), np.full((30, 40), 40000, np.uint16))
    cv2.imwrite(str(before.samples[1].image), np.full((30, 40, 3), 9, np.uint8))
    convert(before, tmp_path / "out", "coco")
    assert len(list(matched(before, load(tmp_path / "out")))) == 6
