"""Crops show the image's own pixels, and image and label move together."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import Sample
from onspec.imaging.preparation import Extent, InputSpec, statistics
from onspec.training.augmentation import Augmentation, cut
from onspec.training.pool import Labelled

STILL = Augmentation(flip=False, quarter_turns=False, rotation_deg=0, zoom=0, contrast=0, brightness=0, noise=0)


def labelled(image: NDArray[np.generic], mask: NDArray[np.uint8], spec: InputSpec) -> Labelled:
    sample = Sample("a.png", Path("a.png"), "a", defective=False)
    return Labelled(sample, image, mask[None], statistics(image, spec), ())


def spec_of(dtype: str = "uint8") -> InputSpec:
    side = Extent(min=1, max=999)
    return InputSpec(width=side, height=side, dtype="uint16" if dtype == "uint16" else "uint8")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_without_augmentation_a_crop_is_a_slice(dtype: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, np.iinfo(dtype).max, (100, 120), dtype=dtype, endpoint=True)
    mask = (image > np.iinfo(dtype).max // 2).astype(np.uint8)
    crop = cut(labelled(image, mask, spec_of(dtype)), (32.0, 100 - 32.0), 64, STILL, spec_of(dtype), rng)
    expected = image[36:100, 0:64] * (2.0 / np.iinfo(dtype).max) - 1
    np.testing.assert_allclose(crop.tensor[0], expected, atol=1e-6)
    np.testing.assert_array_equal(crop.target[0], mask[36:100, 0:64])
    assert crop.valid.min() == 1


@given(seed=st.integers(0, 2**32), turns=st.booleans(), rotation=st.sampled_from([0.0, 15.0]))
def test_image_and_label_move_together(seed: int, turns: bool, rotation: float) -> None:
    mask = np.zeros((90, 70), np.uint8)
    mask[20:50, 10:30] = 1
    how = STILL.model_copy(update={"flip": True, "quarter_turns": turns, "rotation_deg": rotation})
    item = labelled(mask * 255, mask, spec_of())
    crop = cut(item, (30.0, 40.0), 64, how, spec_of(), np.random.default_rng(seed))
    seen = (crop.tensor > 0) & (crop.valid > 0)
    # Half-covered pixels on a rotated outline may fall to either side.
    assert np.abs(seen.astype(int) - crop.target.astype(int)).sum() <= (0 if rotation == 0 else 0.1 * mask.sum())


def test_what_is_mirrored_over_the_border_is_not_labelled() -> None:
    image = np.full((40, 40), 200, np.uint8)
    crop = cut(
        labelled(image, np.ones_like(image), spec_of()), (20.0, 20.0), 64, STILL, spec_of(), np.random.default_rng(0)
    )
    assert crop.valid.sum() == 40 * 40
    assert crop.target.sum() == 40 * 40
    assert crop.tensor.min() == crop.tensor.max()


def test_light_changes_within_its_limits() -> None:
    how = STILL.model_copy(update={"contrast": 0.2, "brightness": 0.1})
    image = np.random.default_rng(0).integers(60, 190, (64, 64), dtype=np.uint8)
    item = labelled(image, np.zeros_like(image), spec_of())
    plain = cut(item, (32.0, 32.0), 64, STILL, spec_of(), np.random.default_rng(0)).tensor
    for seed in range(20):
        lit = cut(item, (32.0, 32.0), 64, how, spec_of(), np.random.default_rng(seed)).tensor
        assert 0.8 <= lit.std() / plain.std() <= 1.2
        assert abs(lit.mean() - plain.mean()) <= 0.1001
