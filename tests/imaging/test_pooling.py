"""Heat maps → the scores of a whole image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from onspec.domain import ScoreMap
from onspec.imaging.pooling import LEAST_GOOD, pooled_scores

Planes = NDArray[np.float32]
sharpnesses = st.sampled_from([0.01, 0.25, 1.0, 2.0, 5.0, 100.0, 1e6])


@st.composite
def planes(draw: st.DrawFn) -> Planes:
    """float32 (K, H, W) of scores that exclude each other."""
    shape = tuple(draw(st.integers(1, most)) for most in (3, 6, 6))
    values = draw(arrays.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    return np.asarray(values / np.maximum(values.sum(axis=0), 1), np.float32)


def pooled(values: Planes, sharpness: float) -> tuple[float, dict[str, float]]:
    """Of the classes a, b, c."""
    return pooled_scores([ScoreMap(np.minimum(p, 1), "abc"[k]) for k, p in enumerate(values)], sharpness)


@settings(max_examples=300)
@given(planes(), sharpnesses, st.data())
def test_raising_a_score_never_lowers_the_images(values: Planes, sharpness: float, data: st.DataObject) -> None:
    k, y, x = (data.draw(st.integers(0, side - 1)) for side in values.shape)
    raised = values.copy()
    raised[k, y, x] += (1 - values[:, y, x].sum()) * np.float32(data.draw(st.floats(0, 1)))
    raised = np.clip(raised, 0, 1)
    if raised[k, y, x] >= values[k, y, x]:
        assert pooled(raised, sharpness)[0] >= pooled(values, sharpness)[0] - 1e-9


@given(planes(), sharpnesses)
def test_scores_are_shares_of_one_and_add_up(values: Planes, sharpness: float) -> None:
    image, classes = pooled(values, sharpness)
    assert 0 <= image <= 1
    assert image == pytest.approx(sum(classes.values()), abs=1e-12)
    assert all(0 <= score <= image for score in classes.values())


@given(planes(), st.sampled_from([0.25, 1.0, 3.0]))
def test_it_is_log_sum_exp_pooling_of_the_logits(values: Planes, r: float) -> None:
    wide = np.clip(values.astype(np.float64), 1e-4, None)
    wide /= wide.sum(axis=0) + 1e-3
    narrow = wide.astype(np.float32)
    logits = np.log(narrow.astype(np.float64)) - np.log(1 - narrow.astype(np.float64).sum(axis=0))
    expected = np.exp(np.log(np.exp(r * logits).mean(axis=(1, 2))) / r)
    image, _ = pooled(narrow, r)
    assert image == pytest.approx(expected.sum() / (1 + expected.sum()), rel=1e-6)


@given(st.floats(0, 0.5, width=32), st.floats(0, 0.5, width=32), sharpnesses)
def test_an_even_image_has_the_scores_of_its_pixels(a: float, b: float, sharpness: float) -> None:
    values = np.stack([np.full((4, 5), a, np.float32), np.full((4, 5), b, np.float32)])
    image, classes = pooled(values, sharpness)
    assert image == pytest.approx(min(a + b, 1 - LEAST_GOOD), abs=1e-5)
    assert classes["a"] == pytest.approx(a, abs=1e-5)


def test_from_the_mean_to_the_maximum() -> None:
    values = np.zeros((1, 10, 10), np.float32)
    values[0, 3, 4] = 0.8  # odds 4
    assert pooled(values, 1.0)[0] == pytest.approx(0.04 / 1.04)
    assert pooled(values, 2.0)[0] == pytest.approx(0.4 / 1.4)
    assert pooled(values, 1e9)[0] == pytest.approx(0.8)
    scores = [pooled(values, r)[0] for r in (0.1, 0.5, 1, 2, 4, 16)]
    assert scores == sorted(scores)


def test_nothing_marked_scores_nothing_and_certainty_stays_finite() -> None:
    assert pooled(np.zeros((2, 3, 3), np.float32), 4.0) == (0.0, {"a": 0.0, "b": 0.0})
    image, classes = pooled(np.ones((1, 3, 3), np.float32), 4.0)
    assert image == classes["a"] == pytest.approx(1 - 1e-6, abs=1e-9)


@given(planes(), sharpnesses)
def test_the_order_of_classes_decides_nothing(values: Planes, sharpness: float) -> None:
    maps = [ScoreMap(np.minimum(p, 1), "abc"[k]) for k, p in enumerate(values)]
    assert pooled_scores(maps, sharpness) == pooled_scores(maps[::-1], sharpness)
