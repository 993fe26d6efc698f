"""Dice as the talk defines it, losses that look at labelled pixels only, classes that exclude each other, and bags."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from onspec.domain import Sample
from onspec.imaging.preparation import predict
from onspec.training.loop import Outcome
from onspec.training.objectives import objective_of
from onspec.training.objectives.segmentation import (
    LOSSES,
    Segmentation,
    bag_loss,
    crop_dice_loss,
    dice_coefficient,
    dice_loss,
    entropy_loss,
    pixel_loss,
)
from onspec.training.plan import Plan
from onspec.training.pool import Labelled
from onspec.training.validation import torch_infer

KNOWN = torch.tensor([-1, -1])


def random_batch(classes: int = 1, seed: int = 1, side: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets of classes that exclude each other, and a map that is valid everywhere."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, side, side, generator=generator, requires_grad=True)
    told = torch.randint(0, classes + 2, (2, 1, side, side), generator=generator)
    target = torch.cat([(told == k + 1).float() for k in range(classes)], dim=1)
    return logits, target, torch.ones(2, 1, side, side)


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


def test_dice_is_twice_the_overlap_over_the_sum() -> None:
    a, b = torch.zeros(10, 10), torch.zeros(10, 10)
    a[:4, :5], b[2:6, :5] = 1, 1
    assert dice_coefficient(a, b, smooth=0.0).item() == pytest.approx(2 * 10 / (20 + 20))


def test_two_empty_masks_agree() -> None:
    assert dice_coefficient(torch.zeros(4, 4), torch.zeros(4, 4)).item() == 1.0


@pytest.mark.parametrize("classes", [1, 2])
def test_dice_loss_is_one_minus_dice(classes: int) -> None:
    _, target, valid = random_batch(classes)
    sure = (target * 2 - 1) * 50
    assert dice_loss(sure, target, valid).item() == pytest.approx(0.0, abs=1e-6)
    wrong = -sure if classes == 1 else sure.flip(1)
    assert dice_loss(wrong, target, valid).item() == pytest.approx(1.0, abs=0.03)


def test_with_one_class_the_loss_is_the_binary_formula() -> None:
    logits, target, valid = random_batch()
    score, truth = logits.sigmoid(), target
    entropy = -(truth * score.log() + (1 - truth) * (1 - score).log()).mean()
    each = [1 - (2 * (s * t).sum() + 1) / (s.sum() + t.sum() + 1) for s, t in zip(score, truth, strict=True)]
    assert pixel_loss(logits, target, valid).item() == pytest.approx((entropy + sum(each) / 2).item(), rel=1e-5)


@pytest.mark.parametrize("loss", [entropy_loss, pixel_loss])
def test_a_class_that_never_shows_changes_nothing(loss: Callable[..., Tensor]) -> None:
    logits, target, valid = random_batch()
    two, both = torch.cat([logits, torch.full_like(logits, -60)], dim=1), torch.cat([target, target * 0], dim=1)
    assert loss(two, both, valid).item() == pytest.approx(loss(logits, target, valid).item(), rel=1e-5)


def test_of_several_classes_cross_entropy_counts_good_surface_as_one() -> None:
    logits, target, valid = random_batch(3)
    told = torch.where(target.amax(dim=1) > 0, target.argmax(dim=1) + 1, 0)
    with_good = torch.cat([torch.zeros(2, 1, 8, 8), logits], dim=1)
    assert entropy_loss(logits, target, valid).item() == pytest.approx(
        F.cross_entropy(with_good, told).item(), rel=1e-5
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 2])
def test_pixels_outside_of_the_image_teach_nothing(name: str, classes: int) -> None:
    logits, target, valid = random_batch(classes)
    valid[..., 4:] = 0
    taught = gradient(LOSSES[name](logits, target, valid), logits)
    assert taught[..., 4:].abs().max() == 0
    assert taught[..., :4].abs().max() > 0


def test_the_plan_names_exactly_the_losses_there_are() -> None:
    assert set(get_args(Plan.model_fields["loss"].annotation)) == LOSSES.keys()


def test_a_small_defect_weighs_as_much_as_a_large_one() -> None:
    target, valid = torch.zeros(2, 1, 64, 64), torch.ones(2, 1, 64, 64)
    target[0, :, :60, :60], target[1, :, :4, :4] = 1, 1
    found = (target * 2 - 1) * 50
    lost_large, lost_small = found.clone(), found.clone()
    lost_large[0], lost_small[1] = -50, -50
    whole = [crop_dice_loss(lost, target, valid).item() for lost in (lost_large, lost_small)]
    assert whole == pytest.approx([0.5, 0.5], abs=0.03)


def test_crops_without_a_defect_have_no_dice() -> None:
    assert crop_dice_loss(torch.randn(2, 1, 8, 8), torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)).item() == 0


@pytest.mark.parametrize("classes", [1, 2])
def test_coarse_outputs_are_taught_that_any_defective_pixel_counts(classes: int) -> None:
    full, target, valid = random_batch(classes, side=16)
    target = target * 0
    target[0, -1, 5, 5] = 1
    valid[1, :, :, 12:] = 0
    coarse = torch.randn(2, classes, 4, 4, generator=torch.Generator().manual_seed(7))
    wanted = torch.zeros(2, classes, 4, 4)
    wanted[0, -1, 1, 1] = 1
    inside = torch.ones(2, 1, 4, 4)
    inside[1, :, :, 3:] = 0
    expected = pixel_loss(full, target, valid) + 0.5 * pixel_loss(coarse, wanted, inside)
    got = Segmentation(classes).loss([full, coarse], target, valid, KNOWN)
    assert got.item() == pytest.approx(expected.item(), rel=1e-6)


def test_cores_are_scored_beside_the_classes() -> None:
    logits, target, valid = random_batch(2)
    cores, where = torch.randn(2, 1, 8, 8), (target[:, :1] > 0).float()
    objective = Segmentation(2, separate=True)
    assert objective.planes == 3
    both = torch.cat([logits, cores], dim=1)
    scores = objective.scores(both)
    assert torch.equal(scores[:, :2], Segmentation(2).scores(logits))
    assert torch.equal(scores[:, 2:], cores.sigmoid())
    expected = pixel_loss(logits, target, valid) + F.binary_cross_entropy_with_logits(cores, where)
    got = objective.loss([both], torch.cat([target, where], dim=1), valid, KNOWN)
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("classes", [1, 2])
def test_the_curve_shows_dice_at_a_score_of_one_half(classes: int) -> None:
    target = torch.zeros(1, classes, 4, 4)
    target[:, -1, :, :2] = 1
    logits = torch.where(target > 0, 0.1, -3.0)
    assert Segmentation(classes).quality(logits, target, torch.ones(1, 1, 4, 4)) == pytest.approx(1.0)
    assert Segmentation(classes).quality(logits.flip(-1), target, torch.ones(1, 1, 4, 4)) < 0.1


@pytest.mark.parametrize("classes", [1, 2])
def test_what_is_not_located_is_taught_by_its_hottest_pixels_alone(classes: int) -> None:
    """Two pieces of one image: no pixel's label counts, and the hottest of 2048 pixels must become defective."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, classes, 32, 32, generator=generator, requires_grad=True)
    valid = torch.ones(2, 1, 32, 32)
    valid[1, :, 16:] = 0
    with torch.no_grad():
        logits[0, 0, 4, 4:7] = 9.0
        logits[1, 0, 30, 4:7] = 20.0  # beyond the image
    objective, bag = Segmentation(classes), torch.tensor([0, 0])
    losses = [objective.loss([logits], t, valid, bag) for t in (torch.zeros_like(logits), torch.ones_like(logits))]
    assert losses[0].item() == losses[1].item()
    taught = gradient(losses[0], logits).sum(dim=1)
    assert (taught != 0).sum() == 3
    assert (taught[0, 4, 4:7] < 0).all()  # a step downhill raises them


