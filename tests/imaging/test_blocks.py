"""Images in blocks: levels, highest scores, and which blocks matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.domain import Prediction, ScoreMap
from onspec.imaging.blocks import Scale, block_peaks, blocks_of, blocks_that_matter, count_blocks
from onspec.imaging.preparation import Extent, InputSpec, prepare
from onspec.imaging.weighing import Evidence, Peak


def spec(**values: object) -> InputSpec:
    sides = Extent(min=1, max=999)
    return InputSpec.model_validate({"width": sides, "height": sides, "stride": 16, "tile": 256, "halo": 32, **values})


def test_levels_of_8_bit_gray_are_the_gray_values() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    levels = Scale(-1.0, 1.0).levels(prepare(image, spec()), 8)
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(levels[0], image)


def test_what_lies_outside_of_the_scale_ends_there() -> None:
    image = np.array([[0, 100, 128, 255]], np.uint8)
    levels = Scale(100 / 127.5 - 1.0, 128 / 127.5 - 1.0).levels(prepare(image, spec()), 1)
    assert levels.ravel().tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_levels_follow_the_light_of_the_image_where_the_network_does(dtype: str) -> None:
    """With `normalise: image`, a picture and the same one at double contrast have the same levels."""
    rng = np.random.default_rng(0)
    image = rng.integers(20, 120, (40, 50)).astype(dtype)
    doubled = (image * 2).astype(dtype)
    scale, told = Scale(-3.0, 3.0), spec(dtype=dtype, normalise="image")
    one, other = (scale.levels(prepare(i, told), 8) for i in (image, doubled))
    assert one.std() > 10
    assert np.abs(one.astype(int) - other).max() <= 1


def test_colour_and_the_last_blocks_repeat_the_border() -> None:
    image = np.zeros((5, 7, 3), np.uint8)
    image[-1, :, 1], image[:, -1, 2] = 9, 5
    levels = Scale(-1.0, 1.0).levels(prepare(image, spec(channels=3)), 8)
    assert levels.shape == (3, 8, 8)
    assert (levels[1, 4:, :] == 9).all()
    assert (levels[2, :, 6:] == 5).all()


def test_a_scale_ascends() -> None:
    with pytest.raises(ValueError, match="low must be under high; got 1 and 1"):
        Scale(1, 1)


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 2, 8]), st.integers(0, 5))
def test_peaks_are_the_highest_of_each_block(height: int, width: int, cell: int, seed: int) -> None:
    rng, side = np.random.default_rng(seed), 16
    scores = rng.random((2, -(-height // 16) * 16 // cell, -(-width // 16) * 16 // cell)).astype(
        np.float32
    ) / np.float32(2)
    peaks = block_peaks(scores, cell, side, (height, width))
    assert peaks.shape == count_blocks((height, width), side)
    row, column = (int(rng.integers(n)) for n in peaks.shape)
    each = side // cell
    there = scores.sum(axis=0)[row * each : (row + 1) * each, column * each : (column + 1) * each]
    assert peaks[row, column] == pytest.approx(float(there.max()))


def test_pixels_of_an_image_at_another_resolution_lie_in_its_blocks() -> None:
    mask = np.zeros((100, 200), bool)
    mask[99, 0] = mask[0, 130] = True
    found = blocks_of(mask, 16, (50, 100))  # half of the resolution
    assert [tuple(at) for at in np.argwhere(found)] == [(0, 4), (3, 0)]


@pytest.mark.parametrize("weighing", [Peak(1), Evidence(1.0)])
def test_a_region_matters_where_it_is_outlined_and_a_faint_one_does_not(weighing: Peak | Evidence) -> None:
    values = np.zeros((64, 96), np.float32)
    values[4:12, 20:60] = 0.3  # the rim, in blocks 1…3
    values[6:10, 36:44] = 0.9
    values[50, 90] = 0.2
    seen = Prediction((ScoreMap(values),))
    for outlined, columns in ((0.2, (1, 2, 3)), (0.5, (2,)), (0.95, (1, 2, 3))):  # as a whole where none reaches it
        matter = blocks_that_matter(seen, (0.1, outlined), 0.4, weighing, 16, (64, 96))
        assert [tuple(at) for at in np.argwhere(matter)] == [(0, column) for column in columns]
    nothing = blocks_that_matter(Prediction((ScoreMap(values * 0),)), (0.1, 0.5), 0.4, weighing, 16, (64, 96))
    assert not nothing.any()
