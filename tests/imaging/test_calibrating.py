"""Patterns rendered with a known scale give it back within a tenth of a percent; what is no pattern gives none."""

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import ImageError
from onspec.domain.pixel_size import PixelSize
from onspec.imaging.calibrating import calibrate, together
from onspec.imaging.calibration_picture import calibration_picture
from onspec.imaging.grids import Pattern, find_grid

Gray = NDArray[np.uint8]
OVER = 2
"""Samples a pixel, each way, that a rendered pixel is averaged from."""


def rendered(
    pattern: Pattern, columns: int = 9, rows: int = 6, step: float = 45.0, *, size: tuple[int, int] = (640, 480),
    angle: float = 0.0, aspect: float = 1.0, slant: float = 0.0, lens: float = 0.0, noise: float = 4.0,
    blur: float = 1.0, bright: bool = False, shift: tuple[float, float] = (0.0, 0.0), seed: int = 0,
) -> Gray:  # fmt: skip
    """A pattern around the image's centre, its rows turned counter-clockwise as seen.

    A step is `step` px across and `step · aspect` px down; `slant` is the loss of scale across the image's width,
    `lens` the share by which points at the image's corners are pushed outwards.
    """
    width, height = size
    down, across = np.mgrid[0 : height * OVER, 0 : width * OVER]
    x = (across + 0.5) / OVER - width / 2 - shift[0]
    y = (down + 0.5) / OVER - height / 2 - shift[1]
    flat_x, flat_y = x, y
    for _ in range(6 if lens else 0):
        push = 1 + lens * (flat_x**2 + flat_y**2) / ((width**2 + height**2) / 4)
        flat_x, flat_y = x / push, y / push
    depth = 1 - slant * flat_x / width
    u, v = flat_x / depth / step, flat_y / depth / (step * aspect)
    a = math.radians(angle)
    u, v = math.cos(a) * u - math.sin(a) * v, math.sin(a) * u + math.cos(a) * v
    if pattern == "checkerboard":
        i, j = np.floor(u + (columns + 1) / 2), np.floor(v + (rows + 1) / 2)
        inside = (i >= 0) & (i <= columns) & (j >= 0) & (j <= rows)
        across_edge, down_edge = sided(u + (columns + 1) / 2, step), sided(v + (rows + 1) / 2, step * aspect)
        marked = inside * (1 + across_edge * down_edge) / 2
    else:
        i, j = u + (columns - 1) / 2, v + (rows - 1) / 2
        nearest = np.clip(np.round(i), 0, columns - 1), np.clip(np.round(j), 0, rows - 1)
        far = np.hypot(i - nearest[0], j - nearest[1])
        marked = np.clip((0.3 - far) * step * OVER + 0.5, 0, 1)
    image = cv2.resize(
        np.where(bright, 40 + 170 * marked, 210 - 170 * marked).astype(np.float32), size, interpolation=cv2.INTER_AREA
    )
    image = cv2.GaussianBlur(image, (0, 0), blur) + np.random.default_rng(seed).normal(0, noise, (height, width))
    return np.asarray(np.clip(np.round(image), 0, 255), np.uint8)


def sided(place: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """1 in even squares, -1 in odd ones, in between where an edge crosses a sample: hard steps would be aliased."""
    off = place - np.round(place)  # from the nearest edge
    sign = np.where(np.round(place) % 2 == 0, 1.0, -1.0)
    return np.clip(off * step * OVER * 2, -1, 1) * sign


PATTERNS: list[Pattern] = ["checkerboard", "dots"]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=8)
@given(
    angle=st.floats(-44, 44),
    step=st.floats(26, 38),
    aspect=st.sampled_from([1.0, 0.98, 1.03]),
    noise=st.floats(0, 10),
    blur=st.floats(0.6, 2.0),
    bright=st.booleans(),
)
def test_the_scale_is_right_within_a_tenth_of_a_percent(
    pattern: Pattern, angle: float, step: float, aspect: float, noise: float, blur: float, bright: bool
) -> None:
    image = rendered(pattern, step=step, angle=angle, aspect=aspect, noise=noise, blur=blur, bright=bright)
    grid = find_grid(image, pattern)
    assert sorted((grid.columns, grid.rows)) == [6, 9]
    found = calibrate(grid, 2.0)
    assert found.scale.x == pytest.approx(2.0 / step, rel=1e-3)
    assert found.scale.y == pytest.approx(2.0 / (step * aspect), rel=1e-3)
    assert found.rotation_deg == pytest.approx(angle, abs=0.1)
    assert found.variation < 0.01
    assert abs(found.scale.x * step / 2.0 - 1) < 5 * found.uncertainty + 2e-4
    assert found.rms_mm == pytest.approx(found.rms_px * 2.0 / step, rel=0.03)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_axes_of_one_scale_give_one_number_others_two(pattern: Pattern) -> None:
    square = together([calibrate(find_grid(rendered(pattern, step=40), pattern), 2.0)])
    assert square.pixel_size_mm == pytest.approx(0.05, rel=1e-3)
    other = together([calibrate(find_grid(rendered(pattern, step=40, aspect=1.02), pattern), 2.0)])
    assert isinstance(other.pixel_size_mm, PixelSize)
    assert other.pixel_size_mm.x == pytest.approx(0.05, rel=1e-3)
    assert other.pixel_size_mm.y == pytest.approx(0.05 / 1.02, rel=1e-3)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_slanted_camera_and_a_lens_are_told_apart(pattern: Pattern) -> None:
    changes: list[dict[str, Any]] = [{}, {"slant": 0.06}, {"lens": -0.03}]
    plain, slanted, bent = (
        calibrate(find_grid(rendered(pattern, angle=3, **change), pattern), 2.0) for change in changes
    )
    assert plain.variation < 0.003
    assert slanted.keystone > 0.02
    assert slanted.distortion < 0.005
    assert bent.distortion > 0.01
    assert bent.keystone < 0.005
    assert min(slanted.variation, bent.variation) > 0.01
    assert slanted.max_px > 3 * plain.max_px


