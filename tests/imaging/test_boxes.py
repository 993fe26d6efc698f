"""A detector's planes → boxes in the original's pixels."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

import onspec.imaging.boxes as module
from onspec.domain import ScoredBox
from onspec.imaging.boxes import FLOOR, MOST, SAME_OBJECT, box_region, decode_boxes, iou

Planes = NDArray[np.float32]
corners = arrays.arrays(np.float32, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(0, 50, width=32))
planes = arrays.arrays(
    np.float32,
    st.tuples(st.just(6), st.integers(1, 7), st.integers(1, 7)),
    elements=st.sampled_from([0, 0.04, 0.05, 0.3, 0.9, 1, 6]),
)
"""Two classes and four distances."""


def found(output: Planes, cell: int = 4, ratio: float = 1.0, size: tuple[int, int] | None = None) -> list[ScoredBox]:
    """Boxes of the classes a, b …; `size` is (height, width) of the working image, by default that of the cells."""
    working = size or (output.shape[1] * cell, output.shape[2] * cell)
    original = (round(working[0] * ratio), round(working[1] * ratio))
    return list(decode_boxes(np.clip(output, 0, None), tuple("abcd"[: len(output) - 4]), cell, working, original))


def blank(classes: int = 1, down: int = 6, across: int = 8, reach: float = 2.0) -> Planes:
    """No object anywhere; every box would reach so many px to each side."""
    return np.concatenate(
        [np.zeros((classes, down, across), np.float32), np.full((4, down, across), reach, np.float32)]
    )


@given(corners, corners)
def test_overlap_is_that_of_two_boxes_alone(a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    overlap = iou(a, b)
    assert (overlap.shape, overlap.dtype) == ((len(a), len(b)), np.dtype(np.float32))
    for i, (ax, ay, aw, ah) in enumerate(a.astype(float)):
        for j, (bx, by, bw, bh) in enumerate(b.astype(float)):
            across = max(0.0, min(ax + aw, bx + bw) - max(ax, bx))
            down = max(0.0, min(ay + ah, by + bh) - max(ay, by))
            union = aw * ah + bw * bh - across * down
            assert overlap[i, j] == pytest.approx(across * down / union if union > 0 else 0.0, abs=1e-6)


def test_a_box_overlaps_itself_wholly() -> None:
    box = np.array([[3, 4, 5, 6], [0, 0, 5, 6]], np.float32)
    assert iou(box, box).tolist() == [[1.0, pytest.approx(4 / 56)], [pytest.approx(4 / 56), 1.0]]


def test_a_cell_gives_the_box_around_its_centre() -> None:
    output = blank()
    output[:, 2, 5] = (0.75, 3.0, 1.0, 5.0, 2.0)
    assert found(output) == [ScoredBox("a", 0.75, 19.0, 9.0, 8.0, 3.0)]
    assert found(output, ratio=2.0) == [ScoredBox("a", 0.75, 38.0, 18.0, 16.0, 6.0)]


def test_each_axis_has_its_own_exact_scale() -> None:
    output = blank()
    output[0, 2, 5] = 0.8
    (box,) = decode_boxes(output, ("a",), 4, (24, 31), (51, 62))
    assert (box.x, box.width) == (40.0, 8.0)
    assert (box.y, box.height) == pytest.approx((8 * 51 / 24, 4 * 51 / 24))


def test_boxes_are_cut_at_the_border_and_never_lost() -> None:
    output = blank(reach=9.0)
    output[0, 0, 0] = output[0, 5, 7] = 0.9
    assert [(b.x, b.y, b.width, b.height) for b in found(output)] == [(0, 0, 11, 11), (21, 13, 11, 11)]
    output = blank(reach=0.0)
    output[0, 2, 7] = 0.9  # its centre lies beyond an image of 29 px, and it has no extent
    (box,) = found(output, size=(24, 29))
    assert (box.x, box.y, box.width, box.height) == (28.0, 9.5, 1.0, 1.0)


def test_a_neighbour_with_a_higher_score_speaks_for_the_object() -> None:
    output = blank(down=1, across=7, reach=1.0)
    output[0] = [[0.3, 0.5, 0.4, 0.04, 0.0, 0.06, 0.04]]
    assert [(round(b.score, 2), b.x) for b in found(output)] == [(0.5, 5.0), (0.06, 21.0)]


def test_a_plateau_is_one_object_if_its_boxes_agree_and_several_if_not() -> None:
    output = blank()
    output[0, 2:4, 2:5] = 0.7
    output[1:, 2:4, 2:5] = 0
    for row in (2, 3):
        for column in (2, 3, 4):  # every cell draws the box from (8, 8) to (20, 16)
            x, y = (column + 0.5) * 4, (row + 0.5) * 4
            output[1:, row, column] = (x - 8, y - 8, 20 - x, 16 - y)
    (box,) = found(output)
    assert (box.x, box.y, box.width, box.height) == (8, 8, 12, 8)
    apart = blank()
    apart[0, 2, 2:5] = 0.7  # boxes of one cell each
    assert [b.x for b in found(apart)] == [8, 12, 16]


def test_of_overlapping_boxes_of_one_class_the_best_is_kept() -> None:
    output = blank(classes=2, reach=10.0)
    output[0, 2, 2], output[0, 2, 4], output[1, 2, 3] = 0.9, 0.8, 0.7  # a and a overlap by 12 of 28 px: under half
    assert [(b.cls, round(b.score, 1)) for b in found(output)] == [("a", 0.9), ("a", 0.8), ("b", 0.7)]
    output[2:] = 20.0
    assert [(b.cls, round(b.score, 1)) for b in found(output)] == [("a", 0.9), ("b", 0.7)]


@given(planes)
def test_the_highest_score_is_always_that_of_a_box(output: Planes) -> None:
    output[:2] = np.minimum(output[:2], 1)
    boxes = found(output)
    highest = float(output[:2].max())
    assert (boxes[0].score if boxes else 0.0) == (highest if highest >= np.float32(FLOOR) else 0.0)


@given(planes, st.sampled_from([(1, 1), (5, 3)]))
def test_boxes_lie_in_the_image_apart_and_in_order(output: Planes, less: tuple[int, int]) -> None:
    output[:2] = np.minimum(output[:2], 1)
    height, width = (max(1, side * 4 - cut) for side, cut in zip(output.shape[1:], less, strict=True))
    boxes = found(output, size=(height, width))
    for box in boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= width + 1e-9
        assert box.y + box.height <= height + 1e-9
        assert min(box.width, box.height) >= 1 - 1e-9
    assert [b.score for b in boxes] == sorted((b.score for b in boxes), reverse=True)
    for cls in "ab":
        own = np.array([(b.x, b.y, b.width, b.height) for b in boxes if b.cls == cls]).reshape(-1, 4)
        assert (iou(own, own) - np.eye(len(own)) <= SAME_OBJECT + 1e-6).all()


@given(planes)
def test_the_order_of_classes_decides_nothing(output: Planes) -> None:
    output[:2] = np.minimum(output[:2], 1)
    size = (output.shape[1] * 4, output.shape[2] * 4)
    swapped = np.concatenate([output[1::-1], output[2:]])
    assert decode_boxes(output, ("a", "b"), 4, size, size) == decode_boxes(swapped, ("b", "a"), 4, size, size)


def test_a_network_gone_mad_gives_so_many_boxes_and_no_more() -> None:
    output = blank(classes=3, down=256, across=256, reach=2.0)
    output[:3] = 1.0
    start = time.process_time()
    boxes = found(output)
    assert len(boxes) == MOST
    assert time.process_time() - start < 2


def test_how_many_boxes_are_looked_at_a_time_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    output = np.concatenate([rng.random((2, 40, 40)), rng.uniform(0, 30, (4, 40, 40))]).astype(np.float32)
    expected = found(output)
    assert len(expected) == MOST
    for count in (1, 7, 100_000):
        monkeypatch.setattr(module, "_AT_A_TIME", count)
        assert found(output) == expected


@given(st.floats(-5, 45), st.floats(-5, 35), st.floats(0.1, 60), st.floats(0.1, 60))
def test_a_box_as_a_region_covers_the_box_and_lies_in_the_image(x: float, y: float, w: float, h: float) -> None:
    region = box_region(ScoredBox("a", 0.5, x, y, w, h), (40, 30))
    left, top, width, height = region.defect.bbox
    assert left >= 0
    assert top >= 0
    assert left + width <= 40
    assert top + height <= 30
    assert left <= max(0, x) + 1e-2 or left == 39
    assert left + width >= min(40, x + w) - 1e-2
    assert top + height >= min(30, y + h) - 1e-2
    assert region.mask.shape == (height, width)
    assert int(region.mask.sum()) == region.defect.area_px == width * height


def test_the_measures_of_a_box() -> None:
    region = box_region(ScoredBox("pore", 0.7, 3.999999, 6.2, 3.0, 9.7), (40, 30))
    defect = region.defect
    assert (defect.cls, defect.score, defect.bbox) == ("pore", 0.7, (4, 6, 3, 10))
    assert (defect.length_px, defect.width_px, defect.orientation_deg) == (10, 3, 90)
    assert defect.centroid == (5.0, 10.5)
    assert defect.polygon == ((4, 6), (6, 6), (6, 15), (4, 15))
