"""Parts found where they were put: shifted, turned, noisy, in other light; and never where they are not."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from onspec.domain import PartNotFoundError, RulesError
from onspec.imaging.aligning import Pose
from onspec.imaging.locating import Locator, _once, locate
from onspec.imaging.part_spec import PartSpec
from onspec.imaging.reading import read_image
from onspec.imaging.silhouettes import silhouettes

Gray = NDArray[np.uint8]
Point = tuple[float, float]


def texture(width: int = 320, height: int = 240, seed: int = 5) -> Gray:
    """Blotches of several sizes, none like the other."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), s) * s for s in (3, 8, 20)]
    blotches = sum(layers[1:], layers[0])
    return np.asarray(np.clip(128 + 45 * blotches / blotches.std(), 0, 255), np.uint8)


def shape(corners: list[Point], gray: int, back: int, size: tuple[int, int] = (320, 240)) -> Gray:
    """A flat part on a flat background."""
    image = np.full(size[::-1], back, np.uint8)
    points = np.add(corners, (size[0] / 2 + 7.3, size[1] / 2 - 4.1))
    cv2.fillPoly(image, [np.round((points - 0.5) * 16).astype(np.int32)], gray, cv2.LINE_AA, 4)
    return image


def test_a_hair_encloses_nothing_and_is_no_part() -> None:
    plane = np.zeros((120, 160), np.float32)
    plane[60:100, 20:60] = 151
    cv2.line(plane, (149, 56), (74, 39), 247.0, 1)
    (part,) = silhouettes(plane, None)
    assert part.centroid == pytest.approx((40, 80), abs=0.6)


ELL: list[Point] = [(-60, -50), (60, -50), (60, -15), (-15, -15), (-15, 50), (-60, 50)]
SQUARE: list[Point] = [(-45, -45), (45, -45), (45, 45), (-45, 45)]
DISC: list[Point] = [(50 * math.cos(a), 50 * math.sin(a)) for a in np.linspace(0, 2 * math.pi, 120)[:-1]]


def moved(image: Gray, centre: Point, angle: float, shift: Point) -> tuple[Gray, Point]:
    """The image turned counter-clockwise as seen about a point, then shifted; and where the point lies then."""
    a = math.radians(angle)
    turn = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    offset = np.add(centre, shift) - turn @ np.subtract(centre, 0.5) - 0.5
    size = (image.shape[1], image.shape[0])
    matrix = np.column_stack([turn, offset])
    out = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(out, np.uint8), (centre[0] + shift[0], centre[1] + shift[1])


def in_other_light(image: Gray, seed: int, gain: float = 0.7, offset: float = 15, slope: float = 30) -> Gray:
    """Darker or brighter, unevenly, with noise."""
    across = np.linspace(-0.5, 0.5, image.shape[1])[None, :]
    noise = np.random.default_rng(seed).normal(0, 5, image.shape)
    return np.clip(np.round(image * gain + offset + slope * across + noise), 0, 255).astype(np.uint8)


def turn_off(found: float, true: float) -> float:
    return abs((found - true + 180) % 360 - 180)


TEMPLATE = PartSpec(find="template", rectangle=(90, 60, 130, 100), max_angle_deg=180, max_shift_px=60)
ANYWHERE = PartSpec(find="contour", max_angle_deg=180)


@settings(max_examples=15)
@given(angle=st.floats(-180, 180), x=st.floats(-30, 30), y=st.floats(-25, 25), gain=st.floats(0.5, 1.2))
def test_a_template_is_found_at_any_angle(angle: float, x: float, y: float, gain: float) -> None:
    taught = texture()
    image, there = moved(taught, (155, 110), angle, (x, y))
    placement = locate(in_other_light(image, 1, gain), taught, TEMPLATE)
    assert math.dist(placement.found, there) < 0.5
    assert turn_off(placement.angle_deg, angle) < 0.2
    assert placement.taught == (155, 110)
    assert placement.score > 0.9
    corner = placement.to_image(np.array([[90.0, 60.0]]))
    assert np.allclose(placement.to_taught(corner), [[90, 60]])


