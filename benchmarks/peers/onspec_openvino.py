"""onspec's engine of the extra `openvino`: the same weights in a rewritten network."""

from pathlib import Path

from benchmarks.peers import onspec_onnxruntime
from benchmarks.peers.worker import Run


def load(folder: Path, threads: int) -> Run:
    """One engine with all threads."""
    return onspec_onnxruntime.load(folder, threads, "openvino")
