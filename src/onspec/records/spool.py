"""Where records wait for a database that is away: files of checked frames, each durable before it is acknowledged.

A frame is `OSF1`, the length and the CRC-32 of its content (both 32 bit, big endian), and the content: JSON. A process
writes its own file and holds a lock on it; the file of a process that died is unlocked, and whoever comes by takes it.
"""

import contextlib
import dataclasses
import fcntl
import json
import logging
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from onspec.records.database import Change
from onspec.records.files import make_folder, sync_folder, write_all

logger = logging.getLogger("onspec.records")

_MAGIC = b"OSF1"
_HEAD = struct.Struct(">4sII")
_SUFFIX = ".spool"
_AT_A_TIME = 256
"""Frames that go to the database in one transaction."""

Take = Callable[[list[Change]], None]
"""Puts rows into the database; raises if it did not."""


class Spool:
    """The spool of one process in a folder that several share. May be called from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._draining = threading.Lock()
        self._handle: int | None = None
        self._path: Path | None = None
        self._end = 0
        self._given_up = False
        self.frames = 0
        """That wait in this process's file."""

    @property
    def waiting(self) -> bool:
        """Whether frames of this process are here."""
        return self._end > 0 or self._given_up

    def append(self, changes: Sequence[Change]) -> None:
        """Durable when this returns. Raises OSError, after which nothing of it is here."""
        content = json.dumps(changes, ensure_ascii=False, separators=(",", ":")).encode()
        frame = _HEAD.pack(_MAGIC, len(content), zlib.crc32(content)) + content
        with self._lock:
            handle = self._open()
            try:
                write_all(handle, frame)
                os.fsync(handle)
            except OSError:
                self._undo(handle)
                raise
            self._end += len(frame)
            self.frames += 1

    def drain(self, take: Take) -> int:
        """Hand all frames to `take`, those of dead processes too, and forget what it took; how many frames.

        Raises what `take` raises; frames that it did not take stay.
        """
        with self._draining:
            count = self._drain_own(take)
            self._given_up = False
            for path in self._others():
                count += self._drain_other(path, take)
        return count

    def close(self) -> None:
        """An empty file is removed; one with frames stays for whoever comes next."""
        with self._lock:
            if self._handle is not None and self._path is not None:
                if self._end == 0:
                    self._path.unlink(missing_ok=True)
                os.close(self._handle)
            self._handle = self._path = None

    def _open(self) -> int:
        if self._handle is not None:
            return self._handle
        make_folder(self.folder)
        while True:
            path = self.folder / f"{os.getpid()}-{os.urandom(6).hex()}{_SUFFIX}"
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
            if _locked(handle) and path.exists():  # else someone took it for a dead process's file
                sync_folder(self.folder)
                self._handle, self._path, self._end = handle, path, 0
                return handle
            os.close(handle)

    def _undo(self, handle: int) -> None:
        """Cut off what was written of a frame; a file that cannot be cut is left as it is, and a new one begun."""
        try:
            os.ftruncate(handle, self._end)
            os.fsync(handle)
        except OSError:
            os.close(handle)
            self._handle = self._path = None
            self._end, self.frames, self._given_up = 0, 0, True

    def _drain_own(self, take: Take) -> int:
        begin = count = 0
        while True:
            with self._lock:
                handle, end = self._handle, self._end
                if handle is None or begin == end:
                    if handle is not None and end:
                        os.ftruncate(handle, 0)
                        os.fsync(handle)
                        self._end = self.frames = 0
                    return count
            for batch in _batches(handle, begin, end):
                take(batch.changes)
                count, begin = count + batch.frames, batch.end
            begin = end

    def _others(self) -> Iterator[Path]:
        with contextlib.suppress(FileNotFoundError):
            yield from (path for path in sorted(self.folder.glob(f"*{_SUFFIX}")) if path != self._path)

    def _drain_other(self, path: Path, take: Take) -> int:
        """Of a process that is gone; 0 for one that lives."""
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return 0
        try:
            if not _locked(handle) or not path.exists():
                return 0
            self._given_up = True  # until all of it is taken
            end, count, sound = os.fstat(handle).st_size, 0, 0
            for batch in _batches(handle, 0, end):
                take(batch.changes)
                count, sound = count + batch.frames, sound + batch.size
            if sound < end:
                _warn(path, end - sound)
                path.replace(path.with_suffix(".leftover"))
            else:
                path.unlink()
            sync_folder(self.folder)
            self._given_up = False
            return count
        finally:
            os.close(handle)


def _warn(path: Path, left: int) -> None:
    """As of the last frame of a process that was killed while it wrote, whose verdict was never given."""
    fields = {"file": path.name, "bytes": left}
    logger.warning("spool holds bytes that are no whole frame; the file is kept", extra={"fields": fields})


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclasses.dataclass
class _Batch:
    """Frames that lie in a file, of which `size` bytes are theirs."""

    end: int
    changes: list[Change] = dataclasses.field(default_factory=list)
    frames: int = 0
    size: int = 0


def _batches(handle: int, begin: int, end: int) -> Iterator[_Batch]:
    batch = _Batch(begin)
    for content, batch.end in _frames(handle, begin, end):
        batch.changes += [(table, row) for table, row in json.loads(content)]
        batch.frames += 1
        batch.size += _HEAD.size + len(content)
        if batch.frames == _AT_A_TIME:
            yield batch
            batch = _Batch(batch.end)
    if batch.frames:
        yield batch


def _frames(handle: int, begin: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Sound frames; over bytes that are none it looks for the next, because a record must not go with its neighbour."""
    while begin + _HEAD.size <= end:
        magic, length, check = _HEAD.unpack(os.pread(handle, _HEAD.size, begin))
        after = begin + _HEAD.size + length
        if magic == _MAGIC and after <= end:
            content = os.pread(handle, length, begin + _HEAD.size)
            if zlib.crc32(content) == check:
                yield content, after
                begin = after
                continue
        logger.error("spool is damaged", extra={"fields": {"at": begin}})
        begin = _next_frame(handle, begin + 1, end)


def _next_frame(handle: int, begin: int, end: int) -> int:
    """Where the next frame may begin."""
    step = 1 << 16
    while begin < end:
        place = os.pread(handle, min(step, end - begin), begin).find(_MAGIC)
        if place >= 0:
            return begin + place
        begin += max(1, min(step, end - begin) - len(_MAGIC) + 1)
    return end
