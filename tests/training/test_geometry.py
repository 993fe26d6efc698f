"""Where a crop's pixels come from: image, mask and boxes move together."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.training.augmentation import Augmentation
from onspec.training.geometry import crop_matrix, inside, warped, warped_boxes, warped_masks

SIZE = 64
AXES = Augmentation(flip=True, quarter_turns=True, rotation_deg=0, zoom=0)
ANY = Augmentation(flip=True, quarter_turns=True, rotation_deg=25, zoom=0.4)
centres = st.tuples(st.floats(20, 76), st.floats(20, 52))
boxes = st.tuples(st.integers(4, 60), st.integers(4, 40), st.integers(3, 30), st.integers(3, 25))
seeds = st.integers(0, 2**32)


def filled(box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A mask (1, 72, 96) of x, y, width, height."""
    mask = np.zeros((1, 72, 96), np.uint8)
    x, y, w, h = box
    mask[0, y : y + h, x : x + w] = 1
    return mask


def around(mask: NDArray[np.uint8]) -> list[int]:
    """Left, top, right, bottom of what is marked."""
    x, y, w, h = cv2.boundingRect(mask)
    return [x, y, x + w, y + h]


@given(seeds, centres)
def test_turns_and_flips_keep_every_pixel(seed: int, centre: tuple[float, float]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    matrix = crop_matrix((centre[0] + 50, centre[1] + 50), SIZE, AXES, np.random.default_rng(seed))
    crop = warped(image, matrix, SIZE)
    x, y = (int(np.rint(v)) for v in matrix @ np.array([SIZE / 2 - 0.5, SIZE / 2 - 0.5, 1]) - SIZE / 2 + 0.5)
    piece = image[y : y + SIZE, x : x + SIZE]
    alike = [np.rot90(p, turns) for p in (piece, piece[:, ::-1]) for turns in range(4)]
    assert any(np.array_equal(crop, p) for p in alike)


def test_directions_that_may_not_turn_do_not() -> None:
    """Without quarter turns a horizontal line stays one; without flips, too, nothing moves at all."""
    image = np.zeros((100, 100), np.uint8)
    image[50] = 255
    for seed in range(20):
        how = AXES.model_copy(update={"quarter_turns": False})
        assert (
            warped(image, crop_matrix((50, 50), SIZE, how, np.random.default_rng(seed)), SIZE).max(axis=1).sum() == 255
        )
        still = how.model_copy(update={"flip": False})
        np.testing.assert_array_equal(crop_matrix((50, 50), SIZE, still, np.random.default_rng(seed))[:, :2], np.eye(2))


@given(seeds, centres, boxes)
def test_a_box_moves_exactly_with_its_mask_under_turns_and_flips(
    seed: int, centre: tuple[float, float], box: tuple[int, int, int, int]
) -> None:
    matrix = crop_matrix(centre, SIZE, AXES, np.random.default_rng(seed))
    mask = warped_masks(filled(box), matrix, SIZE)[0]
    moved = np.clip(warped_boxes(np.array([box], np.float32), matrix)[0], 0, SIZE)
    if mask.any():
        assert around(mask) == pytest.approx(moved.tolist(), abs=1e-3)


@given(seeds, centres, boxes, st.floats(0, 0.5))
def test_a_box_moves_with_its_mask_within_a_pixel_under_zoom(
    seed: int, centre: tuple[float, float], box: tuple[int, int, int, int], zoom: float
) -> None:
    how = AXES.model_copy(update={"zoom": zoom})
    matrix = crop_matrix(centre, SIZE, how, np.random.default_rng(seed))
    mask = warped_masks(filled(box), matrix, SIZE)[0]
    moved = np.clip(warped_boxes(np.array([box], np.float32), matrix)[0], 0, SIZE)
    if mask.any():
        assert around(mask) == pytest.approx(moved.tolist(), abs=1.0)


@given(seeds, centres, boxes)
def test_a_turned_box_is_the_upright_one_around_it(
    seed: int, centre: tuple[float, float], box: tuple[int, int, int, int]
) -> None:
    matrix = crop_matrix(centre, SIZE, ANY, np.random.default_rng(seed))
    mask = warped_masks(filled(box), matrix, SIZE)[0]
    left, top, right, bottom = warped_boxes(np.array([box], np.float32), matrix)[0]
    assert left < right
    assert top < bottom
    if mask.any():
        found = around(mask)
        assert found[0] >= left - 1
        assert found[1] >= top - 1
        assert found[2] <= right + 1
        assert found[3] <= bottom + 1


def test_no_box_stays_none() -> None:
    assert warped_boxes(np.zeros((0, 4), np.float32), np.eye(2, 3)).shape == (0, 4)
    assert warped_masks(np.zeros((0, 9, 9), np.uint8), np.eye(2, 3), 5).shape == (0, 5, 5)


@given(seeds, st.tuples(st.floats(0, 96), st.floats(0, 72)))
def test_inside_is_where_the_image_is(seed: int, centre: tuple[float, float]) -> None:
    matrix = crop_matrix(centre, SIZE, ANY, np.random.default_rng(seed))
    everywhere = warped_masks(np.ones((1, 72, 96), np.uint8), matrix, SIZE)
    # A pixel whose source lies within half a pixel of the border may count either way.
    assert np.abs(inside(matrix, SIZE, (72, 96)) - everywhere).sum() <= 2 * SIZE
    assert np.abs(inside(matrix, SIZE, (72, 96)) - everywhere).sum() == 0 or everywhere.min() == 0
