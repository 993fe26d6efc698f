"""ONNX Runtime on the CPU: the engine of the base install. Its GPU providers build on this file."""

import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from onspec.domain import EngineError, OnspecError
from onspec.imaging.preparation import Tensor
from onspec.runtime.engines import INPUT, OUTPUT

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Provider = tuple[str, Mapping[str, str]]
"""Name → options of an execution provider of ONNX Runtime."""

CPU: Provider = ("CPUExecutionProvider", {})
_FLOAT = "tensor(float)"
_LEAST = "1.20"


def obstacle() -> OnspecError | None:
    """Nothing: it is part of every installation; one that is broken is found when it is loaded."""
    return None


def open_model(model: bytes, threads: int | None) -> "OnnxRuntimeEngine":
    """Load ONNX bytes.

    Raises:
        EngineError: not a model that ONNX Runtime runs, or not one of a recipe.
    """
    return open_session("onnxruntime", model, threads, [CPU])


def open_session(name: str, model: bytes, threads: int | None, providers: Sequence[Provider]) -> "OnnxRuntimeEngine":
    """Load ONNX bytes for these providers, the first of which must start.

    Raises:
        EngineError: not a model that ONNX Runtime runs, not one of a recipe, or the provider does not start here.
    """
    ort = _imported()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # it doubles the memory from the second input on and makes nothing quicker
    if threads is not None:
        options.intra_op_num_threads = threads
    try:  # falling back, it would print between the verdicts, and go on with another provider under this engine's name
        named = [(p, dict(o)) for p, o in providers]
        session = ort.InferenceSession(model, options, providers=named, enable_fallback=0)
    except Exception as error:  # its exceptions share no base class but Exception
        raise EngineError(f"the model cannot be loaded by ONNX Runtime {ort.__version__}: {_line(error)}") from error
    wanted, running = providers[0][0], session.get_providers()
    if wanted not in running:  # it goes on with the CPU and says so in a log only
        raise EngineError(
            f"engine {name}: ONNX Runtime {ort.__version__} did not start its {wanted} here (running: "
            f"{', '.join(running)}); check the driver and CUDA with nvidia-smi, or choose --engine onnxruntime"
        )
    _check(session)
    return OnnxRuntimeEngine(name, session)


def provider_obstacle(engine: str, provider: str) -> OnspecError | None:
    """What keeps a provider from running: ONNX Runtime was built without it."""
    try:
        there = list(_imported().get_available_providers())
    except ImportError as error:
        return EngineError(f"engine {engine} cannot be imported ({error}); install onspec again")
    if provider in there:
        return None
    return EngineError(
        f"Engine {engine} needs an ONNX Runtime with the {provider}, this one has: {', '.join(there)}; replace it "
        f"with: pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu>={_LEAST}'"
    )


class OnnxRuntimeEngine:
    """A loaded model."""

    def __init__(self, name: str, session: "InferenceSession") -> None:
        self.name = name
        self._session: InferenceSession | None = session

    def infer(self, batch: Tensor) -> Tensor:
        """float32 (N, C, H, W) → float32 (N, P, H/c, W/c).

        Raises:
            EngineError: the model fails on this input, or the engine is closed.
        """
        if self._session is None:
            raise EngineError("the engine is closed; make a new Inspector")
        try:
            (scores,) = self._session.run([OUTPUT], {INPUT: batch})
        except Exception as error:  # as above
            raise EngineError(f"ONNX Runtime failed on an input of shape {batch.shape}: {_line(error)}") from error
        return np.asarray(scores)

    def close(self) -> None:
        """Give back memory and threads; closing twice is allowed."""
        self._session = None


def _imported() -> ModuleType:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: onspec sends nothing to anyone
    import onnxruntime

    module: ModuleType = onnxruntime
    return module


def _check(session: "InferenceSession") -> None:
    """Exactly the one input and output that recipes have."""
    for what, allowed, got in (
        ("input", INPUT, session.get_inputs()),
        ("output", OUTPUT, session.get_outputs()),
    ):
        shown = ", ".join(f"{v.name} {v.type} {v.shape}" for v in got)
        if len(got) != 1 or got[0].name != allowed or got[0].type != _FLOAT or len(got[0].shape) != 4:
            raise EngineError(
                f"the model's {what} must be one float32 tensor {allowed!r} of 4 dimensions; got {shown}; "
                "export it with onspec train"
            )


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