def test_a_complete_label_has_no_bag() -> None:
    logits, target, valid = random_batch()
    assert bag_loss(logits, valid, KNOWN).item() == 0
    assert Segmentation(1).loss([logits], target, valid, KNOWN).item() == pytest.approx(
        pixel_loss(logits, target, valid).item()
    )


def test_bags_of_several_images_are_a_mean() -> None:
    logits = torch.stack([torch.full((1, 4, 4), value) for value in (0.0, 2.0)])
    each = F.softplus(-torch.tensor([0.0, 2.0]))
    assert bag_loss(logits, torch.ones(2, 1, 4, 4), torch.tensor([0, 1])).item() == pytest.approx(each.mean().item())
    together = bag_loss(logits, torch.ones(2, 1, 4, 4), torch.tensor([5, 5]))
    assert together.item() == pytest.approx(each[1].item())


def test_a_crop_of_a_bag_teaches_beside_one_that_is_labelled() -> None:
    logits, target, valid = random_batch()
    mixed = Segmentation(1).loss([logits], target, valid, torch.tensor([-1, 0]))
    alone = pixel_loss(logits[:1], target[:1], valid[:1]) + bag_loss(logits[1:], valid[1:], torch.tensor([0]))
    assert mixed.item() == pytest.approx(alone.item(), rel=1e-5)


@pytest.mark.slow
def test_two_kinds_are_told_apart_on_parts_that_were_not_seen(
    tmp_path: Path, kind_parts: list[object], make_samples: Callable[..., list[Sample]], plan_for: Callable[..., Plan],
    pools_of: Callable[..., tuple[list[Labelled], list[Labelled]]], run_fit: Callable[..., Outcome],
) -> None:  # fmt: skip
    plan = plan_for(classes=("coarse", "pale"))
    pools = pools_of(make_samples(kind_parts, named=True), plan)
    outcome = run_fit(tmp_path, plan, pools, steps=200)
    assert outcome.validation.figures["ap"] == pytest.approx(1.0)
    assert (outcome.validation.figures["dice"] or 0) > 0.8
    infer = torch_infer(outcome.network, objective_of(plan))
    for item in pools[1]:
        pixels = item.read()
        maps = predict(pixels.image, plan.input, plan.classes, plan.task, False, infer).maps
        for wanted, other, mask in zip(maps, reversed(maps), pixels.mask, strict=True):
            if mask.any():
                assert np.mean(wanted.values[mask > 0] > other.values[mask > 0]) > 0.9


@pytest.mark.slow
def test_half_of_the_labels_are_enough(
    tmp_path: Path, grain_samples: list[Sample], unlocated: Callable[[Sample], Sample], small_plan: Plan,
    pools_of: Callable[..., tuple[list[Labelled], list[Labelled]]], run_fit: Callable[..., Outcome],
) -> None:  # fmt: skip
    """Of the defective parts to train on, every other one is only known to be defective."""
    weak = [unlocated(s) if s.defective and i % 4 in (1, 3) else s for i, s in enumerate(grain_samples)]
    pools = pools_of(weak, small_plan)
    assert sum(item.sample.defective and not item.located for item in pools[0]) == 8
    outcome = run_fit(tmp_path, small_plan, pools, steps=200)
    assert outcome.validation.figures["ap"] == pytest.approx(1.0)
    assert (outcome.validation.figures["dice"] or 0) > 0.7
