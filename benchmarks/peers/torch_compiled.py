"""PyTorch with `torch.compile`, which needs a C++ compiler."""

import shutil
from pathlib import Path

from benchmarks.peers import torch_eager
from benchmarks.peers.worker import Run


def load(folder: Path, threads: int) -> Run:
    """Compiled for the size of the first image.

    Raises:
        FileNotFoundError: there is no C++ compiler.
    """
    if not any(shutil.which(name) for name in ("g++", "clang++")):
        raise FileNotFoundError("no C++ compiler; install one, as by apt-get install g++")
    return torch_eager.load(folder, threads, compiled=True)
