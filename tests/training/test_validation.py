"""Figures on held-out parts, from networks whose answers are known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from onspec.domain import Sample, Task
from onspec.imaging.preparation import Tensor
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, Pixels, mask_spots
from onspec.training.validation import Validation, at_working_size, validate

PlanFor = Callable[..., Plan]
SIDE = 96


def part(
    *boxes: tuple[int, int, int, int],
    kinds: tuple[int, ...] = (),
    defective: bool | None = None,
    cls: int = 0,
    located: bool = True,
) -> Labelled:
    """A dark part that is bright where it is defective: class 0 at 255, class 1 at 170."""
    image, mask = np.zeros((SIDE, SIDE), np.uint8), np.zeros((2, SIDE, SIDE), np.uint8)
    kinds = kinds or (0,) * len(boxes)
    for (x, y, w, h), kind in zip(boxes, kinds, strict=True):
        image[y : y + h, x : x + w], mask[kind, y : y + h, x : x + w] = (255, 170)[kind], 1
    bad = bool(boxes) if defective is None else defective
    return Labelled(
        sample=Sample("a.png", Path("a.png"), "a", bad),
        size=(SIDE, SIDE), stats=(0.0, 1.0), located=located, spots=mask_spots(mask),
        boxes=np.array(boxes, np.float32).reshape(-1, 4), kinds=np.array(kinds, np.int64),
        cls=cls, read=lambda: Pixels(image, mask),
    )  # fmt: skip


def seen(batch: Tensor) -> Tensor:
    """The two classes by brightness, sure of both: (N, 2, H, W)."""
    bright = batch[:, :1]
    return np.concatenate([(bright > 0.9) * 0.98, ((bright > 0.2) & (bright < 0.5)) * 0.98], axis=1).astype(np.float32)


def nothing(batch: Tensor) -> Tensor:
    return np.full((len(batch), 2, *batch.shape[2:]), 0.01, np.float32)


def everything(batch: Tensor) -> Tensor:
    return np.full((len(batch), 2, *batch.shape[2:]), 0.4, np.float32)


def test_of_a_network_that_segments(plan_for: PlanFor) -> None:
    plan, pool = plan_for(classes=("a", "b")), [part(), part((10, 10, 30, 20)), part((50, 50, 10, 12), kinds=(1,))]
    assert validate(pool, plan, seen).figures == {"dice": pytest.approx(1), "ap": pytest.approx(1)}
    assert validate(pool, plan, nothing).figures == {"dice": 0, "ap": pytest.approx(2 / 3)}
    all_marked = np.mean([2 * area / (area + SIDE**2) for area in (600, 120)])
    assert validate(pool, plan, everything).figures == {"dice": pytest.approx(all_marked), "ap": pytest.approx(2 / 3)}


def test_what_is_not_located_counts_for_the_image_alone(plan_for: PlanFor) -> None:
    pool = [part(), part(located=False, defective=True)]
    assert validate(pool, plan_for(classes=("a", "b")), nothing).figures == {"dice": None, "ap": pytest.approx(0.5)}
    assert validate([part()], plan_for(classes=("a", "b")), nothing).figures == {"dice": None, "ap": None}


def test_of_a_network_that_detects(plan_for: PlanFor) -> None:
    """Every cell that is bright tells of the box 8…24 × 12…20, whatever the truth."""

    def infer(batch: Tensor) -> Tensor:
        cells = seen(batch)[:, :, 2::4, 2::4]
        at = (np.arange(cells.shape[2], dtype=np.float32) + 0.5) * 4
        across, down = (np.broadcast_to(v, cells.shape[2:]) for v in (at[None, :], at[:, None]))
        sides = np.stack([across - 8, down - 12, 24 - across, 20 - down])[None].clip(0)
        return np.concatenate([cells, sides], axis=1).astype(np.float32)

    plan = plan_for(Task.DETECT, ("a", "b"))
    right = part((8, 12, 16, 8))
    assert validate([part(), right], plan, infer).figures == {"map_50": 1, "map_50_95": 1}
    other_class = replace(right, kinds=np.array([1]))
    assert validate([other_class], plan, infer).figures["map_50"] == 0
    larger = replace(right, boxes=np.array([[8, 12, 16, 13]], np.float32))  # IoU 0.615
    assert validate([larger], plan, infer).figures == {"map_50": 1, "map_50_95": pytest.approx(0.3)}
    assert validate([part()], plan, infer).figures == {"map_50": None, "map_50_95": None}
    assert validate([replace(right, located=False)], plan, infer).figures == {"map_50": None, "map_50_95": None}


def test_of_a_network_that_classifies(plan_for: PlanFor) -> None:
    plan = plan_for(Task.CLASSIFY, ("a", "b"))
    large = (0, 0, SIDE, SIDE)
    pool = [part(), part(large, cls=1), part(large, kinds=(1,), cls=2), part(large, kinds=(1,), cls=1)]

    def infer(batch: Tensor) -> Tensor:
        return seen(batch)[:, :, 4::8, 4::8]

    figures = validate(pool, plan, infer).figures
    assert figures["accuracy"] == pytest.approx((1 + 1 / 2 + 1) / 3)  # a mean over classes
    pool[3] = replace(pool[3], sample=Sample("b.png", Path("b.png"), "b", True), cls=2)
    assert validate(pool, plan, infer).figures == {"accuracy": 1, "ap": pytest.approx(1)}


def test_what_is_not_defined_counts_nothing() -> None:
    assert Validation({"dice": 0.5, "ap": None}).fitness == 0.5
    assert Validation({"dice": 0.5, "ap": 0.25}).fitness == 0.75
    assert Validation({}).fitness == 0


def lead(*of_groups: float) -> tuple[Validation, Validation]:
    """Two networks, the second of which leads by so much where one group after the other is left out."""
    mean = sum(of_groups) / len(of_groups)
    return Validation({"ap": 0.5}, (0.5,) * len(of_groups)), Validation(
        {"ap": 0.5 + mean}, tuple(0.5 + each for each in of_groups)
    )


def test_a_lead_counts_that_does_not_hang_on_which_parts_are_looked_at() -> None:
    behind, ahead = lead(0.1, 0.11, 0.1, 0.09)
    assert behind.falls_short_of(ahead)
    assert not ahead.falls_short_of(behind)
    assert not ahead.falls_short_of(ahead)
    behind, ahead = lead(0.0, 0.14, 0.13, 0.13)  # all of the lead is that of the first group
    assert not behind.falls_short_of(ahead)
    assert Validation({"ap": 0.5}).falls_short_of(Validation({"ap": 0.51}))  # not reckoned: any lead counts


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=40))
def test_of_a_mean_it_takes_two_classical_standard_errors(values: list[float]) -> None:
    """Each image a group of its own: the jackknife of a mean is s/√n."""
    n, total = len(values), sum(values)
    ahead = Validation({"ap": total / n}, tuple((total - v) / (n - 1) for v in values))
    behind = Validation({"ap": 0.0}, (0.0,) * n)
    error = float(np.std(values, ddof=1)) / n**0.5
    assume(abs(total / n - 2 * error) > 1e-6)
    assert behind.falls_short_of(ahead) == (total / n > 2 * error)


def test_images_of_a_part_are_left_out_together(plan_for: PlanFor) -> None:
    def named(item: Labelled, name: str) -> Labelled:
        return replace(item, sample=replace(item.sample, part=name))

    bad = part((10, 10, 30, 20))
    unseen = replace(bad, read=lambda: Pixels(np.zeros((SIDE, SIDE), np.uint8), bad.read().mask))
    pool = [named(part(), "good"), named(bad, "a"), named(bad, "a"), named(unseen, "b"), named(unseen, "b")]
    found = validate(pool, plan_for(classes=("a", "b")), seen)
    assert found.fitness == pytest.approx(0.5 + (0.5 + 0.5 * 4 / 5))
    of_a, of_b = 0.0 + 2 / 3, 1.0 + 1.0  # what is left where the other is left out
    assert sorted(found.without) == pytest.approx([0.5, of_a, of_b])


def test_images_are_at_working_resolution_already(small_plan: Plan) -> None:
    spec = at_working_size(small_plan.input.model_copy(update={"scale": 0.5}))
    assert spec.scale == 1
    assert 7 in spec.width
    assert 5000 in spec.height
