"""Which images count as almost the same."""

from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.look import look_at
from onspec.datasets.near_copies import groups_alike, pairs_alike
from onspec.imaging.look import SIDE

Gray = NDArray[np.uint8]


def surface(number: int, side: int = 256) -> Gray:
    """A cloudy texture of one material."""
    rng = np.random.default_rng(number)
    coarse = cv2.resize(rng.standard_normal((side // 8, side // 8), np.float32), (side, side))
    return np.asarray(np.clip(128 + 20 * coarse + 6 * rng.standard_normal((side, side)), 0, 255), np.uint8)


def part(design: int, number: int, side: int = 256) -> Gray:
    """One of many parts of one design: the same drawing, a little moved and lit otherwise, on its own surface."""
    drawn = np.full((side, side), 90, np.float32)
    rng = np.random.default_rng([7, design])
    for _ in range(12):
        x, y, radius, level = rng.integers((30, 30, 8, 30), (side - 30, side - 30, 30, 230))
        cv2.circle(drawn, (int(x), int(y)), int(radius), float(level), -1)
    rng = np.random.default_rng([design, number])
    shift = np.array([[1, 0, rng.normal(0, 1.5)], [0, 1, rng.normal(0, 1.5)]], np.float32)
    moved = cv2.warpAffine(drawn, shift, (side, side), borderMode=cv2.BORDER_REFLECT)
    lit = moved * rng.normal(1, 0.05) + np.linspace(-1, 1, side)[None] * rng.normal(0, 8)
    return np.asarray(np.clip(lit + 0.4 * (surface(1000 * design + number, side) - 128.0), 0, 255), np.uint8)


def jpeg(gray: Gray) -> Gray:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0), np.uint8)


def groups(images: list[Gray]) -> list[list[int]]:
    looks = [look_at(image).small for image in images]
    small = np.array([look for look in looks if look is not None])
    return groups_alike(small, [image.shape[1] / image.shape[0] for image in images])


CHANGES: dict[str, Callable[[Gray], Gray]] = {
    "encoded anew": jpeg,
    "half as large": lambda gray: np.asarray(cv2.resize(gray, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)),
    "brighter": lambda gray: np.asarray(np.clip(gray * 1.15 + 8, 0, 255), np.uint8),
    "another gamma": lambda gray: np.asarray(255 * (gray / 255) ** 0.8, np.uint8),
    "noisier": lambda gray: np.asarray(
        np.clip(gray + np.random.default_rng(0).normal(0, 5, gray.shape), 0, 255), np.uint8
    ),
    "moved by a pixel": lambda gray: np.asarray(np.roll(gray, 1, axis=1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_surfaces_of_one_material(change: str) -> None:
    images = [surface(n) for n in range(30)]
    assert groups(images) == []
    assert groups([*images, CHANGES[change](images[4])]) == [[4, 30]]


@pytest.mark.slow
@pytest.mark.parametrize("change", ["encoded anew", "half as large"])
@pytest.mark.parametrize("designs", [1, 3])
def test_parts_of_one_design_are_no_copies_but_a_copy_of_one_is(designs: int, change: str) -> None:
    images = [part(n % designs, n) for n in range(120)]
    assert np.corrcoef(images[0].ravel(), images[designs].ravel())[0, 1] > 0.9
    assert groups(images) == []
    assert groups([*images, CHANGES[change](images[4])]) == [[4, 120]]


def test_a_group_holds_all_that_look_alike_and_groups_rise() -> None:
    images = [surface(n) for n in range(12)]
    images += [jpeg(images[7]), jpeg(images[2]), CHANGES["brighter"](images[7])]
    assert groups(images) == [[2, 13], [7, 12, 14]]


def test_other_proportions_are_no_copies() -> None:
    images = [surface(n) for n in range(12)]
    squeezed = np.asarray(cv2.resize(images[3], (256, 160)), np.uint8)
    assert groups([*images, squeezed]) == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_of_hardly_any_images_nothing_can_be_told(count: int) -> None:
    looks = [look_at(part(0, n)).small for n in range(count)]
    small = np.array(looks, np.float16).reshape(count, SIDE * SIDE)
    assert groups_alike(small, [1.0] * count) == []


def test_many_copies_of_one_are_told_without_all_their_pairs() -> None:
    rng = np.random.default_rng(0)
    unlike = rng.standard_normal((6000, SIDE * SIDE), np.float32)
    copies = unlike[0] + 0.03 * rng.standard_normal((600, SIDE * SIDE), np.float32)
    rows = np.concatenate([unlike, copies]).astype(np.float16)
    everything = [1.0] * len(rows)
    assert groups_alike(rows, everything) == [[0, *range(6000, 6600)]]
    assert sum(1 for _ in pairs_alike(rows, everything)) < 10_000  # of 180 300


def test_images_without_contrast_have_no_look_to_compare() -> None:
    assert look_at(np.full((100, 100), 77, np.uint8)).small is None


def test_looks_do_not_depend_on_depth_colour_or_size() -> None:
    gray = surface(1)
    looks = [look_at(gray), look_at(gray.astype(np.uint16) * 257), look_at(np.dstack([gray] * 3))]
    for one, other in combinations(looks, 2):
        assert one.small is not None
        assert other.small is not None
        assert np.allclose(one.small, other.small, atol=0.02)
        assert (one.brightness, one.contrast) == pytest.approx((other.brightness, other.contrast), abs=0.01)


def test_brightness_contrast_and_what_is_cut_off() -> None:
    gray = np.zeros((100, 100), np.uint8)
    gray[:, :30] = 255
    gray[:, 30:50] = 128
    for image in (gray, gray.astype(np.uint16) * 257):
        look = look_at(image)
        assert look.brightness == pytest.approx(0.4, abs=0.002)
        assert (look.black, look.white) == (0.5, 0.3)
        assert look.contrast > 0.98
