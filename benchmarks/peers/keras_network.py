"""The U-Net of the 2018 talk in Keras, with weights that were learned elsewhere."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]
WIDTHS = (8, 16, 32, 64, 128)


def build(folder: Path, threads: int) -> Any:  # noqa: ANN401 # Keras is in another environment
    """float32 (N, H, W, 1) → (N, H, W, 1); 3×3 ReLU pairs, max-pooling, nearest up-sampling, 1×1 head with sigmoid."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import tensorflow as tf  # type: ignore[import-untyped,import-not-found,unused-ignore] # in an environment of its own

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    layers = tf.keras.layers

    def pair(x: Any, name: str, width: int) -> Any:  # noqa: ANN401
        for place in (0, 2):  # a ReLU lies between them
            x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"{name}.{place}")(x)
        return x

    x = entry = layers.Input((None, None, 1))
    skips = []
    for level, width in enumerate(WIDTHS):
        x = pair(layers.MaxPooling2D(2)(x) if level else x, f"down.{level}", width)
        skips.append(x)
    for level, width in enumerate(reversed(WIDTHS[:-1])):
        x = layers.Concatenate()([layers.UpSampling2D(2, interpolation="nearest")(x), skips[-2 - level]])
        x = pair(x, f"up.{level}", width)
    model = tf.keras.Model(entry, layers.Conv2D(1, 1, activation="sigmoid", name="head")(x))
    with np.load(folder / "weights.npz") as weights:
        transfer(model, weights)
    return model


def transfer(model: Any, weights: Weights) -> None:  # noqa: ANN401
    """Kernels (out, in, h, w) → Keras's (h, w, in, out); every layer with weights gets its own."""
    for layer in model.layers:
        if layer.weights:
            kernel = weights[f"{layer.name}.weight"].transpose(2, 3, 1, 0)
            layer.set_weights([kernel, weights[f"{layer.name}.bias"]])
