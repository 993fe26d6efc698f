"""The inference engines, by name. An engine is one file with `open_model` and `obstacle`, and one line in the table."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from onspec.domain import EngineError, MissingExtraError, OnspecError
from onspec.imaging.preparation import Tensor

INPUT, OUTPUT = "image", "scores"
"""The names of a network's one input and one output."""


class Engine(Protocol):
    """Runs one model. `infer` is called by one thread at a time."""

    name: str

    def infer(self, batch: Tensor) -> Tensor:
        """float32 (N, C, H, W) → float32 (N, P, H/c, W/c), an array of its own; raises EngineError when the model
        fails."""
        ...

    def close(self) -> None:
        """Give back memory and threads; closing twice is allowed."""
        ...


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """Where an engine is found, and when it is worth trying.

    Attributes:
        module: has `open_model` and `obstacle`, see `EngineModule`.
        extra: the extra that installs what it needs; `None` for the base install.
        summary: a line of help.
        packages: whose versions decide what it computes and how fast.
        auto: on which machines `--engine auto` considers it.
    """

    module: str
    extra: str | None
    summary: str
    packages: tuple[str, ...] = ()
    auto: Literal["always", "with a GPU"] = "always"


class EngineModule(Protocol):
    """What an engine's module offers. Importing it loads no library."""

    def obstacle(self) -> OnspecError | None:
        """What keeps this engine from running here, with the way out; `None` if nothing is known to."""
        ...

    def open_model(self, model: bytes, threads: int | None) -> Engine:
        """Load ONNX bytes; raises EngineError when the model cannot run here, ImportError without its library."""
        ...


_HERE = "onspec.runtime."
_ONNX_RUNTIME = ("onnxruntime", "onnxruntime-gpu")
"""One of them is installed: the other has GPU providers, too."""

ENGINES: Mapping[str, EngineEntry] = {
    "onnxruntime": EngineEntry(
        _HERE + "onnxruntime_engine", None, "ONNX Runtime on the CPU; always installed", _ONNX_RUNTIME
    ),
    "openvino": EngineEntry(
        _HERE + "openvino_engine", "openvino", "OpenVINO on the CPU, with the network rewritten", ("openvino",)
    ),
    "onnxruntime-cuda": EngineEntry(
        _HERE + "onnxruntime_cuda_engine", None, "ONNX Runtime on an NVIDIA GPU", _ONNX_RUNTIME, "with a GPU"
    ),
    "onnxruntime-tensorrt": EngineEntry(
        _HERE + "onnxruntime_tensorrt_engine", None, "TensorRT through ONNX Runtime, on an NVIDIA GPU",
        (*_ONNX_RUNTIME, "tensorrt", "tensorrt-cu12", "tensorrt-cu13"), "with a GPU",
    ),
    "tensorrt": EngineEntry(
        _HERE + "tensorrt_engine", "tensorrt", "TensorRT-RTX on an NVIDIA GPU", ("tensorrt-rtx",), "with a GPU"
    ),
    "torch": EngineEntry(
        _HERE + "torch_engine", "train", "PyTorch; CUDA graphs on an NVIDIA GPU, float32 on the CPU", ("torch",),
        "with a GPU",
    ),
}  # fmt: skip
"""Name → entry. The first is always there, and its results are what others are compared with."""

REFERENCE = next(iter(ENGINES))
AUTO = "auto"


def open_engine(name: str, model: bytes, threads: int | None = None) -> Engine:
    """Load a model with the engine of this name; `auto` takes the first of the table (`choosing.choose` knows better).

    `threads` bounds the CPU threads of one inference; `None` leaves it to the engine (all cores).

    Raises:
        EngineError: no engine of this name, it does not run on this machine, or it cannot load the model.
        MissingExtraError: the engine's library is not installed.
    """
    name = REFERENCE if name == AUTO else name
    entry = entry_of(name)
    if threads is not None and threads < 1:
        raise EngineError(f"threads must be at least 1; got {threads}")
    module = _module(entry)
    fault = module.obstacle()
    if fault is not None:
        raise fault
    try:
        return module.open_model(model, threads)
    except ImportError as error:
        if entry.extra is None:
            raise EngineError(f"engine {name} cannot be imported ({error}); install onspec again") from error
        raise MissingExtraError(f"Engine {name}", entry.extra) from error


def obstacle(name: str) -> OnspecError | None:
    """What keeps an engine from running here; `None` if it is ready. No library is loaded for the answer.

    Raises:
        EngineError: no engine of this name.
    """
    return _module(entry_of(name)).obstacle()


def entry_of(name: str) -> EngineEntry:
    """The engine's line of the table.

    Raises:
        EngineError: no engine of this name.
    """
    entry = ENGINES.get(name)
    if entry is None:
        what = "'auto' is none of the engines" if name == AUTO else f"Unknown engine {name!r}"
        raise EngineError(f"{what}; choose {', '.join(ENGINES if name == AUTO else [AUTO, *ENGINES])}")
    return entry


def first_line(error: Exception) -> str:
    """Of a library's message; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _module(entry: EngineEntry) -> EngineModule:
    return cast("EngineModule", importlib.import_module(entry.module))
