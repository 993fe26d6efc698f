"""Nothing that was acknowledged is lost: killed processes, full disks, databases that go away."""

import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import func, select, text

from onspec.domain import Inspection, RecordError, Verdict
from onspec.records.archive import Archive, Safety, Where
from onspec.records.images import KeepPolicy
from onspec.records.query import Filter
from onspec.records.record import Review, new_id
from onspec.records.spool import Spool
from onspec.records.tables import records

pytestmark = pytest.mark.slow

KILLING = Path(__file__).with_name("killing.py")
Make = Callable[..., Inspection]


class Server(Protocol):
    """PostgreSQL, see conftest.py."""

    @property
    def url(self) -> str:
        """Of its database."""
        ...

    def start(self) -> None:
        """Returns when it answers."""
        ...

    def stop(self) -> None:
        """At once."""
        ...


def killed(url: str, folder: Path, kills: int) -> list[tuple[str, str]]:
    """What was acknowledged before each of the kills: id and where."""
    done = subprocess.run(
        [sys.executable, KILLING, url, str(folder), str(kills), "7"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [(line.split()[0], line.split()[1]) for line in json.loads(done.stdout)]


def counted(archive: Archive) -> Counter[str]:
    """How often each id is in the table."""
    with archive.database.reading() as connection:
        return Counter(connection.execute(select(records.c.id)).scalars())


def test_what_was_acknowledged_before_a_kill_is_there_once(tmp_path: Path) -> None:
    told = killed(str(tmp_path / "r.db"), tmp_path / "files", 21)
    with closing(Archive(str(tmp_path / "r.db"), tmp_path / "files")) as archive:
        archive.settle()
        there = counted(archive)
        assert [id_ for id_, _ in told if there[id_] != 1] == []
        assert Counter(where for _, where in told).keys() == {"database", "spool"}, "both ways were taken"
        assert len(told) > 21 * 5
        kept = [archive.image(archive.get(id_).record) for id_, _ in told[:50]]
        assert all(path is not None and path.stat().st_size > 0 for path in kept)
        assert not list((tmp_path / "files" / "spool").glob("*.spool"))


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], check=False, capture_output=True
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("a full disk takes the right to mount one (root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_gives_no_verdict_and_loses_none(tmp_path: Path, inspection: Make) -> None:
    with small_disk(tmp_path / "disk", 2) as disk:
        archive = Archive(str(disk / "r.db"))
        acknowledged, refused = [], None
        for count in range(5000):
            id_ = new_id()
            try:
                archive.record(inspection(image=f"{count}.png"), os.urandom(3000), id_=id_)
            except RecordError as error:
                refused = str(error)
                break
            acknowledged.append(id_)
        assert refused is not None
        assert "No space" in refused or "full" in refused
        for path in sorted((disk / "r.db.files" / "images").rglob("*.png")):
            path.unlink()
        for path in sorted((disk / "r.db.files" / "images").rglob("*.bin")):
            path.unlink()
        assert archive.record(inspection(), b"again").id, "it goes on when there is space"
        archive.close()
        with closing(Archive(str(disk / "r.db"))) as again:
            again.settle()
            there = counted(again)
        assert [id_ for id_ in acknowledged if there[id_] != 1] == []


def test_a_spool_that_cannot_grow_keeps_what_it_has(tmp_path: Path) -> None:
    """The second frame does not fit; the third, smaller, does, and neither the first nor the third is lost."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
            import signal

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            spool = Spool(tmp_path)
            spool.append([("t", {"id": "one"})])
            try:
                spool.append([("t", {"id": "x" * 3000})])
            except OSError:
                spool.append([("t", {"id": "three"})])
                code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    taken: list[object] = []
    assert Spool(tmp_path).drain(lambda changes: taken.extend(row["id"] for _, row in changes)) == 2
    assert taken == ["one", "three"]


def test_a_damaged_frame_does_not_take_its_neighbours_along(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for name in ("one", "two", "three"):
        spool.append([("t", {"id": name})])
    file = next(tmp_path.glob("*.spool"))
    data = file.read_bytes()
    file.write_bytes(data.replace(b"two", b"tvo"))
    taken: list[object] = []
    assert spool.drain(lambda changes: taken.extend(row["id"] for _, row in changes)) == 2
    assert taken == ["one", "three"]


def test_what_is_damaged_in_the_file_of_a_dead_process_is_kept(tmp_path: Path) -> None:
    """The last frame is sound, so that only its length shows what lies before it."""
    spool = Spool(tmp_path)
    for name in ("one", "two", "three"):
        spool.append([("t", {"id": name})])
    spool.close()
    file = next(tmp_path.glob("*.spool"))
    damaged = file.read_bytes().replace(b"two", b"tvo")
    file.write_bytes(damaged)
    taken: list[object] = []
    assert Spool(tmp_path).drain(lambda changes: taken.extend(row["id"] for _, row in changes)) == 2
    assert taken == ["one", "three"]
    assert [(left.suffix, left.read_bytes()) for left in tmp_path.iterdir()] == [(".leftover", damaged)]


def test_a_database_that_another_process_holds_goes_into_the_spool_and_back(tmp_path: Path, inspection: Make) -> None:
    with (
        closing(Archive(str(tmp_path / "r.db"), safety=Safety(max_wait_ms=30))) as archive,
        closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        start = time.perf_counter()
        first = archive.record(inspection(), b"x")
        took = time.perf_counter() - start
        second = archive.record(inspection())
        assert (first.where, second.where) == (Where.SPOOL, Where.SPOOL)
        assert took < 1.0, "the bound, and what the machine takes for the spool"
        other.execute("COMMIT")
        wait_for(lambda: counted(archive)[first.id] == counted(archive)[second.id] == 1, 15)
        wait_for(lambda: archive.record(inspection()).where is Where.DATABASE, 15)


def test_who_has_a_receipt_finds_the_record(tmp_path: Path, inspection: Make) -> None:
    """Though no database is as quick as it is asked to be here, and its writer has other times to come back."""
    with closing(Archive(str(tmp_path / "r.db"), safety=Safety(max_wait_ms=0))) as archive:
        told = []
        for _ in range(20):
            told.append(archive.record(inspection()).id)
            archive.review(told[-1], Review(truth="good", by="Ada"))
            assert archive.get(told[-1]).truth is not None
        told.append(archive.record(inspection()).id)
        assert [entry.record.id for entry in archive.walk(Filter())] == told
        archive.record(inspection())
    assert not list((tmp_path / "r.db.files" / "spool").glob("*.spool")), "the last came into the database at the end"


def test_who_looks_waits_once_for_a_database_that_takes_nothing(
    tmp_path: Path, inspection: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onspec.records.archive._CATCH_UP_S", 3.0)  # so that no other delay is taken for it
    with (
        closing(Archive(str(tmp_path / "r.db"), safety=Safety(max_wait_ms=20))) as archive,
        closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as other,
    ):
        first = archive.record(inspection()).id
        wait_for(lambda: archive.pending == 0, 15)
        other.execute("BEGIN IMMEDIATE")
        second = archive.record(inspection()).id
        looks = []
        for _ in range(3):
            start = time.perf_counter()
            assert [entry.record.id for entry in archive.walk(Filter())] == [first]
            looks.append(time.perf_counter() - start)
        assert looks[0] > 2.9
        assert max(looks[1:]) < looks[0] / 2
        other.execute("COMMIT")
        wait_for(lambda: archive.pending == 0, 15)
        assert [entry.record.id for entry in archive.walk(Filter())] == [first, second]


def wait_for(come: Callable[[], bool], seconds: float) -> None:
    """Until it has come."""
    end = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_nowhere_to_go_is_an_error(tmp_path: Path, inspection: Make) -> None:
    with (
        closing(Archive(str(tmp_path / "r.db"), tmp_path / "f", safety=Safety(max_wait_ms=20))) as archive,
        closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as other,
    ):
        (tmp_path / "f").mkdir()
        (tmp_path / "f" / "spool").write_text("a file where the folder should be")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RecordError, match=r"within .* ms .* nor did the spool"):
            archive.record(inspection())
        other.execute("COMMIT")


def test_who_wants_no_spool_gets_an_error_until_the_database_is_back(tmp_path: Path, inspection: Make) -> None:
    safety = Safety(max_wait_ms=20, on_failure="error")
    with (
        closing(Archive(str(tmp_path / "r.db"), safety=safety)) as archive,
        closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            with pytest.raises(RecordError, match=r"did not take it within 20 ms"):
                archive.record(inspection())
        assert archive.pending == 0
        other.execute("COMMIT")
        wait_for(lambda: _recorded(archive, inspection()), 15)


def _recorded(archive: Archive, inspection: Inspection) -> bool:
    try:
        return archive.record(inspection).where is Where.DATABASE
    except RecordError:
        return False


def test_the_same_id_is_recorded_once(archive: Archive, inspection: Make) -> None:
    id_ = new_id()
    for verdict in (Verdict.NG, Verdict.OK):
        archive.record(inspection(verdict), id_=id_)
    assert counted(archive) == {id_: 1}
    assert archive.get(id_).record.inspection.verdict is Verdict.NG


def test_an_image_that_cannot_be_kept_gives_no_verdict(tmp_path: Path, inspection: Make) -> None:
    with closing(Archive(str(tmp_path / "r.db"), tmp_path / "files", keep=KeepPolicy(ok_share=1))) as archive:
        (tmp_path / "files").mkdir(exist_ok=True)
        (tmp_path / "files" / "images").write_text("a file where the folder should be")
        with pytest.raises(RecordError, match="image cannot be kept"):
            archive.record(inspection(), b"x")
        assert not counted(archive)


@pytest.mark.postgres
def test_postgres_that_stops_and_starts_loses_nothing(
    postgres_server: Server, tmp_path: Path, inspection: Make
) -> None:
    server = postgres_server
    with closing(Archive(server.url, tmp_path / "files", safety=Safety(max_wait_ms=200))) as archive:
        before = archive.record(inspection(part_id="nul \x00 in it"))
        assert before.where is Where.DATABASE
        server.stop()
        meanwhile = [archive.record(inspection(), f"{n}".encode()) for n in range(5)]
        assert {receipt.where for receipt in meanwhile} == {Where.SPOOL}
        server.start()
        wanted = [before.id, *(receipt.id for receipt in meanwhile)]

        def back() -> bool:
            try:
                return all(counted(archive)[id_] == 1 for id_ in wanted)
            except RecordError:
                return False

        wait_for(back, 30)
        wait_for(lambda: archive.record(inspection()).where is Where.DATABASE, 15)
        assert archive.get(before.id).record.inspection.part_id == "nul \u2400 in it"


@pytest.mark.postgres
def test_postgres_keeps_what_was_acknowledged_before_a_kill(postgres_server: Server, tmp_path: Path) -> None:
    told = killed(postgres_server.url, tmp_path / "files", 5)
    with closing(Archive(postgres_server.url, tmp_path / "files")) as archive:
        archive.settle()
        there = counted(archive)
    assert [id_ for id_, _ in told if there[id_] != 1] == []
    assert len(told) > 20


@pytest.mark.postgres
def test_processes_that_open_at_once_migrate_once(postgres_server: Server, tmp_path: Path) -> None:
    open_ = "import sys; from onspec.records.database import Database; Database(sys.argv[1]).close()"
    with closing(Archive(postgres_server.url, tmp_path / "files")) as archive, archive.database.writing() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    for url in (postgres_server.url, str(tmp_path / "r.db")):
        opening = [subprocess.Popen([sys.executable, "-c", open_, url]) for _ in range(3)]
        assert [one.wait(60) for one in opening] == [0, 0, 0]
    with closing(Archive(postgres_server.url, tmp_path / "files")) as archive, archive.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(records)).scalar() == 0


def test_an_archive_of_a_newer_onspec_is_refused(archive: Archive, tmp_path: Path) -> None:
    with archive.database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RecordError, match=r"newer onspec \(step 9999\)"):
        Archive(str(tmp_path / "records.db"))


def test_all_that_was_acknowledged_is_found_by_walking(archive: Archive, inspection: Make) -> None:
    made = {archive.record(inspection()).id for _ in range(30)}
    assert {entry.record.id for entry in archive.walk(Filter())} == made
