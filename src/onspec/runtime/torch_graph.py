"""An ONNX network as a torch module, for the operators that onspec's own networks are made of; others are refused.

Only `torch_engine` imports this file, and only when that engine is asked for: what judges on a line needs no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onspec.domain import EngineError
from onspec.runtime.engines import INPUT, OUTPUT
from onspec.runtime.graph import Graph, attribute, require_ports

if TYPE_CHECKING:
    from onnx import NodeProto

Step = Callable[..., Tensor]
"""Tensors in, one for each input that is not settled when the network is read → a tensor."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One operator: what it does, the values it takes and the one it makes."""

    step: Step
    takes: tuple[str, ...]
    makes: str


class TorchGraph(nn.Module):
    """float32 (N, C, H, W) → float32 (N, P, H/c, W/c), in the precision that the network has.

    With `half` false, a network in half precision is run in single precision: CPUs are slow with the other.

    Raises at construction:
        EngineError: not an ONNX network of a recipe, or one with an operator that is not in the table.
    """

    def __init__(self, model: bytes, half: bool) -> None:
        super().__init__()
        graph = Graph(model)
        require_ports(graph)
        self._places: dict[str, str] = {}
        calls = []
        for node in graph.nodes:
            if node.op_type == "Constant":
                continue
            build = OPERATORS.get(node.op_type)
            if build is None:
                raise EngineError(
                    f"the model cannot be loaded by PyTorch: it has the operator {node.op_type}, which is not "
                    f"translated; translated are {', '.join(OPERATORS)}; choose --engine onnxruntime"
                )
            step, taken = build(graph, node)
            calls.append(_Call(step, taken, node.output[0]))
            for name in taken:
                self._keep(graph, name)
        self._calls = tuple(calls)
        if not half:
            self.float()

    def forward(self, image: Tensor) -> Tensor:
        """The network's scores."""
        values = {INPUT: image}
        for call in self._calls:
            taken = [values[name] if name in values else self._buffers[self._places[name]] for name in call.takes]
            values[call.makes] = call.step(*taken)
        return values[OUTPUT].float()

    def _keep(self, graph: Graph, name: str) -> None:
        """Hold a stored tensor as a buffer, so that it goes where the module goes."""
        stored = graph.constant(name)
        if stored is not None and name not in self._places:
            self._places[name] = f"stored_{len(self._places)}"
            self.register_buffer(self._places[name], torch.from_numpy(np.array(stored)))


Built = tuple[Step, tuple[str, ...]]


def _elementwise(step: Step) -> "Callable[[Graph, NodeProto], Built]":
    return lambda _, node: (step, tuple(node.input))


