"""Score maps → image scores and measured defects."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from onspec.domain import Defect, Prediction, ScoreMap
from onspec.imaging.regions import find_regions, image_score, smallest_rectangle, weigh_image
from onspec.imaging.weighing import Evidence, Peak, Weighing, peak_field

maps = arrays.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.floats(0, 1, width=32))
windows = st.sampled_from([1, 3, 5, 9])


def find_defects(prediction: Prediction | ScoreMap, **how: Any) -> list[Defect]:  # noqa: ANN401 - as of find_regions
    """The defects without their pixels."""
    return [region.defect for region in find_regions(prediction, **how)]


def drawn(mask: NDArray[np.uint8], score: float = 0.9) -> ScoreMap:
    """A map with this score where the mask is set."""
    return ScoreMap((mask * score).astype(np.float32))


def only(score_map: ScoreMap) -> Defect:
    """The one defect of a map."""
    (defect,) = find_defects(score_map, pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))
    return defect


@given(maps, windows)
def test_a_score_is_no_higher_than_the_map_and_no_lower_than_its_least(values: NDArray[np.float32], w: int) -> None:
    field = peak_field(ScoreMap(values), w)
    assert (field <= values).all()
    assert image_score(ScoreMap(values), Peak(w)) >= float(values.min())
    assert image_score(ScoreMap(values), Peak(1)) == float(values.max())


@given(maps, windows, st.data())
def test_raising_a_pixel_lowers_no_score(values: NDArray[np.float32], w: int, data: st.DataObject) -> None:
    raised = values.copy()
    y, x = (data.draw(st.integers(0, side - 1)) for side in values.shape)
    raised[y, x] = 1.0
    assert (peak_field(ScoreMap(raised), w) >= peak_field(ScoreMap(values), w) - 1e-6).all()


@pytest.mark.parametrize("at", [(10, 10), (0, 0), (0, 10), (31, 31)])
def test_one_hot_pixel_is_no_defect_and_an_area_is(at: tuple[int, int]) -> None:
    hot = np.zeros((32, 32), np.float32)
    hot[at] = 1.0
    assert image_score(ScoreMap(hot), Peak(5)) == pytest.approx(1 / 25, abs=1e-5)
    hot[8:13, 8:13] = 1.0
    assert image_score(ScoreMap(hot), Peak(5)) == pytest.approx(1.0, abs=1e-5)


def test_an_area_keeps_its_score_beside_a_hot_pixel() -> None:
    values = np.zeros((9, 9), np.float32)
    values[3:6, 3:6] = 0.6
    values[5, 5] = 1.0
    assert image_score(ScoreMap(values), Peak(3)) == pytest.approx(0.6)


def test_a_plateau_at_the_threshold_reaches_it() -> None:
    for score in (0.1, 0.3, 0.7, 0.9):
        values = np.full((40, 40), score, np.float32)
        assert image_score(ScoreMap(values), Peak(7)) == float(np.float32(score))


@given(maps, windows, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_score_over_the_floor_has_its_region(values: NDArray[np.float32], w: int, pixel: float, floor: float) -> None:
    floor = min(floor, pixel)
    score_map = ScoreMap(values)
    defects = find_defects(score_map, pixel_threshold=pixel, floor=floor, least=floor, weighing=Peak(w))
    score = image_score(score_map, Peak(w))
    if score >= floor:
        assert defects[0].score == score
    assert all(floor <= d.score + 1e-6 and d.score <= score for d in defects)
    assert [d.score for d in defects] == sorted((d.score for d in defects), reverse=True)


@given(maps, st.floats(0.01, 1))
def test_the_regions_are_the_pixels_at_or_over_the_threshold(values: NDArray[np.float32], pixel: float) -> None:
    regions = find_regions(ScoreMap(values), pixel_threshold=pixel, floor=pixel, least=0, weighing=Peak(1))
    covered = np.zeros(values.shape, int)
    for region in regions:
        x, y, w, h = region.defect.bbox
        assert region.mask.shape == (h, w)
        assert int(region.mask.sum()) == region.defect.area_px
        covered[y : y + h, x : x + w] += region.mask
    assert (covered == (values >= np.float32(pixel))).all()


def test_regions_touch_over_a_corner() -> None:
    values = np.zeros((10, 10), np.uint8)
    values[2:4, 2:4] = values[4:6, 4:6] = 1
    assert only(drawn(values)).area_px == 8


def test_a_faint_region_is_outlined_at_the_floor_and_a_strong_one_at_the_threshold() -> None:
    values = np.zeros((20, 40), np.float32)
    values[5:15, 5:15] = 0.4
    values[5:15, 25:35] = 0.4
    values[8:10, 28:30] = 0.9
    strong, faint = find_defects(ScoreMap(values), pixel_threshold=0.5, floor=0.3, least=0.3, weighing=Peak(1))
    assert (strong.area_px, faint.area_px) == (4, 100)


def test_the_measures_of_a_rectangle() -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:11, 10:34] = 1
    defect = only(drawn(mask))
    assert defect.bbox == (10, 5, 24, 6)
    assert defect.centroid == (21.5, 7.5)
    assert (defect.area_px, defect.length_px, defect.width_px, defect.elongation) == (144, 24, 6, 4)
    assert defect.orientation_deg == 0
    assert set(defect.polygon) == {(10, 5), (33, 5), (33, 10), (10, 10)}


@pytest.mark.parametrize("shape", [(1, 2), (1, 9), (9, 1)])
def test_thin_defects_have_the_width_of_a_pixel(shape: tuple[int, int]) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[4 : 4 + shape[0], 4 : 4 + shape[1]] = 1
    defect = only(drawn(mask))
    assert (defect.length_px, defect.width_px) == (max(shape), 1)
    assert defect.orientation_deg == (90 if shape == (9, 1) else 0)


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 110, 135, 160])
def test_the_orientation_is_counter_clockwise_as_seen(angle: int) -> None:
    mask = np.zeros((200, 200), np.uint8)
    cv2.ellipse(mask, (100, 100), (70, 12), -angle, 0, 360, 1, -1)  # OpenCV turns clockwise as seen
    defect = only(drawn(mask))
    difference = abs(defect.orientation_deg - angle) % 180
    assert min(difference, 180 - difference) < 4
    assert defect.length_px == pytest.approx(141, rel=0.06)
    assert defect.width_px == pytest.approx(25, rel=0.12)


def test_a_region_with_a_hole_keeps_its_area_and_outer_outline() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[5:25, 5:25] = 1
    mask[10:20, 10:20] = 0
    defect = only(drawn(mask))
    assert defect.area_px == 300
    assert set(defect.polygon) == {(5, 5), (24, 5), (24, 24), (5, 24)}


def test_a_region_is_found_whole_and_has_the_class_with_most_score_in_it() -> None:
    pore, scratch = np.zeros((2, 20, 40), np.float32)
    pore[5:10, 5:25], scratch[5:10, 5:25] = 0.3, 0.25  # neither reaches 0.5 alone
    scratch[5:10, 20:28] = 0.7
    p = Prediction((ScoreMap(pore, "pore"), ScoreMap(scratch, "scratch")))
    (defect,) = find_defects(p, pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))
    assert (defect.cls, defect.bbox) == ("scratch", (5, 5, 23, 5))
    assert defect.score == 1.0
    scratch[:, 20:] = 0
    p = Prediction((ScoreMap(scratch, "scratch"), ScoreMap(pore, "pore")))
    (defect,) = find_defects(p, pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))
    assert (defect.cls, defect.bbox) == ("pore", (5, 5, 15, 5))


def test_of_classes_with_the_same_score_the_first_by_name_is_taken() -> None:
    half = np.full((4, 5), 0.5, np.float32)
    for names in (("a", "b"), ("b", "a")):
        p = Prediction(tuple(ScoreMap(half, name) for name in names))
        assert [d.cls for d in find_defects(p, pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))] == ["a"]


def touching(first: float = 0.9, second: float = 0.7) -> Prediction:
    """Two objects of 10×10 px that touch, of these scores, each with its core."""
    values, cores = np.zeros((2, 20, 40), np.float32)
    values[5:15, 10:20], values[5:15, 20:30] = first, second
    cores[8:12, 13:17] = cores[8:12, 23:27] = 1
    return Prediction((ScoreMap(values),), cores=ScoreMap(cores, "cores"))


def test_touching_objects_are_told_apart_by_their_cores_and_scored_each() -> None:
    p = touching()
    left, right = find_defects(p, pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))
    assert (left.bbox, right.bbox) == ((10, 5, 10, 10), (20, 5, 10, 10))
    assert (left.score, right.score) == pytest.approx((0.9, 0.7))
    assert [
        d.area_px for d in find_defects(p.maps[0], pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))
    ] == [200]


def test_an_object_beside_another_is_judged_by_its_own_score() -> None:
    (sure,) = find_defects(touching(0.9, 0.4), pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))
    assert sure.bbox == (10, 5, 10, 10)
    strong, faint = find_defects(touching(0.9, 0.4), pixel_threshold=0.5, floor=0.3, least=0.3, weighing=Peak(1))
    assert (strong.bbox, faint.bbox) == ((10, 5, 10, 10), (20, 5, 10, 10))
    assert faint.score == pytest.approx(0.4)


@given(maps, maps, st.floats(0.01, 1), st.floats(0.01, 1), windows)
def test_with_cores_no_pixel_and_no_score_is_lost(
    values: NDArray[np.float32], cores: NDArray[np.float32], pixel: float, floor: float, w: int
) -> None:
    cores = np.resize(cores, values.shape)
    p = Prediction((ScoreMap(values),), cores=ScoreMap(cores, "cores"))
    regions = find_regions(p, pixel_threshold=pixel, floor=pixel, least=0, weighing=Peak(1))
    covered = np.zeros(values.shape, int)
    for region in regions:
        x, y, width, height = region.defect.bbox
        covered[y : y + height, x : x + width] += region.mask
    assert (covered == (values >= np.float32(pixel))).all()
    floor = min(floor, pixel)
    score = image_score(p.total(), Peak(w))
    if score >= floor:
        assert find_defects(p, pixel_threshold=pixel, floor=floor, least=floor, weighing=Peak(w))[0].score == score


@pytest.mark.slow
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("separate", [False, True])
def test_five_thousand_regions_take_little_more_than_their_rectangles(classes: int, separate: bool) -> None:
    """A second on a machine that takes 0.133 s for the rectangles, as a ratio: busy machines are slower in both."""
    rng = np.random.default_rng(0)
    values = np.zeros((classes, 1500, 1500), np.float32)
    for i in range(5000):
        y, x, (h, w) = i // 72 * 20, i % 72 * 20, rng.integers(1, 9, 2)
        values[i % classes, y : y + h, x : x + w] = rng.uniform(0.5, 1)
    cores = ScoreMap(np.zeros(values.shape[1:], np.float32)) if separate else None
    p = Prediction(tuple(ScoreMap(v, str(i)) for i, v in enumerate(values)), cores=cores)

    def taken(work: Callable[[], Sequence[object]]) -> float:
        start = time.thread_time()
        assert len(work()) == 5000
        return time.thread_time() - start

    found = find_regions(p, pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))
    ratios = [
        taken(lambda: find_defects(p, pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1)))
        / taken(lambda: [smallest_rectangle(region.mask) for region in found])
        for _ in range(3)
    ]
    assert min(ratios) < 1 / 0.133


@given(
    st.integers(0, 2**32), st.booleans(), st.floats(0.01, 0.9), st.sampled_from([Evidence(0.5), Evidence(3.0), Peak(3)])
)
def test_regions_that_were_found_to_know_the_score_are_the_regions(
    seed: int, separate: bool, level: float, weighing: Weighing
) -> None:
    rng = np.random.default_rng(seed)
    a, b, inner = (rng.random((3, 24, 31)) ** [[[4.0]], [[9.0]], [[1.0]]]).astype(np.float32)
    p = Prediction((ScoreMap(a / 2, "a"), ScoreMap(b / 2, "b")), cores=ScoreMap(inner) if separate else None)
    score, weighed = weigh_image(p, weighing)
    find = partial(find_regions, p, pixel_threshold=level, floor=level, least=level, weighing=weighing)
    anew, again = find(), find(weighed=weighed)
    assert [r.defect for r in again] == [r.defect for r in anew]
    assert all((one.mask == other.mask).all() for one, other in zip(again, anew, strict=True))
    assert bool(anew) == (score >= level)


def test_many_specks_are_all_found() -> None:
    values = np.zeros((128, 128), np.float32)
    values[::2, ::2] = 0.8
    assert len(find_defects(ScoreMap(values), pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(1))) == 64 * 64
    assert find_defects(ScoreMap(values), pixel_threshold=0.5, floor=0.5, least=0.5, weighing=Peak(5)) == []
