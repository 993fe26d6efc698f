"""Batches are balanced, the same for the same seed and step, and divided among processes without a difference."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.domain import DataError, Sample, Task
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, Pixels, load_pool, mask_spots
from onspec.training.sampling import Crop, CropSampler

Pools = tuple[list[Labelled], list[Labelled]]
MakeSamples = Callable[..., list[Sample]]
PlanFor = Callable[..., Plan]
PoolsOf = Callable[..., Pools]


def batches(pool: list[Labelled], plan: Plan, steps: int = 40, **options: object) -> list[list[Crop]]:
    sampler = CropSampler(pool, plan, seed=0, **options)  # type: ignore[arg-type]
    return [sampler.batch(step) for step in range(steps)]


def alike(first: list[Crop], second: list[Crop]) -> bool:
    return all(
        np.array_equal(a.tensor, b.tensor) and np.array_equal(a.truth.mask, b.truth.mask) and a.bag == b.bag
        for a, b in zip(first, second, strict=True)
    )


@pytest.fixture(scope="module")
def mixed(
    grain_samples: list[Sample], small_plan: Plan, unlocated: Callable[[Sample], Sample], pools_of: PoolsOf
) -> list[Labelled]:
    """12 good parts, 6 located defects and 6 that are not located."""
    weak = [unlocated(s) if s.defective and i % 2 else s for i, s in enumerate(grain_samples)]
    pool = pools_of(weak, small_plan, 2)
    return [*pool[0][:8], *pool[1][:4], *pool[0][8:14], *pool[1][8:14]]


def test_a_batch_is_a_function_of_seed_and_step(mixed: list[Labelled], small_plan: Plan) -> None:
    first, again, other = (CropSampler(mixed, small_plan, seed=s).batch(7) for s in (3, 3, 4))
    assert alike(first, again)
    assert not alike(first, other)
    assert not alike(first, CropSampler(mixed, small_plan, seed=3).batch(8))


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_together_see_what_one_would(
    task: Task,
    processes: int,
    kind_parts: list[object],
    make_samples: MakeSamples,
    plan_for: PlanFor,
    pools_of: PoolsOf,
) -> None:
    plan = plan_for(task, batch=6)
    how = {Task.SEGMENT: "masks", Task.DETECT: "boxes", Task.CLASSIFY: "classes"}[task]
    sampler = CropSampler(pools_of(make_samples(kind_parts[:12], how), plan)[0], plan, seed=0)
    for step in range(3):
        shares = [sampler.batch(step, rank, processes) for rank in range(processes)]
        merged = [shares[place % processes][place // processes] for place in range(6)]
        assert alike(merged, sampler.batch(step))


def test_half_of_the_crops_show_a_defect(pools: Pools, small_plan: Plan) -> None:
    drawn = batches(pools[0], small_plan.model_copy(update={"batch": 8}))
    around = [crop.truth.mask.any() for batch in drawn for crop in batch[::2]]
    elsewhere = [crop.truth.mask.any() for batch in drawn for crop in batch[1::2]]
    assert np.mean(around) > 0.9
    assert np.mean(elsewhere) < 0.4


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_another_share_is_kept(share: float, pools: Pools, small_plan: Plan) -> None:
    drawn = batches(pools[0], small_plan.model_copy(update={"batch": 8, "defect_share": share}))
    found = np.mean([crop.truth.mask.any() for batch in drawn for crop in batch])
    assert share - 0.1 < found < share + 0.3


def test_a_rare_class_is_shown_as_often_as_a_common_one(
    kind_parts: list[object], make_samples: MakeSamples, plan_for: PlanFor, pools_of: PoolsOf
) -> None:
    samples = make_samples(kind_parts, named=True)
    pale = [s for s in samples if s.defective and s.annotations[0].cls == "pale"]
    few = [s for s in samples if s not in pale[1:]]
    plan = plan_for(classes=("coarse", "pale"), defect_share=1.0)
    drawn = batches(pools_of(few, plan, 99)[0] + pools_of(pale[:1], plan, 1)[1], plan, 60)
    shown = Counter(
        int(crop.truth.mask.any(axis=(1, 2)).argmax()) for b in drawn for crop in b if crop.truth.mask.any()
    )
    assert 0.4 < shown[1] / shown.total() < 0.6


def test_a_small_defect_is_shown_as_often_as_a_large_one(small_plan: Plan, pools: Pools) -> None:
    mask = np.zeros((1, 96, 96), np.uint8)
    mask[0, 4:8, 4:8], mask[0, 48:92, 48:92] = 1, 1
    base = next(item for item in pools[0] if item.spots)
    item = replace(base, spots=mask_spots(mask), read=lambda: Pixels(np.zeros((96, 96), np.uint8), mask))
    plan = small_plan.model_copy(update={"crop": 32, "defect_share": 1.0})
    small = [crop.truth.mask.sum() <= 16 for batch in batches([item], plan, 60) for crop in batch]
    assert 0.4 < np.mean(small) < 0.7


def test_pasted_defects_are_as_many_as_the_plan_says(pools: Pools, small_plan: Plan) -> None:
    """Parts are told apart by their brightness: good ones are dark here."""
    dark = [
        item if item.sample.defective else replace(item, read=lambda item=item: _darker(item))  # type: ignore[misc]
        for item in pools[0]
    ]
    plan = small_plan.model_copy(update={"paste_share": 0.5, "defect_share": 1.0})
    drawn = [crop for batch in batches(dark, plan, 60) for crop in batch]
    pasted = [crop.truth.mask.any() for crop in drawn if np.median(crop.tensor) < -0.5]
    assert 0.4 < len(pasted) / len(drawn) < 0.6
    assert np.mean(pasted) > 0.9


def _darker(item: Labelled) -> Pixels:
    pixels = item.read()
    return Pixels(pixels.image // 6, pixels.mask)


def test_synthetic_defects_are_as_many_as_the_plan_says(pools: Pools, small_plan: Plan) -> None:
    plan = small_plan.model_copy(update={"synthetic_share": 0.3, "paste_share": 0.3, "defect_share": 1.0})
    drawn = [crop for batch in batches(pools[0], plan, 60, paint=corner) for crop in batch]
    painted = np.mean([crop.truth.mask.sum() == 9 for crop in drawn])
    assert 0.2 < painted < 0.4


def corner(image: NDArray[np.generic], rng: Generator) -> tuple[NDArray[np.generic], NDArray[np.uint8]]:
    """Paints the corner of a crop."""
    del rng
    changed, mask = image.copy(), np.zeros(image.shape[:2], np.uint8)
    changed[:3, :3], mask[:3, :3] = 0, 1
    return changed, mask


def test_good_parts_alone_are_painted(pools: Pools, small_plan: Plan) -> None:
    good = [item for item in pools[0] if not item.sample.defective]
    drawn = batches(good, small_plan.model_copy(update={"synthetic_share": 1.0}), 10, paint=corner)
    assert [[crop.truth.mask.any() for crop in batch] for batch in drawn] == [[True, False, True, False]] * 10


def test_some_good_surface_is_disguised_and_stays_good(pools: Pools, small_plan: Plan) -> None:
    """Where all defects are synthetic; what shows a defect is never disguised."""

    def blacken(image: NDArray[np.generic], rng: Generator) -> NDArray[np.generic]:
        del rng
        return np.zeros_like(image)

    good = [item for item in pools[0] if not item.sample.defective]
    plan = small_plan.model_copy(update={"synthetic_share": 1.0})
    drawn = [crop for batch in batches(good, plan, 60, paint=corner, disguise=blacken) for crop in batch]
    black = np.array([crop.tensor.std() < 0.1 for crop in drawn])
    shown = np.array([crop.truth.mask.any() for crop in drawn])
    assert not (black & shown).any()
    assert 0.35 < black[~shown].mean() < 0.65


def test_bags_come_in_proportion_and_whole(mixed: list[Labelled], small_plan: Plan) -> None:
    """6 of 12 defective images are not located: half of the half of all crops that show a defect are theirs."""
    drawn = batches(mixed, small_plan.model_copy(update={"batch": 8}), 120)
    sizes = Counter(sum(crop.bag == 0 for crop in batch) for batch in drawn)
    assert set(sizes) == {0, 4}
    assert sizes[4] * 4 / (120 * 8) == pytest.approx(0.25, abs=0.06)
    for batch in drawn:
        inside = [crop for crop in batch if crop.bag == 0]
        assert all(not crop.truth.located and not crop.truth.mask.any() for crop in inside)
        assert all(crop.truth.located for crop in batch if crop.bag < 0)


def test_pieces_of_a_bag_come_from_one_image_and_from_all_over_it(small_plan: Plan, mixed: list[Labelled]) -> None:
    """Images are ramps here, each of a level of its own, so that a crop says where it is from."""

    def ramp(item: Labelled, level: int) -> Labelled:
        image = np.uint8(100 * (level % 2)) + np.tile(np.arange(96, dtype=np.uint8), (96, 1))
        mask = item.read().mask
        return replace(item, read=lambda: Pixels(image, mask))

    still = dict.fromkeys(type(small_plan.augmentation).model_fields, 0.0)
    plan = small_plan.model_copy(
        update={"crop": 32, "batch": 8, "augmentation": small_plan.augmentation.model_copy(update=still)}
    )
    pool = [ramp(item, level) for level, item in enumerate(mixed)]
    bags = [[c for c in batch if c.bag == 0] for batch in batches(pool, plan, 300)]
    gray = np.array([[(crop.tensor.mean() + 1) * 127.5 for crop in bag] for bag in bags if bag])
    assert all(len({int(value // 100) for value in bag}) == 1 for bag in gray)
    left = (gray % 100) - 15.5  # of the crop, in an image where it may start at 0…64
    assert (np.abs(left.mean(axis=0) - 32) < 8).all()


def test_unlocated_images_teach_no_boxes(
    kind_parts: list[object],
    make_samples: MakeSamples,
    plan_for: PlanFor,
    pools_of: PoolsOf,
    unlocated: Callable[[Sample], Sample],
) -> None:
    """Nothing is to be learned from them, so no crop is spent on them."""
    plan = plan_for(Task.DETECT)
    weak = [unlocated(s) if i % 2 else s for i, s in enumerate(make_samples(kind_parts, "boxes"))]
    drawn = batches(pools_of(weak, plan, 99)[0], plan)
    assert all(crop.bag < 0 and crop.truth.located for batch in drawn for crop in batch)


@pytest.mark.parametrize(("classes", "kinds"), [(("defect",), 2), (("coarse", "pale"), 3)])
def test_whole_images_of_every_class_come_equally_often(
    classes: tuple[str, ...],
    kinds: int,
    kind_parts: list[object],
    make_samples: MakeSamples,
    plan_for: PlanFor,
    pools_of: PoolsOf,
) -> None:
    plan = plan_for(Task.CLASSIFY, classes)
    samples = make_samples(kind_parts, "classes", kinds == 3)
    many_good = [*samples[:9], *(s for s in samples[9:] if not s.defective)]
    shown = Counter(crop.truth.cls for b in batches(pools_of(many_good, plan, 99)[0], plan, 75) for crop in b)
    assert len(shown) == kinds
    assert min(shown.values()) / 300 == pytest.approx(1 / kinds, abs=0.08)


def test_half_of_the_defective_whole_images_are_painted_good_ones(
    kind_parts: list[object], make_samples: MakeSamples, plan_for: PlanFor, pools_of: PoolsOf
) -> None:
    plan = plan_for(Task.CLASSIFY, synthetic_share=0.5)
    pool = pools_of(make_samples(kind_parts, "classes"), plan, 99)[0]
    drawn = [crop.truth for batch in batches(pool, plan, 75, paint=corner) for crop in batch]
    painted, real = sum(len(t.mask) > 0 for t in drawn), sum(t.cls > 0 for t in drawn)
    assert painted / 300 == pytest.approx(0.25, abs=0.06)
    assert real / 300 == pytest.approx(0.25, abs=0.06)
    assert all(t.cls == 0 and t.mask.shape == (1, plan.crop, plan.crop) for t in drawn if len(t.mask))


def test_nothing_to_learn_from_is_said(pools: Pools, small_plan: Plan, plan_for: PlanFor) -> None:
    good = [item for item in pools[0] if not item.sample.defective]
    with pytest.raises(DataError, match="no training image has a located defect"):
        CropSampler(good, small_plan, seed=0)
    with pytest.raises(DataError, match="all training images are of one class"):
        CropSampler(good, plan_for(Task.CLASSIFY), seed=0)


def test_a_pool_that_is_not_in_memory_gives_the_same_crops(grain_samples: list[Sample], small_plan: Plan) -> None:
    drawn = [
        batches(load_pool(grain_samples[10:22], small_plan, memory_bytes=room), small_plan, 8)
        for room in (1 << 30, 5 * 2 * 96 * 96, 0)
    ]
    assert all(alike(a, b) and alike(a, c) for a, b, c in zip(*drawn, strict=True))


def test_a_crop_stays_inside_where_the_image_is_large_enough(pools: Pools, small_plan: Plan) -> None:
    drawn = [crop for batch in batches(pools[0], small_plan, 20) for crop in batch]
    assert all(crop.truth.valid.min() == 1 for crop in drawn)
    wide = small_plan.model_copy(update={"crop": 128})
    assert {int(crop.truth.valid.sum()) for batch in batches(pools[0], wide, 5) for crop in batch} == {96 * 96}
