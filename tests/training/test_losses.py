"""Dice as the talk defines it, and losses that look at labelled pixels only."""

import pytest
import torch

from onspec.training.losses import LOSSES, batch_dice, dice_coefficient, dice_loss


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
    LOSSES[name](logits, target, valid).backward()
    assert logits.grad is not None
    assert logits.grad[..., 4:].abs().max() == 0
    assert logits.grad[..., :4].abs().max() > 0


def test_batch_dice_counts_at_a_score_of_one_half() -> None:
    target = torch.zeros(1, 1, 4, 4)
    target[..., :2] = 1
    assert batch_dice(torch.where(target > 0, 0.1, -0.1), target, torch.ones(1, 1, 4, 4)) == pytest.approx(1.0)
