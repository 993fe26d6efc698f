"""Offsets and lengths that no file has are damage: refused at once, not a fault of ours."""

import struct
import time

import cv2
import numpy as np
import pytest

from onspec.domain import LabelError, UnreadableImageError
from onspec.imaging.masks import decode_mask
from onspec.imaging.reading import decode_image


@pytest.mark.parametrize("offset", [1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_directory_beyond_any_file_is_damage(offset: int) -> None:
    data = struct.pack("<2sHHHQ", b"II", 43, 8, 0, offset) + bytes(64)
    with pytest.raises(UnreadableImageError):
        decode_image(data, "huge.tif")


def test_a_label_with_a_chunk_of_gigabytes_is_refused_at_once() -> None:
    mask = np.zeros((48, 64), np.uint8)
    data = bytearray(cv2.imencode(".png", mask)[1].tobytes())
    struct.pack_into(">I", data, data.index(b"IDAT") - 4, 0x7FFFFFFF)
    begun = time.perf_counter()
    with pytest.raises(LabelError, match="cannot be decoded"):
        decode_mask(bytes(data), "m.png")
    assert time.perf_counter() - begun < 0.5
