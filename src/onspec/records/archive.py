"""The archive: takes inspections so that none that was acknowledged is ever lost, and gives them back.

A record is acknowledged when it is durable: in the database, or, where that does not take it in time, in the spool,
from where it comes into the database later. Where neither works the verdict must not be given.
"""

import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Literal

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from onspec.domain import Inspection, RecordError, UsageError
from onspec.records.database import Change, Database, cause_of, is_refusal
from onspec.records.files import make_folder, write_all
from onspec.records.images import ImageStore, KeepPolicy, Pruned
from onspec.records.query import Filter, Page, entry, page, walk
from onspec.records.record import (
    MAP_TYPE,
    Entry,
    NoRecordError,
    Original,
    RecipeFacts,
    Record,
    Review,
    Reviewed,
    changes_of,
    checked_id,
    new_id,
    now,
    review_change,
)
from onspec.records.spool import Spool
from onspec.records.tables import recipes, records, reviews
from onspec.records.writer import Writer

logger = logging.getLogger("onspec.records")

_CATCH_UP_S = 1.0
"""How long somebody who looks waits for records that the database did not take in time."""


class Where(StrEnum):
    """Where a record is when it is acknowledged."""

    DATABASE = "database"
    SPOOL = "spool"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A record that was acknowledged."""

    id: str
    where: Where


@dataclass(frozen=True, slots=True)
class Safety:
    """How safe a record must be before its verdict is given, and how long that may take.

    Attributes:
        max_wait_ms: the database may take so long.
        on_failure: then the record goes into the `spool`, which is as durable; or it is an `error` at once, for whoever
            wants no verdict that the database does not have. What the spool cannot take either is always an error.
    """

    max_wait_ms: float = 200.0
    on_failure: Literal["spool", "error"] = "spool"

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.max_wait_ms >= 0:
            raise UsageError(f"max_wait_ms must be at least 0; got {self.max_wait_ms}")
        if self.on_failure not in ("spool", "error"):
            raise UsageError(f"on_failure {self.on_failure!r}; choose spool, error")


class Archive:
    """Inspections, images and reviews at one place. May be called from several threads; processes may share it.

    Args:
        url: see `database.parse_url`.
        folder: for images and the spool; beside a database file by default, needed for a database elsewhere.
        station: who judges here; this machine's name by default.
        create: make a database file that is not there.

    Raises at construction:
        UsageError: not a URL of a database, or a folder is needed.
        RecordError: the archive cannot be opened.
    """

    def __init__(
        self,
        url: str,
        folder: Path | None = None,
        *,
        keep: KeepPolicy | None = None,
        safety: Safety | None = None,
        station: str | None = None,
        create: bool = True,
    ) -> None:
        self.keep, self.safety = keep or KeepPolicy(), safety or Safety()
        self.station = station or socket.gethostname()
        self.database = Database(url, create)
        self.folder = folder or self._beside(create)
        self.images = ImageStore(self.folder / "images")
        self._spool = Spool(self.folder / "spool")
        self._known: set[str] = set()
        self._writer = Writer(self.database, self._spool, self._put_aside)

    @property
    def pending(self) -> int:
        """Records of this process that wait in the spool for the database."""
        return self._spool.frames

    def record(
        self,
        inspection: Inspection,
        data: bytes | None = None,
        recipe: RecipeFacts | None = None,
        *,
        maps: Mapping[str, bytes] | None = None,
        id_: str | None = None,
        time: datetime | None = None,
    ) -> Receipt:
        """Record an inspection; it is durable when this returns. One whose id is there changes nothing.

        `maps` are score maps to keep, class → PNG.

        Raises:
            RecordError: it could not be made durable, so its verdict must not be given.
        """
        original = None if data is None else self.images.describe(data, inspection.verdict, self.keep)
        kept = {} if data is None or original is None or not original.kept else {original: data}
        pictures = {
            cls: Original(sha256(png).hexdigest(), MAP_TYPE, len(png), True) for cls, png in (maps or {}).items()
        }
        kept |= {pictures[cls]: png for cls, png in (maps or {}).items()}
        record = Record(id_ or new_id(), time or now(), self.station, inspection, original, pictures)
        for file, content in kept.items():
            self._keep(file, content)
        return Receipt(record.id, self._make_durable(record, recipe))

    def review(self, record_id: str, review: Review, *, id_: str | None = None) -> Reviewed:
        """Add a review; durable when this returns. Earlier ones stay.

        Raises:
            UsageError: no id.
            RecordError: no such record, or the database does not take it.
        """
        found = self.get(record_id)
        kept = Reviewed(id_ or new_id(), now(), review)
        try:
            self.database.insert([review_change(review, found.record.id, kept.id, kept.time)])
        except SQLAlchemyError as error:
            raise RecordError(f"the review could not be recorded: {cause_of(error)}; try again") from error
        return kept

    def get(self, record_id: str) -> Entry:
        """A record with its reviews. Raises UsageError, RecordError as `review`."""
        id_ = checked_id(record_id)
        with self._reading() as connection:
            found = entry(connection, id_)
        if found is None:
            raise NoRecordError(f"no record {id_} in the archive (one that still waits in a spool is not there yet)")
        return found

    def page(self, wanted: Filter, limit: int = 100, after: str | None = None, newest_first: bool = True) -> Page:
        """Some of the records that are wanted, and where the next page begins.

        Raises:
            UsageError: `after` is not from a page.
            RecordError: the database does not answer.
        """
        with self._reading() as connection:
            return page(connection, wanted, limit, after, newest_first)

    def walk(self, wanted: Filter, newest_first: bool = False) -> Iterator[Entry]:
        """All records that are wanted, in memory for one page. Raises RecordError as `page`."""
        yield from walk(self.page, wanted, newest_first)

    def image(self, record: Record) -> Path | None:
        """The kept file of a record; `None` if policy did not keep it, or not so long, or another machine has it."""
        return self.images.find(record.original)

    def score_map(self, record: Record, cls: str) -> Path | None:
        """The kept score map of a class; `None` as for `image`."""
        return self.images.find(record.maps.get(cls))

    def recipes(self) -> dict[str, RecipeFacts]:
        """Identity → what the recipe was."""
        with self._reading() as connection:
            rows = connection.execute(select(recipes)).mappings().all()
        return {row["identity"]: RecipeFacts(**row) for row in rows}

    def prune(self, policy: KeepPolicy | None = None) -> Pruned:
        """Remove kept files that are over the limits; their records stay.

        Raises:
            RecordError: the database does not say which parts were reviewed; nothing more is removed then.
        """
        policy = policy or self.keep
        return self.images.prune(policy, self._reviewed_images) if policy.reviewed else self.images.prune(policy)

    def _reviewed_images(self) -> frozenset[str]:
        """Digests of what shows a reviewed part, of any station."""
        column = records.c
        asked = select(column.image_sha256).where(column.id.in_(select(reviews.c.record_id))).distinct()
        with self._reading() as connection:
            return frozenset(digest for digest in connection.execute(asked).scalars() if digest is not None)

    def settle(self) -> int:
        """Bring what waits in the spool into the database now; how many records. Raises RecordError if it cannot."""
        try:
            return self._spool.drain(self.database.insert)
        except (SQLAlchemyError, OSError) as error:
            raise RecordError(f"the spool cannot be recorded: {cause_of(error)}") from error

    def close(self) -> None:
        """Write what waits and stop; what the database does not take soon stays in the spool."""
        self._writer.catch_up(_CATCH_UP_S)
        self._writer.close()
        self._spool.close()
        self.database.close()

    def _beside(self, create: bool) -> Path:
        """Who only looks at a database elsewhere needs none: he finds no images."""
        if not self.database.is_file and create:
            self.database.close()
            raise UsageError("an archive in PostgreSQL needs a folder for images and its spool: --db-files DIR")
        return Path(f"{self.database.url.database}.files")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Of a database that has what this process acknowledged, unless it is away. Raises RecordError."""
        self._writer.catch_up(_CATCH_UP_S)
        with self.database.reading() as connection:
            yield connection

    def _keep(self, file: Original, data: bytes) -> None:
        try:
            self.images.put(file, data)
        except OSError as error:
            raise RecordError(f"the image cannot be kept in {self.images.folder}: {error.strerror or error}") from error

    def _make_durable(self, record: Record, recipe: RecipeFacts | None) -> Where:
        changes = changes_of(record)
        if recipe is not None and recipe.identity not in self._known:
            changes.append(recipe.change())
        where = self._to_database_or_spool(changes) if self.safety.on_failure == "spool" else self._to_database(changes)
        if recipe is not None:
            self._known.add(recipe.identity)
        return where

    def _to_database(self, changes: list[Change]) -> Where:
        taken, cause = self._try_database(changes)
        if not taken:
            raise RecordError(f"the database did not take it within {self.safety.max_wait_ms:g} ms ({cause})")
        return Where.DATABASE

    def _to_database_or_spool(self, changes: list[Change]) -> Where:
        """Where the database is known to be away nobody waits for it, unless the spool fails, too."""
        start, patient = perf_counter(), not self._writer.away
        cause = "it is away"
        if patient:
            taken, cause = self._try_database(changes)
            if taken:
                return Where.DATABASE
        try:
            self._spool.append(changes)
        except OSError as error:
            if not patient:
                taken, cause = self._try_database(changes)
                if taken:
                    return Where.DATABASE
            waited = (perf_counter() - start) * 1e3
            raise RecordError(
                f"the database did not take it within {waited:.0f} ms ({cause}), nor did the spool "
                f"{self._spool.folder} ({error.strerror or error}); free the disk or bring the database back"
            ) from error
        return Where.SPOOL

    def _try_database(self, changes: list[Change]) -> tuple[bool, str]:
        ticket = self._writer.submit(changes)
        if ticket.taken(self.safety.max_wait_ms / 1e3):
            return True, ""
        if isinstance(ticket.error, SQLAlchemyError) and is_refusal(ticket.error):
            raise RecordError(f"the database refuses the record: {cause_of(ticket.error)}")
        self._writer.give_up(ticket)
        return False, "no answer yet" if ticket.error is None else cause_of(ticket.error)

    def _put_aside(self, change: Change, cause: str) -> None:
        """What the database will never take stays readable, and an error in the log. Raises OSError."""
        make_folder(self.folder)
        file = self.folder / "refused.jsonl"
        line = json.dumps({"table": change[0], "row": change[1], "cause": cause}, ensure_ascii=False) + "\n"
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            write_all(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        logger.error("the database refuses a record", extra={"fields": {"cause": cause, "file": str(file)}})
