"""Batches come in order, whatever the threads."""

from collections.abc import Callable
from itertools import islice

import pytest
import torch

from onspec.domain import Sample, Task
from onspec.training.objectives import objective_of
from onspec.training.plan import Plan
from onspec.training.pool import Labelled
from onspec.training.prefetch import Feed, Prefetch
from onspec.training.sampling import CropSampler

Pools = tuple[list[Labelled], list[Labelled]]


@pytest.fixture
def feed(pools: Pools, small_plan: Plan) -> Feed:
    """Of the grain set."""
    return Feed(CropSampler(pools[0], small_plan, seed=0), objective_of(small_plan), small_plan.input.stride)


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_come_in_order_from_the_first_step_on(feed: Feed, threads: int) -> None:
    with Prefetch(feed, 5, threads=threads) as batches:
        for step, batch in enumerate(islice(batches, 8), start=5):
            assert torch.equal(batch.image, feed(step).image)
            assert torch.equal(batch.target, feed(step).target)


def test_a_fault_in_a_thread_reaches_the_loop(feed: Feed) -> None:
    def broken(step: int) -> None:
        raise OSError(f"step {step}: the disk is gone")

    with pytest.raises(OSError, match="step 3"), Prefetch(broken, 3) as batches:  # type: ignore[arg-type]
        next(batches)


@pytest.mark.parametrize(
    ("task", "shape"), [(Task.SEGMENT, (2, 64, 64)), (Task.DETECT, (8, 16, 16)), (Task.CLASSIFY, (3, 12, 12))]
)
def test_a_batch_is_what_the_objective_takes(
    task: Task, shape: tuple[int, ...], kind_parts: list[object], make_samples: Callable[..., list[Sample]],
    plan_for: Callable[..., Plan], pools_of: Callable[..., Pools],
) -> None:  # fmt: skip
    plan = plan_for(task, ("coarse", "pale"))
    how = {Task.SEGMENT: "masks", Task.DETECT: "boxes", Task.CLASSIFY: "classes"}[task]
    pool, _ = pools_of(make_samples(kind_parts[:9], how, True), plan)
    batch = Feed(CropSampler(pool, plan, seed=0), objective_of(plan), plan.input.stride)(0)
    assert batch.image.shape == (4, 1, plan.crop, plan.crop)
    assert batch.target.shape == (4, *shape)
    assert batch.valid.shape == (4, 1, plan.crop, plan.crop)
    assert batch.bags.tolist() == [-1] * 4
    assert {t.dtype for t in (batch.image, batch.target, batch.valid)} == {torch.float32}
