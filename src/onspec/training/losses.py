"""The pixel losses and the Dice coefficient."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor


def dice_coefficient(a: Tensor, b: Tensor, smooth: float = 1.0) -> Tensor:
    """Dice as the 2018 talk defines it: 2·|A∩B| / (|A| + |B|), smoothed so that two empty masks agree; scalar.

    `a` and `b` are of one shape with values in [0, 1]; soft values make it differentiable.
    """
    return (2.0 * (a * b).sum() + smooth) / (a.sum() + b.sum() + smooth)


def dice_loss(logits: Tensor, target: Tensor, valid: Tensor | None = None, smooth: float = 1.0) -> Tensor:
    """1 − Dice over the batch, a mean over classes. Logits and target (N, K, H, W); `valid` (N, 1, H, W) of 0/1."""
    scores = logits.sigmoid()
    if valid is not None:
        scores, target = scores * valid, target * valid
    overlap = (scores * target).sum(dim=(0, 2, 3))
    total = scores.sum(dim=(0, 2, 3)) + target.sum(dim=(0, 2, 3))
    return (1.0 - (2.0 * overlap + smooth) / (total + smooth)).mean()


def crop_dice_loss(logits: Tensor, target: Tensor, valid: Tensor, smooth: float = 1.0) -> Tensor:
    """The mean of 1 − Dice over the crops and classes that show a defect; 0 where none does.

    Taken over a whole batch, one defect as large as a crop outweighs a hundred small ones, and those are never
    learned; the figure that is asked for, too, is a mean over images.
    """
    scores, target = logits.sigmoid() * valid, target * valid
    overlap = (scores * target).sum(dim=(2, 3))
    size = target.sum(dim=(2, 3))
    dice = (2.0 * overlap + smooth) / (scores.sum(dim=(2, 3)) + size + smooth)
    shown = (size > 0).to(dice.dtype)
    return ((1.0 - dice) * shown).sum() / shown.sum().clamp(min=1.0)


def pixel_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy over the valid pixels, plus `crop_dice_loss`.

    Dice alone has no gradient worth the name while nothing overlaps, and collapses to empty maps from a cold start;
    cross-entropy alone drowns small defects in background. `valid` (N, 1, H, W) is 0 where the crop lies outside the
    image: what is mirrored there is not labelled.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * valid
    mean = entropy.sum() / (valid.sum() * logits.shape[1]).clamp(min=1.0)
    return mean + crop_dice_loss(logits, target, valid)


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {"dice+ce": pixel_loss, "dice": dice_loss}
"""Name in the plan → loss of logits and target (N, K, H, W) and valid (N, 1, H, W)."""


def supervised(loss: Loss, outputs: Sequence[Tensor], target: Tensor, valid: Tensor) -> Tensor:
    """The loss of the full map, and with falling weight (½, ¼, …) of the coarser ones that the network may add.

    A coarse pixel is defective if anything in it is: a defect of few pixels, which the full map takes long to find,
    is large there, and teaches the deep levels from the first steps (deep supervision, Lee et al. 2015).
    """
    total = loss(outputs[0], target, valid)
    for i, logits in enumerate(outputs[1:], start=1):
        factor = target.shape[-1] // logits.shape[-1]
        coarse, inside = F.max_pool2d(target, factor), 1.0 - F.max_pool2d(1.0 - valid, factor)
        total = total + loss(logits, coarse, inside) * 0.5**i
    return total


def batch_dice(logits: Tensor, target: Tensor, valid: Tensor) -> float:
    """The talk's Dice metric over a batch, at a score of 0.5: what the learning curve shows."""
    marked = (logits > 0).to(target.dtype) * valid
    return float(dice_coefficient(marked, target * valid))
