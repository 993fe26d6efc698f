"""COCO's compressed run lengths, against pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from onspec.imaging.run_strings import decode_string, encode_string
from onspec.imaging.shapes import decode_runs, encode_runs

masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1))


@given(masks)
def test_both_ways_agree_with_pycocotools(mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    text = coco.encode(np.asfortranarray(mask))["counts"].decode()
    size = (mask.shape[1], mask.shape[0])
    assert (decode_runs(decode_string(text), size) == mask).all()
    assert encode_string(encode_runs(mask)) == text


@given(st.lists(st.integers(0, 1 << 40), max_size=30))
def test_any_counts_come_back(counts: list[int]) -> None:
    assert decode_string(encode_string(counts)) == tuple(counts)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("05 ", r"character 3 \(' '\) is no compressed run length"),
        ("05é", r"character 3 \('é'\)"),
        ("0P", "cut off after 2 characters"),
        ("P" * 40, r"character 13 \('P'\)"),
        ("O", "character 1: a run of -1 px"),
    ],
)
def test_what_is_no_string_of_runs(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode_string(text)
