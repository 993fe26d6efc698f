"""Bins are exact at their edges, and fine where scores crowd."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onspec.evaluation.score_bins import BINS, EDGES, bin_of, histogram

scores = st.one_of(
    st.floats(0, 1, width=32),
    st.floats(0, 2**-13, width=32),
    st.integers(0, 1000).map(lambda i: float(np.float32(1) - np.float32(i * 2**-24))),
    st.integers(0, BINS - 1).map(lambda i: float(np.float32(EDGES[i]))),
)


@given(scores)
def test_a_score_lies_between_the_edges_of_its_bin(score: float) -> None:
    index = int(bin_of(np.array([score], np.float32))[0])
    assert EDGES[index] <= score
    assert index == BINS - 1 or score < EDGES[index + 1]


@given(scores, scores)
def test_bins_are_ordered_as_scores_are(a: float, b: float) -> None:
    low, high = bin_of(np.array(sorted([a, b]), np.float32))
    assert low <= high


def test_both_ends_are_resolved() -> None:
    values = np.array([0.0, 1e-7, 1e-6, 1e-4, 2e-4, 0.5, 0.9998, 0.9999, 1 - 1e-6, 1.0], np.float32)
    assert len(set(bin_of(values).tolist())) == len(values)
    assert bin_of(values)[0] == 0
    assert bin_of(values)[-1] == BINS - 1


def test_bins_are_at_most_a_thirtieth_wide() -> None:
    inner = EDGES[(EDGES > 1e-6) & (EDGES < 1 - 1e-6)]
    widths = np.diff(inner) / np.minimum(inner[:-1], 1 - inner[1:])
    assert widths.max() <= 1 / 31


def test_histogram_counts_every_pixel_of_a_map() -> None:
    counts = histogram(np.array([[0.0, 0.0], [1.0, 0.5]], np.float32))
    assert counts.sum() == 4
    assert counts[0] == 2
    assert counts[-1] == 1
