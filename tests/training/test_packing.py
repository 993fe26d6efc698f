"""Crops lose the room that none of them needs, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.training.crops import Truth
from onspec.training.packing import packed
from onspec.training.sampling import Crop

SIDE = 96
STRIDE = 32
Place = tuple[int, int, int, int]


def crop_with(image: Place) -> Crop:
    """An image of the given x, y, width, height in a crop, every pixel its own value, with a box all around it."""
    x, y, width, height = image
    valid = np.zeros((1, SIDE, SIDE), np.float32)
    valid[:, y : y + height, x : x + width] = 1
    values = np.arange(1, SIDE * SIDE + 1, dtype=np.float32).reshape(1, SIDE, SIDE) * valid
    box = np.array([[x, y, x + width, y + height]], np.float32)
    mask = (values[:, :, :] % 2).astype(np.uint8)
    return Crop(values, Truth(mask, box, np.zeros(1, np.int64), valid, 1, True), bag=3)


@st.composite
def places(draw: st.DrawFn) -> Place:
    x, y = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    return x, y, draw(st.integers(1, SIDE - x)), draw(st.integers(1, SIDE - y))


@given(st.lists(places(), min_size=1, max_size=4), st.integers(0, 100))
def test_what_is_shown_stays_what_it_was(images: list[Place], seed: int) -> None:
    crops = [crop_with(image) for image in images]
    done = packed(crops, STRIDE, np.random.default_rng(seed))
    height, width = done[0].tensor.shape[1:]
    assert height == -(-max(i[3] for i in images) // STRIDE) * STRIDE
    assert width == -(-max(i[2] for i in images) // STRIDE) * STRIDE
    for before, after in zip(crops, done, strict=True):
        shown, now = before.truth.valid > 0, after.truth.valid > 0
        assert np.array_equal(after.tensor[now], before.tensor[shown])
        assert np.array_equal(after.truth.mask[now], before.truth.mask[shown])
        assert not after.tensor[~now].any()
        left, top, right, bottom = (int(v) for v in after.truth.boxes[0])
        assert now[0, top:bottom, left:right].all()
        assert now.sum() == (right - left) * (bottom - top)
        assert (after.bag, after.truth.cls) == (before.bag, before.truth.cls)


def test_small_images_touch_the_border_in_every_corner() -> None:
    crops = [crop_with((0, 0, 64, 64)), crop_with((10, 10, 20, 20))]
    corners = {
        (bool(small.tensor[0, 0].any()), bool(small.tensor[0, :, 0].any()))
        for seed in range(40)
        for small in packed(crops, STRIDE, np.random.default_rng(seed))[1:]
    }
    assert len(corners) == 4


def test_a_full_crop_leaves_all_as_they_are() -> None:
    crops = [crop_with((0, 0, SIDE, SIDE)), crop_with((10, 10, 20, 20))]
    done = packed(crops, STRIDE, np.random.default_rng(0))
    assert all(a is b for a, b in zip(crops, done, strict=True))


@pytest.mark.parametrize("planes", [0, 3])
def test_masks_of_any_number_of_planes(planes: int) -> None:
    crop = crop_with((5, 5, 30, 30))
    mask = np.ones((planes, SIDE, SIDE), np.uint8)
    truth = Truth(mask, crop.truth.boxes, crop.truth.kinds, crop.truth.valid, 0, False)
    (done,) = packed([Crop(crop.tensor, truth)], STRIDE, np.random.default_rng(0))
    assert done.truth.mask.shape == (planes, 32, 32)
