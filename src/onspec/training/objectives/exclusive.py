"""Classes that exclude one another and good surface: a softmax in which good surface has the logit 0.

With one class it is the sigmoid. So the scores of all classes add up to the score of being defective at all.
"""

import torch
from torch import Tensor


def class_scores(logits: Tensor) -> Tensor:
    """Logits (N, K, …) → scores (N, K, …) of the classes; what is missing to 1 is good."""
    if logits.shape[1] == 1:
        return logits.sigmoid()
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).softmax(dim=1)[:, 1:]


def log_scores(logits: Tensor) -> Tensor:
    """Logits (N, K, …) → logarithms (N, 1 + K, …) of the scores of good and of the classes."""
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).log_softmax(dim=1)


def any_logit(logits: Tensor) -> Tensor:
    """Logits (N, K, …) → the logit (N, 1, …) of being defective at all: log Σ exp."""
    return logits if logits.shape[1] == 1 else torch.logsumexp(logits, dim=1, keepdim=True)
