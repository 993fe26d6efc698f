"""The state of a run on disk, whole at any moment: written aside, synced, then renamed."""

import os
from pathlib import Path
from typing import Any

import torch

from onspec.domain import UsageError

NAME = "checkpoint.pt"


def save(run: Path, state: dict[str, Any]) -> None:
    """Write the state; a kill at any moment leaves the old or the new one."""
    path, aside = run / NAME, run / f".{NAME}.part"
    with aside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def load(run: Path) -> dict[str, Any] | None:
    """The state, or `None` where the run has none yet. Tensors and plain values only: nothing is executed.

    Raises:
        UsageError: the file is not a checkpoint.
    """
    path = run / NAME
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        raise UsageError(f"{path}: not a checkpoint of onspec ({error}); start anew without --resume") from error
    return state
