"""One peer in a process of its own: it answers commands, so that the peers can take turns.

    python -m benchmarks.peers.worker PEER FOLDER THREADS

FOLDER holds `weights.npz`, `model.onnx` and `images.npy`, float32 (N, 1, 1, H, W). A command is a line of JSON on
stdin, its answer a line on stdout. It runs in the peer's own environment, so it imports nothing but numpy and the peer.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.float32]
Run = Callable[[Sequence[Tensor]], list[Tensor]]
"""Inputs float32 (1, 1, H, W) → scores of the same shape, one after another or side by side."""

ROOT = Path(__file__).resolve().parents[2]


def one_by_one(infer: Callable[[Tensor], Tensor]) -> Run:
    """A peer that is given one input at a time."""
    return lambda inputs: [infer(each) for each in inputs]


def resident_mb() -> float:
    """Memory of this process in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def answer(run: Run, images: Tensor, command: dict[str, Any]) -> dict[str, Any]:
    """`check` writes the scores of all images to a file; `time` tells ms an image of so many at once."""
    if command["do"] == "check":
        np.save(command["to"], np.stack(run(list(images))))
        return {"mb": resident_mb()}
    inputs = [images[n % len(images)] for n in range(command["images"])]
    run(inputs[:1])  # what ran before in other processes has the caches
    start = time.perf_counter()
    run(inputs)
    return {"ms": (time.perf_counter() - start) * 1e3 / len(inputs)}


def main(peer: str, folder: str, threads: str) -> None:
    """Load, say so, answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    images = np.load(Path(folder) / "images.npy")
    try:
        run: Run = importlib.import_module(f"benchmarks.peers.{peer}").load(Path(folder), int(threads))
        run(list(images[:2]))
    except Exception as error:  # whatever it is, the table says it in the peer's row
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        print(json.dumps(answer(run, images, json.loads(line))), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
