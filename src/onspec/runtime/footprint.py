"""The memory that an engine takes: of a process of its own, since memory that was once used is seldom given back.

python -m onspec.runtime.footprint ENGINE THREADS MODEL N C H W
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from onspec.domain import EngineError
from onspec.runtime.engines import open_engine

_TIMEOUT_S = 300
_RUNS = 3


def measure_footprint(engine: str, model: bytes, threads: int | None, shape: tuple[int, ...]) -> float | None:
    """Most memory, in MB, of a fresh process that runs this model a few times on a batch of this shape.

    `None` where the system does not tell it (it is Linux that does).

    Raises:
        EngineError: the model does not run there.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        command = [sys.executable, "-m", "onspec.runtime.footprint", engine, str(threads or 0), str(path)]
        command += [str(side) for side in shape]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"engine {engine}: measuring its memory took over {_TIMEOUT_S} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise EngineError(f"engine {engine} fails in a process of its own: {said[-1]}")
    return float(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


def main(engine: str, threads: str, path: str, *shape: str) -> None:
    """Run, and print the most memory so far in MB."""
    loaded = open_engine(engine, Path(path).read_bytes(), int(threads) or None)
    for _ in range(_RUNS):
        loaded.infer(np.zeros([int(side) for side in shape], np.float32))
    status = Path("/proc/self/status")
    if status.exists():
        most = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        print(int(most.split()[1]) * 1024 / 1e6)  # noqa: T201 # the answer to `measure_footprint`
    loaded.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
