"""The pixel losses and the Dice coefficient."""

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


def hard_entropy(logits: Tensor, target: Tensor, valid: Tensor, share: float = 0.1) -> Tensor:
    """Binary cross-entropy of the hardest `share` of each crop's pixels, averaged.

    Most of a crop is easy surface, and its average hides the few pixels that would reject a good part.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * valid
    pixels = entropy.flatten(1)
    return pixels.topk(max(1, int(pixels.shape[1] * share)), dim=1, sorted=False).values.mean()


def pixel_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """`hard_entropy` plus `crop_dice_loss`.

    Dice alone has no gradient worth the name while nothing overlaps, and collapses to empty maps from a cold start;
    cross-entropy alone drowns small defects in background. `valid` (N, 1, H, W) is 0 where the crop lies outside the
    image: what is mirrored there is not labelled.
    """
    return hard_entropy(logits, target, valid) + crop_dice_loss(logits, target, valid)


LOSSES = {"dice+ce": pixel_loss, "dice": dice_loss}
"""Name in the plan → loss(logits, target, valid)."""


def batch_dice(logits: Tensor, target: Tensor, valid: Tensor) -> float:
    """The talk's Dice metric over a batch, at a score of 0.5: what the learning curve shows."""
    marked = (logits > 0).to(target.dtype) * valid
    return float(dice_coefficient(marked, target * valid))
