"""Crops of large images are what they would be of small ones, and take no more memory than their window."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import Box, Sample, Task
from onspec.imaging.preparation import Extent
from onspec.imaging.writing import write_image
from onspec.training.augmentation import Augmentation
from onspec.training.crops import cut
from onspec.training.geometry import crop_matrix, inside, warped, warped_masks
from onspec.training.marks import Marks
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, load_pool
from onspec.training.reach import reach, shifted

PlanFor = Callable[..., Plan]
TURNED = Augmentation(rotation_deg=40, zoom=0.5)


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 700), st.integers(1, 700))
def test_marks_hold_the_mask(seed: int, planes: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((planes, height, width)) < rng.choice([0.0, 1e-4, 0.5])).astype(np.uint8)
    marks = Marks.of(mask)
    np.testing.assert_array_equal(marks.whole(), mask)
    (top, bottom), (left, right) = (np.sort(rng.choice(side + 1, 2, replace=False)) for side in (height, width))
    rows, columns = slice(int(top), int(bottom)), slice(int(left), int(right))
    np.testing.assert_array_equal(marks.window(rows, columns), mask[:, rows, columns])


def test_good_surface_takes_no_memory() -> None:
    mask = np.zeros((1, 4096, 4096), np.uint8)
    assert Marks.of(mask).nbytes == 0
    mask[0, 1000:1010, 2000:2010] = 1
    assert Marks.of(mask).nbytes <= 2 * 256 * 256
    assert Marks.of(mask[:0]).whole().shape == (0, 4096, 4096)


@given(st.integers(0, 2**32), st.integers(8, 120), st.integers(1, 200), st.integers(1, 200))
def test_warping_the_window_is_warping_the_image(seed: int, size: int, height: int, width: int) -> None:
    """Wherever the crop lies, also half outside, and whatever it is mirrored about."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width), np.uint8)
    mask = (image > 200).astype(np.uint8)[None]
    matrix = crop_matrix((rng.uniform(0, width), rng.uniform(0, height)), size, TURNED, rng)
    rows, columns = reach(matrix, size, (height, width))
    window, moved = image[rows, columns], shifted(matrix, rows, columns)
    there = inside(moved, size, window.shape)
    assert np.any([there == inside(near, size, image.shape) for near in nearly(matrix)], axis=0).all()
    seen = inside(matrix, size, image.shape)[0] > 0
    a, b = (np.where(seen, warped(*given, size), 0).astype(int) for given in ((window, moved), (image, matrix)))
    assert np.abs(a - b).max() <= 1  # OpenCV rounds places to 1/32 px
    cropped = warped_masks(mask[:, rows, columns], moved, size)
    assert np.any([cropped == warped_masks(mask, near, size) for near in nearly(matrix)], axis=0).all()


def nearly(matrix: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The matrix, and moved by a thousandth px each way: OpenCV 5 reckons in float32, so that the nearest pixel of a
    place half-way between two depends on how far off its numbers start. Anywhere else all of them say the same."""
    ways = [(0.0, 0.0), *((x, y) for x in (-1e-3, 1e-3) for y in (-1e-3, 1e-3))]
    return [matrix + np.array([[0, 0, x], [0, 0, y]]) for x, y in ways]


@pytest.fixture
def line_scan(tmp_path: Path) -> Callable[[str], Sample]:
    """A frame of 4096×1024 px with a small defect in the format of a suffix; TIFF is not compressed."""

    def make(suffix: str) -> Sample:
        image = np.random.default_rng(0).integers(100, 140, (1024, 4096)).astype(np.uint8)
        image[500:512, 3000:3020] = 10
        path = tmp_path / f"frame{suffix}"
        if suffix == ".tif":
            assert cv2.imwrite(str(path), image, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        else:
            write_image(path, image)
        return Sample(path.name, path, "a", defective=True, annotations=(Box(3000, 500, 20, 12),))

    return make


def at_any_size(plan: Plan, **changes: object) -> Plan:
    wide = {"width": Extent(min=1, max=9999), "height": Extent(min=1, max=9999), **changes}
    return plan.model_copy(update={"input": plan.input.model_copy(update=wide)})


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".png"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("task", [Task.SEGMENT, Task.DETECT])
def test_a_crop_is_the_same_from_memory_and_from_the_file(
    task: Task, scale: float, suffix: str, line_scan: Callable[[str], Sample], plan_for: PlanFor
) -> None:
    plan = at_any_size(plan_for(task), scale=scale)
    kept, in_file = (load_pool([line_scan(suffix)], plan, memory_bytes=size)[0] for size in (1 << 30, 0))
    for seed, centre in enumerate([(3010 * scale, 506 * scale), (5.0, 5.0), (4090 * scale, 1020 * scale)]):
        crops = [cut(item, centre, 256, TURNED, plan.input, np.random.default_rng(seed)) for item in (kept, in_file)]
        np.testing.assert_array_equal(crops[0][0], crops[1][0])
        np.testing.assert_array_equal(crops[0][1].mask, crops[1][1].mask)
        np.testing.assert_array_equal(crops[0][1].boxes, crops[1][1].boxes)
        assert task is Task.DETECT or crops[0][1].mask.any() == (seed == 0)


def peak_of(item: Labelled, plan: Plan) -> int:
    tracemalloc.start()
    cut(item, (3010.0, 506.0), 64, TURNED, plan.input, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_crop_of_a_file_that_is_read_by_rows_takes_little_memory(
    line_scan: Callable[[str], Sample], plan_for: PlanFor
) -> None:
    plan = at_any_size(plan_for())
    by_rows, whole = (load_pool([line_scan(s)], plan, memory_bytes=0)[0] for s in (".tif", ".png"))
    assert peak_of(by_rows, plan) < 1.5e6
    assert peak_of(whole, plan) > 4e6


def test_an_image_that_replaces_another_is_the_one_that_is_cut(
    line_scan: Callable[[str], Sample], plan_for: PlanFor
) -> None:
    plan = at_any_size(plan_for())
    item = load_pool([line_scan(".tif")], plan, memory_bytes=0)[0]
    pixels = item.read()
    dark = replace(pixels, image=np.zeros_like(pixels.image))
    tensor, _ = cut(replace(item, read=lambda: dark), (300.0, 300.0), 64, TURNED, plan.input, np.random.default_rng(0))
    assert tensor.max() < -0.5
