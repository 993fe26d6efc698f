"""Networks made quicker without changing what they compute; which rewrite serves which engine is one table.

Each rewrite is exact in real numbers: maps differ by the rounding of float32 only, under 1e-5. Which of them an engine
runs is decided by measurement (`benchmarks/graph_rewrites.py` measures them again), since what spares one engine work
costs another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onspec.runtime.graph import Graph, Weights, attribute

if TYPE_CHECKING:
    from onnx import NodeProto

Rewrite = Callable[[Graph], int]
"""Changes a graph wherever its pattern is found; how often that was."""


def split_upsampled_concat(graph: Graph) -> int:
    """conv3×3(concat(nearest ×2 of a, b)) → transposed conv 4×4 of stride 2 of a, plus conv3×3 of b.

    Of the four output pixels that one pixel of `a` becomes, each sees at most two different rows and two different
    columns of `a`, so that the nine taps add up to four: 4/9 of the work on `a`, and neither the enlarged `a` nor the
    concatenation is ever written.
    """
    return _everywhere(graph, "Conv", _split_concat)


def enlarge_by_phases(graph: Graph) -> int:
    """bilinear ×2 → a 3×3 convolution to four planes (the four positions between pixels) and their interleaving.

    The border, which bilinear enlarging repeats, is repeated before it. Engines' own enlarging runs on one thread a
    plane and takes a tenth to a sixth of the time of a whole network. `training.export` writes networks so by itself;
    this is for recipes that were made before it did.
    """
    return _everywhere(graph, "Resize", _by_phases)


@dataclass(frozen=True, slots=True)
class RewriteEntry:
    """A rewrite, and the engines on which it was measured to be faster."""

    apply: Rewrite
    engines: frozenset[str]


REWRITES: Mapping[str, RewriteEntry] = {
    "split-upsampled-concat": RewriteEntry(split_upsampled_concat, frozenset({"openvino"})),
    "enlarge-by-phases": RewriteEntry(enlarge_by_phases, frozenset({"openvino"})),
}
"""Name → entry, in the order in which they are applied."""


def rewritten(model: bytes, engine: str) -> bytes:
    """The network as this engine runs it fastest; the same bytes where nothing is to be gained.

    Raises:
        EngineError: not an ONNX network.
        ImportError: the package `onnx` is not installed.
    """
    return apply(model, [entry.apply for entry in REWRITES.values() if engine in entry.engines])


def apply(model: bytes, rewrites: list[Rewrite]) -> bytes:
    """The network after these rewrites; the same bytes where none of them finds its pattern."""
    if not rewrites:
        return model
    graph = Graph(model)
    if not sum(rewrite(graph) for rewrite in rewrites):
        return model
    graph.drop_unused()
    return graph.to_bytes()


def _everywhere(graph: Graph, operator: str, step: "Callable[[Graph, NodeProto], bool]") -> int:
    return sum(step(graph, node) for node in graph.nodes if node.op_type == operator)


def _split_concat(graph: Graph, conv: "NodeProto") -> bool:
    """One place of `split_upsampled_concat`."""
    weight = _plain_conv3(graph, conv)
    concat = graph.producer(conv.input[0])
    if weight is None or concat is None or concat.op_type != "Concat" or attribute(concat, "axis") != 1:
        return False
    if graph.only_consumer(concat.output[0]) is None or len(concat.input) != 2:
        return False
    low, width = _nearest_source(graph, concat.input[0]), _channels(graph, concat.input[0])
    if low is None or width is None:
        return False
    first, second = weight[:, :width], weight[:, width:]
    raised = _transposed(graph, conv, low, first)
    beside = _conv(graph, conv, concat.input[1], second, conv.input[2] if len(conv.input) > 2 else None)
    graph.replace([concat, conv], [raised, beside, _sum(graph, conv, raised, beside)])
    return True


def _by_phases(graph: Graph, resize: "NodeProto") -> bool:
    """One place of `enlarge_by_phases`."""
    from onnx import helper

    planes = _channels(graph, resize.input[0])
    if planes is None or not _enlarges(graph, resize, "linear", "half_pixel"):
        return False
    edge = helper.make_node(
        "Pad", [resize.input[0], graph.store(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), resize.name)],
        [graph.new_name(resize.name)], mode="edge",
    )  # fmt: skip
    phases = helper.make_node(
        "Conv", [edge.output[0], graph.store(_bilinear_phases(planes), resize.name)], [graph.new_name(resize.name)],
        kernel_shape=[3, 3],
    )  # fmt: skip
    woven = helper.make_node("DepthToSpace", [phases.output[0]], [resize.output[0]], blocksize=2, mode="CRD")
    graph.replace([resize], [edge, phases, woven])
    return True


def _bilinear_phases(planes: int) -> Weights:
    """float32 (4·planes, planes, 3, 3): plane by plane what the pixels (0, 0), (0, 1), (1, 0), (1, 1) are made of."""
    line = np.array([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]], np.float32)
    kernel = np.einsum("ay,bx->abyx", line, line).reshape(4, 3, 3)
    weight = np.zeros((planes, 4, planes, 3, 3), np.float32)
    for plane in range(planes):
        weight[plane, :, plane] = kernel
    return weight.reshape(4 * planes, planes, 3, 3)


def _transposed_weight(weight: Weights) -> Weights:
    """Weights (O, I, 3, 3) after a nearest ×2 → those (I, O, 4, 4) of the transposed convolution that does both.

    Output pixel 2i sees the input's i-1, i, i with the taps 0, 1, 2; pixel 2i + 1 sees i, i, i + 1.
    """
    taps = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float64)
    return np.asarray(np.einsum("ay,bx,oiyx->ioab", taps, taps, weight.astype(np.float64)), np.float32)


def _transposed(graph: Graph, conv: "NodeProto", low: str, weight: Weights) -> "NodeProto":
    from onnx import helper

    name = graph.store(_transposed_weight(weight), conv.input[1])
    return helper.make_node(
        "ConvTranspose", [low, name], [graph.new_name(conv.output[0])], name=graph.new_name(conv.name),
        kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1],
    )  # fmt: skip


def _conv(graph: Graph, conv: "NodeProto", source: str, weight: Weights, bias: str | None) -> "NodeProto":
    from onnx import helper

    inputs = [source, graph.store(weight, conv.input[1]), *([bias] if bias else [])]
    return helper.make_node(
        "Conv", inputs, [graph.new_name(conv.output[0])], name=graph.new_name(conv.name),
        kernel_shape=[3, 3], pads=[1, 1, 1, 1],
    )  # fmt: skip


def _sum(graph: Graph, conv: "NodeProto", raised: "NodeProto", beside: "NodeProto") -> "NodeProto":
    from onnx import helper

    return helper.make_node(
        "Add", [beside.output[0], raised.output[0]], [conv.output[0]], name=graph.new_name(conv.name)
    )


def _plain_conv3(graph: Graph, conv: "NodeProto") -> Weights | None:
    """The weights of a 3×3 convolution of stride 1 with a border of one zero; `None` for any other."""
    weight = graph.weights(conv.input[1])
    if weight is None or weight.shape[2:] != (3, 3) or attribute(conv, "group", 1) != 1:
        return None
    plain = attribute(conv, "strides", [1, 1]) == [1, 1] == attribute(conv, "dilations", [1, 1])
    return weight if plain and attribute(conv, "pads") == [1, 1, 1, 1] else None


def _nearest_source(graph: Graph, name: str) -> str | None:
    """What a value is the nearest-neighbour ×2 enlargement of; `None` if it is none, or is used elsewhere, too."""
    node = graph.producer(name)
    if node is None or node.op_type != "Resize" or graph.only_consumer(name) is None:
        return None
    floor = attribute(node, "nearest_mode", "round_prefer_floor") == "floor"
    return node.input[0] if floor and _enlarges(graph, node, "nearest", "asymmetric") else None


def _enlarges(graph: Graph, resize: "NodeProto", mode: str, coordinates: str) -> bool:
    """Whether a `Resize` doubles height and width in this way."""
    scales = graph.constant(resize.input[2]) if len(resize.input) > 2 and resize.input[2] else None
    return (
        scales is not None
        and scales.tolist() == [1.0, 1.0, 2.0, 2.0]
        and attribute(resize, "mode", "nearest") == mode
        and attribute(resize, "coordinate_transformation_mode", "half_pixel") == coordinates
    )


_UNCHANGED = frozenset({"Relu", "Resize", "MaxPool", "Sigmoid"})
"""Operators that give as many planes as they take."""


def _channels(graph: Graph, name: str) -> int | None:
    """How many planes of float32 a value has; `None` where that cannot be told, or is of another precision."""
    node = graph.producer(name)
    if node is None:
        return None
    if node.op_type in ("Conv", "ConvTranspose"):
        weight = graph.weights(node.input[1])
        return None if weight is None else int(weight.shape[0 if node.op_type == "Conv" else 1])
    if node.op_type in _UNCHANGED:
        return _channels(graph, node.input[0])
    if node.op_type == "Add":
        return next((n for n in (_channels(graph, i) for i in node.input) if n is not None), None)
    return None
