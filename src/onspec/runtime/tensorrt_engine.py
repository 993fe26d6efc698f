"""TensorRT-RTX on an NVIDIA GPU. Building an engine needs no GPU; running it does.

The engine is built when the first input is seen and kept in the cache under the network, the sizes, the version and
the GPU; so are the kernels that the driver compiles for it, under the driver as well.
"""

import hashlib
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from onspec import __version__
from onspec.domain import EngineError, MissingExtraError, OnspecError
from onspec.imaging.preparation import Tensor
from onspec.runtime import cuda
from onspec.runtime.cache import keep, read_cached
from onspec.runtime.engines import INPUT, OUTPUT, first_line
from onspec.runtime.graph import Graph, require_ports
from onspec.runtime.tensorrt_export import Shape, build, known_targets, make_logger

if TYPE_CHECKING:
    import tensorrt_rtx

NAME = "tensorrt"
_FOLDER = "tensorrt-rtx"
_LEAST, _LARGEST = 32, 2048
"""Sides in px for which an engine is built, unless an input is larger."""

Shapes = tuple[Shape, Shape, Shape]


def obstacle() -> OnspecError | None:
    """A package that is not installed, or no GPU."""
    if any(find_spec(name) is None for name in ("tensorrt_rtx", "onnx")):
        return MissingExtraError(f"Engine {NAME}", "tensorrt")
    if cuda.device_count() == 0:
        return EngineError(
            f"Engine {NAME} needs an NVIDIA GPU, and its driver sees none here; check with nvidia-smi, choose "
            "--engine onnxruntime, or build an engine for another machine with: onspec export --to tensorrt"
        )
    return None


def open_model(model: bytes, threads: int | None) -> "TensorRtEngine":  # the GPU has its own
    """Take ONNX bytes; the engine is made of them when the first input tells its size.

    Raises:
        EngineError: not a network of a recipe, or no GPU.
    """
    require_ports(Graph(model))
    return TensorRtEngine(model, cuda.Device())


def ahead_of_time(model: bytes, shapes: Shapes, capability: int, *, anew: bool = False) -> bytes:
    """The engine for a GPU of this compute capability (89 is 8.9), built, or taken from the cache unless `anew`.

    Raises:
        MissingExtraError: without the extra `tensorrt`.
        EngineError: it cannot be built.
    """
    import tensorrt_rtx as trt

    target = f"sm{capability}"
    targets = [target] if target in known_targets(trt) else []
    name = cache_name(model, shapes, trt.__version__, __version__, *targets)  # how it is built is ours
    kept = None if anew else read_cached(_FOLDER, name)
    if kept is not None:
        return kept
    engine = build(model, shapes, targets, "this recipe")
    keep(_FOLDER, name, engine)
    return engine


def cache_name(model: bytes, shapes: Shapes, *facts: str) -> str:
    """A file name that differs where anything does that an engine depends on."""
    text = repr((hashlib.sha256(model).hexdigest(), shapes, facts))
    return hashlib.sha256(text.encode()).hexdigest()


def shapes_around(batch: tuple[int, ...]) -> Shapes:
    """Least, usual and largest input of an engine that is best at this one. It holds memory for the largest, so that it
    takes no more images at once than this input; one that brings more has an engine built for it."""
    n, c, h, w = batch
    least = (1, c, min(_LEAST, h), min(_LEAST, w))
    return least, (n, c, h, w), (n, c, max(_LARGEST, h), max(_LARGEST, w))


class TensorRtEngine:
    """A loaded model on the first GPU."""

    name = NAME

    def __init__(self, model: bytes, device: cuda.Device) -> None:
        self._model = model
        self._device: cuda.Device | None = device
        self._program: _Program | None = None

    def infer(self, batch: Tensor) -> Tensor:
        """float32 (N, C, H, W) → float32 (N, P, H/c, W/c).

        Raises:
            EngineError: the model fails on this input, or the engine is closed.
        """
        if self._device is None:
            raise EngineError("the engine is closed; make a new Inspector")
        try:
            with self._device.current():
                return self._program_for(batch.shape, self._device).run(np.ascontiguousarray(batch, np.float32))
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:  # a driver too old for it is a TypeError
            raise EngineError(f"TensorRT-RTX failed on an input of shape {batch.shape}: {first_line(error)}") from error

    def _program_for(self, shape: tuple[int, ...], device: cuda.Device) -> "_Program":
        if self._program is None or not self._program.takes(shape):
            if self._program is not None:
                self._program.close()
            self._program = None
            self._program = _Program(self._model, shapes_around(shape), device)
        return self._program

    def close(self) -> None:
        """Give back the GPU and keep what its driver compiled; closing twice is allowed."""
        if self._device is None:
            return
        if self._program is not None:
            with self._device.current():
                self._program.close()
            self._program = None
        self._device.close()
        self._device = None


class _Program:
    """An engine, its memory on the GPU and the kernels that were compiled for it."""

    def __init__(self, model: bytes, shapes: Shapes, device: cuda.Device) -> None:
        import tensorrt_rtx as trt

        self._device, self._shapes = device, shapes
        self._logger = make_logger(trt)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(ahead_of_time(model, shapes, cuda.capability()))
        if self._engine is None:  # what is kept may be damaged
            again = ahead_of_time(model, shapes, cuda.capability(), anew=True)
            self._engine = self._runtime.deserialize_cuda_engine(again)
        if self._engine is None:
            raise EngineError(
                f"TensorRT-RTX {trt.__version__} cannot load its engine on this GPU: {cuda.description()}"
            )
        self._kernels = cache_name(model, shapes, trt.__version__, cuda.description()) + ".kernels"
        config = self._engine.create_runtime_config()
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache: tensorrt_rtx.IRuntimeCache = config.create_runtime_cache()
        kept = read_cached(_FOLDER, self._kernels)
        if kept is not None:
            self._cache.deserialize(kept)  # refuses by itself what another driver compiled
        config.set_runtime_cache(self._cache)
        self._context = self._engine.create_execution_context(config)
        if self._context is None:
            raise EngineError(f"TensorRT-RTX {trt.__version__} has not enough memory on this GPU for {shapes[2]}")
        self._buffers: dict[str, tuple[int, int]] = {}

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether the engine was built for inputs of this size."""
        low, _, high = self._shapes
        return all(a <= side <= b for a, side, b in zip(low, shape, high, strict=True))

    def run(self, batch: Tensor) -> Tensor:
        """float32 (N, C, H, W), contiguous → float32 (N, P, H/c, W/c)."""
        self._context.set_input_shape(INPUT, batch.shape)
        shape = tuple(int(side) for side in self._context.get_tensor_shape(OUTPUT))
        source = self._room(INPUT, batch.nbytes)
        target = self._room(OUTPUT, 4 * int(np.prod(shape)))
        self._device.upload(batch, source)
        if not self._context.execute_async_v3(self._device.stream):
            raise EngineError(f"TensorRT-RTX failed on an input of shape {batch.shape}; see the log with --debug")
        return self._device.download(target, shape)

    def close(self) -> None:
        """Free the GPU's memory, and keep the kernels for the next start."""
        for address, _ in self._buffers.values():
            self._device.free(address)
        self._buffers.clear()
        keep(_FOLDER, self._kernels, bytes(self._cache.serialize()))

    def _room(self, name: str, size: int) -> int:
        """The address of a tensor's memory, made larger if need be."""
        address, there = self._buffers.get(name, (0, 0))
        if there < size:
            if there:
                self._device.free(address)
            address = self._device.allocate(size)
            self._buffers[name] = (address, size)
        self._context.set_tensor_address(name, address)
        return address
