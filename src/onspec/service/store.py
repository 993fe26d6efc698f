"""Which recipes a service has and which version of each is active: a folder, so that a restart has the same.

DIR/state.json               the state, replaced as a whole
DIR/files/SHA256.onspec      the recipe files; a name never comes from a request
DIR/lock                     held while the state is changed, so that several workers may

"""

import copy
import fcntl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from onspec.domain import RecipeError, UsageError
from onspec.records.files import aside, write_all
from onspec.service.state import State

Edit = Callable[[State], None]
"""Changes a state in place, or raises and changes nothing."""


class MemoryStore:
    """A state that ends with the process."""

    def __init__(self) -> None:
        self._state = State()

    def read(self) -> State:
        """A copy."""
        return copy.deepcopy(self._state)

    def change(self, edit: Edit) -> State:
        """The state after an edit."""
        state = self.read()
        edit(state)
        state.generation += 1
        self._state = state
        return self.read()

    @contextmanager
    def arriving(self, data: bytes) -> Iterator[Path]:
        """A file of these bytes, gone afterwards."""
        with tempfile.NamedTemporaryFile(suffix=".onspec", prefix="uploaded-") as file:
            file.write(data)
            file.flush()
            yield Path(file.name)

    def keep(self, digest: str, data: bytes) -> None:
        """Nothing to do: what is loaded is in memory."""

    def drop(self, digest: str) -> None:
        """Nothing to do either."""

    def path(self, digest: str) -> Path:
        """Raises RecipeError: nothing is kept here."""
        raise RecipeError(f"version {digest} is not loaded; send its recipe file")


class FolderStore(MemoryStore):
    """A state in a folder, shared by the workers of one machine."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError if the folder cannot be used."""
        super().__init__()
        self._folder, self._files, self._file = folder, folder / "files", folder / "state.json"
        try:
            self._files.mkdir(parents=True, exist_ok=True)
            (folder / "lock").touch()
        except OSError as error:
            raise UsageError(f"--recipes {folder}: cannot be used ({error.strerror}); give a writable folder") from None

    def read(self) -> State:
        """As it was last written; raises RecipeError if the file is damaged."""
        try:
            return State.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return State()
        except (OSError, ValidationError) as error:
            raise RecipeError(f"{self._file}: cannot be read ({error}); restore it or remove it") from error

    def change(self, edit: Edit) -> State:
        """The state after an edit, which is on the disk when this returns."""
        with (self._folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self.read()
            edit(state)
            state.generation += 1
            _write_durably(self._file, state.model_dump_json(indent=1).encode())
        return state

    @contextmanager
    def arriving(self, data: bytes) -> Iterator[Path]:
        """A file of these bytes on the disk of the folder, gone afterwards."""
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", prefix="uploaded-") as file:
            file.write(data)
            file.flush()
            yield Path(file.name)

    def keep(self, digest: str, data: bytes) -> None:
        """Store a recipe file under its digest."""
        if not self.path(digest).is_file():
            _write_durably(self.path(digest), data)

    def drop(self, digest: str) -> None:
        """Forget a recipe file."""
        self.path(digest).unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Where the file of a version is."""
        return self._files / f"{digest}.onspec"


def _write_durably(path: Path, data: bytes) -> None:
    """A reader, and a machine that lost its power, sees the old file or the whole new one."""
    with aside(path) as handle:
        write_all(handle, data)
