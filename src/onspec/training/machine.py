"""What a run computes on: one CPU, one GPU, or many processes that `torchrun` started on one host or several."""

import logging
import os
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric

Precision = Literal["bf16-mixed", "32-true"]


def open_machine() -> Fabric:
    """A Fabric for this process: a GPU where there is one; with `torchrun`'s environment, all processes together."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells every user of its precision
    on_gpu = torch.cuda.is_available()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(processes)))
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu",
        devices=local,
        num_nodes=processes // local,
        strategy="ddp" if processes > 1 else "auto",
        precision=precision(),
    )
    if processes > 1:
        fabric.launch()
    return fabric


def precision() -> Precision:
    """Half precision (bfloat16, weights in float32) on GPUs, and on CPUs with instructions for it.

    There it makes a step half again as fast; CPUs without them emulate it and are many times slower.
    """
    return "bf16-mixed" if torch.cuda.is_available() or _has_bf16() else "32-true"


def _has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "").split()
    except OSError:  # not Linux: unknown, so no
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
