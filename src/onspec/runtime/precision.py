"""A network in lower precision: 8-bit whole numbers, or half the bits of float32. What it costs is for a gate to say.

- `int8`: every convolution but the first on 8-bit numbers, as QuantizeLinear and DequantizeLinear of ONNX. What it
  takes is unsigned, as nearly all of it comes out of a ReLU; weights are signed, of 7 bits, with a scale a channel.
  Processors without instructions for 8-bit products add them up in pairs in 16 bits, and 2 · 255 · 64 just fits in
  there; sums of 8-bit weights are cut off, by how much depends on the engine. The ranges are those seen on training
  images; what a convolution gives is not rounded before its ReLU, only before a sum, nor is its bias. The network is
  rewritten first: a concatenation forces one scale on two things. TensorRT takes only signed numbers with a zero of 0:
  `with_signed_activations`.
- `fp16`: weights and arithmetic in half precision, for GPUs; on a CPU it is computed in float32.
- `bf16`: float32 weights with the permission to compute in bfloat16, which OpenVINO uses on CPUs that have it.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onspec.domain import EngineError, MissingExtraError
from onspec.imaging.preparation import Tensor
from onspec.runtime.engines import INPUT, OUTPUT
from onspec.runtime.graph import PERMITTED, Graph
from onspec.runtime.rewrites import REWRITES, apply

if TYPE_CHECKING:
    from onnx import TensorProto

Lowering = Callable[[bytes, Iterable[Tensor]], bytes]
"""The network as ONNX and inputs to take ranges from, float32 (N, C, H, W) → the network in lower precision."""

_HALF_MAX = 65504.0
_PRODUCTS = ["Conv", "ConvTranspose"]


def to_int8(model: bytes, inputs: Iterable[Tensor]) -> bytes:
    """See above.

    Raises:
        EngineError: no input to take ranges from, or a network that cannot be quantised.
        MissingExtraError: without the package `onnx`.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc] # it is untyped
        def __init__(self) -> None:
            self.rest = iter(inputs)

        def get_next(self) -> dict[str, Tensor] | None:
            batch = next(self.rest, None)
            return None if batch is None else {INPUT: batch}

    graph = Graph(apply(model, [entry.apply for entry in REWRITES.values()]))
    graph.set_fact("onnx.quant.pre_process", "onnxruntime.quant")  # otherwise it advises to simplify what is simple
    for place, node in enumerate(graph.model.graph.node):
        node.name = node.name or f"operator_{place}"
    products = [node for node in graph.nodes if node.op_type in _PRODUCTS]
    first = [node.name for node in products if INPUT in node.input and len(products) > 1]  # an image is signed
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.onnx"
        try:
            quantize_static(
                graph.model, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
                op_types_to_quantize=[*_PRODUCTS, "MaxPool", "Relu", "Add"], activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8, nodes_to_exclude=first,
                extra_options={"OpTypesToExcludeOutputQuantization": _PRODUCTS, "QuantizeBias": False},
            )  # fmt: skip
        except ValueError as error:
            raise EngineError(f"the network cannot be quantised: {error}") from error
        quantised = onnx.load(out)
    return bytes(quantised.SerializeToString())


def with_signed_activations(model: bytes) -> bytes:
    """A network in `int8` as TensorRT takes it: what convolutions take is signed, with a zero of 0, of the same range.

    Values are rounded to half as many steps. The same bytes where nothing is unsigned.

    Raises:
        EngineError: not an ONNX network.
    """
    from onnx import helper

    graph = Graph(model)
    found = False
    for node in graph.nodes:
        zero = graph.constant(node.input[2]) if node.op_type in ("QuantizeLinear", "DequantizeLinear") else None
        scale = None if zero is None else graph.weights(node.input[1])
        if zero is None or scale is None or zero.dtype != np.uint8:
            continue
        found = True
        levels = np.maximum(zero.astype(np.float32), 255 - zero.astype(np.float32))
        inputs = [
            node.input[0],
            graph.store(np.asarray(scale * levels / 127, np.float32), node.input[1]),
            graph.store(np.zeros(zero.shape, np.int8), node.input[2]),
        ]
        graph.replace([node], [helper.make_node(node.op_type, inputs, node.output, name=node.name)])
    if not found:
        return model
    graph.drop_unused()
    return graph.to_bytes()


def to_fp16(model: bytes, inputs: Iterable[Tensor]) -> bytes:  # one signature for all
    """See above; input and output stay float32.

    Raises:
        EngineError: a weight too large for half precision.
    """
    from onnx import TensorProto, helper

    graph = Graph(model)
    proto = graph.model.graph
    lengths = {node.input[2] for node in proto.node if node.op_type == "Resize" and len(node.input) > 2}
    for tensor in proto.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in lengths:
            tensor.CopyFrom(_halved(tensor))
    for node in proto.node:
        if node.op_type in ("Constant", "ConstantOfShape") and node.output[0] not in lengths:
            for value in node.attribute:
                if value.name == "value" and value.t.data_type == TensorProto.FLOAT:
                    value.t.CopyFrom(_halved(value.t))
        node.input[:] = [f"{INPUT}/half" if name == INPUT else name for name in node.input]
        node.output[:] = [f"{OUTPUT}/half" if name == OUTPUT else name for name in node.output]
    del proto.value_info[:]
    proto.node.insert(0, helper.make_node("Cast", [INPUT], [f"{INPUT}/half"], to=TensorProto.FLOAT16))
    proto.node.append(helper.make_node("Cast", [f"{OUTPUT}/half"], [OUTPUT], to=TensorProto.FLOAT))
    return graph.to_bytes()


def to_bf16(model: bytes, inputs: Iterable[Tensor]) -> bytes:  # as above
    """See above."""
    graph = Graph(model)
    graph.set_fact(PERMITTED, "bf16")
    return graph.to_bytes()


LOWERINGS: Mapping[str, Lowering] = {"int8": to_int8, "fp16": to_fp16, "bf16": to_bf16}
"""Name → what makes it."""


def require_onnx() -> None:
    """Refuse at once, not after minutes of judging.

    Raises:
        MissingExtraError: the package `onnx` is not installed.
    """
    from importlib.util import find_spec

    if find_spec("onnx") is None:
        raise MissingExtraError("Lowering a network's precision", "openvino")


def _halved(tensor: "TensorProto") -> "TensorProto":
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    most = float(np.abs(values).max(initial=0.0))
    if most > _HALF_MAX:
        raise EngineError(f"the network has a weight of {most:g}; half precision ends at {_HALF_MAX:g}; choose bf16")
    return numpy_helper.from_array(values.astype(np.float16), tensor.name)
