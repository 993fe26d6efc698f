"""Which pixels are defective, and of which class."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from onspec.imaging import preparation
from onspec.training import crosswise
from onspec.training.crops import Truth
from onspec.training.objectives.exclusive import any_logit, class_scores, log_scores

_HOTTEST = 1 / 512
"""Share of an image's pixels that must look defective for it to be so, where nobody knows which: about a small defect's
area."""


def dice_coefficient(a: Tensor, b: Tensor, smooth: float = 1.0) -> Tensor:
    """Dice as the 2018 talk defines it: 2·|A∩B| / (|A| + |B|), smoothed so that two empty masks agree; scalar.

    `a` and `b` are of one shape with values in [0, 1]; soft values make it differentiable.
    """
    return (2.0 * (a * b).sum() + smooth) / (a.sum() + b.sum() + smooth)


def dice_loss(logits: Tensor, target: Tensor, valid: Tensor, smooth: float = 1.0) -> Tensor:
    """1 − Dice over the batch, a mean over classes. Logits and target (N, K, H, W); `valid` (N, 1, H, W) of 0/1."""
    scores, target = class_scores(logits) * valid, target * valid
    overlap = crosswise.total((scores * target).sum(dim=(0, 2, 3)))
    total = crosswise.total(scores.sum(dim=(0, 2, 3)) + target.sum(dim=(0, 2, 3)))
    return (1.0 - (2.0 * overlap + smooth) / (total + smooth)).mean()


def crop_dice_loss(logits: Tensor, target: Tensor, valid: Tensor, smooth: float = 1.0) -> Tensor:
    """The mean of 1 − Dice over the crops and classes that show a defect; 0 where none does.

    Taken over a whole batch, one defect as large as a crop outweighs a hundred small ones, and those are never
    learned; the figure that is asked for, too, is a mean over images.
    """
    scores, target = class_scores(logits) * valid, target * valid
    overlap = (scores * target).sum(dim=(2, 3))
    size = target.sum(dim=(2, 3))
    dice = (2.0 * overlap + smooth) / (scores.sum(dim=(2, 3)) + size + smooth)
    shown = (size > 0).to(dice.dtype)
    return crosswise.mean(((1.0 - dice) * shown).sum(), shown.sum())


def entropy_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy over the valid pixels, good surface being a class of its own; where classes overlap, the mean."""
    if logits.shape[1] == 1:
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    else:
        marked = target.sum(dim=1, keepdim=True)
        share = torch.cat([(marked == 0).to(target.dtype), target / marked.clamp(min=1.0)], dim=1)
        entropy = -(share * log_scores(logits)).sum(dim=1, keepdim=True)
    return crosswise.mean((entropy * valid).sum(), valid.sum())


def pixel_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """`entropy_loss` plus `crop_dice_loss`.

    Dice alone has no gradient worth the name while nothing overlaps, and collapses to empty maps from a cold start;
    cross-entropy alone drowns small defects in background. `valid` (N, 1, H, W) is 0 where the crop lies outside the
    image: there is nothing to be right about.
    """
    return entropy_loss(logits, target, valid) + crop_dice_loss(logits, target, valid)


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {"dice+ce": pixel_loss, "dice": dice_loss}
"""Name in the plan → loss of logits and target (N, K, H, W) and valid (N, 1, H, W)."""


class Segmentation:
    """Targets are the masks of the classes, and behind them the cores of touching objects where they are told apart."""

    figure = "dice"

    def __init__(self, classes: int, *, separate: bool = False, loss: str = "dice+ce") -> None:
        self.classes, self.planes = classes, classes + separate
        self._separate, self._loss = separate, LOSSES[loss]

    def target(self, truth: Truth) -> preparation.Tensor:
        """float32 (K or K + 1, H, W) of 0/1."""
        return np.asarray(truth.mask, np.float32)

    def loss(self, outputs: Sequence[Tensor], target: Tensor, valid: Tensor, bags: Tensor) -> Tensor:
        """The loss of the full map, and with falling weight (½, ¼, …) of the coarser ones.

        A coarse pixel is defective if anything in it is: a defect of few pixels, which the full map takes long to
        find, is large there, and teaches the deep levels from the first steps (deep supervision, Lee et al. 2015).
        """
        known = valid * (bags < 0).to(valid.dtype)[:, None, None, None]
        total = self._supervised(outputs[0], target, known) + bag_loss(outputs[0][:, : self.classes], valid, bags)
        for i, logits in enumerate(outputs[1:], start=1):
            factor = target.shape[-1] // logits.shape[-1]
            coarse = F.max_pool2d(target, factor)
            inside, shown = (1.0 - F.max_pool2d(1.0 - v, factor) for v in (known, valid))
            loss = self._supervised(logits, coarse, inside) + bag_loss(logits[:, : self.classes], shown, bags)
            total = total + loss * 0.5**i
        return total

    def scores(self, logits: Tensor) -> Tensor:
        """Class scores that exclude each other, then the score of a core."""
        if not self._separate:
            return class_scores(logits)
        return torch.cat([class_scores(logits[:, :-1]), logits[:, -1:].sigmoid()], dim=1)

    def quality(self, logits: Tensor, target: Tensor, valid: Tensor) -> float:
        """The talk's Dice metric over a batch, at a score of 0.5."""
        marked = (any_logit(logits[:, : self.classes]) > 0).to(target.dtype) * valid
        truth = target[:, : self.classes].amax(dim=1, keepdim=True) * valid
        return float(dice_coefficient(marked, truth))

    def _supervised(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        k = self.classes
        loss = self._loss(logits[:, :k], target[:, :k], valid)
        return loss + entropy_loss(logits[:, k:], target[:, k:], valid) if self._separate else loss


def bag_loss(logits: Tensor, valid: Tensor, bags: Tensor) -> Tensor:
    """What pieces of an image that is only known to be defective teach: its hottest pixels must be defective.

    Multiple-instance learning (Dietterich et al. 1997): −log of the score of the mean logit over the hottest share of
    all valid pixels of the image's pieces; a mean over images, 0 without any.
    """
    losses = []
    for number in range(crosswise.most(int(bags.max())) + 1):
        mine = bags == number
        hottest = crosswise.mean_of_highest(any_logit(logits[mine])[valid[mine] > 0], _HOTTEST)
        if hottest is not None:
            losses.append(F.softplus(-hottest))
    return torch.stack(losses).mean() if losses else logits.new_zeros(())
