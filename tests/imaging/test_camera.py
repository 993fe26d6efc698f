"""What the user names of a camera: depth, colour filter, page."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydantic import ValidationError

from onspec.domain import UnreadableImageError
from onspec.imaging.camera import AS_STORED, Bayer, Camera
from onspec.imaging.header import read_size, size_in
from onspec.imaging.preparation import Extent, InputSpec, normalised
from onspec.imaging.reading import decode_image, read_image

PATTERNS: dict[Bayer, tuple[tuple[int, int], tuple[int, int]]] = {
    "RGGB": ((0, 1), (1, 2)),
    "BGGR": ((2, 1), (1, 0)),
    "GRBG": ((1, 0), (2, 1)),
    "GBRG": ((1, 2), (0, 1)),
}
"""Pattern → which of R, G, B the sensor measures at rows and columns 0 and 1: the letters, in reading order."""


def png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def colours(height: int = 40, width: int = 60) -> NDArray[np.uint16]:
    """A smooth RGB image of 12 bits, uint16 (H, W, 3), whose channels have nothing in common."""
    y, x = np.mgrid[:height, :width]
    return np.stack([500 + 50 * x, 3900 - 80 * y, 200 + 20 * x + 30 * y], axis=-1).astype(np.uint16)


def mosaic(image: NDArray[np.uint16], pattern: Bayer) -> NDArray[np.uint16]:
    """What a sensor under that filter measures."""
    result = np.empty(image.shape[:2], np.uint16)
    for row, letters in enumerate(PATTERNS[pattern]):
        for column, channel in enumerate(letters):
            result[row::2, column::2] = image[row::2, column::2, channel]
    return result


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_mosaic_of_a_known_image_becomes_that_image(pattern: Bayer) -> None:
    image = colours()
    data = png(mosaic(image, pattern))
    found = {p: decode_image(data, "x", Camera(bits=12, bayer=p)) for p in PATTERNS}
    wanted = image.astype(np.float64) * (65535 / 4095)
    inner = (slice(2, -2), slice(2, -2))
    assert found[pattern].dtype == np.uint16
    assert found[pattern].shape == image.shape
    assert np.abs(found[pattern][inner] - wanted[inner]).max() <= 20  # about a step of 12 bits
    assert np.abs(found[pattern] - wanted).max() <= 100 * 16  # the border repeats its neighbours
    for other in PATTERNS.keys() - {pattern}:
        assert np.abs(found[other][inner] - wanted[inner]).mean() > 2000


def test_8_bit_and_odd_mosaics() -> None:
    flat = np.tile(np.array([[200, 90], [90, 30]], np.uint8), (4, 4))[:7, :5]
    for pattern, colour in (("RGGB", (200, 90, 30)), ("BGGR", (30, 90, 200))):
        image = decode_image(png(flat), "x", Camera.model_validate({"bayer": pattern}))
        assert image.dtype == np.uint8
        assert (image == colour).all()


def test_a_mosaic_is_turned_after_it_became_colours() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    data = io.BytesIO()
    flat = np.tile(np.array([[200, 90], [90, 30]], np.uint8), (4, 6))
    flat[:, :6] //= 2
    Pillow.fromarray(flat).save(data, "PNG", exif=exif)
    image = decode_image(data.getvalue(), "x", Camera(bayer="RGGB"))
    assert image.shape == (12, 8, 3)
    assert image[9, 3].tolist() == [200, 90, 30]
    assert image[2, 3].tolist() == [100, 45, 15]


@pytest.mark.parametrize("bits", range(9, 17))
def test_named_bits_scale_by_their_largest_value(bits: int) -> None:
    top = (1 << bits) - 1
    values = np.linspace(0, top, 256).astype(np.uint16).reshape(16, 16)
    spec = InputSpec(width=Extent(min=16, max=16), height=Extent(min=16, max=16), dtype="uint16")
    image = decode_image(png(values), "x", Camera(bits=bits))
    tensor = normalised(image, spec)
    assert np.abs(tensor[0] - (values / (top / 2.0) - 1.0)).max() < 4e-5
    assert (image >> (16 - bits) == values).all()


def test_8_bits_in_a_16_bit_file_become_8_bit() -> None:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    image = decode_image(png(values), "x", Camera(bits=8))
    assert image.dtype == np.uint8
    assert (image == values).all()


def test_a_dark_image_is_scaled_as_a_bright_one() -> None:
    """What is found in an image never decides how it is scaled."""
    dark, bright = np.full((8, 8), 100, np.uint16), np.full((8, 8), 100, np.uint16)
    bright[0, 0] = 4095
    for camera in (AS_STORED, Camera(bits=12)):
        assert decode_image(png(dark), "x", camera)[5, 5] == decode_image(png(bright), "x", camera)[5, 5]


@pytest.mark.parametrize(
    ("data", "camera", "says"),
    [
        (png(np.full((8, 8), 4096, np.uint16)), {"bits": 12}, "part.png: holds the value 4096; of 12 bits the "
         "largest is 4095; correct bits in camera.yaml or the camera's pixel format"),
        (png(np.full((8, 8), 256, np.uint16)), {"bits": 8}, "holds the value 256; of 8 bits the largest is 255"),
        (png(np.zeros((8, 8), np.uint8)), {"bits": 12}, "a file of 8 bits; allowed: 12 bits, as named; correct"),
        (b"P5 2 1 1023\n\0\1\0\2", {"bits": 12}, "a file of 10 bits; allowed: 12 bits, as named"),
        (b"P5 2 1 1023\n\4\1\0\2", {}, "holds the value 1025; of 10 bits the largest is 1023"),
        (png(np.zeros((8, 8, 3), np.uint8)), {"bayer": "RGGB"}, "a colour image, where a RGGB mosaic was named"),
        (png(np.zeros((2, 8), np.uint8)), {"bayer": "RGGB"}, "a mosaic of 8×2 px; allowed: 3×3 px and more"),
        (png(np.zeros((8, 8), np.uint8)), {"page": 1}, "part.png: no page 1; allowed: a TIFF of so many pages"),
    ],
)  # fmt: skip
def test_what_the_camera_cannot_have_given_is_refused(data: bytes, camera: dict[str, object], says: str) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(data, "part.png", Camera.model_validate(camera))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "values", [{"bits": 7}, {"bits": 17}, {"bits": "12"}, {"bits": True}, {"bayer": "RGBG"}, {"page": -1}, {"gain": 2}]
)
def test_what_is_no_camera(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Camera.model_validate(values)


def test_a_pattern_is_named_in_any_case_and_a_camera_says_what_it_has() -> None:
    assert Camera.model_validate({"bayer": "rggb", "bits": 12}) == Camera(bits=12, bayer="RGGB")
    assert str(Camera(bits=12, bayer="RGGB")) == "bits 12, bayer RGGB"
    assert "nothing named" in str(AS_STORED)


@pytest.mark.parametrize(("bits", "dtype"), [(8, "uint16"), (12, "uint8")])
def test_an_input_has_the_type_of_its_camera(bits: int, dtype: str) -> None:
    side = {"min": 1, "max": 9}
    with pytest.raises(ValidationError, match=f"a camera of {bits} bits gives no {dtype}"):
        InputSpec.model_validate({"width": side, "height": side, "dtype": dtype, "camera": {"bits": bits}})


def pages(*images: NDArray[np.uint8] | NDArray[np.bool_], subfile: int = 0) -> bytes:
    """A TIFF of several pages; those after the first are of kind `subfile`."""
    data = io.BytesIO()
    with tifffile.TiffWriter(data) as writer:
        for n, image in enumerate(images):
            writer.write(image, photometric="minisblack", subfiletype=subfile if n else 0, metadata=None)
    return data.getvalue()


def test_of_several_pages_one_has_to_be_named(tmp_path: Path) -> None:
    images = [np.full((8, 10 + n), n, np.uint8) for n in range(3)]
    path = tmp_path / "part.tif"
    path.write_bytes(pages(*images))
    with pytest.raises(UnreadableImageError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"{path}: a TIFF of 3 pages; allowed: one page, or one that is named; name one in camera.yaml (page: 0 … 2) or "
        "save each as a file of its own"
    )
    with pytest.raises(UnreadableImageError, match="a TIFF of 3 pages"):
        read_size(path)
    for n, image in enumerate(images):
        assert (read_image(path, Camera(page=n)) == image).all()
        assert read_size(path, Camera(page=n)) == (10 + n, 8)
    for read in (read_image, read_size):
        with pytest.raises(UnreadableImageError, match="no page 3; allowed: page 0 … 2; correct page in"):
            read(path, Camera(page=3))


def test_pages_of_one_size_are_measured_without_a_name() -> None:
    data = pages(np.zeros((8, 10), np.uint8), np.ones((8, 10), np.uint8))
    assert size_in(io.BytesIO(data)) == (10, 8)


@pytest.mark.parametrize("subfile", [1, 4])
def test_a_smaller_copy_or_a_mask_is_no_other_page(subfile: int) -> None:
    image = np.arange(80, dtype=np.uint8).reshape(8, 10)
    small = image[::2, ::2] > 40 if subfile == 4 else image[::2, ::2].copy()
    data = pages(image, small, subfile=subfile)
    assert (decode_image(data, "x") == image).all()
    assert size_in(io.BytesIO(data)) == (10, 8)


def test_pages_that_run_in_a_circle_are_refused() -> None:
    data = bytearray(pages(np.zeros((8, 10), np.uint8), np.zeros((8, 10), np.uint8)))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        last = file.pages[1].offset
        count = int.from_bytes(data[last : last + 2], "little")
        data[last + 2 + 12 * count : last + 6 + 12 * count] = file.pages[0].offset.to_bytes(4, "little")
    with pytest.raises(UnreadableImageError, match="its pages run in a circle"):
        decode_image(bytes(data), "x")
    assert size_in(io.BytesIO(bytes(data))) is None
