"""onspec's engine as `onspec inspect` runs it over a folder: an inference of one thread on each core."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.peers.worker import Run, Tensor


def load(folder: Path, threads: int) -> Run:
    """As many engines as threads, lent to whoever comes."""
    from onspec.runtime.engines import obstacle, open_engine
    from onspec.runtime.lanes import Lanes

    engine = "openvino" if obstacle("openvino") is None else "onnxruntime"
    model = (folder / "model.onnx").read_bytes()
    lanes = Lanes([open_engine(engine, model, 1) for _ in range(threads)])
    pool = ThreadPoolExecutor(threads)

    def infer(batch: Tensor) -> Tensor:
        with lanes.free() as free:
            return free.infer(batch)

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        return list(pool.map(infer, inputs))

    return run
