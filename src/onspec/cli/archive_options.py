"""Options that commands about the archive share, and opening it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.records.archive import Archive

Db = Annotated[
    str, typer.Option("--db", metavar="URL", envvar="ONSPEC_DB", help="The archive: a file as records.db, or postgresql://…")
]  # fmt: skip
DbFiles = Annotated[
    Path | None, typer.Option("--db-files", metavar="DIR", help="Its images and spool; beside the file if not given.")
]
Since = Annotated[
    str | None, typer.Option(help="Records from then on: 2026-11-28, 2026-11-28T06:00Z, or how long ago: 30m, 8h, 7d.")
]
Until = Annotated[str | None, typer.Option(help="Records before then.")]


@contextmanager
def opened(db: str, files: Path | None) -> Iterator["Archive"]:
    """The archive, with what waited in spools of dead processes taken in.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
        UsageError, RecordError: it cannot be opened; a folder was named that is none.
    """
    from onspec.cli.progress import talk
    from onspec.domain import RecordError, UsageError
    from onspec.records.archive import Archive

    if files is not None and not files.is_dir():
        raise UsageError(f"--db-files {files}: no such folder; name the one that onspec serve was given")
    with closing(Archive(db, files, create=False)) as archive:
        try:
            archive.settle()
        except RecordError as error:
            talk(f"onspec: {error}; what is shown may lack the newest records")
        yield archive


def tell_of_no_images(archive: "Archive") -> None:
    """Say so before kept images are looked for where none can be."""
    from onspec.cli.progress import talk

    if not archive.folder.is_dir():
        talk(f"onspec: there is no folder {archive.folder}, so no image is found; name another with --db-files")
