"""What makes steps of gradients: Adam, AdamW, and Muon for the layers inside a network.

Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"): the gradient of a layer's weights,
averaged over steps, is a matrix of few large singular values and many small ones, so that a step along it changes the
layer in few directions. With all its singular values brought near one, a step changes every direction alike.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from onspec.training.networks import Network
from onspec.training.plan import Plan

_MOMENTUM = 0.95
"""Share of the average of gradients that a step keeps."""

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5
"""Of Jordan's polynomial a·x + b·x³ + c·x⁵: after five, singular values from 0.003 of the norm on lie in 0.68…1.14."""

_MATCH = 0.4
"""Root mean square of an entry's change in a step at a rate of 1. AdamW's lies between 0.2 and 0.4 (Liu et al. 2025,
"Muon is scalable for LLM training"), so that its rates serve both."""


def optimisers(network: Network, plan: Plan) -> Sequence[Optimizer]:
    """Those that the plan asks for, which together step all of the network.

    Muon is for weights between features: what sees the image or gives logits, biases and normalisations are left to
    AdamW.
    """
    if plan.optimiser == "muon":
        edges = set(network.edges())
        inside = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d) and m not in edges]
        others = [p for p in network.parameters() if not any(p is weight for weight in inside)]
        return Muon(inside, plan.learning_rate, plan.weight_decay), _adam(AdamW, others, plan)
    return (_adam({"adamw": AdamW, "adam": Adam}[plan.optimiser], list(network.parameters()), plan),)


def _adam(kind: type[Adam], parameters: list[nn.Parameter], plan: Plan) -> Optimizer:
    return kind(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True)


class Muon(Optimizer):
    """For weights (O, I, …) of layers inside a network, each taken as a matrix of O rows; decay as in AdamW."""

    def __init__(self, parameters: Sequence[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ANN401 - torch's own signature
        """Change the weights along the orthogonalised average of their gradients (Nesterov's)."""
        for group in self.param_groups:
            stepped = [weights for weights in group["params"] if weights.grad is not None]
            averages = [self._average(weights) for weights in stepped]
            ahead = []
            for weights, average in zip(stepped, averages, strict=True):
                average.lerp_(weights.grad, 1.0 - _MOMENTUM)
                ahead.append(weights.grad.lerp(average, _MOMENTUM).flatten(1))
            for weights, change in zip(stepped, orthogonalised(ahead), strict=True):
                weights.mul_(1.0 - group["lr"] * group["weight_decay"])
                weights.add_(change.view_as(weights), alpha=-group["lr"] * _MATCH * max(change.shape) ** 0.5)

    def _average(self, weights: Tensor) -> Tensor:
        """Of the gradients so far."""
        state = self.state[weights]
        if not state:
            state["average"] = torch.zeros_like(weights)
        average: Tensor = state["average"]
        return average


def orthogonalised(matrices: Sequence[Tensor]) -> list[Tensor]:
    """float (m, n) each, with the same singular vectors, and singular values near one (Newton-Schulz).

    The rounds run on the smaller Gram matrix of the two, whose eigenvalues are the squared singular values; what they
    make of it is applied to the matrix once. Those of one size are worked on together: they are small.
    """
    of_size: defaultdict[int, list[int]] = defaultdict(list)
    wide = []
    for place, matrix in enumerate(matrices):
        turned = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
        wide.append(turned / (turned.norm() + 1e-7))
        of_size[len(turned)].append(place)
    changed = list(matrices)
    for places in of_size.values():
        for place, made in zip(places, _rounds(torch.stack([wide[i] @ wide[i].T for i in places])), strict=True):
            change = made @ wide[place]
            changed[place] = change if wide[place].shape == matrices[place].shape else change.T
    return changed


def _rounds(gram: Tensor) -> Tensor:
    """What matrices of those Gram matrices (k, m, m) are multiplied by in all rounds together."""
    made = factor = _factor(gram)
    for _ in range(_ROUNDS - 1):
        gram = factor @ gram @ factor
        factor = _factor(gram)
        made = factor @ made
    return made


def _factor(gram: Tensor) -> Tensor:
    """What a round multiplies matrices of those Gram matrices by."""
    a, b, c = _QUINTIC
    factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    factor.diagonal(dim1=1, dim2=2).add_(a)
    return factor
