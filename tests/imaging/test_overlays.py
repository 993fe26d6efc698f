"""Pictures for people."""

import numpy as np
import pytest

from onspec.imaging.overlays import PREDICTION, TRUTH, outline_mask, outline_polygons, to_display


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_any_image_is_shown_as_rgb(dtype: type[np.uint8] | type[np.uint16], shape: tuple[int, ...]) -> None:
    image = np.full(shape, np.iinfo(dtype).max, dtype)
    shown = to_display(image)
    assert (shown.dtype.name, shown.shape) == ("uint8", (5, 7, 3))
    assert (shown == 255).all()


def test_the_image_itself_is_not_drawn_on() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    picture = to_display(image)
    outline_polygons(picture, [[(2, 2), (10, 2), (10, 10)]], PREDICTION)
    assert picture.any()
    assert not image.any()


def test_a_mask_is_outlined_not_filled() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[5:25, 5:25] = 1
    picture = to_display(np.zeros((30, 30), np.uint8))
    outline_mask(picture, mask, TRUTH)
    assert tuple(picture[5, 10]) == TRUTH
    assert not picture[15, 15].any()


def test_polygons_are_closed_and_a_single_point_is_seen() -> None:
    picture = to_display(np.zeros((30, 30), np.uint8))
    outline_polygons(picture, [[(5, 5), (20, 5), (20, 20)], [(25, 2)], []], PREDICTION)
    assert tuple(picture[12, 12]) == PREDICTION  # on the way back to the first corner
    assert tuple(picture[2, 25]) == PREDICTION


def test_nothing_to_outline_changes_nothing() -> None:
    picture = to_display(np.zeros((30, 30), np.uint8))
    outline_polygons(picture, [], PREDICTION)
    outline_mask(picture, np.zeros((30, 30), np.uint8), TRUTH)
    assert not picture.any()
