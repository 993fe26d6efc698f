"""What comes out of the archive is what went in, found by whatever people ask for."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from onspec.domain import Defect, Inspection, RecordError, UsageError, Verdict
from onspec.domain.placement import Place
from onspec.records.archive import Archive, Safety
from onspec.records.database import parse_url
from onspec.records.images import ImageStore, KeepPolicy
from onspec.records.query import Filter, parse_time
from onspec.records.record import Original, Review, from_us, new_id, storable, to_us
from onspec.records.table import COLUMNS, csv_lines, write_csv, write_parquet

Make = Callable[..., Inspection]
PNG = b"\x89PNG\r\n\x1a\n and so on"
START = datetime(2026, 11, 28, 6, tzinfo=UTC)


class Server(Protocol):
    """PostgreSQL, see conftest.py."""

    @property
    def url(self) -> str:
        """Of its database."""
        ...


def test_an_inspection_comes_back_as_it_went_in(
    archive: Archive, inspection: Make, defect: Callable[..., Defect]
) -> None:
    place = Place(x=3.5, y=4.25, angle_deg=1.5, score=0.9, shift_px=(1.0, -2.0))
    for made in (
        inspection(defects=(defect(), defect(cls="dent", score=0.7, contrast=-0.25)), placement=place),
        inspection(Verdict.OK, cls="good", part_id=None),
        inspection(Verdict.REVIEW, reasons=("review band",)),
        inspection(Verdict.ERROR),
    ):
        id_ = archive.record(made, time=START).id
        entry = archive.get(id_)
        assert entry.record.inspection == made
        assert (entry.record.time, entry.record.station) == (START, "cell 4")
        assert json.dumps(entry.as_json())


def test_names_that_no_database_takes_are_shown_and_kept(archive: Archive, inspection: Make) -> None:
    id_ = archive.record(inspection(image="a\x00b", part_id="\ud800", reasons=("\x00",))).id
    seen = archive.get(id_).record.inspection
    assert (seen.image, seen.part_id, seen.reasons) == ("a\u2400b", "\\ud800", ("\x00",))


FILTERS: list[tuple[dict[str, object], list[int]]] = [
    ({}, [0, 1, 2, 3, 4, 5]),
    ({"verdicts": (Verdict.NG, Verdict.ERROR)}, [0, 3, 4]),
    ({"since": START + timedelta(seconds=2), "until": START + timedelta(seconds=4)}, [2, 3]),
    ({"recipe": "tile"}, [0, 1, 2, 3, 4]),
    ({"recipe": "cast@sha256:00"}, [5]),
    ({"part_id": "p2"}, [2]),
    ({"score_min": 0.5}, [0, 4]),
    ({"score_max": 0.5}, [1, 2, 5]),
    ({"cls": "dent"}, [4]),
    ({"reviewed": True}, [1]),
    ({"reviewed": False, "cls": "scratch"}, [0, 4]),
    ({"station": "elsewhere"}, []),
]


def fill(archive: Archive, inspection: Make, defect: Callable[..., Defect]) -> list[str]:
    """Six inspections, a second apart."""
    made = [
        inspection(),
        inspection(Verdict.OK),
        inspection(Verdict.OK, part_id="p2"),
        inspection(Verdict.ERROR),
        inspection(defects=(defect(), defect(cls="dent"))),
        inspection(Verdict.OK, recipe="cast@sha256:00"),
    ]
    ids = [archive.record(one, time=START + timedelta(seconds=at)).id for at, one in enumerate(made)]
    archive.review(ids[1], Review(truth="good", by="Ada"))
    return ids


def test_filters_find_what_they_say(archive: Archive, inspection: Make, defect: Callable[..., Defect]) -> None:
    ids = fill(archive, inspection, defect)
    for asked, expected in FILTERS:
        found = [entry.record.id for entry in archive.walk(Filter(**asked))]  # type: ignore[arg-type]
        assert found == [ids[at] for at in expected], asked


@pytest.mark.postgres
def test_postgres_finds_the_same(
    postgres_server: Server, tmp_path: Path, inspection: Make, defect: Callable[..., Defect]
) -> None:
    with closing(Archive(postgres_server.url, tmp_path)) as archive:
        station = f"cell {new_id()}"
        archive.station = station
        ids = fill(archive, inspection, defect)
        for asked, expected in FILTERS[:-1]:
            found = [entry.record.id for entry in archive.walk(Filter(**{**asked, "station": station}))]  # type: ignore[arg-type]
            assert found == [ids[at] for at in expected], asked
        with closing(Archive(postgres_server.url, create=False)) as looking:
            assert looking.image(looking.get(ids[0]).record) is None
        with pytest.raises(UsageError, match="--db-files DIR"):
            Archive(postgres_server.url)
        assert archive.get(ids[4]).record.inspection == inspection(defects=(defect(), defect(cls="dent")))


def test_pages_neither_shift_nor_repeat_while_parts_come_in(archive: Archive, inspection: Make) -> None:
    ids = [archive.record(inspection(), time=START).id for _ in range(5)]
    first = archive.page(Filter(), 2)
    archive.record(inspection())
    second = archive.page(Filter(), 2, first.next)
    third = archive.page(Filter(), 2, second.next)
    seen = [entry.record.id for page in (first, second, third) for entry in page.entries]
    assert seen == sorted(ids, reverse=True)
    assert third.next is None
    with pytest.raises(UsageError, match="not the `next` of a page"):
        archive.page(Filter(), 2, "17")


def test_reviews_never_overwrite(archive: Archive, inspection: Make) -> None:
    id_ = archive.record(inspection()).id
    for truth in ("good", "defective", "good"):
        archive.review(id_, Review.model_validate({"truth": truth, "by": "Ada"}))
    entry = archive.get(id_)
    assert [one.review.truth for one in entry.reviews] == ["good", "defective", "good"]
    assert entry.truth is not None
    assert entry.truth.truth == "good"
    with pytest.raises(RecordError, match="no record"):
        archive.review(new_id(), Review(truth="good", by="Ada"))
    for wrong in (
        {"truth": "good", "class": "dent", "by": "A"},
        {"truth": "good", "by": "  "},
        {"truth": "no", "by": "A"},
    ):
        with pytest.raises(ValidationError):
            Review.model_validate(wrong)


def test_images_are_kept_by_policy_once_each(tmp_path: Path, inspection: Make) -> None:
    with closing(Archive(str(tmp_path / "r.db"), keep=KeepPolicy(ok_share=0))) as archive:
        ok, ng, again = (
            archive.record(inspection(verdict), PNG).id for verdict in (Verdict.OK, Verdict.NG, Verdict.ERROR)
        )
        assert archive.image(archive.get(ok).record) is None
        path = archive.image(archive.get(ng).record)
        assert path is not None
        assert path.read_bytes() == PNG
        assert path.relative_to(archive.images.folder).parts[:2] == (path.name[:2], path.name[2:4])
        assert archive.image(archive.get(again).record) == path
        assert len([p for p in archive.images.folder.rglob("*") if p.suffix == ".png"]) == 1


def test_score_maps_are_kept_beside_the_images(
    archive: Archive, inspection: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = {"scratch": PNG + b" scratch", "a/b": PNG + b" other"}
    entry = archive.get(archive.record(inspection(), PNG, maps=maps).id)
    for cls, png in maps.items():
        path = archive.score_map(entry.record, cls)
        assert path is not None
        assert path.read_bytes() == png
        assert hashlib.sha256(png).hexdigest() == path.stem == entry.as_json()["map_sha256"][cls]  # type: ignore[index, call-overload]
    assert archive.score_map(entry.record, "absent") is None
    assert archive.get(archive.record(inspection(Verdict.OK)).id).as_json()["map_sha256"] == {}
    policy = KeepPolicy(maps=True)
    assert [policy.keeps_maps(verdict) for verdict in Verdict] == [False, True, True, False]
    assert not KeepPolicy().keeps_maps(Verdict.NG)
    monkeypatch.setattr(archive.images, "put", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(RecordError, match="No space left"):  # then no verdict goes out
        archive.record(inspection(), maps=maps)


def test_the_share_of_ok_depends_on_the_image_alone(tmp_path: Path) -> None:
    store, policy = ImageStore(tmp_path), KeepPolicy(ok_share=0.2)
    kept = [store.describe(f"{n}".encode(), Verdict.OK, policy).kept for n in range(2000)]
    assert kept == [store.describe(f"{n}".encode(), Verdict.OK, policy).kept for n in range(2000)]
    assert 330 < sum(kept) < 470  # 400 ± 3.9 standard deviations


def test_limits_take_the_oldest_and_spare_what_came_again(tmp_path: Path) -> None:
    store, policy = ImageStore(tmp_path), KeepPolicy(ok_share=1)
    files: list[tuple[Original, Path]] = []
    for number in range(6):
        data = bytes([number]) * 1000
        original = store.describe(data, Verdict.OK, policy)
        files.append((original, store.put(original, data)))
        old = time.time() - (10 - number) * 86_400
        os.utime(files[-1][1], (old, old))
    store.put(files[0][0], bytes(1000))
    (tmp_path / "00").mkdir(exist_ok=True)
    leftover = tmp_path / "00" / ".x.part"
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    pruned = store.prune(KeepPolicy(days=8.5))
    assert (pruned.files, pruned.files_left, pruned.bytes_left) == (1, 5, 5000)
    assert [path.exists() for _, path in files] == [True, False, True, True, True, True]
    assert not leftover.exists()
    assert store.prune(KeepPolicy(gigabytes=2.5e-6)).files == 3
    assert [path.exists() for _, path in files] == [True, False, False, False, False, True]


def test_images_of_reviewed_parts_are_labels_and_stay(
    archive: Archive, inspection: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(number: int) -> str:
        id_ = archive.record(inspection(), PNG + bytes([number]) * 1000).id
        path = archive.image(archive.get(id_).record)
        assert path is not None
        old = time.time() - (20 - number) * 86_400
        os.utime(path, (old, old))
        return id_

    def left() -> list[int]:
        return [at for at, id_ in enumerate(ids) if archive.image(archive.get(id_).record) is not None]

    ids = [make(number) for number in range(6)]
    archive.review(ids[0], Review(truth="good", by="Ada"))
    again = archive.record(inspection(), PNG + bytes([2]) * 1000).id  # the same image, seen again: its review counts
    archive.review(again, Review(truth="good", by="Ada"))
    os.utime(archive.images.path(archive.get(again).record.original), (0, 0))  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(archive, "_reviewed_images", lambda: (_ for _ in ()).throw(RecordError("the archive is away")))
        with pytest.raises(RecordError, match="is away"):
            archive.prune(KeepPolicy(days=1))
        assert left() == [0, 1, 2, 3, 4, 5]
    pruned = archive.prune(KeepPolicy(gigabytes=3.5e-6))
    assert (pruned.files, pruned.files_left, pruned.spared, left()) == (3, 3, 2, [0, 2, 5])
    pruned = archive.prune(KeepPolicy(days=1))
    assert (pruned.files, pruned.spared, left()) == (1, 2, [0, 2])
    assert archive.prune(KeepPolicy(gigabytes=1e-9)).bytes_left > 2000  # they alone are over the limit
    assert archive.prune(KeepPolicy(gigabytes=1e-9, reviewed=False)).files == 2
    assert left() == []


def test_it_is_asked_anew_what_is_spared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People review while files are removed."""
    monkeypatch.setattr("onspec.records.images._AT_A_TIME", 2)
    store, asked = ImageStore(tmp_path), list[int]()
    for number in range(6):
        data = bytes([number])
        os.utime(store.put(store.describe(data, Verdict.NG, KeepPolicy()), data), (number, number))
    last = store.describe(bytes([5]), Verdict.NG, KeepPolicy()).sha256

    def spared() -> set[str]:
        asked.append(1)
        return {last} if len(asked) == 3 else set()

    pruned = store.prune(KeepPolicy(days=1), spared)
    assert (pruned.files, pruned.spared, len(asked)) == (5, 1, 3)


