"""Which rewrite of `onspec.runtime.rewrites` makes which network quicker on which engine of this machine's CPU.

    python benchmarks/graph_rewrites.py [--threads N] [--size PX] [--rounds N]

The engines take turns, so that a busy machine is busy for all. A ratio is the time of the network as packed over that
of the rewritten one, round by round: its median, and in brackets its quartiles; over 1 the rewrite is faster. With one
thread the processor's own time is compared, which other programs do not add to. Weights are random: they cost the same.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from onspec.runtime.engines import Engine
from onspec.runtime.onnxruntime_engine import open_model as open_onnxruntime
from onspec.runtime.openvino_engine import open_rewritten
from onspec.runtime.rewrites import REWRITES, Rewrite, apply
from onspec.training.export import to_onnx
from onspec.training.networks import NETWORKS
from onspec.training.objectives.segmentation import Segmentation

CASES = {"unet-deck": "split-upsampled-concat", "unet-lite, packed before": "enlarge-by-phases"}
"""Network → the rewrite whose pattern it has."""


def network(name: str) -> bytes:
    """The network as ONNX; as it was packed before exports enlarged by phases themselves, if that is asked for."""
    torch.manual_seed(0)
    kind, _, before = name.partition(", ")
    if before:
        torch.onnx.is_in_onnx_export = lambda: False
    return to_onnx(NETWORKS[kind].make(1, 1, 1), Segmentation(1), 1, NETWORKS[kind].stride)


def engines(model: bytes, threads: int) -> dict[str, Engine]:
    """Both engines, with exactly this network: the table of rewrites does not apply."""
    return {"onnxruntime": open_onnxruntime(model, threads), "openvino": open_rewritten(model, threads)}


def measure(model: bytes, rewrite: Rewrite, threads: int, size: int, rounds: int) -> None:
    """Print a row for each engine."""
    clock = time.process_time if threads == 1 else time.perf_counter
    batch = np.random.default_rng(0).uniform(-1, 1, (1, 1, size, size)).astype(np.float32)
    before, after = engines(model, threads), engines(apply(model, [rewrite]), threads)
    pairs = {name: (before[name], after[name]) for name in before}
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in pairs}
    for place in range(rounds + 2):
        for name, pair in pairs.items():
            taken = []
            for engine in pair:
                engine.infer(batch)  # the threads of the one before wait busily for a while
                start = clock()
                engine.infer(batch)
                taken.append((clock() - start) * 1e3)
            if place >= 2:  # the first runs make what later ones use
                times[name].append(tuple(taken))
    for name, (plain, changed) in pairs.items():
        apart = float(np.abs(plain.infer(batch) - changed.infer(batch)).max())
        table = np.array(times[name])
        low, middle, high = np.quantile(table[:, 0] / table[:, 1], (0.25, 0.5, 0.75))
        ms = " → ".join(f"{value:.1f}" for value in np.median(table, axis=0))
        print(f"  {name:<12} {ms:>14} ms   ×{middle:.2f} ({low:.2f} to {high:.2f})   maps differ by {apart:.1e}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    print(f"{given.size}×{given.size} px, batch 1, {given.threads} thread(s), medians of {given.rounds} rounds")
    for name, rewrite in CASES.items():
        kept = ", ".join(sorted(REWRITES[rewrite].engines))
        print(f"{name}: {rewrite} (kept for {kept})")
        measure(network(name), REWRITES[rewrite].apply, given.threads, given.size, given.rounds)


if __name__ == "__main__":
    main()
