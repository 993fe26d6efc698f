"""ONNX Runtime as its own documentation starts it, on the network as it was exported."""

import os
from pathlib import Path

from benchmarks.peers.worker import Run, Tensor, one_by_one


def load(folder: Path, threads: int) -> Run:
    """A session with so many threads."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

    def infer(batch: Tensor) -> Tensor:
        (scores,) = session.run(None, {"image": batch})
        return scores  # type: ignore[no-any-return]

    return one_by_one(infer)
