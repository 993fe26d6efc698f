"""The files that were inspected, kept by policy under the hash of their bytes: `ab/cd/abcd….png`."""

import fcntl
import os
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from onspec.domain import UsageError, Verdict
from onspec.records.files import aside, make_folder, write_all
from onspec.records.record import Original

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
    (b"II+\x00", "tif"),
    (b"MM\x00+", "tif"),
    (b"BM", "bmp"),
    (b"\x00\x00\x00\x0cjP", "jp2"),
    (b"\xff\x4f\xff\x51", "j2k"),
    (b"P5", "pgm"),
    (b"P6", "ppm"),
)
"""First bytes → the kind of file; the name that came with it decides nothing."""

_UNKNOWN = "bin"
_LEFTOVER_S = 3600.0
"""A file that was begun so long ago is no longer being written."""
_AT_A_TIME = 500
"""Files that are removed while nobody can keep one; in between it is asked anew what is spared."""

Spared = Callable[[], Container[str]]
"""The digests of files that stay whatever their age."""


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """Which files are kept, and how long.

    Attributes:
        ok_share: of the OK parts, 0 to 1, chosen by the hash of the file, so that it does not matter who asks when.
        days: files are kept so long; `None` for ever.
        gigabytes: the oldest go when all take more, 1e9 bytes; `None` without a limit.
        reviewed: those of reviewed parts stay whatever their age: with the reviews they are labels.
        maps: score maps of NG and REVIEW are kept, too; they are under the same limits.
    """

    ok_share: float = 0.01
    days: float | None = None
    gigabytes: float | None = None
    reviewed: bool = True
    maps: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0.0 <= self.ok_share <= 1.0:
            raise UsageError(f"--keep-ok must be a share from 0 to 1; got {self.ok_share}")
        for name, value in (("days", self.days), ("gb", self.gigabytes)):
            if value is not None and not value > 0:
                raise UsageError(f"--keep-{name} must be over 0; got {value}")

    @property
    def limited(self) -> bool:
        """Whether files ever go."""
        return self.days is not None or self.gigabytes is not None

    def keeps(self, verdict: Verdict, digest: str) -> bool:
        """All that is not OK, and the share of OK."""
        return verdict is not Verdict.OK or int(digest[:13], 16) < self.ok_share * 16**13

    def keeps_maps(self, verdict: Verdict) -> bool:
        """Of what somebody may ask why it was not OK."""
        return self.maps and verdict in (Verdict.NG, Verdict.REVIEW)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, and what is left; `spared` files of that would have gone, but show reviewed parts."""

    files: int
    bytes: int
    files_left: int
    bytes_left: int
    spared: int = 0


class ImageStore:
    """Files by content. Several processes may use one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self, data: bytes, verdict: Verdict, policy: KeepPolicy) -> Original:
        """What the record says of a file."""
        digest = sha256(data).hexdigest()
        kind = next((kind for magic, kind in _MAGIC if data.startswith(magic)), _UNKNOWN)
        return Original(digest, kind, len(data), policy.keeps(verdict, digest))

    def path(self, original: Original) -> Path:
        """Where it is, if it is kept."""
        digest = original.sha256
        return self.folder / digest[:2] / digest[2:4] / f"{digest}.{original.type}"

    def find(self, original: Original | None) -> Path | None:
        """The kept file; `None` if there is none here, or no more."""
        if original is None or not original.kept:
            return None
        path = self.path(original)
        return path if path.is_file() else None

    def put(self, original: Original, data: bytes) -> Path:
        """Keep a file; durable when this returns. One that is there counts as new. Raises OSError."""
        path = self.path(original)
        make_folder(path.parent)
        with self._lock(fcntl.LOCK_SH):
            try:
                if path.stat().st_size == original.bytes:
                    os.utime(path)
                    return path
            except FileNotFoundError:
                pass
            with aside(path) as handle:
                write_all(handle, data)
        return path

    def prune(self, policy: KeepPolicy, spared: Spared = frozenset) -> Pruned:
        """Remove what is too old, then the oldest until the rest fits; and what a crash left half written.

        Raises what `spared` raises; files that it was not asked about stay.
        """
        if not self.folder.is_dir():
            return Pruned(0, 0, 0, 0)
        kept = sorted(self._files())
        left, removed, freed, stayed = sum(size for _, size, _ in kept), 0, 0, 0
        oldest = None if policy.days is None else time.time() - policy.days * 86_400
        most = None if policy.gigabytes is None else policy.gigabytes * 1e9

        def over(modified: float) -> bool:
            return (oldest is not None and modified < oldest) or (most is not None and left > most)

        waiting = iter(kept)
        while (some := list(islice(waiting, _AT_A_TIME))) and over(some[0][0]):
            stays = spared()
            with self._lock(fcntl.LOCK_EX):
                for modified, size, path in some:
                    if not over(modified):
                        break
                    if path.stem in stays:
                        stayed += 1
                    elif self._remove(path, modified):
                        removed, freed, left = removed + 1, freed + size, left - size
        return Pruned(removed, freed, len(kept) - removed, left, stayed)

    @staticmethod
    def _remove(path: Path, modified: float) -> bool:
        """Unless it came in anew since it was looked at."""
        try:
            if path.stat().st_mtime != modified:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Time, bytes and path of every kept file; leftovers are removed on the way."""
        for entry in _walk(self.folder):
            try:
                facts = entry.stat()
            except FileNotFoundError:
                continue
            if entry.name.endswith(".part"):
                if time.time() - facts.st_mtime > _LEFTOVER_S:
                    Path(entry.path).unlink(missing_ok=True)
            elif not entry.name.startswith("."):
                yield facts.st_mtime, facts.st_size, Path(entry.path)

    @contextmanager
    def _lock(self, how: int) -> Iterator[None]:
        handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)


def _walk(folder: Path) -> "Iterator[os.DirEntry[str]]":
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path))
            else:
                yield entry
