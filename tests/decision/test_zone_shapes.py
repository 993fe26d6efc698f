"""Zones of every shape, in px and mm, on the image and on a part that moved."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onspec.decision.judge import judge
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.decision.zones import Frame, Zone
from onspec.domain import PartNotFoundError, Prediction, RulesError, ScoreMap, Verdict
from onspec.domain.pixel_size import PixelSize
from onspec.domain.placement import Placement

SIZE = (60, 40)
SHAPES: dict[str, dict[str, object]] = {
    "rectangle": {"rectangle": [20, 10, 15, 12]},
    "polygon": {"polygon": [[10, 5], [40, 8], [30, 30]]},
    "circle": {"circle": {"centre": [30, 20], "radius": 9}},
    "ring": {"ring": {"centre": [30, 20], "inner": 5, "outer": 12}},
    "band": {"band": {"along": [[10, 10], [40, 10], [40, 30]], "width": 6}},
}


def zone(shape: str, **more: object) -> Zone:
    """A zone of this file."""
    return Zone.model_validate({**SHAPES[shape], **more})


def expected(shape: str, x: float, y: float) -> bool:
    """Whether a point lies in a shape of this file, reckoned one by one."""
    far = math.hypot(x - 30, y - 20)
    if shape == "circle":
        return far <= 9
    if shape == "ring":
        return 5 <= far <= 12
    if shape == "band":
        across = math.hypot(x - min(max(x, 10), 40), y - 10)
        down = math.hypot(x - 40, y - min(max(y, 10), 30))
        return min(across, down) <= 3
    raise AssertionError(shape)


@pytest.mark.parametrize("shape", ["circle", "ring", "band"])
def test_a_shape_has_the_pixels_whose_centres_lie_in_it(shape: str) -> None:
    mask = zone(shape).mask(SIZE)
    wanted = [[expected(shape, x + 0.5, y + 0.5) for x in range(SIZE[0])] for y in range(SIZE[1])]
    assert mask.tolist() == wanted


@pytest.mark.parametrize(
    ("side", "rows", "columns"),
    [
        ("left", slice(None), slice(0, 7)),
        ("right", slice(None), slice(53, 60)),
        ("top", slice(0, 7), slice(None)),
        ("bottom", slice(33, 40), slice(None)),
    ],
)
def test_a_band_along_a_side_goes_inwards(side: str, rows: slice, columns: slice) -> None:
    for unit, pixel, width in (("px", None, 7), ("mm", PixelSize(x=0.5, y=0.5), 3.5)):
        mask = Zone.model_validate({"band": {"along": side, "width": width}, "unit": unit}).mask(SIZE, pixel)
        assert mask[rows, columns].all()
        assert mask.sum() == mask[rows, columns].size


@pytest.mark.parametrize("shape", SHAPES)
def test_a_zone_in_mm_is_the_same_on_the_part_whatever_the_pixels(shape: str) -> None:
    pixel = PixelSize(x=0.5, y=0.25)
    mask = zone(shape, unit="mm").mask((120, 160), pixel)
    fine = zone(shape).mask(SIZE)
    assert mask.sum() * pixel.area == pytest.approx(fine.sum(), rel=0.1)
    rows, columns = np.nonzero(mask)
    assert (columns.mean() + 0.5) * pixel.x == pytest.approx(np.nonzero(fine)[1].mean() + 0.5, abs=0.3)
    assert (rows.mean() + 0.5) * pixel.y == pytest.approx(np.nonzero(fine)[0].mean() + 0.5, abs=0.3)
    with pytest.raises(RulesError, match="zones in mm"):
        zone(shape, unit="mm").mask(SIZE)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=15)
@given(st.integers(-15, 15), st.integers(-10, 10))
def test_a_zone_on_the_part_moves_with_it(shape: str, right: int, down: int) -> None:
    placement = Placement((30.0, 20.0), (30.0 + right, 20.0 + down), 0.0, 1.0)
    moved = zone(shape, relative_to="part").mask(SIZE, None, placement)
    still = np.pad(zone(shape).mask(SIZE), 30)
    assert (moved == still[30 - down : 70 - down, 30 - right : 90 - right]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_zone_on_the_part_turns_with_it(shape: str) -> None:
    placement = Placement((30.0, 20.0), (20.0, 30.0), 90.0, 1.0)  # a quarter turn to the left, as seen
    turned = zone(shape, relative_to="part").mask((40, 60), None, placement)
    assert (turned == np.rot90(zone(shape).mask(SIZE))).all()


@pytest.mark.parametrize("shape", SHAPES)
@given(st.data())
@settings(max_examples=15)
def test_a_window_of_a_zone_is_cut_out_of_its_mask(shape: str, data: st.DataObject) -> None:
    placement = Placement((30.0, 20.0), (33.5, 18.0), data.draw(st.floats(-180, 180)), 1.0)
    top, left = data.draw(st.integers(0, 30)), data.draw(st.integers(0, 50))
    rows, columns = slice(top, top + 8), slice(left, left + 9)
    for one in (zone(shape), zone(shape, relative_to="part")):
        frame = Frame(SIZE, None, placement)
        assert (one.within(frame, rows, columns) == one.mask(SIZE, None, placement)[rows, columns]).all()


def seen(x: int, y: int) -> Prediction:
    """A part of 60 × 40 px with a defect of 3 × 3 px."""
    values = np.zeros(SIZE[::-1], np.float32)
    values[y : y + 3, x : x + 3] = 1.0
    return Prediction((ScoreMap(values),))


def on_part(use: str | None = "forbid") -> RuleSet:
    """A zone on the part, and a rule that fires for nothing else."""
    return RuleSet.model_validate(
        {
            "part": {"find": "contour"},
            "zones": {"seal": {**SHAPES["circle"], "relative_to": "part", "use": use}},
            "rules": [{"name": "huge", "when": {"min_area_px": 1000}}],
        }
    )


def test_a_verdict_follows_the_part() -> None:
    here, there = Placement((30, 20), (30, 20), 0.0, 1.0), Placement((30, 20), (50, 20), 0.0, 1.0)
    for x, at, verdict in ((29, here, Verdict.NG), (29, there, Verdict.OK), (49, there, Verdict.NG)):
        assert judge(seen(x, 19), Thresholds(), on_part(), placement=at).verdict is verdict
    assert judge(seen(29, 19), Thresholds(), on_part("ignore"), placement=here).defects == ()
    assert len(judge(seen(29, 19), Thresholds(), on_part("ignore"), placement=there).defects) == 1


def test_a_zone_on_a_part_that_was_not_located_is_never_passed_over() -> None:
    with pytest.raises(RulesError, match="zone seal lies on the part"):
        judge(seen(0, 0), Thresholds(), on_part())
    away = Placement((30, 20), (300, 20), 0.0, 1.0)
    with pytest.raises(RulesError, match="zone seal lies outside the image of 60×40 px"):
        judge(seen(0, 0), Thresholds(), on_part(), placement=away)


def test_a_zone_on_the_part_must_be_seen_whole() -> None:
    """What left the image with the part is not judged, so no rule about it can be kept."""
    cut = Placement((30, 20), (56, 20), 0.0, 1.0)
    with pytest.raises(PartNotFoundError, match=r"2\d% of zone seal lies outside the image as the part lies"):
        judge(seen(0, 0), Thresholds(), on_part(), placement=cut)
    assert judge(seen(0, 0), Thresholds(), on_part("ignore"), placement=cut).verdict is Verdict.OK


@pytest.mark.parametrize(("shift", "hidden"), [(0, 0.0), (-10, 0.4), (10, 0.0)])
def test_what_the_taught_image_did_not_show_either_does_not_count(shift: int, hidden: float) -> None:
    """A zone that reaches 10 px out of the taught image, and 25 px into it."""
    reaching = Zone.model_validate({"rectangle": [-10, 5, 35, 20], "relative_to": "part"})
    placement = Placement((30, 20), (30 + shift, 20), 0.0, 1.0)
    assert reaching.hidden(Frame(SIZE, None, placement)) == pytest.approx(hidden)
