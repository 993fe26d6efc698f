"""The one thread that writes the database: whatever waits goes into one transaction."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from onspec.records.database import Change, Database, cause_of, is_refusal

logger = logging.getLogger("onspec.records")

_AT_A_TIME = 256
_RETRY_S = 0.5
"""How often a database that is away is asked again."""
_LOOK_S = 60.0
"""How often the spools of dead processes are looked for."""


class Backlog(Protocol):
    """What waits for the database to come back."""

    @property
    def waiting(self) -> bool:
        """Whether anything does."""
        ...

    def drain(self, take: Callable[[list[Change]], None]) -> int:
        """Hand it over; raises what `take` raises."""
        ...


@dataclass(slots=True, eq=False)
class Ticket:
    """Rows on their way, and what became of them."""

    changes: list[Change]
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    cancelled: bool = False

    def taken(self, timeout_s: float) -> bool:
        """Whether the database has them; waits for an answer at most so long."""
        return self.done.wait(timeout_s) and self.error is None


class Writer:
    """Sleeps until there is something to write. `away` says that the database did not take the last rows in time."""

    def __init__(self, database: Database, backlog: Backlog, refused: Callable[[Change, str], None]) -> None:
        self.away = False
        self._database, self._backlog, self._refused = database, backlog, refused
        self._tickets: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._stopping = self._asked = self._in_vain = False
        self._thread = threading.Thread(target=self._run, name="onspec-records", daemon=True)
        self._thread.start()

    def submit(self, changes: list[Change]) -> Ticket:
        """Rows to write soon."""
        ticket = Ticket(changes)
        with self._changed:
            self._tickets.append(ticket)
            self._changed.notify_all()
        return ticket

    def give_up(self, ticket: Ticket) -> None:
        """They are kept elsewhere: need not be written if they were not yet; and the next need not wait in vain."""
        ticket.cancelled = True
        with self._changed:
            self.away = True
            self._changed.notify_all()

    def catch_up(self, timeout_s: float) -> None:
        """Have the backlog written now, and wait for that; not where it was waited for in vain since it began."""
        with self._changed:
            if self._backlog.waiting and not (self._in_vain or self._stopping):
                self._asked = True
                self._changed.notify_all()
                self._in_vain = not self._changed.wait_for(lambda: not self._backlog.waiting, timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, then stop."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        begun = False
        while True:
            with self._changed:
                if begun and not (self._tickets or self._stopping or self._asked):
                    # Looked at now, not before the last rows were written: they may have found the database away.
                    self._changed.wait(_RETRY_S if self.away or self._backlog.waiting else _LOOK_S)
                self._asked = False
                begun = True  # the first round is at once: processes that died may have left something
                waiting = [self._tickets.popleft() for _ in range(min(_AT_A_TIME, len(self._tickets)))]
                if not waiting and self._stopping:
                    return
            tickets = [ticket for ticket in waiting if not ticket.cancelled]
            try:
                self._write(tickets)
            except Exception as error:  # whoever waits must learn of it, and the next rows must find a writer
                logger.exception("fault", extra={"fields": {"doing": "writing records"}})
                for ticket in tickets:
                    _settle(ticket, error)

    def _write(self, tickets: list[Ticket]) -> None:
        """New rows first, because somebody waits for them; then what waits in the spool."""
        if tickets:
            try:
                self._database.insert([change for ticket in tickets for change in ticket.changes])
            except SQLAlchemyError as error:
                self._failed(tickets, error)
            else:
                self._came()
                for ticket in tickets:
                    _settle(ticket, None)
        if not self._tickets and not self._stopping:
            self._drain()

    def _failed(self, tickets: list[Ticket], error: SQLAlchemyError) -> None:
        """Rows that the database refuses are refused alone; anything else means that it is away."""
        if is_refusal(error) and len(tickets) > 1:
            for ticket in tickets:
                self._write_one(ticket)
            return
        if not is_refusal(error):
            self._went(error)
        for ticket in tickets:
            _settle(ticket, error)

    def _write_one(self, ticket: Ticket) -> None:
        try:
            self._database.insert(ticket.changes)
        except SQLAlchemyError as error:
            _settle(ticket, error)
        else:
            _settle(ticket, None)

    def _drain(self) -> None:
        try:
            count = self._backlog.drain(self._take)
        except (SQLAlchemyError, OSError) as error:
            self._went(error)
            return
        with self._changed:
            self._in_vain = False
            self._changed.notify_all()
        if count:
            self._came()
            logger.info("spool recorded", extra={"fields": {"records": count}})

    def _take(self, changes: list[Change]) -> None:
        """Raises where the database is away; rows that it refuses are put aside and said."""
        try:
            self._database.insert(changes)
        except SQLAlchemyError as error:
            if not is_refusal(error):
                raise
            for change in changes:
                self._take_one(change)

    def _take_one(self, change: Change) -> None:
        try:
            self._database.insert([change])
        except SQLAlchemyError as error:
            if not is_refusal(error):
                raise
            self._refused(change, cause_of(error))

    def _went(self, error: BaseException) -> None:
        if not self.away:
            logger.error("the archive is away", extra={"fields": {"cause": cause_of(error)}})
        self.away = True

    def _came(self) -> None:
        if self.away:
            logger.warning("the archive is back")
        self.away = False


def _settle(ticket: Ticket, error: Exception | None) -> None:
    ticket.error = error
    ticket.done.set()