@settings(max_examples=15)
@given(angle=st.floats(-180, 180), x=st.floats(-60, 60), y=st.floats(-30, 30), bright=st.booleans())
def test_an_outline_is_found_at_any_angle(angle: float, x: float, y: float, bright: bool) -> None:
    taught = shape(ELL, *((190, 60) if bright else (60, 190)))
    locator = Locator(taught, ANYWHERE)
    reference = locator.find(taught, "taught").placement.taught
    image, there = moved(taught, reference, angle, (x, y))
    placement = locator.find(in_other_light(image, 2, slope=10), "image").placement
    assert math.dist(placement.found, there) < 0.5
    assert turn_off(placement.angle_deg, angle) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deeppcb/PCBData/*/*/*1_temp.jpg", "weld/images/1*.jpg", "membrane/train/image/1.*"])
def test_real_images_are_found_to_half_a_pixel(kind: str, real_data: Path) -> None:
    taught = read_image(sorted(real_data.glob(kind))[0])
    height, width = taught.shape[:2]
    rectangle = (round(width * 0.3), round(height * 0.28), round(width * 0.4), round(height * 0.4))
    spec = PartSpec(find="template", rectangle=rectangle, max_angle_deg=20, max_shift_px=0.2 * min(width, height))
    locator = Locator(taught, spec)
    found = locator.check(taught)
    assert found.placement.score > 0.999
    rng = np.random.default_rng(4)
    for seed in range(4):
        angle, shift = rng.uniform(-15, 15), tuple(rng.uniform(-0.1, 0.1, 2) * min(width, height))
        image, there = moved(taught, found.placement.taught, angle, shift)
        light = image if image.ndim == 3 else in_other_light(image, seed)
        placement = locator.find(light, "image").placement
        assert math.dist(placement.found, there) < 0.5
        assert turn_off(placement.angle_deg, angle) < 0.2


def test_sixteen_bits_are_found_as_eight_are() -> None:
    taught = texture()
    image, _ = moved(taught, (155, 110), 12.0, (5.5, -3.25))
    eight = locate(image, taught, TEMPLATE)
    sixteen = locate(image.astype(np.uint16) * 257, taught.astype(np.uint16) * 257, TEMPLATE)
    assert math.dist(eight.found, sixteen.found) < 0.01
    assert turn_off(eight.angle_deg, sixteen.angle_deg) < 0.01


def test_a_covered_corner_does_not_move_the_part() -> None:
    taught = texture()
    image, there = moved(taught, (155, 110), 7.0, (10, 8))
    cv2.circle(image, (round(there[0]) + 30, round(there[1]) + 20), 14, 255, -1)
    placement = locate(image, taught, TEMPLATE)
    assert math.dist(placement.found, there) < 0.5
    assert turn_off(placement.angle_deg, 7.0) < 0.2


@pytest.mark.parametrize("image", [texture(seed=9), np.full((240, 320), 90, np.uint8)], ids=["another", "empty"])
@pytest.mark.parametrize("spec", [TEMPLATE, ANYWHERE], ids=["template", "contour"])
def test_a_part_that_is_not_there_is_not_found(image: Gray, spec: PartSpec) -> None:
    taught = texture() if spec is TEMPLATE else shape(ELL, 190, 60)
    with pytest.raises(PartNotFoundError, match="not found"):
        locate(image, taught, spec)


def test_limits_of_shift_and_angle_hold() -> None:
    taught = texture()
    spec = TEMPLATE.model_copy(update={"max_shift_px": 12.0, "max_angle_deg": 8.0})
    near, there = moved(taught, (155, 110), 6.0, (8, 6))
    assert math.dist(locate(near, taught, spec).found, there) < 0.5
    for angle, shift in ((0.0, (20.0, 10.0)), (15.0, (0.0, 0.0))):
        image, _ = moved(taught, (155, 110), angle, shift)
        with pytest.raises(PartNotFoundError):
            locate(image, taught, spec)


def test_a_part_that_leaves_the_image_is_not_found() -> None:
    taught = shape(ELL, 190, 60)
    image, _ = moved(taught, (160, 120), 0.0, (120, 0))
    with pytest.raises(PartNotFoundError, match="wholly in the image"):
        locate(image[:, :300], taught, ANYWHERE)


