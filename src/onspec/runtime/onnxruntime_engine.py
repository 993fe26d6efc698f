"""ONNX Runtime on the CPU: the engine of the base install."""

import os
from typing import TYPE_CHECKING

import numpy as np

from onspec.domain import EngineError
from onspec.imaging.preparation import Tensor

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUT, OUTPUT = "image", "scores"
_FLOAT = "tensor(float)"


def open_model(model: bytes, threads: int | None) -> "OnnxRuntimeEngine":
    """Load ONNX bytes.

    Raises:
        EngineError: not a model that ONNX Runtime runs, or not one of a recipe.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: onspec sends nothing to anyone
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # it doubles the memory from the second input on and makes nothing quicker
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class but Exception
        raise EngineError(f"the model cannot be loaded by ONNX Runtime {ort.__version__}: {_line(error)}") from error
    _check(session)
    return OnnxRuntimeEngine(session)


class OnnxRuntimeEngine:
    """A loaded model."""

    name = "onnxruntime"

    def __init__(self, session: "InferenceSession") -> None:
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
