"""Label images of every encoding → 0 and 1."""

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import LabelError
from onspec.imaging.masks import binarise, decode_codes, decode_label, decode_mask, decode_numbers, merge

TRUTH = np.zeros((24, 32), np.uint8)
TRUTH[6:14, 10:22] = 1


def png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def palette_png(indices: NDArray[np.uint8], colours: list[tuple[int, int, int]]) -> bytes:
    """A PNG of colour type 3, by the specification."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = indices.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    rows = b"".join(b"\x00" + row.tobytes() for row in indices)
    palette = b"".join(bytes(c) for c in colours)
    body = chunk(b"IHDR", header) + chunk(b"PLTE", palette) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("value", [1, 2, 31, 40, 127, 128, 254, 255])
def test_two_values(value: int) -> None:
    assert (decode_mask(png(TRUTH * np.uint8(value)), "m") == TRUTH).all()


@pytest.mark.parametrize("value", [1, 255, 40000, 65535])
def test_two_values_in_16_bit(value: int) -> None:
    assert (decode_mask(png(TRUTH.astype(np.uint16) * np.uint16(value)), "m") == TRUTH).all()


def test_nothing_and_everything() -> None:
    assert decode_mask(png(TRUTH * np.uint8(0)), "m").sum() == 0
    assert (decode_mask(png(np.full_like(TRUTH, 255)), "m") == 1).all()


def test_class_codes_are_set_where_not_0() -> None:
    codes = TRUTH.copy()
    codes[6:10] *= 3
    assert (decode_mask(png(codes), "m") == TRUTH).all()


def test_gray_edges_are_cut_at_half_of_the_range() -> None:
    assert binarise(np.array([[0, 60, 127, 128, 255]], np.uint8)).tolist() == [[0, 0, 0, 1, 1]]


@pytest.mark.parametrize("colour", [(128, 0, 0), (0, 64, 0), (0, 0, 255), (20, 20, 90)])
def test_colours_on_black(colour: tuple[int, int, int]) -> None:
    image = np.asarray(TRUTH[..., None] * np.array(colour, np.uint8), np.uint8)
    assert (decode_mask(png(image), "m") == TRUTH).all()


def test_classes_by_colour_are_all_set_however_dark() -> None:
    image = np.zeros((*TRUTH.shape, 3), np.uint8)
    image[6:10, 10:22] = (0, 0, 64)
    image[10:14, 10:22] = (255, 255, 0)
    assert (decode_mask(png(image), "m") == TRUTH).all()


def test_rgba_on_a_transparent_ground_is_its_alpha() -> None:
    image = np.dstack([np.full((*TRUTH.shape, 3), 200, np.uint8), TRUTH * np.uint8(255)])
    assert (decode_mask(png(image), "m") == TRUTH).all()


def test_opaque_rgba_is_its_colour() -> None:
    image = np.dstack([TRUTH * np.uint8(255)] * 3 + [np.full_like(TRUTH, 255)])
    assert (decode_mask(png(image), "m") == TRUTH).all()


@pytest.mark.parametrize("ground", [(0, 0, 0), (224, 224, 192), (255, 255, 255)])
def test_palette_indices_count_from_the_first_colour_as_ground(ground: tuple[int, int, int]) -> None:
    indices = TRUTH.copy()
    indices[6:10] *= 2
    assert (decode_mask(palette_png(indices, [ground, (64, 0, 0), (0, 0, 30)]), "m") == TRUTH).all()


def test_a_palette_of_grays_is_a_gray_picture() -> None:
    grays = [(v, v, v) for v in range(256)]
    soft = cv2.GaussianBlur(TRUTH * np.uint8(255), (0, 0), 1)
    assert (decode_mask(palette_png(np.asarray(soft, np.uint8), grays), "m") == (soft > 127)).all()


def test_a_jpeg_mask_is_cut_at_half_and_its_ringing_is_nothing() -> None:
    data = cv2.imencode(".jpg", TRUTH * np.uint8(255), [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()
    assert (decode_mask(data, "m") == TRUTH).mean() > 0.98
    faint = cv2.imencode(".jpg", TRUTH * np.uint8(6))[1].tobytes()
    assert decode_mask(faint, "m").sum() == 0


def test_inverted() -> None:
    assert (decode_mask(png((1 - TRUTH) * np.uint8(255)), "m", inverted=True) == TRUTH).all()


def test_the_values_come_along() -> None:
    mask, raw = decode_label(png(TRUTH * np.uint8(7)), "m")
    assert (mask == TRUTH).all()
    assert np.unique(raw).tolist() == [0, 7]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_values_of_32_and_64_bit_are_taken_if_they_are_whole_numbers_of_16(dtype: type) -> None:
    numbers: NDArray[Any] = TRUTH.astype(dtype) * 65535
    numbers[20, 3] = 700
    data = cv2.imencode(".tiff", numbers)[1].tobytes()
    assert np.unique(decode_numbers(data, "m.tiff")).tolist() == [0, 700, 65535]
    ones = cv2.imencode(".tiff", TRUTH.astype(dtype))[1].tobytes()
    assert (decode_mask(ones, "m.tiff") == TRUTH).all()


@pytest.mark.parametrize("value", [0.5, -1.0, 65536.0, np.nan, np.inf])
def test_values_that_are_no_whole_numbers_of_16_bit_are_refused(value: float) -> None:
    values = TRUTH.astype(np.float32)
    values[20, 3] = value
    data = cv2.imencode(".tiff", values)[1].tobytes()
    with pytest.raises(LabelError, match=r"m\.tiff: label image of float32 whose values are no whole numbers 0"):
        decode_mask(data, "m.tiff")


@given(st.binary(max_size=100))
def test_what_is_no_image_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(LabelError, match=r"m\.png: label image cannot be decoded"):
        decode_mask(b"#" + data, "m.png")


def test_instances_are_merged_without_changing_them() -> None:
    other = np.zeros_like(TRUTH)
    other[0, 0] = 1
    assert merge([TRUTH, other]).sum() == TRUTH.sum() + 1
    assert TRUTH[0, 0] == 0


def test_codes_are_gray_values_or_palette_indices() -> None:
    codes = TRUTH.copy()
    codes[6:10] *= 3
    assert (decode_codes(png(codes), "m") == codes).all()
    assert (decode_codes(png(np.dstack([codes] * 3)), "m") == codes).all()
    colours = [(0, 0, 0), (200, 0, 0), (0, 0, 9), (0, 200, 200), (200, 0, 0)]
    assert (decode_codes(palette_png(codes, colours), "m") == codes).all()


def test_of_two_palette_entries_of_one_colour_the_first_is_the_code() -> None:
    assert (decode_codes(palette_png(TRUTH * np.uint8(2), [(0, 0, 0), (9, 0, 0), (9, 0, 0)]), "m") == TRUTH).all()


@pytest.mark.parametrize(
    "data",
    [
        png(np.dstack([TRUTH, TRUTH * np.uint8(0), TRUTH])),
        png(np.dstack([TRUTH, TRUTH, TRUTH, TRUTH * np.uint8(255)])),
        cv2.imencode(".jpg", TRUTH)[1].tobytes(),
    ],
    ids=["colours", "transparent", "jpeg"],
)
def test_pictures_hold_no_codes(data: bytes) -> None:
    with pytest.raises(LabelError, match=r"m\.png: .* holds no class codes"):
        decode_codes(data, "m.png")


def _two_touching() -> NDArray[np.uint8]:
    picture = np.zeros((8, 10, 3), np.uint8)
    picture[2:6, 1:5], picture[2:6, 5:9] = (200, 30, 30), (30, 30, 200)
    return picture


def test_objects_of_different_colours_are_told_apart_where_they_touch() -> None:
    numbers = decode_numbers(cv2.imencode(".png", _two_touching())[1].tobytes(), "m.png")
    assert sorted(set(numbers.ravel().tolist())) == [0, 1, 2]
    assert len(set(numbers[2:6, 1:5].ravel().tolist())) == len(set(numbers[2:6, 5:9].ravel().tolist())) == 1
    assert numbers[3, 4] != numbers[3, 5]


@pytest.mark.parametrize("kind", ["jpeg", "transparent"])
def test_a_picture_that_numbers_no_objects_is_refused(kind: str) -> None:
    picture = _two_touching()
    if kind == "transparent":
        picture = np.dstack([picture, picture.any(axis=2).astype(np.uint8) * 255])
    data = cv2.imencode(".jpg" if kind == "jpeg" else ".png", picture)[1].tobytes()
    with pytest.raises(LabelError, match=r"m: .* number no objects; export it as PNG of gray values"):
        decode_numbers(data, "m")
