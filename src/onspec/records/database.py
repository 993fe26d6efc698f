"""The database below the archive: SQLite in WAL on a station, PostgreSQL for a plant."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, Insert, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import SQLAlchemyError as DatabaseFault
from sqlalchemy.pool import ConnectionPoolEntry

from onspec.domain import MissingExtraError, RecordError, UsageError
from onspec.records.tables import TABLES, Row

DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+pg8000", "postgres": "postgresql+pg8000"}
"""What a URL begins with → the driver."""

_BUSY_S = 5.0
"""How long SQLite waits for another process that writes."""
_ANSWER_S = 30.0
"""How long PostgreSQL may take to answer, connecting included."""
_OF_THE_ROW = ("22", "23")
"""PostgreSQL's classes of errors that a row itself makes: data exception, integrity constraint violation."""
_ADVISORY = 0x6F6E7370
"""Number of PostgreSQL's lock for migrations: `onsp` in ASCII."""

Change = tuple[str, Row]
"""A table's name and a row for it."""


def parse_url(text_: str) -> URL:
    """`records.db`, `sqlite:///records.db` or `postgresql://USER:PASSWORD@HOST/NAME`.

    Raises:
        UsageError: none of these.
    """
    given = text_ if "://" in text_ else f"sqlite:///{text_}"
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise UsageError(f"--db: {_shown(text_)!r} is no database; {_ALLOWED}") from None
    scheme = url.drivername.split("+")[0]
    if scheme not in DRIVERS:
        raise UsageError(f"--db: unknown kind of database {scheme!r}; {_ALLOWED}")
    if scheme == "sqlite" and url.database in (None, "", ":memory:"):
        raise UsageError(f"--db: an archive must be a file, memory forgets it; {_ALLOWED}")
    return url.set(drivername=DRIVERS[scheme])


_ALLOWED = "give a file as records.db, or postgresql://USER:PASSWORD@HOST/NAME"


def _shown(url: str) -> str:
    """Without what stands before the host: there may be a password."""
    return url.rpartition("@")[2]


class Database:
    """A database whose tables are as this version wants them.

    Raises at construction:
        UsageError: not a URL of a database.
        RecordError: it cannot be reached, or a newer onspec made it.
        MissingExtraError: the driver is not installed.
    """

    def __init__(self, url: str, create: bool = True) -> None:
        self.url = parse_url(url)
        self.is_file = self.url.drivername.startswith("sqlite")
        self.shown = str(self.url.database) if self.is_file else self.url.render_as_string(hide_password=True)
        if self.is_file:
            file = Path(str(self.url.database))
            if not create and not file.is_file():
                raise RecordError(f"{file}: no such archive; give the file or URL that onspec serve --db has")
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RecordError(f"{file}: the archive's folder cannot be made ({error.strerror})") from error
        self.engine = self._engine()
        try:
            migrate(self)
        except (DBAPIError, OSError) as error:
            self.close()
            raise RecordError(f"the archive {self.shown} cannot be opened: {cause_of(error)}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back its connections."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads. Raises RecordError where the database does not answer."""
        try:
            with self.engine.connect() as connection, connection.begin():
                yield connection
        except DatabaseFault as error:
            raise RecordError(f"the archive does not answer: {cause_of(error)}; try again") from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, durable when left; raises what the database raises."""
        with self.engine.connect().execution_options(onspec_writes=True) as connection, connection.begin():
            yield connection

    def insert(self, changes: Sequence[Change]) -> None:
        """Add rows in one transaction; rows whose key is there are left as they are. Raises what the database does.

        A spool may hold rows of an earlier onspec, which lack the columns that came later.
        """
        alike: dict[tuple[str, frozenset[str]], list[Row]] = {}
        for table, row in changes:
            alike.setdefault((table, frozenset(row)), []).append(row)
        with self.writing() as connection:
            for (table, _), rows in alike.items():
                connection.execute(self._adding(table), rows)

    def _adding(self, table: str) -> Insert:
        insert = sqlite.insert if self.is_file else postgresql.insert
        return insert(TABLES[table]).on_conflict_do_nothing()

    def _engine(self) -> Engine:
        if not self.is_file:
            try:
                import pg8000  # type: ignore[import-untyped]  # noqa: F401
            except ImportError:
                raise MissingExtraError("an archive in PostgreSQL", "serve") from None
            return create_engine(
                self.url, pool_pre_ping=True, pool_size=4, connect_args={"timeout": _ANSWER_S}, hide_parameters=True
            )
        engine = create_engine(
            self.url, connect_args={"timeout": _BUSY_S, "check_same_thread": False}, hide_parameters=True
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine


def _prepare_sqlite(connection: object, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # transactions begin in `_begin_sqlite`
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Who will write says so at once: a reader that turns writer may find that it read old rows, and fails."""
    writes = connection.get_execution_options().get("onspec_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def migrate(database: Database) -> None:
    """Take the steps that this version knows and the database has not; one process at a time.

    Raises:
        RecordError: a newer onspec made the database.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    with (
        _migrating(database),
        database.engine.connect().execution_options(onspec_writes=True) as connection,
        connection.begin(),
    ):
        has = MigrationContext.configure(connection).get_current_revision()
        if has == scripts.get_current_head():
            return
        known = {script.revision for script in scripts.walk_revisions()}
        if has is not None and has not in known:
            raise RecordError(f"{database.shown} is of a newer onspec (step {has}); update onspec on this machine")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _migrating(database: Database) -> Iterator[None]:
    """Alone: under a file's lock for SQLite, under an advisory lock of PostgreSQL."""
    if database.is_file:
        with Path(f"{database.url.database}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    with database.engine.connect() as connection:
        connection.execute(text(f"SELECT pg_advisory_lock({_ADVISORY})"))
        try:
            yield
        finally:
            connection.execute(text(f"SELECT pg_advisory_unlock({_ADVISORY})"))
            connection.rollback()


def cause_of(error: BaseException) -> str:
    """What the driver says, in one line, without the statement and its values."""
    origin = getattr(error, "orig", None) or error
    told = origin.args[0] if origin.args else origin
    if isinstance(told, dict):  # as pg8000 hands on PostgreSQL's own fields; M is the message
        told = told.get("M", told)
    if isinstance(origin, OSError) and origin.strerror:
        told = origin.strerror
    return " ".join(str(told).split()) or type(origin).__name__


def is_refusal(error: DatabaseFault) -> bool:
    """Whether the database refuses the rows themselves, so that trying again is of no use."""
    from sqlalchemy.exc import DataError, IntegrityError, StatementError

    if isinstance(error, DataError | IntegrityError) or _state(error)[:2] in _OF_THE_ROW:
        return True
    return isinstance(error, StatementError) and not isinstance(error, DBAPIError)


def _state(error: DatabaseFault) -> str:
    """PostgreSQL's SQLSTATE; pg8000 makes one class of error of nearly all of them."""
    told = getattr(getattr(error, "orig", None), "args", ())
    return str(told[0].get("C", "")) if told and isinstance(told[0], dict) else ""
