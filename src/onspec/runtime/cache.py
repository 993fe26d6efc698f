"""The one place outside a user's own folders where onspec keeps something: what takes seconds to find out again.

Nothing in it is needed: a disk that cannot be written to costs those seconds, never a verdict.
"""

import os
import tempfile
from pathlib import Path

VARIABLE = "ONSPEC_CACHE"


def cache_root() -> Path:
    """`ONSPEC_CACHE`, otherwise `onspec` under `XDG_CACHE_HOME`, otherwise under ~/.cache (XDG base directories)."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path("~/.cache").expanduser()) / "onspec"


def cache_folder(name: str) -> Path | None:
    """A folder of the cache that can be written to, made if need be; `None` if there can be none."""
    folder = cache_root() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def read_cached(folder: str, name: str) -> bytes | None:
    """What was kept under this name; `None` if nothing was, or it cannot be read."""
    try:
        return (cache_root() / folder / name).read_bytes()
    except OSError:
        return None


def keep(folder: str, name: str, data: bytes) -> None:
    """Keep it if that is possible: whole or not at all, whoever else is writing."""
    target = cache_folder(folder)
    if target is None:
        return
    try:
        with tempfile.NamedTemporaryFile(dir=target, delete=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave it empty under its name
        Path(file.name).replace(target / name)
    except OSError:
        return
