"""Which records somebody wants, and reading them a page at a time."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, exists, select, tuple_

from onspec.domain import UsageError, Verdict
from onspec.records.record import Entry, Reviewed, checked_id, record_of, reviewed_of, storable, to_us
from onspec.records.tables import defect_classes, records, reviews

_PAGE = 500
LARGEST_PAGE = 1000

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


@dataclass(frozen=True, slots=True)
class Filter:
    """What all wanted records have; what is `None` or empty does not matter.

    Attributes:
        since, until: from the one (included) to the other (not).
        recipe: NAME or NAME@sha256:HEX.
        score_min, score_max: both included.
        cls: of some defect.
        reviewed: whether anybody said what the part is.
    """

    since: datetime | None = None
    until: datetime | None = None
    verdicts: tuple[Verdict, ...] = ()
    recipe: str | None = None
    part_id: str | None = None
    station: str | None = None
    score_min: float | None = None
    score_max: float | None = None
    cls: str | None = None
    reviewed: bool | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """As the database is asked."""
        column, asked = records.c, []
        if self.since is not None:
            asked.append(column.time_us >= to_us(self.since))
        if self.until is not None:
            asked.append(column.time_us < to_us(self.until))
        if self.verdicts:
            asked.append(column.verdict.in_([verdict.value for verdict in self.verdicts]))
        if self.recipe is not None:
            asked.append((column.recipe if "@" in self.recipe else column.recipe_name) == storable(self.recipe))
        if self.part_id is not None:
            asked.append(column.part_id == storable(self.part_id))
        if self.station is not None:
            asked.append(column.station == storable(self.station))
        if self.score_min is not None:
            asked.append(column.score >= self.score_min)
        if self.score_max is not None:
            asked.append(column.score <= self.score_max)
        if self.cls is not None:
            table = defect_classes.c
            asked.append(exists().where(table.record_id == column.id, table["class"] == storable(self.cls)))
        if self.reviewed is not None:
            some = exists().where(reviews.c.record_id == column.id)
            asked.append(some if self.reviewed else ~some)
        return asked


@dataclass(frozen=True, slots=True)
class Page:
    """Some records; `next` is where to go on, `None` at the end."""

    entries: tuple[Entry, ...]
    next: str | None


def page(connection: Connection, wanted: Filter, limit: int, after: str | None, newest_first: bool) -> Page:
    """Records in order of time. What is recorded while somebody pages neither shifts nor repeats what he sees.

    Raises:
        UsageError: `after` is not from a page, or `limit` is not 1 to 1000.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise UsageError(f"limit must be 1 to {LARGEST_PAGE}; got {limit}")
    place, asked = (records.c.time_us, records.c.id), wanted.conditions()
    if after is not None:
        here = tuple_(*place)
        there = tuple_(*_place(after))
        asked.append(here < there if newest_first else here > there)
    order = [column.desc() if newest_first else column.asc() for column in place]
    rows = connection.execute(select(records).where(*asked).order_by(*order).limit(limit + 1)).mappings().all()
    shown = [record_of(dict(row)) for row in rows[:limit]]
    said = _reviews(connection, [record.id for record in shown])
    more = len(rows) > limit
    last = f"{rows[limit - 1]['time_us']}.{rows[limit - 1]['id']}" if more else None
    return Page(tuple(Entry(record, said.get(record.id, ())) for record in shown), last)


def walk(
    page_of: Callable[[Filter, int, str | None, bool], Page], wanted: Filter, newest_first: bool
) -> Iterator[Entry]:
    """All pages one after the other; no transaction is held in between."""
    after: str | None = None
    while True:
        shown = page_of(wanted, _PAGE, after, newest_first)
        yield from shown.entries
        after = shown.next
        if after is None:
            return


def entry(connection: Connection, id_: str) -> Entry | None:
    """One record by its id."""
    row = connection.execute(select(records).where(records.c.id == id_)).mappings().first()
    return None if row is None else Entry(record_of(dict(row)), _reviews(connection, [id_]).get(id_, ()))


def parse_time(text: str, at: datetime | None = None) -> datetime:
    """`2026-11-28`, `2026-11-28T06:00`, `…Z` or `…+01:00`, or so long ago: `30m`, `8h`, `7d`. Without a zone: UTC.

    Raises:
        UsageError: none of these.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return (at or datetime.now(UTC)) - timedelta(seconds=float(ago[1]) * _UNITS[ago[2]])
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time; give 2026-11-28, 2026-11-28T06:00Z, or how long ago: 30m, 8h, 7d"
        ) from None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _place(text: str) -> tuple[int, str]:
    time_us, _, id_ = text.partition(".")
    try:
        if re.fullmatch(r"-?\d{1,18}", time_us):
            return int(time_us), checked_id(id_)
    except UsageError:
        pass
    raise UsageError(f"after: {text!r} is not the `next` of a page")


def _reviews(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[Reviewed, ...]]:
    if not ids:
        return {}
    column = reviews.c
    asked = select(reviews).where(column.record_id.in_(ids)).order_by(column.time_us, column.id)
    said: dict[str, tuple[Reviewed, ...]] = {}
    for row in connection.execute(asked).mappings():
        said[row["record_id"]] = (*said.get(row["record_id"], ()), reviewed_of(dict(row)))
    return said