def test_candidates_that_come_to_one_place_are_one() -> None:
    first, again = (Pose(75, 110, 359.9), 1.0), (Pose(75.2, 110.1, 0.1), 0.99)
    second, turned = (Pose(235, 110, 0), 0.98), (Pose(75, 110, 9), 0.9)
    assert _once([first, again, second, turned]) == [first, second, turned]


def test_two_parts_in_one_image_are_not_told_apart() -> None:
    one = texture(160, 240)
    taught = np.hstack([one, texture(160, 240, seed=8)])
    spec = PartSpec(find="template", rectangle=(20, 60, 110, 100), max_angle_deg=0)
    with pytest.raises(PartNotFoundError, match="found twice"):
        locate(np.hstack([one, one]), taught, spec)


@pytest.mark.parametrize(
    ("taught", "changes", "sentence"),
    [
        (shape(DISC, 190, 60), {"find": "contour", "max_angle_deg": 30}, "turned cannot be told"),
        (shape(SQUARE, 190, 60), {"find": "contour", "max_angle_deg": 180}, "found twice|mistaken"),
        (shape(SQUARE, 190, 60), {"find": "contour", "max_angle_deg": 50}, "found twice|mistaken"),
        (np.hstack([np.full((240, 160), g, np.uint8) for g in (60, 180)]), {"max_angle_deg": 0}, "down the image"),
        (np.full((240, 320), 80, np.uint8), {}, "nothing to find the part by"),
        (texture(), {"rectangle": (250, 60, 130, 100)}, "does not lie in the taught image"),
        (np.full((240, 320), 80, np.uint8), {"find": "contour"}, "no part stands out"),
        (np.tile(texture(80, 240), (1, 4)), {"max_shift_px": 100, "max_angle_deg": 5}, "found twice|mistaken"),
    ],
    ids=["disc", "square", "square-50", "edge", "even", "outside", "no-part", "repeated"],
)  # fmt: skip
def test_what_cannot_be_found_surely_is_refused_when_taught(
    taught: Gray, changes: dict[str, object], sentence: str
) -> None:
    template = {"find": "template", "rectangle": (95, 60, 130, 100)}
    spec = PartSpec.model_validate(changes if changes.get("find") == "contour" else template | changes)
    with pytest.raises(RulesError, match=sentence):
        Locator(taught, spec).check(taught)


def test_a_disc_that_never_turns_is_found() -> None:
    taught = shape(DISC, 60, 200)
    spec = PartSpec(find="contour", part_is="dark", max_angle_deg=0)
    Locator(taught, spec).check(taught)
    image, _ = moved(taught, (160, 120), 0.0, (21.5, -13.25))
    placement = locate(image, taught, spec)
    assert np.allclose(np.subtract(placement.found, placement.taught), (21.5, -13.25), atol=0.2)
    assert placement.angle_deg == 0.0


def test_the_rectangle_says_which_outline_is_the_part() -> None:
    taught = shape(ELL, 190, 60, (400, 300))
    taught[20:60, 20:70] = 190
    spec = PartSpec(find="contour", rectangle=(10, 10, 70, 60), max_angle_deg=20)
    assert np.allclose(Locator(taught, spec).find(taught, "taught").placement.taught, (45, 40), atol=1.0)


def test_a_small_mark_in_all_of_a_large_image_takes_too_long() -> None:
    taught = cv2.resize(texture(), (1600, 1200))
    spec = PartSpec(find="template", rectangle=(400, 300, 20, 20), max_angle_deg=180)
    with pytest.raises(RulesError, match="million trials"):
        Locator(taught, spec).check(taught)


@pytest.mark.parametrize(
    "values",
    [
        {"find": "template"},
        {"find": "template", "rectangle": (0, 0, 8, 40)},
        {"find": "template", "rectangle": (0, 0, 40, 40), "part_is": "dark"},
        {"find": "template", "rectangle": (0, float("nan"), 40, 40)},
        {"find": "contour", "max_angle_deg": 181},
        {"find": "contour", "min_score": 0},
        {"find": "outline"},
    ],
)
def test_a_spec_that_cannot_be_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PartSpec.model_validate(values)
