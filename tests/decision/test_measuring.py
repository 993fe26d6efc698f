"""Measures with pixels that are not square, contrast, and what a verdict must not depend on."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.decision.judge import judge
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Prediction, RulesError, ScoreMap, UsageError, Verdict
from onspec.domain.pixel_size import PixelSize, pixel_size
from onspec.imaging.writing import write_image
from onspec.recipe.package import Package
from onspec.runtime.inspector import Inspector

SEVERITY = {Verdict.OK: 0, Verdict.REVIEW: 1, Verdict.NG: 2}


def scratch(size: tuple[int, int], sides: tuple[float, float], angle: float) -> Prediction:
    """A scratch of 20 × 3 mm at an angle (counter-clockwise), seen through pixels of these sides."""
    x, y = np.meshgrid((np.arange(size[0]) + 0.5) * sides[0], (np.arange(size[1]) + 0.5) * sides[1])
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    dx, dy = x - x.mean(), y.mean() - y
    inside = (np.abs(dx * cos + dy * sin) <= 10) & (np.abs(dy * cos - dx * sin) <= 1.5)
    return Prediction((ScoreMap(inside.astype(np.float32)),))


@pytest.mark.parametrize("angle", [0, 30, 60, 90, 135])
@pytest.mark.parametrize("sides", [(0.1, 0.1), (0.05, 0.1), (0.1, 0.05)])
def test_a_scratch_is_as_long_as_it_is_whatever_the_pixels(angle: int, sides: tuple[float, float]) -> None:
    size = (round(24 / sides[0]), round(24 / sides[1]))
    (defect,) = judge(
        scratch(size, sides, angle), Thresholds(), pixel_size_mm=PixelSize(x=sides[0], y=sides[1])
    ).defects
    assert (defect.length_mm, defect.width_mm) == pytest.approx((20, 3), abs=0.2)
    assert defect.area_mm2 == pytest.approx(60, rel=0.02)
    assert defect.elongation == pytest.approx(20 / 3, rel=0.07)
    assert abs((defect.orientation_deg - angle + 90) % 180 - 90) < 1
    assert defect.distance_to_edge_px is not None


def test_distances_are_gaps_between_pixels_in_each_axis_own_scale() -> None:
    values = np.zeros((40, 60), np.float32)
    values[10:12, 20:22] = values[15:17, 26:28] = 1.0  # 4 px apart across, 3 down
    rules = RuleSet.model_validate(
        {"rules": [{"name": "near", "when": {"max_distance_to_defect_mm": 0.5, "max_distance_to_defect_px": 99}}]}
    )
    one, other = judge(Prediction((ScoreMap(values),)), Thresholds(), rules, PixelSize(x=0.1, y=0.1)).defects
    assert one.distance_to_defect_px == 5.0
    assert other.distance_to_defect_mm == pytest.approx(0.5)
    assert (one.distance_to_edge_px, one.distance_to_edge_mm) == (10.0, 1.0)
    decision = judge(Prediction((ScoreMap(values),)), Thresholds(), rules, PixelSize(x=0.1, y=0.2))
    assert decision.verdict is Verdict.OK
    assert decision.defects[0].distance_to_defect_mm == pytest.approx(math.hypot(0.4, 0.6))
    assert decision.defects[0].distance_to_edge_mm == 2.0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_the_gap_between_two_shapes_is_that_of_their_nearest_pixels(seed: int) -> None:
    from onspec.imaging.distances import Body, gap

    rng = np.random.default_rng(seed)
    bodies = []
    for _ in range(2):
        h, w = rng.integers(1, 9, 2)
        mask = (rng.random((h, w)) < 0.5).astype(np.uint8)
        mask[rng.integers(h), rng.integers(w)] = 1
        bodies.append(Body((int(rng.integers(0, 20)), int(rng.integers(0, 20)), int(w), int(h)), mask))
    sides = (0.3, 0.7)
    a, b = bodies
    pixels = [[(c.box[0] + x, c.box[1] + y) for y, x in np.argwhere(np.asarray(c.mask))] for c in bodies]
    least = min(
        math.hypot(max(abs(ax - bx) - 1, 0) * sides[0], max(abs(ay - by) - 1, 0) * sides[1])
        for ax, ay in pixels[0]
        for bx, by in pixels[1]
    )
    assert gap(a, b, sides) == pytest.approx(least)
    assert gap(b, a, sides) == pytest.approx(least)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize(("level", "wanted"), [(0.6, 0.2), (0.1, -0.3)])
def test_contrast_is_a_share_of_the_range(
    dtype: type[np.unsignedinteger], colours: int, level: float, wanted: float
) -> None:
    most = np.iinfo(dtype).max
    image = np.full((40, 60), 0.4 * most).astype(dtype)
    image[10:14, 20:30] = level * most
    image[9, 19:31] = most  # a bright edge counts neither here nor there
    rules = RuleSet.model_validate({"rules": [{"name": "seen", "when": {"min_contrast": 0.15}}]})
    values = np.zeros((40, 60), np.float32)
    values[10:14, 20:30] = 1.0
    shown = np.repeat(image[..., None], 3, axis=2) if colours == 3 else image
    decision = judge(Prediction((ScoreMap(values),)), Thresholds(), rules, image=shown)
    assert decision.defects[0].contrast == pytest.approx(wanted, abs=0.01)
    assert decision.reasons == (f"seen: contrast {abs(wanted):.2f} >= 0.15",)


def test_contrast_needs_the_image_and_surroundings() -> None:
    rules = RuleSet.model_validate({"rules": [{"name": "seen", "when": {"tone": "dark"}}]})
    whole = Prediction((ScoreMap(np.ones((40, 60), np.float32)),))
    with pytest.raises(RulesError, match="need the image"):
        judge(whole, Thresholds(), rules)
    with pytest.raises(RulesError, match="does not fit its map"):
        judge(whole, Thresholds(), rules, image=np.zeros((60, 40), np.uint8))
    with pytest.raises(RulesError, match="fills the image"):
        judge(whole, Thresholds(), rules, image=np.zeros((40, 60), np.uint8))


RULES = RuleSet.model_validate(
    {
        "pixel_size_mm": [0.1, 0.2],
        "zones": {"rim": {"band": {"along": "left", "width": 16}}},
        "rules": [
            {"name": "mark", "when": {"inside": "rim", "max_area_px": 12}, "outcome": "OK"},
            {"name": "bright", "when": {"min_contrast": 0.2, "min_area_mm2": 0.5}},
            {"name": "specks", "when": {"max_area_px": 24}, "max_count": 1, "within_mm": 1.5},
            {"name": "near", "when": {"max_distance_to_defect_px": 3}, "outcome": "REVIEW"},
        ],
        "default": "REVIEW",
    }
)
spots = st.lists(
    st.tuples(st.integers(1, 88), st.integers(1, 56), st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=6
)


def marked(given: list[tuple[int, int, int, int]], extra: int = 0) -> NDArray[np.uint8]:
    """An image of 96 × 64 px, dark, with bright spots; those that come close to the first ones are left out."""
    image = np.full((64, 96), 20, np.uint8)
    for number, (x, y, w, h) in enumerate(given):
        if number < len(given) - extra or (image[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2] == 20).all():
            image[y : y + h, x : x + w] = 235
    return image


def decided(image: NDArray[np.uint8], shown: NDArray[np.uint8]) -> Decision:
    """What the rules of this file say of bright pixels."""
    return judge(Prediction((ScoreMap((image > 128).astype(np.float32)),)), Thresholds(), RULES, image=shown)


@given(spots)
@settings(max_examples=150)
def test_one_more_region_never_makes_a_verdict_better(given_spots: list[tuple[int, int, int, int]]) -> None:
    before, after = marked(given_spots[:-1]), marked(given_spots, extra=1)
    assert SEVERITY[decided(after, after).verdict] >= SEVERITY[decided(before, after).verdict]


@settings(max_examples=8)
@given(st.lists(spots, min_size=2, max_size=4))
def test_verdicts_depend_neither_on_tiles_nor_on_what_is_judged_before(
    tiny: Package, folder: Path, several: list[list[tuple[int, int, int, int]]]
) -> None:
    paths = []
    for number, given_spots in enumerate(several):
        paths.append(folder / f"{number}.png")
        write_image(paths[-1], marked(given_spots))
    told = []
    for tile, order, workers in ((256, paths, 1), (64, paths[::-1], 2)):
        recipe = tiny.recipe.model_copy(
            update={"rules": RULES, "input": tiny.recipe.input.model_copy(update={"tile": tile, "halo": 16})}
        )
        with closing(Inspector(replace(tiny, recipe=recipe), "onnxruntime", threads=1)) as inspector:
            told.append(
                {
                    result.inspection.image: result.inspection.model_dump(include={"verdict", "reasons", "fired"})
                    for result in inspector.inspect_files(order, workers)
                }
            )
    assert told[0] == told[1]
    assert all(one["verdict"] is not Verdict.ERROR for one in told[0].values())


@pytest.fixture(scope="module")
def tiny(make_model: Callable[..., bytes], tiny_package: Package) -> Package:
    """The recipe of the tests."""
    return replace(tiny_package, model=make_model())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for images."""
    return tmp_path_factory.mktemp("spots")


@pytest.mark.parametrize(("text", "size"), [("0.05", 0.05), ("0.05,0.06", PixelSize(x=0.05, y=0.06)), ("2,2", 2.0)])
def test_a_pixel_size_as_an_option_says_it(text: str, size: float | PixelSize) -> None:
    assert pixel_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "0", "-1,1", "1,2,3", "nan", "inf,1"])
def test_what_is_no_pixel_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="mm over 0"):
        pixel_size(text)


def test_the_picture_of_a_turned_scratch_is_what_it_seems() -> None:
    """The angle that OpenCV draws and the one that is told are one."""
    image = np.zeros((100, 100), np.uint8)
    cv2.line(image, (20, 80), (80, 20), 255, 3)  # up to the right: 45° as seen
    (defect,) = judge(Prediction((ScoreMap((image > 0).astype(np.float32)),)), Thresholds()).defects
    assert defect.orientation_deg == pytest.approx(45, abs=1)