def test_tables_hold_a_row_a_record(archive: Archive, inspection: Make, tmp_path: Path) -> None:
    id_ = archive.record(inspection(part_id="=HYPERLINK(1)", reasons=("a, b", 'c "d"'))).id
    archive.record(inspection(Verdict.ERROR))
    archive.review(id_, Review.model_validate({"truth": "defective", "class": "scratch", "by": "Ada"}))
    assert write_csv(archive.walk(Filter()), tmp_path / "r.csv") == 2
    import csv

    with (tmp_path / "r.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == list(COLUMNS)
    assert (first["part_id"], first["reasons"], first["truth_class"]) == ("'=HYPERLINK(1)", 'a, b; c "d"', "scratch")
    assert json.loads(first["defects"])[0]["class"] == "scratch"
    assert (second["verdict"], second["score"]) == ("ERROR", "")
    assert len(list(csv_lines(archive.walk(Filter())))) == 3
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    assert write_parquet(archive.walk(Filter()), tmp_path / "r.parquet") == 2
    table = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert table[0]["part_id"] == "=HYPERLINK(1)"
    assert table[0]["time"].tzinfo is not None


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("a b.db", "sqlite+pysqlite"),
        ("sqlite:///x.db", "sqlite+pysqlite"),
        ("postgresql://u:p@h/n", "postgresql+pg8000"),
        ("postgres://h/n", "postgresql+pg8000"),
    ],
)
def test_urls(url: str, driver: str) -> None:
    assert parse_url(url).drivername == driver


