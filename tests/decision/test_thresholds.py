"""The operating point."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from onspec.decision.thresholds import Thresholds

unit = st.floats(0, 1)


@given(image=unit, pixel=st.floats(0.001, 1), share=st.none() | unit)
def test_the_floor_is_no_higher_than_anything_that_decides(image: float, pixel: float, share: float | None) -> None:
    thresholds = Thresholds(image=image, pixel=pixel, review=None if share is None else image * share)
    assert 0 < thresholds.floor <= thresholds.lowest
    for limit in (thresholds.image, thresholds.pixel, thresholds.review):
        assert limit is None or limit < 1e-6 or thresholds.floor <= limit


@pytest.mark.parametrize(
    "values",
    [
        {"image": 1.5},
        {"image": float("nan")},
        {"pixel": 0.0},
        {"window": 4},
        {"window": 0},
        {"review": 0.6},
        {"pooling": "mean"},
        {"sharpness": 0},
        {"sharpness": float("inf")},
        {"sharpness": float("nan")},
        {"x": 1},
    ],
)
def test_impossible_values_are_refused(values: dict[str, float | str]) -> None:
    with pytest.raises(ValidationError):
        Thresholds.model_validate(values)
