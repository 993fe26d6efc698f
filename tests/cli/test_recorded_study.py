"""A measurement-system study out of the archive."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'serve' is not installed")

from onspec.cli.main import run
from onspec.cli.recorded_study import study_of
from onspec.domain import DataError, Inspection, Verdict
from onspec.evaluation.agreement import CATEGORIES, AttributeStudy
from onspec.records.archive import Archive
from onspec.records.query import Filter
from onspec.records.record import Review

Record = Callable[[str, str | None, str], str]


def judged(part: str | None, verdict: Verdict) -> Inspection:
    scored = {"error": "unreadable"} if verdict is Verdict.ERROR else {"score": 0.5, "size": (9, 9)}
    grounds = {"reasons": ("defect: score 0.50 >= 0.40",)} if verdict in (Verdict.NG, Verdict.REVIEW) else {}
    return Inspection.model_validate(
        {"image": "a.png", "part_id": part, "verdict": verdict, "recipe": "t@sha256:" + "0" * 64, "engine": "e"}
        | scored
        | grounds
    )


@pytest.fixture
def archives(tmp_path: Path) -> Iterator[dict[str, Archive]]:
    """Two stations on one database."""
    file = str(tmp_path / "r.db")
    opened = {station: Archive(file, station=station) for station in ("left", "right")}
    yield opened
    for archive in opened.values():
        archive.close()


@pytest.fixture
def record(archives: dict[str, Archive]) -> Record:
    """Record a verdict of a part at a station; its id."""

    def put(station: str, part: str | None, verdict: str) -> str:
        return archives[station].record(judged(part, Verdict(verdict))).id

    return put


def study(archives: dict[str, Archive]) -> tuple[AttributeStudy, int]:
    """Of all that was recorded, what a slow disk sent into a spool included."""
    for archive in archives.values():
        archive.settle()
    return study_of(archives["left"].walk(Filter()))


def review(archive: Archive, id_: str, truth: Literal["good", "defective"]) -> None:
    archive.review(id_, Review(truth=truth, by="M. Weber"))


def test_stations_are_appraisers_and_the_newest_review_is_the_truth(
    archives: dict[str, Archive], record: Record
) -> None:
    left = archives["left"]
    first = record("left", "1", "OK")
    for station, part, verdict in (
        ("left", "1", "NG"),
        ("left", "1", "OK"),
        ("right", "1", "NG"),
        ("right", "1", "OK"),
    ):
        record(station, part, verdict)
    second = record("left", "2", "NG")
    for station, verdict in (("left", "ERROR"), ("left", "NG"), ("right", "NG"), ("right", "REVIEW")):
        record(station, "2", verdict)
    alone = record("left", "3", "OK")
    record("right", None, "OK")
    record("left", "4", "OK")
    review(left, first, "good")
    review(left, first, "defective")
    review(left, second, "good")
    review(left, alone, "good")
    found, left_out = study(archives)
    assert (found.parts, found.appraisers, found.trials, left_out) == (("1", "2"), ("left", "right"), ("1", "2"), 1)
    told = [[[CATEGORIES[v] for v in trials] for trials in part] for part in found.verdicts]
    assert told == [[["OK", "NG"], ["NG", "OK"]], [["NG", "NG"], ["NG", "REVIEW"]]]
    assert found.defective.tolist() == [True, False]


def test_an_archive_without_reviewed_parts_is_no_study(archives: dict[str, Archive], record: Record) -> None:
    record("left", "1", "OK")
    with pytest.raises(DataError, match=r"1 part ids, 0 of them reviewed"):
        study(archives)


def test_the_command_reads_the_archive(
    archives: dict[str, Archive], record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(archives["left"]):
        for part in range(12):
            for _ in range(2):
                id_ = record("left", str(part), "NG" if part % 3 == 0 else "OK")
            review(archives["left"], id_, "defective" if part % 3 == 0 else "good")
    with pytest.raises(SystemExit):
        run(["msa", "--db", str(tmp_path / "r.db"), "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert (figures["good"], figures["defective"], figures["trials"]) == (8, 4, 2)
    assert figures["appraisers"]["left"]["effectiveness"]["count"] == 12


@pytest.mark.parametrize("arguments", [[], ["a.csv", "--db", "r.db"], ["a.csv", "--recipe", "t"]])
def test_either_a_table_or_an_archive(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(["msa", *arguments])
    assert "either a CSV file, or --db URL" in capsys.readouterr().err