@pytest.mark.parametrize("url", ["mysql://u:secret@h/n", "sqlite://", ":memory:", "postgresql://u:secret@h:port/n"])
def test_what_is_no_database_is_said_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="give a file as records") as refused:
        parse_url(url)
    assert "secret" not in str(refused.value)


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for wrong in (lambda: KeepPolicy(ok_share=1.5), lambda: KeepPolicy(days=0), lambda: Safety(max_wait_ms=-1)):
        with pytest.raises(UsageError):
            wrong()
    with pytest.raises(RecordError, match="no such archive"):
        Archive(str(tmp_path / "absent.db"), create=False)
    with pytest.raises(RecordError, match="cannot be opened"):
        Archive("postgresql://onspec@127.0.0.1:1/none", tmp_path)
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(RecordError, match="not a database"):
        Archive(str(tmp_path / "text.db"))


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_times_come_back(when: datetime) -> None:
    assert from_us(to_us(when)) == when


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_is_stored_is_text(text: str) -> None:
    stored = storable(text)
    assert "\x00" not in stored
    assert stored.encode().decode() == stored


def test_times_as_people_give_them() -> None:
    assert parse_time("2026-11-28") == datetime(2026, 11, 28, tzinfo=UTC)
    assert parse_time("2026-11-28T06:00+01:00") == datetime(2026, 11, 28, 5, tzinfo=UTC)
    assert parse_time("8h", START) == START - timedelta(hours=8)
    with pytest.raises(UsageError, match="no time"):
        parse_time("yesterday")


def test_ids_sort_by_time() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_id())
        time.sleep(0.002)
    assert ids == sorted(ids)
    assert all(id_[14] == "7" and id_[19] in "89ab" for id_ in ids)
