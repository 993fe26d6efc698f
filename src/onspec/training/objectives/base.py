"""What every objective offers."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from onspec.imaging import preparation
from onspec.training.crops import Truth


class Objective(Protocol):
    """A task's target, loss and scores. Logits are those of a network's `planes` planes (N, P, h, w).

    Attributes:
        planes: output planes of the network.
        figure: what `quality` measures, as the learning curve calls it.
    """

    planes: int
    figure: str

    def target(self, truth: Truth) -> preparation.Tensor:
        """The truth of one crop as a float32 array (T, h, w), of one shape for all crops of a batch."""
        ...

    def loss(self, outputs: Sequence[Tensor], target: Tensor, valid: Tensor, bags: Tensor) -> Tensor:
        """Scalar to be made small.

        Args:
            outputs: logits, the main ones first, then coarser ones, if any, which only training looks at.
            target: what `target` gave, stacked: (N, T, h, w).
            valid: float32 (N, 1, H, W): 0 where a crop lies outside its image.
            bags: int64 (N,): -1 for a crop whose label is complete; crops of one other number are pieces of one image
                of which it is only known that some of it is defective.
        """
        ...

    def scores(self, logits: Tensor) -> Tensor:
        """Logits → the recipe's output planes; see `recipe.schema`."""
        ...

    def quality(self, logits: Tensor, target: Tensor, valid: Tensor) -> float:
        """How right a batch is, 0…1: what the learning curve shows."""
        ...
