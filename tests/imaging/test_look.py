"""How an image looks, in figures."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.datasets.layouts import load
from onspec.imaging.look import (
    SIDE,
    from_text,
    gray_of,
    likeness,
    look_at,
    picture_of,
    sharpness,
    thinned,
    to_text,
)
from onspec.imaging.reading import read_image

Gray = NDArray[np.uint8]
SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
SETS = ("dagm2007/Class1", "magnetic_tile", "weld", "deeppcb", "membrane")


def surface(seed: int, shape: tuple[int, int] = (300, 400), fine: float = 6.0) -> Gray:
    """Clouds, grain and an edge."""
    rng = np.random.default_rng(seed)
    clouds = cv2.resize(rng.standard_normal((9, 11), np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    image = 110 + 20 * clouds + fine * rng.standard_normal(shape)
    image[:, : shape[1] // 3] += 40
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def soft(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return image if sigma == 0 else np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


@pytest.mark.parametrize("fine", [0.5, 2.0, 15.0])
@pytest.mark.parametrize("shape", [(300, 400), (700, 900)])
def test_sharpness_falls_with_every_bit_of_blur(shape: tuple[int, int], fine: float) -> None:
    known = [sharpness(soft(surface(1, shape, fine), sigma)) for sigma in SIGMAS]
    assert known == sorted(known, reverse=True)
    assert known[-1] < known[0] / 3


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("name", SETS)
def test_sharpness_falls_with_blur_on_every_kind_of_real_image(real_data: Path, name: str) -> None:
    samples = load(real_data / name).samples
    for sample in samples[:: max(1, len(samples) // 6)]:
        image = np.asarray(read_image(sample.image), np.uint8)
        known = [sharpness(soft(image, sigma)) for sigma in SIGMAS]
        assert all(after < before for before, after in pairwise(known)), (sample.name, known)


def test_sharpness_depends_on_neither_light_nor_contrast() -> None:
    image = surface(2)
    for other in (image // 2, 255 - image, image // 2 + 100, np.asarray(image, np.uint16) * 257):
        assert sharpness(np.asarray(other)) == pytest.approx(sharpness(image), rel=0.03)


@pytest.mark.parametrize("shape", [(300, 400), (512, 512), (1100, 700)])
def test_gray_colour_and_16_bits_look_alike(shape: tuple[int, int]) -> None:
    image = surface(3, shape)
    known = look_at(image)
    rgb = look_at(np.stack([image] * 3, axis=2))
    deep = look_at(image.astype(np.uint16) * 257)
    assert (rgb.tint, known.tint, deep.tint) == (0.0, None, None)
    assert rgb.model_copy(update={"tint": None}) == known
    assert deep.model_dump() == pytest.approx(known.model_dump(), abs=1e-3)


@pytest.mark.parametrize("shape", [(60, 90), (640, 640)])
def test_sharpness_is_a_ratio_of_variograms(shape: tuple[int, int]) -> None:
    image = surface(7, shape).astype(np.float64)
    starts = [[(side - 64) * n // 7 for n in range(8)] for side in shape]
    blocks = [image] if shape[0] < 512 else [image[y : y + 64, x : x + 64] for y in starts[0] for x in starts[1]]

    def differ(lag: int) -> float:
        down = np.mean([(block[lag:] - block[:-lag]) ** 2 for block in blocks])
        across = np.mean([(block[:, lag:] - block[:, :-lag]) ** 2 for block in blocks])
        return float(down + across)

    assert sharpness(surface(7, shape)) == pytest.approx(3 * differ(1) / (differ(8) + differ(12) + differ(16)), 1e-9)


def test_light_is_told() -> None:
    half = np.zeros((100, 200), np.uint8)
    half[:, 100:] = 255
    look = look_at(half)
    assert (look.brightness, look.black, look.white) == (0.5, 0.5, 0.5)
    assert look.contrast > 0.99
    assert look_at(np.full((100, 100), 51, np.uint8)).brightness == 0.2
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    assert (look_at(red).tint or 0) > 3
    assert (look_at(red[..., ::-1].copy()).tint or 0) < -3


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (16, 16), (33, 17), (40, 9000), (3000, 70)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_shape_have_a_look(shape: tuple[int, int], channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = image if channels == 3 else image[..., 0].copy()
    look = look_at(image, picture_of(surface(1)))
    assert 0 <= look.sharpness < 2
    assert look.likeness is not None


def test_a_large_image_looks_like_a_part_of_it() -> None:
    small, large = surface(5, (500, 500)), surface(5, (2500, 2500))
    one, other = look_at(small), look_at(large)
    assert other.brightness == pytest.approx(one.brightness, rel=0.05)
    assert max(thinned(large).shape) <= 511
    blurred = look_at(soft(large, 2.0))
    assert blurred.sharpness < other.sharpness / 2


def test_the_same_on_every_machine() -> None:
    """Whole numbers until the last division, so that the digits are known."""
    y, x = np.mgrid[:96, :128]
    look = look_at(np.asarray((x * 7 + y * 13 + (x * y) % 31) % 256, np.uint8))
    assert look.model_dump(exclude={"tint", "likeness"}) == {
        "brightness": 0.5019, "contrast": 0.9014, "black": 0.003662, "white": 0.004069, "sharpness": 0.2267,
    }  # fmt: skip


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(0.4, 2.0), st.integers(-20, 20))
def test_likeness_does_not_see_light(seed: int, gain: float, offset: int) -> None:
    image = surface(seed, (120, 160), 2.0) // 2
    lit = np.asarray(np.clip(image * gain + offset, 0, 255), np.uint8)
    picture = picture_of(image)
    assert picture is not None
    assert likeness(picture_of(lit), picture) > 0.95
    assert likeness(picture_of(np.full_like(image, 9)), picture) == 0.0


def test_a_picture_survives_as_text() -> None:
    picture = picture_of(surface(4))
    assert picture is not None
    assert np.abs(from_text(to_text(picture)) - picture).max() < 2e-3
    for wrong in ("AAAA", "?", to_text(np.zeros(SIDE * SIDE, np.float32))):
        with pytest.raises(ValueError, match=r"picture|base64|Base64|padding"):
            from_text(wrong)
    assert gray_of(surface(4)).ndim == 2
