"""Which class a whole image is of, with a map that shows where.

The network gives evidence e_k(x) for each class at each cell. The image's logit of a class is log mean_x exp(e_k(x))
over the cells of the image: log-sum-exp pooling (Pinheiro & Collobert 2015), between the mean and the maximum, so
that a few cells suffice and all of them learn. Written in odds it is the mean of the odds, which is how
`imaging.pooling` takes it from the score map.

A label of the whole image says nothing of the place, and small defects are hardly ever found from it alone. Good images
say it of every cell, and good images with a synthetic defect, too: those cells are taught one by one.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from onspec.imaging import preparation
from onspec.training import crosswise
from onspec.training.crops import Truth
from onspec.training.objectives.exclusive import any_logit, class_scores, log_scores
from onspec.training.objectives.segmentation import pixel_loss

_CELL_WEIGHT = 0.5


class Classification:
    """The target is the image's class, 1 in its plane, 0 in all for a good image; behind them a plane that says of each
    cell whether it is defective, of whatever class, or −1 where nobody knows."""

    figure = "accuracy"

    def __init__(self, classes: int, cell: int) -> None:
        self.classes = self.planes = classes
        self._cell = cell

    def target(self, truth: Truth) -> preparation.Tensor:
        """float32 (K + 1, H/c, W/c)."""
        down, across = (side // self._cell for side in truth.valid.shape[1:])
        told = np.zeros((self.classes + 1, down, across), np.float32)
        if truth.cls:
            told[truth.cls - 1] = 1.0
            told[-1] = -1.0
        elif len(truth.mask):
            shown = truth.mask[0] * truth.valid[0]
            told[-1] = shown.reshape(down, self._cell, across, self._cell).max(axis=(1, 3))
        return told

    def loss(self, outputs: Sequence[Tensor], target: Tensor, valid: Tensor, bags: Tensor) -> Tensor:
        """Cross-entropy of the image's class, good being one, and where cells are known, `pixel_loss` of any defect."""
        del bags  # every image has its label
        evidence, known = outputs[0], (target[:, -1:] >= 0).to(target.dtype) * self._inside(valid)
        return self._image_loss(evidence, target, valid) + _CELL_WEIGHT * pixel_loss(
            any_logit(evidence), target[:, -1:].clamp(min=0), known
        )

    def scores(self, logits: Tensor) -> Tensor:
        """Class scores at each cell, which exclude each other."""
        return class_scores(logits)

    def quality(self, logits: Tensor, target: Tensor, valid: Tensor) -> float:
        """Share of images told right; of a synthetic defect, that it is none of good surface."""
        told = log_scores(self._pooled(logits, valid)).argmax(dim=1)
        kinds, painted = _labels(target)
        true = torch.where(kinds.amax(dim=1) > 0, kinds.argmax(dim=1) + 1, 0)
        return float(torch.where(painted, told > 0, told == true).float().mean())

    def _image_loss(self, evidence: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        kinds, painted = _labels(target)
        logs = log_scores(self._pooled(evidence, valid))
        share = torch.cat([1.0 - kinds.sum(dim=1, keepdim=True), kinds], dim=1)
        entropy = torch.where(painted, -torch.logsumexp(logs[:, 1:], dim=1), -(share * logs).sum(dim=1))
        return crosswise.mean(entropy.sum(), target.new_tensor(float(len(target))))

    def _inside(self, valid: Tensor) -> Tensor:
        """(N, 1, H, W) → (N, 1, h, w): which cells lie in the image."""
        return F.max_pool2d(valid, self._cell)

    def _pooled(self, evidence: Tensor, valid: Tensor) -> Tensor:
        """(N, K, h, w) → (N, K): log of the mean odds over the cells that lie in the image."""
        inside = self._inside(valid) > 0
        count = inside.sum(dim=(2, 3)).clamp(min=1).to(evidence.dtype)
        masked = evidence.masked_fill(~inside, float("-inf"))
        return torch.logsumexp(masked.flatten(2), dim=2) - count.log()


def _labels(target: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K + 1, h, w) → the images' classes (N, K), none for good ones, and which show a synthetic defect (N,)."""
    return target[:, :-1, 0, 0], target[:, -1].amax(dim=(1, 2)) > 0