def _conv(_: Graph, node: "NodeProto") -> Built:
    stride, dilation, group = _ints(node, "strides", [1, 1]), _ints(node, "dilations", [1, 1]), _int(node, "group", 1)
    padding = _even_pads(node)

    def step(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(x.to(weight.dtype), weight, bias, stride, padding, dilation, group)

    return step, tuple(node.input)


def _conv_transpose(_: Graph, node: "NodeProto") -> Built:
    stride, dilation, group = _ints(node, "strides", [1, 1]), _ints(node, "dilations", [1, 1]), _int(node, "group", 1)
    padding, extra = _even_pads(node), _ints(node, "output_padding", [0, 0])

    def step(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv_transpose2d(x.to(weight.dtype), weight, bias, stride, padding, extra, group, dilation)

    return step, tuple(node.input)


def _max_pool(_: Graph, node: "NodeProto") -> Built:
    kernel, stride, padding = _ints(node, "kernel_shape", []), _ints(node, "strides", [1, 1]), _even_pads(node)
    return lambda x: F.max_pool2d(x, kernel, stride, padding), tuple(node.input)


def _average_pool(_: Graph, node: "NodeProto") -> Built:
    kernel, stride = _ints(node, "kernel_shape", []), _ints(node, "strides", [1, 1])
    if any(_ints(node, "pads", [0])):
        raise _unknown(node, "with a border")
    return lambda x: F.avg_pool2d(x, kernel, stride), tuple(node.input)


_RESIZE = {
    ("nearest", "asymmetric", "floor"): "nearest",
    ("linear", "half_pixel", "floor"): "bilinear",
    ("linear", "half_pixel", "round_prefer_floor"): "bilinear",
}
"""Mode, coordinates and rounding of ONNX → mode of torch."""


def _resize(graph: Graph, node: "NodeProto") -> Built:
    ways = ("mode", "nearest"), ("coordinate_transformation_mode", "half_pixel"), ("nearest_mode", "round_prefer_floor")
    mode = _RESIZE.get(tuple(str(attribute(node, name, usual)) for name, usual in ways))  # type: ignore[arg-type]
    scales = graph.constant(node.input[2]) if len(node.input) > 2 else None
    if mode is None or scales is None or scales.size != 4 or scales[:2].tolist() != [1.0, 1.0]:
        raise _unknown(node, "in this way")
    factors = tuple(float(value) for value in scales[2:])

    def step(x: Tensor) -> Tensor:
        if mode == "nearest":
            return F.interpolate(x, scale_factor=factors, mode=mode)
        return F.interpolate(x, scale_factor=factors, mode=mode, align_corners=False)

    return step, (node.input[0],)


def _concat(_: Graph, node: "NodeProto") -> Built:
    axis = _int(node, "axis", 1)
    return lambda *parts: torch.cat(parts, dim=axis), tuple(node.input)


def _slice(graph: Graph, node: "NodeProto") -> Built:
    given = [graph.constant(name) for name in node.input[1:]]
    if len(given) < 3 or any(value is None for value in given):
        raise _unknown(node, "of places that depend on the image")
    starts, ends, axes = (np.asarray(value).astype(int).tolist() for value in given[:3])
    steps = [1] * len(starts) if len(given) < 4 else np.asarray(given[3]).astype(int).tolist()

    def step(x: Tensor) -> Tensor:
        places = [slice(None)] * x.dim()
        for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
            places[axis] = slice(start, end, stride)
        return x[tuple(places)]

    return step, (node.input[0],)


def _pad(graph: Graph, node: "NodeProto") -> Built:
    pads = graph.constant(node.input[1])
    if attribute(node, "mode", "constant") != "edge" or pads is None or pads.size != 8 or pads[[0, 1, 4, 5]].any():
        raise _unknown(node, "in this way")
    top, left, bottom, right = (int(value) for value in pads[[2, 3, 6, 7]])
    return lambda x: F.pad(x, (left, right, top, bottom), mode="replicate"), (node.input[0],)


def _depth_to_space(_: Graph, node: "NodeProto") -> Built:
    if attribute(node, "mode", "DCR") != "CRD":
        raise _unknown(node, "in this way")
    block = _int(node, "blocksize", 1)
    return lambda x: F.pixel_shuffle(x, block), tuple(node.input)


def _softmax(_: Graph, node: "NodeProto") -> Built:
    axis = _int(node, "axis", -1)
    return lambda x: x.softmax(dim=axis), tuple(node.input)


def _constant_of_shape(graph: Graph, node: "NodeProto") -> Built:
    """Of the shape of a value, and on its device: nothing can be moved there while a CUDA graph is recorded."""
    from onnx import numpy_helper

    measured = graph.producer(node.input[0])
    if measured is None or measured.op_type != "Shape":
        raise _unknown(node, "of another shape than that of a value")
    value = float(numpy_helper.to_array(node.attribute[0].t).item()) if node.attribute else 0.0
    return lambda x: torch.full_like(x, value), (measured.input[0],)


def _quantize(graph: Graph, node: "NodeProto") -> Built:
    """To whole numbers, kept as floats: torch computes the same with them as an engine that quantises."""
    low, high = _range(graph, node)
    shape = _along(graph, node)

    def step(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return (x / scale.view(shape)).round().add(zero.float().view(shape)).clamp(low, high)

    return step, tuple(node.input)


def _dequantize(graph: Graph, node: "NodeProto") -> Built:
    shape = _along(graph, node)

    def step(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        shifted = x.to(scale.dtype) - (0.0 if zero is None else zero.to(scale.dtype).view(shape))
        return shifted * scale.view(shape)

    return step, tuple(node.input)


def _along(graph: Graph, node: "NodeProto") -> list[int]:
    """The shape that lays scales along their axis."""
    scale = graph.constant(node.input[1])
    if scale is None:
        raise _unknown(node, "of scales that depend on the image")
    if scale.size == 1:
        return [1] if scale.ndim else []
    axis, values = _int(node, "axis", 1), graph.constant(node.input[0])
    dimensions = 4 if values is None else values.ndim
    return [-1 if place == axis % dimensions else 1 for place in range(dimensions)]


def _range(graph: Graph, node: "NodeProto") -> tuple[int, int]:
    zero = graph.constant(node.input[2]) if len(node.input) > 2 else None
    if zero is None or zero.dtype.kind not in "iu":
        raise _unknown(node, "without a zero point of whole numbers")
    info = np.iinfo(zero.dtype.name)
    return int(info.min), int(info.max)


def _cast(_: Graph, node: "NodeProto") -> Built:
    from onnx import TensorProto

    kinds = {int(TensorProto.FLOAT): torch.float32, int(TensorProto.FLOAT16): torch.float16}
    kind = kinds.get(_int(node, "to", 0))
    if kind is None:
        raise _unknown(node, "to another type than float32 and float16")
    return lambda x: x.to(kind), tuple(node.input)


def _shape(x: Tensor) -> Tensor:
    return torch.tensor(x.shape)


OPERATORS: "Mapping[str, Callable[[Graph, NodeProto], Built]]" = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "Resize": _resize,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "Concat": _concat,
    "Slice": _slice,
    "Relu": _elementwise(torch.relu),
    "Sigmoid": _elementwise(torch.sigmoid),
    "Softplus": _elementwise(F.softplus),
    "Softmax": _softmax,
    "Exp": _elementwise(torch.exp),
    "Add": _elementwise(torch.add),
    "Mul": _elementwise(torch.mul),
    "Identity": _elementwise(lambda x: x),
    "Shape": _elementwise(_shape),
    "ConstantOfShape": _constant_of_shape,
    "Cast": _cast,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
}
"""Operator of ONNX → what makes a step of it, and the values that this step takes."""


def _ints(node: "NodeProto", name: str, usual: list[int]) -> list[int]:
    value = attribute(node, name, usual)
    assert isinstance(value, list)
    return [int(item) for item in value]


def _int(node: "NodeProto", name: str, usual: int) -> int:
    value = attribute(node, name, usual)
    assert isinstance(value, int)
    return value


def _even_pads(node: "NodeProto") -> list[int]:
    """Height and width of a border that is the same on both sides."""
    top, left, bottom, right = _ints(node, "pads", [0, 0, 0, 0])
    if (
        (top, left) != (bottom, right)
        or attribute(node, "auto_pad", "NOTSET") != "NOTSET"
        or _int(node, "ceil_mode", 0)
    ):
        raise _unknown(node, "with a border that differs from side to side")
    return [top, left]


def _unknown(node: "NodeProto", how: str) -> EngineError:
    return EngineError(
        f"the model cannot be loaded by PyTorch: the operator {node.op_type} {how} is not translated; "
        "choose --engine onnxruntime"
    )
