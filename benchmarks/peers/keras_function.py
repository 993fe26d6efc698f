"""The talk's U-Net in Keras, traced to a graph once: `tf.function`."""

from pathlib import Path

import numpy as np
from benchmarks.peers.keras_network import build
from benchmarks.peers.worker import Run, Tensor, one_by_one


def load(folder: Path, threads: int) -> Run:
    """The model with transferred weights."""
    import tensorflow as tf  # type: ignore[import-untyped,import-not-found,unused-ignore] # in an environment of its own

    traced = tf.function(build(folder, threads), reduce_retracing=True)

    def infer(batch: Tensor) -> Tensor:
        scores = traced(tf.constant(batch.transpose(0, 2, 3, 1))).numpy()
        return np.ascontiguousarray(scores.transpose(0, 3, 1, 2))

    return one_by_one(infer)
