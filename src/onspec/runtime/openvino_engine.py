"""OpenVINO on the CPU: the fastest engine there for these networks, once they are rewritten for it."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from onspec.domain import EngineError, MissingExtraError, OnspecError
from onspec.imaging.preparation import Tensor
from onspec.runtime.engines import INPUT, OUTPUT
from onspec.runtime.graph import PERMITTED, Graph
from onspec.runtime.rewrites import rewritten

if TYPE_CHECKING:
    import openvino

NAME = "openvino"
PRECISIONS: Mapping[str | None, str] = {"bf16": "bf16"}
"""What a recipe permits → what OpenVINO calls it. A CPU without it computes in float32."""

_FIXED = 8
"""So many sizes get a program of their own, which is 7 to 9 % faster than one for any size and takes 0.1 s to make."""


def obstacle() -> OnspecError | None:
    """A package that is not installed."""
    if any(find_spec(name) is None for name in ("openvino", "onnx")):
        return MissingExtraError(f"Engine {NAME}", "openvino")
    return None


def open_model(model: bytes, threads: int | None) -> "OpenVinoEngine":
    """Load ONNX bytes.

    Raises:
        EngineError: not a model that OpenVINO runs, or not one of a recipe.
    """
    return open_rewritten(rewritten(model, NAME), threads)


def open_rewritten(model: bytes, threads: int | None) -> "OpenVinoEngine":
    """Load ONNX bytes as they are; raises as `open_model` does."""
    core, network = _read(model)
    return OpenVinoEngine(core, network, threads, PRECISIONS.get(Graph(model).fact(PERMITTED), "f32"))


def save(model: bytes, path: Path) -> None:
    """Write ONNX bytes in OpenVINO's own format, NAME.xml and NAME.bin, in the precision that they have.

    Raises:
        EngineError: not a model that OpenVINO runs, or not one of a recipe.
    """
    _, network = _read(rewritten(model, NAME))
    _imported().save_model(network, path, compress_to_fp16=False)


class OpenVinoEngine:
    """A loaded model, compiled for each of the first sizes it sees, and once for all others.

    None is compiled before its first input comes. Most recipes never need the one for all sizes, which would take a
    good part of the time that `onspec inspect` has to start.
    """

    name = NAME

    def __init__(self, core: "openvino.Core", network: "openvino.Model", threads: int | None, precision: str) -> None:
        self._core: openvino.Core | None = core
        self._network = network
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_PRECISION_HINT": precision,  # by itself it takes bfloat16 where the CPU has it
            "ENABLE_CPU_PINNING": "NO",  # two processes would share one core while others are idle
            **({} if threads is None else {"INFERENCE_NUM_THREADS": str(threads)}),
        }
        self._requests: dict[tuple[int, ...] | None, openvino.InferRequest] = {}

    def infer(self, batch: Tensor) -> Tensor:
        """float32 (N, C, H, W) → float32 (N, P, H/c, W/c).

        Raises:
            EngineError: the model fails on this input, or the engine is closed.
        """
        if self._core is None:
            raise EngineError("the engine is closed; make a new Inspector")
        try:
            request = self._request(batch.shape)
            request.infer({INPUT: batch}, share_inputs=True)
            return np.array(request.get_output_tensor(0).data, np.float32)
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineError(f"OpenVINO failed on an input of shape {batch.shape}: {_line(error)}") from error

    def close(self) -> None:
        """Give back memory and threads; closing twice is allowed."""
        self._requests.clear()
        self._core = None

    def _request(self, shape: tuple[int, ...] | None) -> "openvino.InferRequest":
        """The program for this size; for any size with `None`, or where there are enough others."""
        if shape in self._requests:
            return self._requests[shape]
        if shape is not None and len(self._requests) >= _FIXED:
            return self._request(None)
        assert self._core is not None
        network = self._network
        if shape is not None:
            network = network.clone()
            network.reshape({INPUT: list(shape)})
        try:
            request = self._core.compile_model(network, "CPU", self._settings).create_infer_request()
        except (RuntimeError, ValueError) as error:
            what = "inputs of any size" if shape is None else f"an input of shape {shape}"
            raise EngineError(f"the model cannot be compiled by OpenVINO for {what}: {_line(error)}") from error
        self._requests[shape] = request
        return request


def _read(model: bytes) -> "tuple[openvino.Core, openvino.Model]":
    ov = _imported()
    core = ov.Core()
    try:
        network = core.read_model(model)
    except (RuntimeError, ValueError) as error:  # a ValueError for names that are no UTF-8
        raise EngineError(f"the model cannot be loaded by OpenVINO {ov.__version__}: {_line(error)}") from error
    _check(network)
    return core, network


def _imported() -> ModuleType:
    # Its import alone reports to its makers unless this package is absent: onspec sends nothing to anyone.
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # importing it fails
    import openvino

    module: ModuleType = openvino
    return module


def _check(network: "openvino.Model") -> None:
    """Exactly the one input and output that recipes have."""
    for what, allowed, got in (("input", INPUT, network.inputs), ("output", OUTPUT, network.outputs)):
        shown = ", ".join(f"{port.any_name} {port.element_type.to_string()} {port.partial_shape}" for port in got)
        port = got[0]
        rank = port.partial_shape.rank
        fits = port.any_name == allowed and port.element_type.to_string() == "f32" and rank.is_static
        if len(got) != 1 or not fits or rank.get_length() != 4:
            raise EngineError(
                f"the model's {what} must be one float32 tensor {allowed!r} of 4 dimensions; got {shown}; "
                "export it with onspec train"
            )


def _line(error: Exception) -> str:
    """The last line of OpenVINO's messages says what is wrong; those before name its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
