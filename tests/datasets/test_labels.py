"""Labels → masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from onspec.datasets.labels import classes_of, load_boxes, load_instances, load_mask, locating
from onspec.domain import Annotation, Box, Ellipse, LabelError, MaskFile, Polygon, RunLengths, Sample
from onspec.imaging.shapes import encode_runs


def sample(*annotations: Annotation) -> Sample:
    return Sample("a.png", Path("a.png"), "a", defective=True, annotations=annotations)


def test_a_good_sample_has_zeros_a_plane_a_class() -> None:
    planes = load_mask(Sample("a.png", Path("a.png"), "a", defective=False), (7, 5), ("x", "y"))
    assert (planes.shape, int(planes.sum())) == ((2, 5, 7), 0)


def test_another_size_is_named_with_both(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    cv2.imwrite(str(path), np.ones((20, 30), np.uint8))
    with pytest.raises(LabelError, match=r"m\.png: label of 30×20 px for image a\.png of 20×30 px"):
        load_mask(sample(MaskFile(path)), (20, 30))


def test_each_class_has_its_plane_and_one_class_takes_all() -> None:
    both = sample(Ellipse(5, 5, 2, 2, 0, "dent"), Ellipse(15, 5, 2, 2, 0, "crack"))
    dent, crack = load_mask(both, (20, 10), ("dent", "crack"))
    assert (dent[5, 5], dent[5, 15], crack[5, 5], crack[5, 15]) == (1, 0, 0, 1)
    assert load_mask(both, (20, 10))[0].sum() == dent.sum() + crack.sum()


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(LabelError, match="unknown class 'dent'; known: crack, hole"):
        load_mask(sample(Ellipse(5, 5, 2, 2, 0, "dent")), (20, 10), ("crack", "hole"))


def test_an_ellipse_outside_the_image_is_refused() -> None:
    with pytest.raises(LabelError, match=r"ellipse at \(50, 5\) px lies outside the image of 20×10 px"):
        load_mask(sample(Ellipse(50, 5, 2, 2, 0)), (20, 10))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"a\.png: its label cannot be read: .*absent\.png: no such"):
        load_mask(sample(MaskFile(tmp_path / "absent.png")), (20, 10))


def test_boxes_are_cut_at_the_border_and_keep_their_class() -> None:
    both = sample(Box(-2, 1, 6, 4, "dent"), Box(15.5, 5, 30, 2, "crack"))
    boxes, kinds = load_boxes(both, (20, 10), ("crack", "dent"))
    assert boxes.tolist() == [[0, 1, 4, 4], [15.5, 5, 4.5, 2]]
    assert kinds.tolist() == [1, 0]


def test_the_box_of_a_drawn_defect_is_the_one_around_its_pixels() -> None:
    triangle = Polygon((((2, 2), (8, 2), (2, 6)), ((12, 7), (14, 7), (14, 9), (12, 9))))
    assert load_boxes(sample(triangle), (20, 10))[0].tolist() == [[2, 2, 12, 7]]
    runs = encode_runs(load_mask(sample(triangle), (20, 10))[0])
    assert load_boxes(sample(RunLengths(runs, (20, 10))), (20, 10))[0].tolist() == [[2, 2, 12, 7]]


def test_a_label_image_gives_a_box_a_defect_and_a_code_its_own_class(tmp_path: Path) -> None:
    codes = np.zeros((10, 20), np.uint8)
    codes[1:3, 1:4], codes[5:9, 10:12], codes[0, 19] = 1, 2, 2
    path = tmp_path / "m.png"
    cv2.imwrite(str(path), codes)
    both = sample(MaskFile(path, "dent", code=1), MaskFile(path, "crack", code=2))
    assert load_mask(both, (20, 10), ("crack", "dent")).sum(axis=(1, 2)).tolist() == [9, 6]
    boxes, kinds = load_boxes(both, (20, 10), ("crack", "dent"))
    assert sorted(map(tuple, boxes.tolist())) == [(1, 1, 3, 2), (10, 5, 2, 4), (19, 0, 1, 1)]
    assert sorted(kinds.tolist()) == [0, 0, 1]


@pytest.mark.parametrize(
    ("label", "what"),
    [
        (Box(30, 5, 3, 3), r"a box at \(30, 5\) px"),
        (Polygon((((30, 5), (33, 5), (33, 9)),)), r"a polygon at \(30, 5\) px"),
    ],
)
def test_what_lies_outside_is_refused_by_name(label: Annotation, what: str) -> None:
    for load in (load_mask, load_boxes):
        with pytest.raises(LabelError, match=rf"a\.png: {what} lies outside the image of 20×10 px"):
            load(sample(label), (20, 10))


def test_run_lengths_of_another_size_are_refused() -> None:
    with pytest.raises(LabelError, match="label of 4×2 px for image"):
        load_mask(sample(RunLengths((8,), (4, 2))), (20, 10))


def test_how_a_set_is_labelled_and_which_classes_it_names() -> None:
    good = Sample("g.png", Path("g.png"), "g", defective=False)
    told = Sample("t.png", Path("t.png"), "t", defective=True, cls="crack")
    assert (locating([good, told]), classes_of([good, told])) == ("nowhere", ("crack",))
    boxed = [good, told, sample(Box(1, 1, 2, 2, "dent"), Box(1, 1, 2, 2, "dent"), Ellipse(1, 1, 2, 2, 0))]
    assert (locating(boxed), classes_of(boxed)) == ("boxes", ("crack", "defect", "dent"))
    assert (locating([sample(Ellipse(1, 1, 2, 2, 0))]), classes_of([good])) == ("pixels", ("defect",))


def test_more_objects_than_a_byte_can_count_are_all_kept() -> None:
    boxes = [Box(2 * (i % 20), 2 * (i // 20), 1, 1) for i in range(300)]
    objects = load_instances(sample(*boxes), (40, 40))
    assert len(np.unique(objects)) == 301


def test_of_overlapping_objects_the_smaller_lies_on_top_whatever_their_order() -> None:
    large, small = Box(2, 2, 10, 6), Box(4, 4, 2, 2)
    for both in (sample(large, small), sample(small, large)):
        counts = np.bincount(load_instances(both, (20, 10)).ravel()).tolist()
        assert sorted(counts[1:]) == [4, 56]
