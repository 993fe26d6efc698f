"""Which class a whole image is of, with a map that shows where.

The network gives evidence e_k(x) for each class at each cell. The image's logit of a class is log mean_x exp(e_k(x))
over the cells of the image: log-sum-exp pooling (Pinheiro & Collobert 2015), between the mean and the maximum, so
that a few cells suffice and all of them learn. Written in odds it is the mean of the odds, which is how
`imaging.pooling` takes it from the score map.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from onspec.imaging import preparation
from onspec.training import crosswise
from onspec.training.crops import Truth
from onspec.training.objectives.exclusive import class_scores, log_scores


class Classification:
    """The target is the image's class, 1 in its plane; no plane for a good image. Shape (K, 1, 1)."""

    figure = "accuracy"

    def __init__(self, classes: int, cell: int) -> None:
        self.classes = self.planes = classes
        self._cell = cell

    def target(self, truth: Truth) -> preparation.Tensor:
        """float32 (K, 1, 1)."""
        told = np.zeros((self.classes, 1, 1), np.float32)
        if truth.cls:
            told[truth.cls - 1] = 1.0
        return told

    def loss(self, outputs: Sequence[Tensor], target: Tensor, valid: Tensor, bags: Tensor) -> Tensor:
        """Cross-entropy of the image's class, good being one."""
        del bags  # every image has its label
        flat = target[:, :, 0, 0]
        share = torch.cat([1.0 - flat.sum(dim=1, keepdim=True), flat], dim=1)
        entropy = -(share * log_scores(self._pooled(outputs[0], valid))).sum()
        return crosswise.mean(entropy, target.new_tensor(float(len(target))))

    def scores(self, logits: Tensor) -> Tensor:
        """Class scores at each cell, which exclude each other."""
        return class_scores(logits)

    def quality(self, logits: Tensor, target: Tensor, valid: Tensor) -> float:
        """Share of images told right."""
        told = log_scores(self._pooled(logits, valid)).argmax(dim=1)
        true = torch.where(target.amax(dim=(1, 2, 3)) > 0, target[:, :, 0, 0].argmax(dim=1) + 1, 0)
        return float((told == true).float().mean())

    def _pooled(self, evidence: Tensor, valid: Tensor) -> Tensor:
        """(N, K, h, w) → (N, K): log of the mean odds over the cells that lie in the image."""
        inside = F.max_pool2d(valid, self._cell) > 0
        count = inside.sum(dim=(2, 3)).clamp(min=1).to(evidence.dtype)
        masked = evidence.masked_fill(~inside, float("-inf"))
        return torch.logsumexp(masked.flatten(2), dim=2) - count.log()
