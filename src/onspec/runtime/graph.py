"""An ONNX network as a graph that can be walked and changed. Needs the package `onnx`, which ONNX Runtime does not."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onspec.domain import EngineError
from onspec.runtime.engines import INPUT, OUTPUT

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto

Attribute = int | float | str | list[int] | list[float] | None
Weights = NDArray[np.float32]

PERMITTED = "onspec.precision"
"""The fact in a network's metadata that permits an engine less precision than its weights have."""


class Graph:
    """A network that was read from bytes; nodes stay in an order in which they can be run.

    Raises at construction:
        EngineError: not an ONNX network.
        ImportError: the package `onnx` is not installed.
    """

    def __init__(self, model: bytes) -> None:
        import onnx
        from google.protobuf.message import DecodeError

        try:
            self.model: ModelProto = onnx.load_from_string(model)
        except DecodeError as error:
            raise EngineError("the model cannot be loaded: not an ONNX network; export it with onspec train") from error
        if not self.model.graph.node:
            raise EngineError("the model cannot be loaded: it has no operators; export it with onspec train")
        self._stored = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._names = 0

    @property
    def nodes(self) -> "list[NodeProto]":
        """The operators, each after those whose results it takes."""
        return list(self.model.graph.node)

    @property
    def outputs(self) -> list[str]:
        """The names of the network's results."""
        return [value.name for value in self.model.graph.output]

    @property
    def has_half(self) -> bool:
        """Whether weights are stored in half precision."""
        from onnx import TensorProto

        return any(tensor.data_type == TensorProto.FLOAT16 for tensor in self.model.graph.initializer)

    def producer(self, name: str) -> "NodeProto | None":
        """The operator that makes a value; `None` for inputs and stored tensors."""
        return next((node for node in self.model.graph.node if name in node.output), None)

    def consumers(self, name: str) -> "list[NodeProto]":
        """The operators that take a value."""
        return [node for node in self.model.graph.node if name in node.input]

    def only_consumer(self, name: str) -> "NodeProto | None":
        """The one operator that takes a value; `None` if there are several, or it is a result of the network."""
        users = self.consumers(name)
        return users[0] if len(users) == 1 and name not in self.outputs else None

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """A stored tensor or the value of a `Constant`; `None` for anything that depends on the input."""
        from onnx import numpy_helper

        if name in self._stored:
            return numpy_helper.to_array(self._stored[name])
        node = self.producer(name)
        if node is None or node.op_type != "Constant":
            return None
        (value,) = node.attribute
        return numpy_helper.to_array(value.t) if value.name == "value" else np.asarray(_plain(value))

    def weights(self, name: str) -> Weights | None:
        """`constant` where it holds float32."""
        values = self.constant(name)
        return np.asarray(values, np.float32) if values is not None and values.dtype == np.float32 else None

    def store(self, values: NDArray[np.generic], like: str) -> str:
        """Keep a tensor in the network; its name, made of `like`."""
        from onnx import numpy_helper

        name = self.new_name(like)
        self.model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        self._stored[name] = self.model.graph.initializer[-1]
        return name

    def new_name(self, like: str) -> str:
        """A name that no value has yet."""
        self._names += 1
        return f"{like}/onspec_{self._names}"

    def replace(self, old: "Sequence[NodeProto]", new: "Sequence[NodeProto]") -> None:
        """Put operators in the place of the last of those that they replace."""
        nodes = self.nodes
        at = max(nodes.index(node) for node in old)
        kept = [*(n for n in nodes[:at] if n not in old), *new, *nodes[at + 1 :]]
        del self.model.graph.node[:]
        self.model.graph.node.extend(kept)

    def drop_unused(self) -> None:
        """Remove operators and stored tensors whose values nothing takes."""
        graph = self.model.graph
        needed, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                needed.update(node.input)
                kept.append(node)
        del graph.node[:]
        graph.node.extend(reversed(kept))
        stored = [tensor for tensor in graph.initializer if tensor.name in needed]
        del graph.initializer[:]
        graph.initializer.extend(stored)
        self._stored = {tensor.name: tensor for tensor in graph.initializer}

    def fact(self, name: str) -> str | None:
        """A line of the network's metadata; `None` if there is none of this name."""
        return next((fact.value for fact in self.model.metadata_props if fact.key == name), None)

    def set_fact(self, name: str, value: str) -> None:
        """Write a line of the network's metadata."""
        self.model.metadata_props.add(key=name, value=value)

    def to_bytes(self) -> bytes:
        """The network as ONNX."""
        return bytes(self.model.SerializeToString())


def attribute(node: "NodeProto", name: str, default: Attribute = None) -> Attribute:
    """The value of a node's attribute, text decoded; `default` where the node does not have it."""
    return next((_plain(a) for a in node.attribute if a.name == name), default)


def _plain(value: "AttributeProto") -> Attribute:
    from onnx import helper

    plain = helper.get_attribute_value(value)
    if isinstance(plain, bytes):
        return plain.decode()
    return plain if isinstance(plain, int | float) else list(plain)


def require_ports(graph: Graph) -> None:
    """Exactly the one input and output that recipes have.

    Raises:
        EngineError: others.
    """
    from onnx import TensorProto

    stored = {tensor.name for tensor in graph.model.graph.initializer}
    inputs = [value for value in graph.model.graph.input if value.name not in stored]
    for what, allowed, got in (("input", INPUT, inputs), ("output", OUTPUT, list(graph.model.graph.output))):
        kinds = [value.type.tensor_type for value in got]
        shown = ", ".join(
            f"{value.name} {TensorProto.DataType.Name(kind.elem_type).lower()} of {len(kind.shape.dim)} dimensions"
            for value, kind in zip(got, kinds, strict=True)
        )
        fits = len(got) == 1 and got[0].name == allowed and kinds[0].elem_type == TensorProto.FLOAT
        if not fits or len(kinds[0].shape.dim) != 4:
            raise EngineError(
                f"the model's {what} must be one float32 tensor {allowed!r} of 4 dimensions; got {shown}; "
                "export it with onspec train"
            )
