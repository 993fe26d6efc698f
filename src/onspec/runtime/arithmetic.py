"""How many operations a network takes, and how fast this machine multiplies matrices: what bounds an engine.

Neither needs the package `onnx`: ONNX is protocol buffers, of which only a few fields are read and written here
(https://protobuf.dev/programming-guides/encoding, and the numbers of the fields in onnx.proto).
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from onspec.domain import EngineError
from onspec.imaging.preparation import Tensor
from onspec.runtime.engines import INPUT

_VARINT, _BYTES = 0, 2
_LENGTHS = {1: 8, 5: 4}
"""How the value of a field is written: as a number, as so many bytes, or as 8 or 4 of them."""

_GRAPH, _NODE, _INITIALIZER, _GRAPH_OUTPUT = 7, 1, 5, 12

Value = int | bytes


def count_operations(model: bytes, batch: Tensor) -> float:
    """Operations (a multiplication and an addition are two) that the convolutions and matrix products of a network
    take for a batch float32 (N, C, H, W); everything else is little beside them.

    The sizes are those that ONNX Runtime finds when it runs the network once.

    Raises:
        EngineError: not an ONNX network, or it does not run on this batch.
    """
    nodes, weights = _read(model)
    counted = [node for node in nodes if node.kind in _COUNTS and node.inputs[1] in weights]
    shapes = _shapes(model, {name for node in counted for name in (node.inputs[0], node.outputs[0])}, batch)
    return float(
        sum(
            _COUNTS[node.kind](shapes[node.inputs[0]], shapes[node.outputs[0]], weights[node.inputs[1]])
            for node in counted
        )
    )


def _convolved(_: Sequence[int], to: Sequence[int], weight: Sequence[int]) -> int:
    return 2 * math.prod(to) * math.prod(weight[1:])  # weights (out, in / groups, h, w)


def _spread(of: Sequence[int], _: Sequence[int], weight: Sequence[int]) -> int:
    return 2 * math.prod(of) * math.prod(weight[1:])  # weights (in, out / groups, h, w)


def _multiplied(of: Sequence[int], to: Sequence[int], _: Sequence[int]) -> int:
    return 2 * math.prod(to) * of[-1]


_COUNTS = {"Conv": _convolved, "ConvTranspose": _spread, "MatMul": _multiplied, "Gemm": _multiplied}
"""Operator → operations of the shapes of its input, output and weights."""


def square_product(side: int) -> bytes:
    """ONNX bytes of a network that multiplies two float32 matrices of `side`×`side`, `a` and `b`, into `c`."""
    node = _field(1, b"a") + _field(1, b"b") + _field(2, b"c") + _field(4, b"MatMul")
    shape = _field(1, _field(1, side)) * 2
    kind = _field(1, _field(1, 1) + _field(2, shape))  # 1: float32
    ports = b"".join(_field(number, _field(1, name) + _field(2, kind)) for number, name in ((11, b"a"), (11, b"b")))
    graph = (
        _field(_NODE, node) + _field(2, b"product") + ports + _field(_GRAPH_OUTPUT, _field(1, b"c") + _field(2, kind))
    )
    return _field(1, 8) + _field(_GRAPH, graph) + _field(8, _field(2, 17))


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def _read(model: bytes) -> tuple[list[_Node], dict[str, tuple[int, ...]]]:
    """The operators of a network, and the shapes of its stored tensors."""
    nodes, weights = [], {}
    for graph in _all(model, _GRAPH):
        for data in _all(graph, _NODE):
            kind = b"".join(_all(data, 4)).decode()
            names = (tuple(name.decode() for name in _all(data, number)) for number in (1, 2))
            nodes.append(_Node(kind, *names))
            if kind == "Constant":
                for tensor in (tensor for value in _all(data, 5) for tensor in _all(value, 5)):
                    weights[nodes[-1].outputs[0]] = _dims(tensor)
        weights |= {b"".join(_all(tensor, 8)).decode(): _dims(tensor) for tensor in _all(graph, _INITIALIZER)}
    return nodes, weights


def _dims(tensor: bytes) -> tuple[int, ...]:
    """Field 1, one number at a time or all in a row."""
    found: list[int] = []
    for number, value in _fields(tensor):
        if number == 1:
            found += [value] if isinstance(value, int) else _packed(value)
    return tuple(found)


def _shapes(model: bytes, names: set[str], batch: Tensor) -> dict[str, tuple[int, ...]]:
    """The shapes of values inside of a network: it is run with them as further outputs.

    Messages of protocol buffers that are appended to each other are merged, so that they need not be taken apart.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort

    wanted = sorted(names - {INPUT})
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # what is fused has no shape
    more = b"".join(_field(_GRAPH_OUTPUT, _field(1, name.encode())) for name in wanted)
    try:
        session = ort.InferenceSession(model + _field(_GRAPH, more), options, providers=["CPUExecutionProvider"])
        values = session.run(wanted, {INPUT: batch}) if wanted else []
    except Exception as error:  # its exceptions share no base class but Exception
        raise EngineError(f"the network's operations cannot be counted: {str(error).splitlines()[0]}") from error
    return {INPUT: batch.shape} | {name: np.shape(value) for name, value in zip(wanted, values, strict=True)}


def _all(message: bytes, wanted: int) -> list[bytes]:
    return [value for number, value in _fields(message) if number == wanted and isinstance(value, bytes)]


def _fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message.

    Raises:
        EngineError: not a message.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        form = key & 7
        if form == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        length, at = _varint(message, at) if form == _BYTES else (_LENGTHS.get(form, end + 1), at)
        if at + length > end:
            raise _no_network()
        yield key >> 3, message[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[at : at + 10]):  # 64 bits, 7 a byte
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value, at + shift + 1
    raise _no_network()


def _no_network() -> EngineError:
    return EngineError("the model is not an ONNX network; export it with onspec train")


def _packed(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _as_varint(number << 3 | _VARINT) + _as_varint(value)
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(value)) + value


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
