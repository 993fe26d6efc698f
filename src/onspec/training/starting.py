"""Where training starts: from weights that have seen defects on surfaces, instead of from chance.

The weights were learned from surfaces that `datasets.surfaces` makes up and defects that `Synthesiser` paints on them
(`benchmarks/starting_weights.py` makes them again): no image of anybody is in them. A network that starts there knows
what stands out on a surface before it sees the first part, which matters where labels, or minutes, are few.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from onspec.training.networks import Network, UNetLite

SURFACES = Path(__file__).parent / "weights" / "surfaces.npz"
"""float16 arrays by the name they have in the state of an `UNetLite` with one channel, one plane and cells of 1 px."""


def start_from_surfaces(network: Network, file: Path = SURFACES) -> int:
    """Give a network all the weights that it shares with the one that saw surfaces; how many arrays that were.

    Raises:
        TypeError: a network of another kind.
    """
    if not isinstance(network, UNetLite):
        raise TypeError(f"there are starting weights for unet-lite alone; got {type(network).__name__}")
    saved = read_weights(file)
    state = network.state_dict()
    known = {name: saved[network.name_in_full(name)] for name in state if network.name_in_full(name) in saved}
    fitting = {name: _fitted(weights, state[name]) for name, weights in known.items()}
    taken = {name: weights for name, weights in fitting.items() if weights is not None}
    network.load_state_dict(state | taken)
    return len(taken)


def write_weights(file: Path, state: Mapping[str, Tensor]) -> None:
    """Keep what `start_from_surfaces` reads; counters of batches are of no use to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: value.cpu().numpy().astype(np.float16) for name, value in state.items() if value.is_floating_point()}
    np.savez_compressed(file, allow_pickle=False, **kept)


def read_weights(file: Path) -> dict[str, Tensor]:
    """Name → float32 tensor."""
    with np.load(file, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}


def _fitted(weights: Tensor, like: Tensor) -> Tensor | None:
    """The weights in the shape of `like`, shared out among its colours or its classes where they are for one; `None`
    where they do not fit."""
    if weights.shape == like.shape:
        return weights
    if weights.dim() == 4 and weights.shape[1] == 1 and weights.shape[0] == like.shape[0]:
        return weights.expand(like.shape) / like.shape[1]
    if weights.dim() == like.dim() and weights.shape[0] == 1 and weights.shape[1:] == like.shape[1:]:
        each = weights.expand(like.shape)
        return each - math.log(len(like)) if weights.dim() == 1 else each  # so that their odds add up to the old ones
    return None
