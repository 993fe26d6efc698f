"""The network that says where a fine one has to look, and its export in whole numbers.

It learns in float32. What is exported reckons in whole numbers: activations are levels 0…255, weights and biases are
whole, and what they add up to is divided by a power of two and rounded. No sum reaches 2^24, so that float32 holds
each of them exactly and it does not matter in what order an engine adds (the arithmetic of Jacob et al. 2018,
Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, within floats).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from onspec.domain import EngineError
from onspec.imaging.blocks import MOST

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

STEPS, MIDDLE = 16.0, 128
"""An answer is the logit times 16, plus 128, within 0…255."""

_EXACT = float(2**24)
_CAP = 4.0
"""Where an activation ends, in deviations of what it is made of."""

Whole = NDArray[np.float64]
"""Whole numbers."""


class CoarseLayer(nn.Module):
    """Convolution, batch normalisation, and what is left of it between 0 and 4 deviations, as 0…1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if kernel % 2 else 0, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of 0…1 → (N, O, H/stride, W/stride) of 0…1."""
        activation: Tensor = (self.norm(self.conv(x)) / _CAP).clamp(0.0, 1.0)
        return activation


class CoarseNetwork(nn.Module):
    """Levels / 255, float32 (N, C, H, W) → logits (N, 1, H/32, W/32).

    Its first layer sees every pixel of the full resolution, in squares of 4×4, and each once: shrinking an image
    beforehand blurs away the finest scratches and costs as much.
    """

    layers: tuple[tuple[int, int, int], ...] = ((12, 4, 4), (24, 3, 2), (32, 3, 2), (48, 3, 2), (48, 3, 1), (48, 3, 1))
    """(planes, kernel, stride) of each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        widths = [channels, *(planes for planes, _, _ in self.layers)]
        self.body = nn.Sequential(
            *(CoarseLayer(a, b, k, s) for a, (b, k, s) in zip(widths[:-1], self.layers, strict=True))
        )
        self.head = nn.Conv2d(widths[-1], 1, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -3.0)  # most blocks are good

    def forward(self, x: Tensor) -> Tensor:
        """Logits, one a block."""
        logits: Tensor = self.head(self.body(x))
        return logits


@dataclass(frozen=True, slots=True)
class WholeLayer:
    """A convolution of levels: (Σ weight · level + bias) / 2^shift, rounded down and within 0…255; half is in the bias.

    Attributes:
        weight: (O, I, k, k), and `bias` and `shift` (O,); whole numbers.
    """

    weight: Whole
    bias: Whole
    shift: Whole
    stride: int
    pad: int


def to_whole_onnx(network: CoarseNetwork) -> bytes:
    """ONNX of the network in whole numbers; input `image` of levels, output `scores` of answers, size and batch free.

    Raises:
        EngineError: weights so large that a sum is not exact.
    """
    import onnx
    from onnx import TensorProto, helper

    nodes: list[NodeProto] = []
    stored: list[TensorProto] = []
    name = "image"
    layers = list(_whole_layers(network))
    for place, layer in enumerate(layers):
        after = "scores" if place == len(layers) - 1 else f"levels_{place}"
        made, values = _operators(layer, name, after, place)
        nodes += made
        stored += values
        name = after
    free: list[str | int | None] = ["batch", network.channels, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "coarse",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 1, "down", "across"])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="onspec")
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _whole_layers(network: CoarseNetwork) -> Iterator[WholeLayer]:
    for layer in network.body:
        assert isinstance(layer, CoarseLayer)
        norm = layer.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps) / _CAP
        weight = layer.conv.weight * gain[:, None, None, None]
        bias = MOST * (norm.bias / _CAP - norm.running_mean * gain)
        yield _whole(weight, bias, layer.conv)
    head = network.head
    assert head.bias is not None
    yield _whole(head.weight * (STEPS / MOST), head.bias * STEPS + MIDDLE, head)


def _whole(weight: Tensor, bias: Tensor, conv: nn.Conv2d) -> WholeLayer:
    """As finely as sums stay exact.

    Raises:
        EngineError: they do not.
    """
    w, b = (np.asarray(values.detach().double().numpy()) for values in (weight, bias))
    largest = MOST * np.abs(w).sum(axis=(1, 2, 3)) + np.abs(b) + 1.0
    shift = np.floor(np.log2(_EXACT / 2 / largest))  # half of the room is for what rounding adds
    if shift.min() < 1:
        raise EngineError("the coarse network's weights are too large for whole numbers; train it with another --seed")
    factor = np.exp2(shift)
    made = WholeLayer(
        np.rint(w * factor[:, None, None, None]), np.rint(b * factor) + factor / 2, shift, conv.stride[0],
        int(conv.padding[0]),
    )  # fmt: skip
    sums = MOST * np.abs(made.weight).sum(axis=(1, 2, 3)) + np.abs(made.bias)
    assert float(sums.max()) < _EXACT
    assert math.isfinite(float(sums.max()))
    return made


def _operators(layer: WholeLayer, name: str, after: str, place: int) -> "tuple[list[NodeProto], list[TensorProto]]":
    from onnx import helper, numpy_helper

    def store(what: str, values: Whole) -> str:
        stored.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), f"{what}_{place}"))
        return f"{what}_{place}"

    stored: list[TensorProto] = []
    kernel, p = layer.weight.shape[2], layer.pad
    sums, scaled, floored = (f"{what}_{place}" for what in ("sums", "scaled", "floored"))
    nodes = [
        helper.make_node(
            "Conv", [name, store("weight", layer.weight), store("bias", layer.bias)], [sums],
            kernel_shape=[kernel, kernel], strides=[layer.stride, layer.stride], pads=[p, p, p, p],
        ),
        helper.make_node("Mul", [sums, store("scale", np.exp2(-layer.shift)[None, :, None, None])], [scaled]),
        helper.make_node("Floor", [scaled], [floored]),
        helper.make_node(
            "Clip", [floored, store("least", np.array(0.0)), store("most", np.array(float(MOST)))], [after]
        ),
    ]  # fmt: skip
    return nodes, stored