def test_the_variation_is_that_of_the_scale_that_was_drawn() -> None:
    found = calibrate(find_grid(rendered("dots", slant=0.06, noise=0), "dots"), 2.0)
    edge = 4 * 45  # px; the scale across goes with the square of the depth, 1 - 0.06 x / 640
    assert found.keystone == pytest.approx(2 * 0.06 * edge / 640, rel=0.15)


def test_several_images_are_averaged_and_their_spread_is_said() -> None:
    steps = (40.0, 40.2, 39.8)
    found = [calibrate(find_grid(rendered("dots", step=s, seed=k), "dots"), 2.0) for k, s in enumerate(steps)]
    mean = together(found)
    assert mean.scale.x == pytest.approx(np.mean([2 / s for s in steps]), rel=2e-4)
    assert mean.spread == pytest.approx(0.005, rel=0.1)
    assert mean.uncertainty == pytest.approx(0.005 / math.sqrt(3), rel=0.15)
    assert together(found[:1]).spread is None
    with pytest.raises(ValueError, match="at least one"):
        together([])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_sixteen_bits_and_colour_are_read_alike(pattern: Pattern) -> None:
    image = rendered(pattern, angle=8)
    eight = calibrate(find_grid(image, pattern), 1.0).scale
    for other in (image.astype(np.uint16) * 257, np.dstack([image] * 3)):
        scale = calibrate(find_grid(other, pattern), 1.0).scale
        assert (scale.x, scale.y) == pytest.approx((eight.x, eight.y), rel=1e-4)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("light", ["even", "uneven"])
def test_light_that_falls_off_changes_nothing(pattern: Pattern, light: str) -> None:
    image = rendered(pattern, step=40, noise=2).astype(np.float64)
    if light == "uneven":
        image *= np.linspace(0.35, 1.1, image.shape[1])[None, :]
    scale = calibrate(find_grid(np.clip(image, 0, 255).astype(np.uint8), pattern), 2.0).scale
    assert (scale.x, scale.y) == pytest.approx((0.05, 0.05), rel=1e-3)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("change", "asked", "sentence"),
    [
        ({"columns": 20, "rows": 14}, {}, "cut off by the image's edge"),
        ({"rows": 2}, {}, "too few points: 9 columns × 2 rows"),
        ({}, {"columns": 10, "rows": 6}, "found 9 columns × 6 rows.*10 × 6 were asked for"),
        ({}, {"rows": 7}, "any × 7 were asked for"),
        ({"noise": 0, "rows": 1, "columns": 1}, {}, "no (checkerboard|grid of dots) found"),
    ],
    ids=["cut-off", "two-rows", "columns", "rows", "one"],
)
def test_what_is_no_whole_pattern_is_refused(
    pattern: Pattern, change: dict[str, Any], asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ImageError, match=sentence):
        find_grid(rendered(pattern, **change), pattern, **asked)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_is_seen_of_a_large_pattern_is_used_when_asked(pattern: Pattern) -> None:
    image = rendered(pattern, columns=20, rows=14, step=40)
    with pytest.raises(ImageError, match=r"give --columns (\d+) --rows (\d+)") as refusal:
        find_grid(image, pattern)
    words = str(refusal.value).split()
    columns, rows = int(words[words.index("--columns") + 1]), int(words[words.index("--rows") + 1])
    scale = calibrate(find_grid(image, pattern, columns, rows), 2.0).scale
    assert (scale.x, scale.y) == pytest.approx((0.05, 0.05), rel=1e-3)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_covered_pattern_is_refused(pattern: Pattern) -> None:
    image = rendered(pattern)
    image[190:300, 250:420] = 128
    with pytest.raises(ImageError, match="points found; the pattern is partly covered"):
        find_grid(image, pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_no_pattern(pattern: Pattern, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (240, 320)).astype(np.uint8)
    with pytest.raises(ImageError):
        find_grid(noise, pattern)
    with pytest.raises(ImageError):
        find_grid(np.full((240, 320), 100, np.uint8), pattern)


def test_a_turned_pattern_may_be_asked_for_either_way() -> None:
    image = rendered("dots", step=34, angle=88)
    for columns, rows in ((6, 9), (9, 6)):
        grid = find_grid(image, "dots", columns, rows)
        assert (grid.columns, grid.rows) == (6, 9)
    assert calibrate(grid, 1.0).rotation_deg == pytest.approx(-2.0, abs=0.1)


def test_the_picture_shows_the_points_and_says_how_long_its_arrows_are() -> None:
    image = rendered("checkerboard", slant=0.05)
    found = calibrate(find_grid(image, "checkerboard"), 2.0)
    picture = calibration_picture(image, found)
    assert picture.dtype == np.uint8
    assert picture.shape[0] > image.shape[0]
    assert picture.shape[1:] == (640, 3)
    coloured = (picture.max(axis=2).astype(int) - picture.min(axis=2)) > 60
    for point in found.grid.points:
        x, y = (int(value) for value in point)
        assert coloured[y - 12 : y + 13, x - 12 : x + 13].any()
