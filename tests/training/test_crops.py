"""Crops show the image's own pixels, image and label move together, and pasted defects are labelled where they are."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.domain import Sample
from onspec.imaging.preparation import Extent, InputSpec, statistics
from onspec.training.augmentation import Augmentation
from onspec.training.crops import Donor, cut, pasted
from onspec.training.pool import Labelled, Pixels, mask_spots

STILL = Augmentation.model_validate(dict.fromkeys(Augmentation.model_fields, 0))
seeds = st.integers(0, 2**32)


def labelled(image: NDArray[np.generic], mask: NDArray[np.uint8], spec: InputSpec | None = None) -> Labelled:
    """An image with a mask (K, H, W)."""
    pixels = Pixels(image, mask)
    height, width = image.shape[:2]
    return Labelled(
        sample=Sample("a.png", Path("a.png"), "a", defective=False),
        size=(width, height),
        stats=statistics(image, spec or spec_of()),
        located=True,
        spots=mask_spots(mask),
        boxes=np.zeros((0, 4), np.float32),
        kinds=np.zeros(0, np.int64),
        cls=0,
        read=lambda: pixels,
    )


def spec_of(dtype: str = "uint8", channels: int = 1) -> InputSpec:
    side = Extent(min=1, max=999)
    return InputSpec(
        width=side, height=side, dtype="uint16" if dtype == "uint16" else "uint8", channels=3 if channels == 3 else 1
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_without_augmentation_a_crop_is_a_slice(dtype: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, np.iinfo(dtype).max, (100, 120), dtype=dtype, endpoint=True)
    mask = (image > np.iinfo(dtype).max // 2).astype(np.uint8)[None]
    spec = spec_of(dtype)
    tensor, truth = cut(labelled(image, mask, spec), (32.0, 100 - 32.0), 64, STILL, spec, rng)
    expected = image[36:100, 0:64] * (2.0 / np.iinfo(dtype).max) - 1
    np.testing.assert_allclose(tensor[0], expected, atol=1e-6)
    np.testing.assert_array_equal(truth.mask[0], mask[0, 36:100, 0:64])
    assert truth.valid.min() == 1


@given(seed=seeds, turns=st.booleans(), rotation=st.sampled_from([0.0, 15.0]))
def test_image_and_label_move_together(seed: int, turns: bool, rotation: float) -> None:
    mask = np.zeros((1, 90, 70), np.uint8)
    mask[0, 20:50, 10:30] = 1
    how = STILL.model_copy(update={"flip": True, "quarter_turns": turns, "rotation_deg": rotation})
    tensor, truth = cut(labelled(mask[0] * 255, mask), (30.0, 40.0), 64, how, spec_of(), np.random.default_rng(seed))
    seen = (tensor > 0) & (truth.valid > 0)
    # Half-covered pixels on a rotated outline may fall to either side.
    assert np.abs(seen.astype(int) - truth.mask.astype(int)).sum() <= (0 if rotation == 0 else 0.1 * mask.sum())


def test_boxes_and_the_image_s_class_go_with_the_crop() -> None:
    image = np.full((90, 70), 100, np.uint8)
    item = replace(
        labelled(image, np.zeros((0, 90, 70), np.uint8)),
        boxes=np.array([[10, 20, 8, 6]], np.float32), kinds=np.array([3]), cls=4, located=False,
    )  # fmt: skip
    _, truth = cut(item, (35.0, 45.0), 64, STILL, spec_of(), np.random.default_rng(0))
    assert truth.boxes.tolist() == [[10 - 3, 20 - 13, 18 - 3, 26 - 13]]
    assert (truth.kinds.tolist(), truth.cls, truth.located, truth.mask.shape) == ([3], 4, False, (0, 64, 64))


def test_beyond_the_border_there_is_nothing() -> None:
    image = np.full((40, 40), 200, np.uint8)
    item = labelled(image, np.ones((1, 40, 40), np.uint8))
    tensor, truth = cut(item, (20.0, 20.0), 64, STILL, spec_of(), np.random.default_rng(0))
    assert truth.valid.sum() == 40 * 40
    assert truth.mask.sum() == 40 * 40
    assert (tensor[truth.valid == 0] == 0).all()
    assert len(np.unique(tensor[truth.valid > 0])) == 1
    assert tensor[truth.valid > 0][0] != 0


def noise(seed: int, mean: float, deviation: float, shape: tuple[int, ...] = (96, 96)) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(mean, deviation, shape)


def spot_of(image: NDArray[np.float64], lift: float, planes: int = 2, dtype: str = "uint8") -> Labelled:
    """A disc of class 1 at (48, 40) that is brighter than the noise around it."""
    mask = np.zeros((planes, 96, 96), np.uint8)
    cv2.circle(mask[1], (48, 40), 9, 1, -1)
    top = np.iinfo(dtype).max
    lifted = image + lift * np.float64(mask[1] if image.ndim == 2 else mask[1][..., None])
    return labelled(np.clip(lifted, 0, top).astype(dtype), mask, spec_of(dtype, 3 if image.ndim == 3 else 1))


def paste(
    donor: Labelled, onto: NDArray[np.generic], mask: NDArray[np.uint8], seed: int = 0, how: Augmentation = STILL
) -> tuple[NDArray[np.generic], NDArray[np.uint8]]:
    return pasted(onto, mask, Donor(donor, 0, (48.0, 40.0)), onto.shape[0], how, np.random.default_rng(seed))


@given(seeds)
def test_a_pasted_defect_is_labelled_where_it_changed_the_crop(seed: int) -> None:
    onto = noise(1, 90, 6).astype(np.uint8)
    image, mask = paste(spot_of(noise(2, 140, 12), 70), onto, np.zeros((2, 96, 96), np.uint8), seed)
    change = image.astype(int) - onto
    assert not mask[0].any()
    assert mask[1].any()
    inside, outside = mask[1] > 0, cv2.dilate(mask[1], np.ones((19, 19), np.uint8)) == 0
    assert not change[outside].any()
    assert change[inside].mean() > 15
    assert np.abs(change[~inside & ~outside]).mean() < 0.5 * change[inside].mean()
    assert onto.dtype == image.dtype
    assert onto.max() < 130  # it itself is as it was


def test_a_pasted_defect_comes_to_the_light_of_its_place() -> None:
    """70 gray values over noise of deviation 14 are as many deviations over noise of deviation 7."""
    onto = noise(1, 60, 7).astype(np.uint8)
    lifts = []
    for seed in range(8):
        image, mask = paste(spot_of(smooth(140, 14), 70), onto, np.zeros((2, 96, 96), np.uint8), seed)
        inside = cv2.erode(mask[1], np.ones((5, 5), np.uint8)) > 0
        lifts.append(image[inside].mean() - onto.mean())
    assert np.mean(lifts) == pytest.approx(70 * (7 + 1) / (14 + 1), rel=0.2)


def smooth(mean: float, deviation: float) -> NDArray[np.float64]:
    """Noise that stays as it is when it is turned and scaled."""
    grain = cv2.GaussianBlur(noise(2, 0, 1), (0, 0), 3)
    return np.asarray(mean + deviation * grain / grain.std())


@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint16", 1), ("uint16", 3)])
def test_colour_and_depth_are_kept(dtype: str, channels: int) -> None:
    unit = 1 if dtype == "uint8" else 257
    shape = (96, 96) if channels == 1 else (96, 96, 3)
    onto = (noise(1, 90, 6, shape) * unit).astype(dtype)
    donor = spot_of(noise(2, 140, 12, shape) * unit, 70 * unit, dtype=dtype)
    image, mask = paste(donor, onto, np.zeros((2, 96, 96), np.uint8))
    assert (image.dtype, image.shape) == (onto.dtype, onto.shape)
    change = image[mask[1] > 0].astype(float) - onto[mask[1] > 0]
    assert change.mean() / unit > 15


def test_what_it_covers_is_no_longer_what_it_was() -> None:
    before = np.ones((2, 96, 96), np.uint8)
    before[1] = 0
    _, mask = paste(spot_of(noise(2, 140, 12), 70), noise(1, 90, 6).astype(np.uint8), before)
    np.testing.assert_array_equal(mask[0], 1 - mask[1])


def test_its_core_comes_with_it() -> None:
    """Where touching objects are told apart, the last plane is that of cores."""
    donor = spot_of(noise(2, 140, 12), 70, planes=3)
    planes = donor.read().mask
    cv2.circle(planes[2], (48, 40), 4, 1, -1)
    _, mask = paste(donor, noise(1, 90, 6).astype(np.uint8), np.zeros((3, 96, 96), np.uint8))
    assert 0.4 < mask[2].sum() / planes[2].sum() < 2.5
    assert not (mask[2] & ~mask[1]).any()


def test_a_defect_without_surroundings_is_not_pasted() -> None:
    """Nothing says then what light it was seen in."""
    everywhere = labelled(noise(2, 140, 12).astype(np.uint8), np.ones((1, 96, 96), np.uint8))
    onto = noise(1, 90, 6).astype(np.uint8)
    image, mask = paste(everywhere, onto, np.zeros((1, 96, 96), np.uint8))
    np.testing.assert_array_equal(image, onto)
    assert not mask.any()


def test_a_crop_with_a_donor_shows_its_defect_and_keeps_its_border() -> None:
    good = labelled(noise(1, 90, 6, (40, 96)).astype(np.uint8), np.zeros((2, 40, 96), np.uint8))
    donor = Donor(spot_of(noise(2, 140, 12), 70), 0, (48.0, 40.0))
    tensor, truth = cut(good, (48.0, 20.0), 64, STILL, spec_of(), np.random.default_rng(0), donor=donor)
    assert truth.valid.sum() == 40 * 64
    assert truth.mask[1].any()
    assert not truth.mask[0].any()
    assert tensor[0][truth.mask[1] > 0].mean() > tensor.mean() + 0.1


def square(image: NDArray[np.generic], rng: Generator) -> tuple[NDArray[np.generic], NDArray[np.uint8]]:
    """Paints a white square somewhere."""
    changed, mask = image.copy(), np.zeros(image.shape, np.uint8)
    x = int(rng.integers(10, 40))
    changed[5:15, x : x + 10], mask[5:15, x : x + 10] = 255, 1
    return changed, mask


@pytest.mark.parametrize("separate", [False, True])
def test_a_painted_defect_is_labelled_as_its_painter_says(separate: bool) -> None:
    item = labelled(noise(1, 90, 6).astype(np.uint8), np.zeros((1 + separate, 96, 96), np.uint8))
    rng = np.random.default_rng(0)
    tensor, truth = cut(item, (48.0, 48.0), 64, STILL, spec_of(), rng, paint=square, separate=separate)
    assert truth.mask[0].sum() == 100
    assert tensor[0][truth.mask[0] > 0].min() > 0.999
    assert tensor[0][truth.mask[0] == 0].max() < 0.5
    assert not item.read().mask.any()
    if separate:
        assert 0 < truth.mask[1].sum() < 100
        assert not (truth.mask[1] & ~truth.mask[0]).any()
