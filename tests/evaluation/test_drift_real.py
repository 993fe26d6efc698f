"""Drift of real images: none between two halves of a set; darkened, blurred, turned and shifted ones are called out."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from onspec.domain.look import Reference
from onspec.evaluation.drift import FIGURES, Seen, WindowDrift, assess
from onspec.imaging.reading import Image, read_image
from onspec.recipe.reference import likened, picture_in, reference_of, see

pytestmark = [pytest.mark.real, pytest.mark.slow]

Change = Callable[[Image], Image]


def turned(image: Image, degrees: float) -> Image:
    height, width = image.shape[:2]
    way = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    fine, border = cv2.INTER_LANCZOS4, cv2.BORDER_REFLECT_101
    return np.asarray(cv2.warpAffine(image, way, (width, height), flags=fine, borderMode=border), image.dtype)


CHANGES: dict[str, tuple[Change, set[str]]] = {
    "darker": (lambda image: (image * np.float32(0.88)).astype(np.uint8), {"brightness"}),
    "blurred": (lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 0.8), np.uint8), {"sharpness"}),
    "turned": (lambda image: turned(image, 2.0), {"sharpness"}),
    "shifted": (lambda image: np.roll(image, 12, axis=1), {"likeness"}),
}
"""Name → what is done, and what of it must be called out; a turn of textures shows by its resampling only."""


def judged(images: Sequence[Image], known: Reference) -> WindowDrift:
    looks = [likened(see(image), picture_in(known)) for image in images]
    window = [Seen(math.nan, "OK", None, tuple(getattr(look, name) for name in FIGURES)) for look in looks]
    return assess(window, known)


@pytest.fixture(scope="module")
def textures(real_data: Path) -> list[Image]:
    """Every image of a real class, in a random order."""
    files = sorted((real_data / "dagm2007" / "Class1").glob("T*/*.PNG"))
    order = np.random.default_rng(0).permutation(len(files))
    return [read_image(files[at]) for at in order[:200]]


@pytest.fixture(scope="module")
def parts(real_data: Path) -> list[Image]:
    """A real weld as a part in its mount: a pixel to and fro, and as much light and grain as a camera has."""
    rng = np.random.default_rng(1)
    photograph = cv2.cvtColor(read_image(min((real_data / "weld" / "images").glob("*.jpg"))), cv2.COLOR_RGB2GRAY)
    base = cv2.resize(photograph, (260, 200), interpolation=cv2.INTER_AREA)
    images = []
    for _ in range(200):
        x, y = rng.integers(0, 3, 2)
        crop = base[y : y + 190, x : x + 250] * rng.normal(1, 0.02) + rng.normal(0, 1.5, (190, 250))
        images.append(np.clip(crop.round(), 0, 255).astype(np.uint8))
    return images


@pytest.mark.parametrize("kind", ["textures", "parts"])
def test_real_images(kind: str, textures: list[Image], parts: list[Image]) -> None:
    images = {"textures": textures, "parts": parts}[kind]
    known = reference_of([see(image) for image in images[:100]])
    assert known is not None
    assert judged(images[100:], known).alarms == ()
    for name, (change, expected) in CHANGES.items():
        found = judged([change(image) for image in images[100:]], known)
        if name == "shifted" and kind == "textures":  # without a place: nothing is to be seen of it
            assert "likeness" not in known.looks
            continue
        assert expected & set(found.alarms), (name, found.alarms)
