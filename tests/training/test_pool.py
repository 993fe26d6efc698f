"""What is kept of labelled images: facts of all, pixels of as many as memory holds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onspec.domain import Box, LabelError, MaskFile, Polygon, Sample, Task, UnexpectedImageError, UnreadableImageError
from onspec.imaging.preparation import Extent
from onspec.imaging.writing import write_image
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, defective_of, load_labelled, load_pool, load_pools, mask_spots

PlanFor = Callable[..., Plan]
MakeSamples = Callable[..., list[Sample]]


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    """A gray image of 96×96 px."""
    write_image(tmp_path / "a.png", np.full((96, 96), 90, np.uint8))
    return tmp_path / "a.png"


def sample_of(image: Path, *annotations: object, defective: bool = True, cls: str | None = None) -> Sample:
    return Sample("a.png", image, "a", defective, annotations, cls=cls)  # type: ignore[arg-type]


def is_kept(item: Labelled) -> bool:
    return item.read().image is item.read().image


def wide(plan: Plan, scale: float) -> Plan:
    any_size = Extent(min=1, max=999)
    return plan.model_copy(
        update={"input": plan.input.model_copy(update={"scale": scale, "width": any_size, "height": any_size})}
    )


def test_a_mask_gives_places_on_each_of_its_defects(grain_samples: list[Sample], small_plan: Plan) -> None:
    good, bad = load_pool([grain_samples[0], grain_samples[20]], small_plan)
    assert (good.spots, good.cls, good.located, good.size) == ((), 0, True, (96, 96))
    assert (len(bad.spots), bad.cls, bad.located) == (1, 1, True)
    mask = bad.read().mask
    x, y = bad.spots[0].places.T
    assert len(x) == 64
    assert mask[0, y, x].all()
    assert defective_of([good, bad]) == [bad]


def test_spots_are_connected_defects_of_a_class() -> None:
    mask = np.zeros((2, 20, 20), np.uint8)
    mask[1, 2:4, 2:5] = mask[1, 10:19, 10:19] = mask[0, 2:4, 2:5] = 1
    spots = mask_spots(mask)
    assert [(spot.cls, len(spot.places)) for spot in spots] == [(0, 6), (1, 6), (1, 64)]
    assert {tuple(place) for place in spots[1].places.tolist()} == {(x, y) for x in (2, 3, 4) for y in (2, 3)}


def test_boxes_and_masks_are_brought_to_working_resolution(blank: Path, plan_for: PlanFor) -> None:
    box = Box(10, 20, 40, 30)
    half = wide(plan_for(Task.DETECT), 0.5)
    item, pixels = load_labelled(sample_of(blank, box), half)
    assert item.size == (48, 48)
    assert item.boxes.tolist() == [[5, 10, 20, 15]]
    assert [spot.places.tolist() for spot in item.spots] == [[[15, 18]]]
    assert pixels.mask.shape == (0, 48, 48)
    _, drawn = load_labelled(sample_of(blank, box), wide(plan_for(), 0.5))
    expected = np.zeros((1, 48, 48), np.uint8)
    expected[0, 10:25, 5:25] = 1
    np.testing.assert_array_equal(drawn.mask, expected)


def test_masks_teach_boxes_and_boxes_areas(
    kind_parts: list[object], make_samples: MakeSamples, plan_for: PlanFor
) -> None:
    masks, boxes = (make_samples(kind_parts[1:2], how) for how in ("masks", "boxes"))
    detect, segment = plan_for(Task.DETECT), plan_for()
    assert load_pool(masks, detect)[0].boxes.tolist() == load_pool(boxes, detect)[0].boxes.tolist()
    areas = [load_pool(samples, segment)[0].read().mask[0] for samples in (masks, boxes)]
    assert (areas[1] >= areas[0]).all()
    assert areas[1].sum() > areas[0].sum()


def test_touching_objects_get_a_plane_of_cores(blank: Path, plan_for: PlanFor) -> None:
    left, right = (Polygon((((x, 20), (x + 20, 20), (x + 20, 40), (x, 40)),)) for x in (20.0, 40.0))
    _, pixels = load_labelled(sample_of(blank, left, right), plan_for(separate=True))
    assert pixels.mask.shape == (2, 96, 96)
    assert len(mask_spots(pixels.mask[:1])) == 1
    assert len(mask_spots(pixels.mask[1:])) == 2
    assert not (pixels.mask[1] & ~pixels.mask[0]).any()
    _, alone = load_labelled(sample_of(blank, defective=False), plan_for(separate=True))
    assert alone.mask.shape == (2, 96, 96)


def test_the_class_of_an_image_is_that_of_its_label(blank: Path, plan_for: PlanFor) -> None:
    two = ("coarse", "pale")
    whole = [load_labelled(sample_of(blank, cls=cls), plan_for(Task.CLASSIFY, two))[0].cls for cls in two]
    assert whole == [1, 2]
    areas = (Box(0, 0, 5, 5, "coarse"), Box(20, 20, 30, 30, "pale"), Box(60, 0, 5, 5, "coarse"))
    assert load_labelled(sample_of(blank, *areas), plan_for(Task.SEGMENT, two))[0].cls == 2
    assert load_labelled(sample_of(blank, *areas), plan_for(Task.DETECT, two))[0].cls == 1
    assert load_labelled(sample_of(blank, *areas), plan_for(Task.CLASSIFY, two))[0].cls == 1
    assert load_labelled(sample_of(blank, cls="whatever"), plan_for(Task.CLASSIFY))[0].cls == 1


@pytest.mark.parametrize("task", [Task.SEGMENT, Task.DETECT])
def test_of_an_unlocated_image_nothing_but_its_truth_is_needed(task: Task, blank: Path, plan_for: PlanFor) -> None:
    item, pixels = load_labelled(sample_of(blank), plan_for(task, ("coarse", "pale")))
    assert not item.located
    assert not item.spots
    assert not pixels.mask.any()


def test_a_classifier_needs_a_class(blank: Path, plan_for: PlanFor) -> None:
    with pytest.raises(LabelError, match=r"a\.png: label of unknown class 'defect'; known: coarse, pale"):
        load_labelled(sample_of(blank), plan_for(Task.CLASSIFY, ("coarse", "pale")))


def test_pixels_beyond_the_memory_are_read_again(grain_samples: list[Sample], small_plan: Plan) -> None:
    kept, read_again = (load_pool(grain_samples[14:18], small_plan, memory_bytes=b) for b in (1 << 20, 0))
    assert all(is_kept(item) for item in kept)
    assert not any(is_kept(item) for item in read_again)
    for a, b in zip(kept, read_again, strict=True):
        np.testing.assert_array_equal(a.read().image, b.read().image)
        np.testing.assert_array_equal(a.read().mask, b.read().mask)
        assert (a.sample, a.stats, a.cls, a.size) == (b.sample, b.stats, b.cls, b.size)


def test_memory_holds_the_first_images(grain_samples: list[Sample], small_plan: Plan) -> None:
    each = 96 * 96  # of a good part, the image alone
    pool = load_pool(grain_samples[:4], small_plan, memory_bytes=2 * each)
    assert [is_kept(item) for item in pool] == [True, True, False, False]


def test_both_sets_share_the_memory(grain_samples: list[Sample], small_plan: Plan) -> None:
    each = 96 * 96
    learned, held_out = load_pools(grain_samples[:4], grain_samples[4:6], small_plan, memory_bytes=3 * each)
    assert [item.sample for item in (*learned, *held_out)] == grain_samples[:6]
    assert [is_kept(item) for item in (*learned, *held_out)] == [True, False, False, False, True, True]


def test_it_tells_how_far_it_is(grain_samples: list[Sample], small_plan: Plan) -> None:
    told: list[int] = []
    load_pool(grain_samples[:5], small_plan, told.append)
    assert told == [1, 2, 3, 4, 5]


def test_statistics_are_those_of_the_whole_image(grain_samples: list[Sample], small_plan: Plan) -> None:
    spec = small_plan.input.model_copy(update={"normalise": "image"})
    item = load_pool(grain_samples[:1], small_plan.model_copy(update={"input": spec}))[0]
    image = item.read().image.astype(np.float64)
    assert item.stats == pytest.approx((image.mean() / 127.5 - 1, image.std() / 127.5))


def test_files_that_do_not_fit_are_named(grain_samples: list[Sample], small_plan: Plan, tmp_path: Path) -> None:
    write_image(tmp_path / "small.png", np.zeros((50, 96), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no image")
    first = grain_samples[16]
    with pytest.raises(UnexpectedImageError, match=r"p016\.png: 96×50 px; this recipe takes 96×96 px"):
        load_pool([replace(first, image=tmp_path / "small.png")], small_plan)
    with pytest.raises(LabelError, match=r"small\.png: label of 96×50 px for image p016\.png of 96×96 px"):
        load_pool([replace(first, annotations=(MaskFile(tmp_path / "small.png"),))], small_plan)
    with pytest.raises(UnreadableImageError, match=r"broken\.png"):
        load_pool([replace(first, image=tmp_path / "broken.png")], small_plan)
