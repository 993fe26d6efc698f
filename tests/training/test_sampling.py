"""Batches are balanced, and the same for the same seed and step."""

import numpy as np
import pytest

from onspec.domain import DataError
from onspec.training.plan import Plan
from onspec.training.pool import Labelled
from onspec.training.sampling import CropSampler

Pools = tuple[list[Labelled], list[Labelled]]


def sampler(pool: list[Labelled], plan: Plan, seed: int = 0) -> CropSampler:
    return CropSampler(pool, plan.input, plan.augmentation, size=64, batch=8, defect_share=0.5, seed=seed)


def test_a_batch_is_a_function_of_seed_and_step(pools: Pools, small_plan: Plan) -> None:
    first, again, other = (sampler(pools[0], small_plan, s).batch(7) for s in (3, 3, 4))
    assert all(np.array_equal(a.tensor, b.tensor) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a.tensor, b.tensor) for a, b in zip(first, other, strict=True))


def test_half_of_the_crops_show_a_defect(pools: Pools, small_plan: Plan) -> None:
    batches = [sampler(pools[0], small_plan).batch(step) for step in range(30)]
    around = [crop.target.any() for batch in batches for crop in batch[:4]]
    elsewhere = [crop.target.any() for batch in batches for crop in batch[4:]]
    assert np.mean(around) > 0.9
    assert np.mean(elsewhere) < 0.4


def test_nothing_to_learn_from_is_said(pools: Pools, small_plan: Plan) -> None:
    good = [item for item in pools[0] if not item.sample.defective]
    with pytest.raises(DataError, match="no training image has a located defect"):
        sampler(good, small_plan)
