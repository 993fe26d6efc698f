"""How well outlines agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from onspec.evaluation.boundary import boundary_f1

Flags = NDArray[np.bool_]


def square(x: int, y: int, side: int, size: int = 60) -> Flags:
    mask = np.zeros((size, size), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_within_the_tolerance_outlines_agree() -> None:
    truth = square(20, 20, 20)
    assert boundary_f1(truth, truth) == 1.0
    assert boundary_f1(square(22, 20, 20), truth) == 1.0
    assert boundary_f1(square(21, 21, 18), truth) == 1.0


def test_a_shift_over_the_tolerance_by_hand() -> None:
    """Columns 24…43 against 20…39, rows 20…39 both: each outline has 76 px."""
    rows = 2 * 18  # top and bottom row: columns 24…41, up to 2 px beyond the other's
    side = 2 * 2  # of column 24, what lies within 2 px of the other's top or bottom row
    assert boundary_f1(square(24, 20, 20), square(20, 20, 20)) == pytest.approx((rows + side) / 76)


def test_a_rough_outline_is_not_forgiven_where_dice_is() -> None:
    truth, rough = square(10, 10, 40), square(5, 5, 50)
    dice = 2 * truth.sum() / (truth.sum() + rough.sum())
    assert dice > 0.75
    assert boundary_f1(rough, truth) == 0.0
    assert boundary_f1(rough, truth, tolerance=8) == 1.0  # 5 px, over the corners 7.1


def test_what_has_no_outline() -> None:
    nothing, all_of_it = square(0, 0, 0), square(0, 0, 60)
    assert boundary_f1(nothing, square(20, 20, 5)) == 0.0
    assert boundary_f1(square(20, 20, 5), nothing) is None
    assert boundary_f1(square(20, 20, 5), all_of_it) is None
    assert boundary_f1(all_of_it, square(20, 20, 5)) == 0.0


def test_the_images_border_is_no_outline() -> None:
    """A square in the corner has two sides; one that fills the image has none."""
    corner, grown = square(0, 0, 20), square(0, 0, 21)
    assert boundary_f1(grown, corner) == 1.0
    assert boundary_f1(square(0, 0, 20, 20), corner[:20, :20]) is None


masks = arrays(np.bool_, (12, 12))


@given(masks, masks, st.integers(0, 4))
def test_it_is_symmetric_and_grows_with_the_tolerance(a: Flags, b: Flags, tolerance: int) -> None:
    one, other = boundary_f1(a, b, tolerance), boundary_f1(b, a, tolerance)
    if one is None or other is None:
        return
    assert one == pytest.approx(other)
    assert 0.0 <= one <= 1.0
    more = boundary_f1(a, b, tolerance + 1)
    assert more is not None
    assert more >= one - 1e-12


@given(masks)
def test_agreement_with_itself_is_perfect(mask: Flags) -> None:
    assert boundary_f1(mask, mask, 0) in (None, 1.0)
