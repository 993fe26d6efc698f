"""Boxes: what is drawn as a target, what is ignored, what the loss is by hand, and that a network learns it."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from onspec.domain import Sample, Task
from onspec.imaging.boxes import decode_boxes
from onspec.training.crops import Truth
from onspec.training.loop import Outcome
from onspec.training.objectives.detection import Detection, _generalised_iou
from onspec.training.plan import Plan
from onspec.training.pool import Labelled

SIZE, CELL = 32, 4
KNOWN = torch.tensor([-1])
Boxes = list[tuple[float, float, float, float]]


def truth(boxes: Boxes, kinds: list[int] | None = None, valid: NDArray[np.float32] | None = None) -> Truth:
    """A crop of 32 px with boxes given as left, top, right, bottom."""
    return Truth(
        mask=np.zeros((0, SIZE, SIZE), np.uint8),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        kinds=np.array(kinds or [0] * len(boxes), np.int64),
        valid=np.ones((1, SIZE, SIZE), np.float32) if valid is None else valid,
        cls=1,
        located=True,
    )


def target_of(boxes: Boxes, kinds: list[int] | None = None, classes: int = 1) -> NDArray[np.float32]:
    return Detection(classes, CELL).target(truth(boxes, kinds))


def stacked(target: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(target)[None], torch.ones(1, 1, SIZE, SIZE)


def test_an_object_is_a_peak_at_its_centre_and_its_distances() -> None:
    """A box of 16×12 px around (16, 14): its centre lies in the cell of row 3, column 4, whose own is (18, 14)."""
    target = target_of([(8, 8, 24, 20)])
    heat, distances, weight, ignored = target[0], target[1:5], target[5], target[6]
    assert np.argwhere(heat == 1).tolist() == [[3, 4]]
    beside, below = math.exp(-(4**2) / (2 * (0.18 * 16) ** 2)), math.exp(-(4**2) / (2 * (0.18 * 12) ** 2))
    assert heat[3, 3] == heat[3, 5] == pytest.approx(beside)
    assert heat[4, 4] == pytest.approx(below)
    assert distances[:, 3, 4].tolist() == [10, 6, 6, 6]
    assert distances[:, 3, 3].tolist() == [6, 6, 10, 6]
    assert np.argwhere(weight).tolist() == [[3, 3], [3, 4], [3, 5]]  # where the heat is at least 0.3
    assert weight.sum() == pytest.approx(1)
    assert weight[3, 3] / weight[3, 4] == pytest.approx(beside)
    assert not ignored.any()


def test_each_class_has_its_own_heat_and_the_smaller_box_the_distances() -> None:
    target = target_of([(14, 10, 22, 18), (2, 2, 30, 30)], [1, 0], classes=2)
    assert np.argwhere(target[1] == 1).tolist() == [[3, 4]]
    assert np.argwhere(target[0] == 1).tolist() == [[4, 4]]
    assert target[2:6, 3, 4].tolist() == [4, 4, 4, 4]


def test_a_box_that_is_mostly_outside_of_the_crop_is_ignored() -> None:
    target = target_of([(-20, 8, 8, 24)])  # 8 of 28 px across lie in the crop
    assert not target[:6].any()
    assert np.argwhere(target[6]).tolist() == [[row, column] for row in range(2, 6) for column in range(2)]


def test_a_box_that_is_mostly_outside_of_the_image_is_ignored() -> None:
    valid = np.ones((1, SIZE, SIZE), np.float32)
    valid[:, :, :20] = 0  # mirrored surroundings
    target = Detection(1, CELL).target(truth([(8, 8, 24, 24)], valid=valid))
    assert not target[:6].any()
    assert target[6].sum() == 16


def test_a_box_that_is_mostly_inside_is_taught_with_its_whole_extent() -> None:
    target = target_of([(-8, 8, 16, 24)])  # two thirds of it are in the crop
    assert np.argwhere(target[0] == 1).tolist() == [[4, 1]]
    assert target[1:5, 4, 1].tolist() == [14, 10, 10, 6]
    assert not target[6].any()


def test_a_box_elsewhere_is_nothing() -> None:
    assert not target_of([(40, 0, 60, 20), (-9, -9, 0, 0)]).any()


def test_overlap_of_two_boxes_by_hand() -> None:
    """4×4 px about a cell, and the same a pixel further left and up: 9 in common, 23 together, 25 in their hull."""
    a, b = torch.tensor([2.0, 2, 2, 2]), torch.tensor([3.0, 3, 1, 1])
    found = _generalised_iou(a.reshape(1, 4, 1, 1), b.reshape(1, 4, 1, 1))
    assert found.item() == pytest.approx(9 / 23 - 2 / 25)
    assert _generalised_iou(a.reshape(1, 4, 1, 1), a.reshape(1, 4, 1, 1)).item() == pytest.approx(1)


def test_the_loss_by_hand() -> None:
    """Scores of one half everywhere: the centre costs ln 2 / 4, every other cell (1 − heat)⁴ of that."""
    target, valid = stacked(target_of([(8, 8, 24, 20)]))
    logits = torch.zeros(1, 5, 8, 8)
    heat, weight = target[0, 0], target[0, 5]
    focal = math.log(2) / 4 * (1 + ((1 - heat) ** 4).sum().item())  # at the centre itself 1 − heat is 0
    side = 16 * math.log(2)
    own = torch.full((1, 4, 8, 8), side)
    boxes = ((1 - _generalised_iou(own, target[:, 1:5])) * weight).sum().item()
    got = Detection(1, CELL).loss([logits], target, valid, KNOWN)
    assert got.item() == pytest.approx(focal + 2 * boxes, rel=1e-5)


def test_what_is_ignored_outside_or_unlocated_teaches_nothing() -> None:
    target, valid = stacked(target_of([(-20, 8, 8, 24), (18, 10, 30, 22)]))
    valid[..., 28:] = 0
    logits = torch.zeros(1, 5, 8, 8, requires_grad=True)
    objective = Detection(1, CELL)
    taught = torch.autograd.grad(objective.loss([logits], target, valid, KNOWN), logits)[0]
    assert taught[0, :, 2:6, :2].abs().max() == 0
    assert taught[..., 7].abs().max() == 0
    assert taught[0, 0, 0, 0] > 0
    unlocated = torch.autograd.grad(objective.loss([logits], target, valid, torch.tensor([0])), logits)[0]
    assert unlocated.abs().max() == 0


def test_a_crop_without_a_box_is_taught_to_be_good() -> None:
    target, valid = stacked(target_of([]))
    logits = torch.zeros(1, 5, 8, 8, requires_grad=True)
    loss = Detection(1, CELL).loss([logits], target, valid, KNOWN)
    taught = torch.autograd.grad(loss, logits)[0]
    assert taught[:, 0].min() > 0
    assert taught[:, 1:].abs().max() == 0


sides = st.floats(6, 20)


@given(st.floats(0, 12), st.floats(0, 12), sides, sides, st.integers(0, 1))
def test_a_network_that_learned_the_target_gives_the_box_back(
    left: float, top: float, width: float, height: float, kind: int
) -> None:
    right, bottom = min(left + width, 32.0), min(top + height, 32.0)
    objective = Detection(2, CELL)
    target = torch.from_numpy(objective.target(truth([(left, top, right, bottom)], [kind])))[None]
    heat = torch.logit(target[:, :2].clamp(1e-6, 1 - 1e-6))
    distances = torch.log(torch.expm1((target[:, 2:6] / (4 * CELL)).clamp(min=1e-3)))
    planes = objective.scores(torch.cat([heat, distances], dim=1))[0].numpy()
    found = decode_boxes(planes, ("a", "b"), CELL, (SIZE, SIZE), (SIZE, SIZE))
    box = found[0]
    assert box.cls == ("a", "b")[kind]
    assert box.score > 0.99
    assert (box.x, box.y, box.width, box.height) == pytest.approx((left, top, right - left, bottom - top), abs=0.1)
    assert not [other for other in found[1:] if other.score > 0.95]


def test_the_curve_shows_how_many_objects_are_seen() -> None:
    target, valid = stacked(target_of([(2, 2, 14, 14), (18, 18, 30, 30)]))
    logits = torch.full((1, 5, 8, 8), -3.0)
    logits[0, 0, 2, 2] = 1.0
    assert Detection(1, CELL).quality(logits, target, valid) == 0.5


@pytest.mark.slow
def test_boxes_are_found_on_parts_that_were_not_seen(
    tmp_path: Path, kind_parts: list[object], make_samples: Callable[..., list[Sample]], plan_for: Callable[..., Plan],
    pools_of: Callable[..., tuple[list[Labelled], list[Labelled]]], run_fit: Callable[..., Outcome],
) -> None:  # fmt: skip
    plan = plan_for(Task.DETECT, ("coarse", "pale"))
    outcome = run_fit(tmp_path, plan, pools_of(make_samples(kind_parts, "boxes", True), plan), steps=240)
    assert (outcome.validation.figures["map_50"] or 0) >= 0.8
    assert (outcome.validation.figures["map_50_95"] or 0) >= 0.3
