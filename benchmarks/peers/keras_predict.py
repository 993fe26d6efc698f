"""The talk's U-Net in Keras, called as the talk calls it: `model.predict`."""

from pathlib import Path

import numpy as np
from benchmarks.peers.keras_network import build
from benchmarks.peers.worker import Run, Tensor, one_by_one


def load(folder: Path, threads: int) -> Run:
    """The model with transferred weights."""
    model = build(folder, threads)

    def infer(batch: Tensor) -> Tensor:
        scores = model.predict(batch.transpose(0, 2, 3, 1), verbose=0)
        return np.ascontiguousarray(scores.transpose(0, 3, 1, 2))

    return one_by_one(infer)
