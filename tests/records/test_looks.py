"""How an image looks is recorded; archives and spools of before are read."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, inspect, text

from onspec import records
from onspec.domain import Inspection, Verdict
from onspec.domain.look import Look
from onspec.records.archive import Archive
from onspec.records.database import Database
from onspec.records.record import Record, changes_of, new_id, now
from onspec.records.spool import Spool

Make = Callable[..., Inspection]
LOOK = Look(brightness=0.4, contrast=0.3, black=0, white=0.01, sharpness=0.31, likeness=-0.25)


class Server(Protocol):
    """PostgreSQL, see conftest.py."""

    @property
    def url(self) -> str:
        """Of its database."""
        ...


def test_a_look_comes_back_as_it_went_in(archive: Archive, inspection: Make) -> None:
    for made in (inspection(look=LOOK), inspection(Verdict.ERROR, look=LOOK), inspection(Verdict.OK)):
        entry = archive.get(archive.record(made).id)
        assert entry.record.inspection == made
        assert entry.as_json()["look"] == (None if made.look is None else LOOK.model_dump())


def first_step(engine: Engine, made: Inspection) -> str:
    """An archive of the first version with a record; its id."""
    config = Config()
    config.set_main_option("script_location", str(Path(records.__file__).parent / "migrations"))
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        ((_, row), *_) = changes_of(Record(new_id(), now(), "cell 4", made, None))
        there = {column["name"] for column in inspect(connection).get_columns("records")}
        assert "look" not in there
        row = {name: value for name, value in row.items() if name in there}
        names = ", ".join(f'"{name}"' for name in row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO records ({names}) VALUES ({values})"), row)
    return str(row["id"])


def test_an_archive_of_before_gets_the_column(tmp_path: Path, inspection: Make) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'records.db'}")
    id_ = first_step(engine, inspection())
    engine.dispose()
    with closing(Archive(str(tmp_path / "records.db"))) as archive:
        assert archive.get(id_).record.inspection == inspection()
        new = archive.record(inspection(look=LOOK)).id
        assert archive.get(new).record.inspection.look == LOOK


@pytest.mark.postgres
def test_postgres_of_before_gets_the_column(postgres_server: Server, tmp_path: Path, inspection: Make) -> None:
    known = Database(postgres_server.url)
    with known.writing() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    with closing(known):
        id_ = first_step(known.engine, inspection())
    with closing(Archive(postgres_server.url, tmp_path / "files")) as archive:
        assert archive.get(id_).record.inspection == inspection()
        new = archive.record(inspection(look=LOOK)).id
        archive.settle()
        assert archive.get(new).record.inspection.look == LOOK
        assert "look" in {column["name"] for column in inspect(archive.database.engine).get_columns("records")}


def test_a_spool_of_before_is_recorded_with_new_rows(archive: Archive, inspection: Make) -> None:
    """Rows with and without the column come in one transaction, in either order."""
    made = [Record(new_id(), now(), "cell 4", inspection(look=LOOK if n % 2 else None), None) for n in range(6)]
    spool = Spool(archive.folder / "spool")
    for number, record in enumerate(made):
        changes = changes_of(record)
        if number % 2 == 0:
            del changes[0][1]["look"]
        spool.append(changes)
    assert spool.drain(archive.database.insert) == 6
    spool.close()
    assert [archive.get(record.id).record.inspection for record in made] == [record.inspection for record in made]
