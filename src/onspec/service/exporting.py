"""The archive taken elsewhere over HTTP: a table, or reviewed parts as a data set, sent piece by piece.

In memory are some thousand rows of a table. A data set is made on the archive's own disk first, its images linked where
the disk allows it, because it is read back before anybody gets it; then it is sent as a ZIP and removed.
"""

import asyncio
import contextlib
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal, get_args
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool

from onspec.domain import DataError, MissingExtraError, UsageError
from onspec.records.archive import Archive
from onspec.records.files import make_folder
from onspec.records.query import Filter
from onspec.records.record import Entry
from onspec.records.table import Sink, csv_lines, parquet_chunks
from onspec.service.problems import ProblemError, busy
from onspec.service.reviewed_set import write_reviewed

Format = Literal["csv", "parquet", "dataset"]
Layout = Literal["dagm", "masks", "coco", "voc", "yolo", "labelme", "folders"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

MOST_REVIEWED = 20_000
"""Records of reviewed parts in one data set: while it is made they are in memory."""

LEFT_OUT = "Onspec-Left-Out"
"""Header of a data set: how many reviewed images are not in it; the comment of the ZIP says which, and why."""

_LINES = 500
_BLOCK = 1 << 20
_LEFTOVER_S = 86_400.0
"""A data set that was begun so long ago is what a process that was killed left."""
_LONGEST_COMMENT = 60_000
"""Bytes; the format allows 65,535."""
_PACKED = {".json", ".txt", ".csv", ".xml", ".yaml", ".yml", ".bmp", ".pgm", ".ppm"}
"""Kinds of files that become smaller; the others are packed already."""


def table(archive: Archive, wanted: Filter, kind: Literal["csv", "parquet"]) -> StreamingResponse:
    """A row a record, the oldest first.

    Raises:
        ProblemError: 501 where Parquet is not installed.
        UsageError, RecordError: the archive does not answer.
    """
    archive.page(wanted, limit=1)  # what does not answer is told before anything is sent
    entries = archive.walk(wanted)
    if kind == "csv":
        return _file(_text(entries), "records.csv", "text/csv; charset=utf-8")
    try:
        chunks = parquet_chunks(entries)
    except MissingExtraError as error:
        raise ProblemError(501, f"{error} (on the server)") from None
    return _file(chunks, "records.parquet", "application/vnd.apache.parquet")


class DataSets:
    """Makes one data set at a time."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._folder = archive.folder / "exports"
        self._busy = threading.Lock()

    def answer(self, wanted: Filter, layout: str) -> StreamingResponse:
        """The reviewed parts that are wanted, as `onspec records export --to LAYOUT` writes them, in a ZIP.

        Raises:
            ProblemError: 404 if no reviewed part can be written, 422 for too many, 503 while another one is made or
                where the disk does not take it.
            RecordError: the archive does not answer.
        """
        if not self._busy.acquire(blocking=False):
            raise busy("another data set is being made; try again", 5)
        try:
            made = self._make(wanted, layout)
        finally:
            self._busy.release()
        headers = {LEFT_OUT: str(made.missing + len(made.left_out))}
        return _file(made.packed(), f"{layout}.zip", "application/zip", headers, made.remove)

    def _make(self, wanted: Filter, layout: str) -> "_Made":
        try:
            make_folder(self._folder)
            self._sweep()
            folder = Path(mkdtemp(dir=self._folder))
        except OSError as error:
            raise busy(
                f"the data set cannot be written ({error.strerror or error}); free the server's disk", 60
            ) from error
        entries = self._archive.walk(wanted if wanted.reviewed is not None else replace(wanted, reviewed=True))
        try:
            done, missing = write_reviewed(self._archive, _bounded(entries), folder / "set", layout, link=True)
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, DataError):
                raise ProblemError(404, self._without_path(str(error))) from None
            if isinstance(error, UsageError):  # there is nothing but the disk that it could be about
                raise busy(str(error).replace(str(folder / "set"), "the data set"), 60) from None
            raise
        told = tuple(self._without_path(f"{name}: {why}") for name, why in done.left_out.items())
        return _Made(folder, missing, told)

    def _without_path(self, sentence: str) -> str:
        """Where the images lie here is nobody's affair elsewhere."""
        folder = str(self._archive.images.folder)
        return sentence.replace(f"{folder}: ", "").replace(f"{folder}{os.sep}", "")

    def _sweep(self) -> None:
        for folder in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                if time.time() - folder.stat().st_mtime > _LEFTOVER_S:
                    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Made:
    """A data set on the disk, how many images are not kept any more, and what else is not in it, and why."""

    folder: Path
    missing: int
    left_out: tuple[str, ...]

    def packed(self) -> Iterator[bytes]:
        """A ZIP, a block at a time."""
        root, sink = self.folder / "set", Sink()
        with ZipFile(sink, "w") as archive:
            gone = [f"{self.missing} reviewed, but the image was not kept"] if self.missing else []
            told = "\n".join(f"left out: {line}" for line in [*gone, *self.left_out])
            archive.comment = told.encode()[:_LONGEST_COMMENT]
            for path in sorted(path for path in root.rglob("*") if path.is_file()):
                entry = ZipInfo.from_file(path, path.relative_to(root).as_posix(), strict_timestamps=False)
                entry.compress_type = ZIP_DEFLATED if path.suffix in _PACKED else ZIP_STORED
                with path.open("rb") as file, archive.open(entry, "w") as into:
                    while block := file.read(_BLOCK):
                        into.write(block)
                        yield sink.taken()
        yield sink.taken()

    def remove(self) -> None:
        """After it was sent, or nobody wants it any more."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _bounded(entries: Iterable[Entry]) -> Iterator[Entry]:
    for count, entry in enumerate(entries):
        if count == MOST_REVIEWED:
            raise ProblemError(
                422, f"over {MOST_REVIEWED} reviewed records at a time; ask for fewer with since and until, or recipe"
            )
        yield entry


def _text(entries: Iterator[Entry]) -> Iterator[bytes]:
    lines = csv_lines(entries)
    while some := "".join(islice(lines, _LINES)):
        yield some.encode()


def _file(
    chunks: Iterator[bytes],
    name: str,
    media_type: str,
    headers: dict[str, str] | None = None,
    after: Callable[[], None] = lambda: None,
) -> StreamingResponse:
    async def sent() -> AsyncIterator[bytes]:
        try:
            async for chunk in iterate_in_threadpool(chunks):
                yield chunk
        finally:  # this may be a client that went: nothing can be awaited any more
            asyncio.get_running_loop().run_in_executor(None, after)

    told = {"Content-Disposition": f'attachment; filename="{name}"', **(headers or {})}
    return StreamingResponse(sent(), media_type=media_type, headers=told)
