"""Light changes within its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from onspec.training.augmentation import Augmentation, relit

STILL = Augmentation.model_validate(dict.fromkeys(Augmentation.model_fields, 0))
seeds = st.integers(0, 2**32)


def tensor_of(seed: int = 0, channels: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.8, 0.8, (channels, 32, 32)).astype(np.float32)


def under(how: dict[str, float], seed: int, channels: int = 1) -> NDArray[np.float32]:
    return relit(tensor_of(channels=channels), STILL.model_copy(update=how), np.random.default_rng(seed))


def test_no_change_is_none() -> None:
    np.testing.assert_allclose(under({}, 0), tensor_of(), atol=1e-6)


@given(seeds)
def test_contrast_and_brightness_stay_within_their_limits(seed: int) -> None:
    lit, plain = under({"contrast": 0.2, "brightness": 0.1}, seed), tensor_of()
    assert 0.799 <= lit.std() / plain.std() <= 1.201
    assert abs(lit.mean() - plain.mean()) <= 0.1001


def test_some_crops_are_noisy() -> None:
    change = [under({"noise": 0.2}, seed) - tensor_of() for seed in range(60)]
    noisy = np.array([np.abs(c).max() > 1e-3 for c in change])
    assert 0.1 < noisy.mean() < 0.6
    assert max(c.std() for c in change) < 0.25


def test_noise_differs_between_channels_and_light_does_not() -> None:
    light = {"contrast": 0.2, "brightness": 0.1}
    gray = np.repeat(tensor_of(), 3, axis=0)
    lit = relit(gray, STILL.model_copy(update=light), np.random.default_rng(0))
    np.testing.assert_allclose(lit[0], lit[2], atol=1e-6)
    noisy = [relit(gray, STILL.model_copy(update={"noise": 0.2}), np.random.default_rng(s)) for s in range(20)]
    assert any(np.abs(n[0] - n[2]).max() > 0.01 for n in noisy)


@given(seeds)
def test_everything_at_once_is_finite_and_repeats_itself(seed: int) -> None:
    plain = tensor_of(channels=3)
    lit = [relit(plain, Augmentation(), np.random.default_rng(seed)) for _ in range(2)]
    assert lit[0].shape == (3, 32, 32)
    assert lit[0].dtype == np.float32
    assert np.isfinite(lit[0]).all()
    np.testing.assert_array_equal(lit[0], lit[1])
    np.testing.assert_array_equal(plain, tensor_of(channels=3))


@pytest.mark.parametrize("wrong", [{"contrast": 1.0}, {"zoom": -0.1}, {"noise": -1}, {"flips": True}])
def test_what_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(wrong)
