"""The inference engines, by name. An engine is one file with `open_model`, and one line in the table."""

import importlib
from dataclasses import dataclass
from typing import Protocol, cast

from onspec.domain import EngineError, MissingExtraError
from onspec.imaging.preparation import Tensor


class Engine(Protocol):
    """Runs one model. `infer` is called by one thread at a time."""

    name: str

    def infer(self, batch: Tensor) -> Tensor:
        """float32 (N, C, H, W) → float32 (N, P, H/c, W/c); raises EngineError when the model fails."""
        ...

    def close(self) -> None:
        """Give back memory and threads."""
        ...


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """Where an engine is found: its module, the extra that installs what it needs, and a line of help."""

    module: str
    extra: str | None
    summary: str


class EngineModule(Protocol):
    """What an engine's module offers."""

    def open_model(self, model: bytes, threads: int | None) -> Engine:
        """Load ONNX bytes; raises EngineError when the model cannot run here, ImportError without its library."""
        ...


ENGINES: dict[str, EngineEntry] = {
    "onnxruntime": EngineEntry("onspec.runtime.onnxruntime_engine", None, "ONNX Runtime on the CPU; always installed"),
}
"""Name → entry, the preferred ones first."""

AUTO = "auto"


def open_engine(name: str, model: bytes, threads: int | None = None) -> Engine:
    """Load a model with the engine of this name; `auto` takes the first of the table.

    `threads` bounds the CPU threads of one inference; `None` leaves it to the engine (all cores).

    Raises:
        EngineError: no engine of this name, or it cannot load the model.
        MissingExtraError: the engine's library is not installed.
    """
    name = next(iter(ENGINES)) if name == AUTO else name
    entry = ENGINES.get(name)
    if entry is None:
        raise EngineError(f"Unknown engine {name!r}; choose {', '.join([AUTO, *ENGINES])}")
    if threads is not None and threads < 1:
        raise EngineError(f"threads must be at least 1; got {threads}")
    module = cast("EngineModule", importlib.import_module(entry.module))
    try:
        return module.open_model(model, threads)
    except ImportError as error:
        if entry.extra is None:
            raise EngineError(f"engine {name} cannot be imported ({error}); install onspec again") from error
        raise MissingExtraError(f"Engine {name}", entry.extra) from error
