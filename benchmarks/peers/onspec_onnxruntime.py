"""onspec's engine of the base install, as the Inspector opens it for a single image."""

from pathlib import Path

from benchmarks.peers.worker import Run, one_by_one


def load(folder: Path, threads: int, engine: str = "onnxruntime") -> Run:
    """One engine with all threads."""
    from onspec.runtime.engines import open_engine

    return one_by_one(open_engine(engine, (folder / "model.onnx").read_bytes(), threads).infer)
