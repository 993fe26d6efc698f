"""An archive that an earlier onspec made is read by this one, with what it did not record left open."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from onspec.domain import Inspection, RecordError
from onspec.records import database
from onspec.records.archive import Archive
from onspec.records.query import Filter
from onspec.records.record import changes_of


def made_at(step: str, path: Path, inspection: Inspection, tmp_path: Path) -> None:
    """An archive as the onspec of that step made it, with one inspection."""
    with closing(Archive(str(tmp_path / "now.db"))) as now:
        now.record(inspection)
        row = changes_of(next(now.walk(Filter())).record)[0][1]
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    bare = database.Database.__new__(database.Database)
    bare.url, bare.is_file = database.parse_url(str(path)), True
    engine = bare._engine()
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, step)
        known = {line[1] for line in connection.exec_driver_sql("PRAGMA table_info(records)")}
        names = [name for name in row if name in known]
        marks = ", ".join("?" * len(names))
        columns = ", ".join(f'"{name}"' for name in names)
        connection.exec_driver_sql(f"INSERT INTO records ({columns}) VALUES ({marks})", tuple(row[n] for n in names))
    engine.dispose()


@pytest.mark.parametrize("step", ["0001", "0002"])
def test_earlier_records_are_read_and_new_ones_added(
    step: str, tmp_path: Path, inspection: Callable[..., Inspection]
) -> None:
    old = tmp_path / "old.db"
    made_at(step, old, inspection(), tmp_path)
    with closing(Archive(str(old))) as archive:
        (entry,) = archive.walk(Filter())
        assert entry.record.inspection == inspection()
        assert entry.record.maps == {}
        archive.record(inspection(), maps={"scratch": b"\x89PNG"})
        assert len(list(archive.walk(Filter()))) == 2


def test_an_archive_of_a_newer_onspec_is_refused(tmp_path: Path, inspection: Callable[..., Inspection]) -> None:
    with closing(Archive(str(tmp_path / "r.db"))) as archive:
        archive.record(inspection())
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RecordError, match="newer onspec"):
        Archive(str(tmp_path / "r.db"))
