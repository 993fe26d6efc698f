"""PyTorch, the network as it was trained."""

from pathlib import Path

import numpy as np
from benchmarks.peers.worker import Run, Tensor, one_by_one


def load(folder: Path, threads: int, *, compiled: bool = False) -> Run:
    """In evaluation mode, without gradients."""
    import torch

    from onspec.training.networks import UNetDeck

    torch.set_num_threads(threads)
    network = UNetDeck().eval()
    with np.load(folder / "weights.npz") as weights:
        network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    run = torch.compile(network) if compiled else network

    def infer(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.sigmoid(run(torch.from_numpy(batch))).numpy()

    return one_by_one(infer)
