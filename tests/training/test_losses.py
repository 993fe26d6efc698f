"""Dice as the talk defines it, and losses that look at labelled pixels only."""

import pytest
import torch
from torch import Tensor

from onspec.training.losses import LOSSES, batch_dice, crop_dice_loss, dice_coefficient, dice_loss, supervised


def test_dice_is_twice_the_overlap_over_the_sum() -> None:
    a, b = torch.zeros(10, 10), torch.zeros(10, 10)
    a[:4, :5], b[2:6, :5] = 1, 1
    assert dice_coefficient(a, b, smooth=0.0).item() == pytest.approx(2 * 10 / (20 + 20))


def test_two_empty_masks_agree() -> None:
    assert dice_coefficient(torch.zeros(4, 4), torch.zeros(4, 4)).item() == 1.0


def test_dice_loss_is_one_minus_dice() -> None:
    target = (torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    sure = (target * 2 - 1) * 50
    assert dice_loss(sure, target).item() == pytest.approx(0.0, abs=1e-6)
    assert dice_loss(-sure, target).item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", LOSSES)
def test_pixels_outside_of_the_image_teach_nothing(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 1, 8, 8, generator=generator, requires_grad=True)
    target = (torch.rand(2, 1, 8, 8, generator=generator) > 0.7).float()
    valid = torch.ones(2, 1, 8, 8)
    valid[..., 4:] = 0
    torch.autograd.backward(LOSSES[name](logits, target, valid))
    assert logits.grad is not None
    assert logits.grad[..., 4:].abs().max() == 0
    assert logits.grad[..., :4].abs().max() > 0


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


def test_coarse_outputs_are_taught_that_any_defective_pixel_counts() -> None:
    target, valid = torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    target[0, 0, 5, 5] = 1
    seen: list[Tensor] = []

    def loss(logits: Tensor, wanted: Tensor, inside: Tensor) -> Tensor:
        seen.append(wanted)
        return logits.sum() * 0 + inside.mean()

    outputs = [torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 4, 4)]
    assert supervised(loss, outputs, target, valid).item() == pytest.approx(1.5)
    assert seen[1].sum() == 1
    assert seen[1][0, 0, 1, 1] == 1


def test_batch_dice_counts_at_a_score_of_one_half() -> None:
    target = torch.zeros(1, 1, 4, 4)
    target[..., :2] = 1
    assert batch_dice(torch.where(target > 0, 0.1, -0.1), target, torch.ones(1, 1, 4, 4)) == pytest.approx(1.0)
