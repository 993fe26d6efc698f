"""OpenVINO as its own documentation starts it, on the network as it was exported, in float32."""

import sys
from pathlib import Path

from benchmarks.peers.worker import Run, Tensor, one_by_one


def load(folder: Path, threads: int) -> Run:
    """A compiled model with so many threads."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # it reports to its makers otherwise
    import openvino as ov

    settings = {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": str(threads),
    }  # fmt: skip
    compiled = ov.Core().compile_model(folder / "model.onnx", "CPU", settings)

    def infer(batch: Tensor) -> Tensor:
        return compiled(batch)[0].copy()  # type: ignore[no-any-return]

    return one_by_one(infer)
