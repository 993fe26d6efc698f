"""The diagram of scores shows every image."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from onspec.evaluation.drawing import logit_of
from onspec.evaluation.plots import BARS


@given(st.lists(st.floats(0, 1), min_size=1))
@example([0.0, 1e-6, 0.5, 1 - 1e-6, 1.0])
def test_no_image_is_missing_in_the_histogram(scores: list[float]) -> None:
    counts, _ = np.histogram(logit_of(np.array(scores)), BARS)
    assert counts.sum() == len(scores)
