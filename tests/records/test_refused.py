"""A row that the database will never take stops no other."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from onspec.domain import Inspection, RecordError
from onspec.records.archive import Archive
from onspec.records.record import Original, Record, changes_of, new_id, now
from onspec.records.spool import Spool

Make = Callable[..., Inspection]


class Server(Protocol):
    """PostgreSQL, see conftest.py."""

    @property
    def url(self) -> str:
        """Of its database."""
        ...


@pytest.mark.postgres
def test_a_row_that_postgres_refuses_is_put_aside_and_the_others_come_through(
    postgres_server: Server, tmp_path: Path, inspection: Make
) -> None:
    original = Original("ab" * 32, "a kind of file longer than its column", 3, kept=False)
    refused = Record(new_id(), now(), "cell 4", inspection(), original)
    sound = [Record(new_id(), now(), "cell 4", inspection(), None) for _ in range(2)]
    spool = Spool(tmp_path / "spool")
    for record in (sound[0], refused, sound[1]):
        spool.append(changes_of(record))
    spool.close()  # as if its process had died with the database away
    with closing(Archive(postgres_server.url, tmp_path)) as archive:
        end = time.monotonic() + 15
        while not _there(archive, [record.id for record in sound]):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert not _there(archive, [refused.id])
    told = (tmp_path / "refused.jsonl").read_text()
    assert refused.id in told
    assert "value too long" in told
    assert not list((tmp_path / "spool").glob("*.spool"))


def _there(archive: Archive, ids: list[str]) -> bool:
    try:
        return all(archive.get(id_).record.id == id_ for id_ in ids)
    except RecordError:
        return False
