"""`onspec records` and `onspec replay` on an archive that a recipe filled."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'serve' is not installed")

import numpy as np
from numpy.typing import NDArray

from onspec.cli.main import run
from onspec.cli.replay import written
from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.domain import RecordError, UsageError
from onspec.imaging.writing import encode_image
from onspec.recipe.facts import facts_of
from onspec.recipe.reading import open_package
from onspec.recipe.writing import pack
from onspec.records.archive import Archive
from onspec.records.images import KeepPolicy
from onspec.records.query import Filter
from onspec.records.record import RecipeFacts
from onspec.records.replay import Replayed
from onspec.runtime.inspector import Inspector

Said = pytest.CaptureFixture[str]


@pytest.fixture
def db(tmp_path: Path, tiny_recipe_path: Path, make_part: Callable[..., NDArray[Any]]) -> str:
    """An archive of six parts: three good ones, one with a small spot, one with a large one, one unreadable."""
    url = str(tmp_path / "records.db")
    parts = [
        encode_image(make_part()),
        encode_image(make_part(size=(97, 64))),
        encode_image(make_part(size=(96, 65))),
        encode_image(make_part((30, 20, 6, 4))),
        encode_image(make_part((40, 10, 20, 12))),
        b"no image",
    ]
    package = open_package(tiny_recipe_path)
    with (
        closing(Archive(url, keep=KeepPolicy(ok_share=1))) as archive,
        closing(Inspector(package, "onnxruntime", threads=1)) as inspector,
    ):
        for number, data in enumerate(parts):
            inspection = inspector.inspect_bytes(data, f"{number}.png", str(number)).inspection
            archive.record(inspection, data, RecipeFacts(*facts_of(package)))
    return url


def code(*arguments: object) -> int:
    """How `onspec` exits."""
    with pytest.raises(SystemExit) as exited:
        run([str(argument) for argument in arguments])
    return int(exited.value.code or 0)


def ids(db: str) -> dict[str, str]:
    """Part → its record."""
    with closing(Archive(db)) as archive:
        return {str(e.record.inspection.part_id): e.record.id for e in archive.walk(Filter())}


def test_list_show_and_review(db: str, capsys: Said) -> None:
    assert code("records", "list", "--db", db, "--verdict", "ng") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert " NG " in lines[0]
    record = lines[0].split()[0]
    assert code("records", "review", record, "--db", db, "--truth", "good", "--by", "Ada", "--note", "dust") == 0
    assert code("records", "show", record, "--db", db) == 0
    assert "good by Ada: dust" in capsys.readouterr().out
    assert code("records", "list", "--db", db, "--reviewed", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], told["verdict"], told["reviews"][0]["truth"]) == (record, "NG", "good")
    assert code("records", "list", "--db", db, "--limit", "1") == 0
    assert "more than 1" in capsys.readouterr().err


def test_export_as_tables(db: str, tmp_path: Path, capsys: Said) -> None:
    assert code("records", "export", "--db", db, "--out", tmp_path / "r.csv") == 0
    with (tmp_path / "r.csv").open(newline="") as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == ["OK", "OK", "OK", "NG", "NG", "ERROR"]
    assert code("records", "export", "--db", db, "--out", tmp_path / "r.parquet", "--verdict", "OK") == 0
    assert "records: 3" in capsys.readouterr().out


@pytest.mark.parametrize("layout", ["folders", "masks", "coco"])
def test_reviewed_parts_become_a_data_set_that_check_reads(db: str, tmp_path: Path, layout: str, capsys: Said) -> None:
    of = ids(db)
    for part, said in (
        ("0", ("--truth", "good")),
        ("1", ("--truth", "good")),
        ("3", ("--truth", "defective", "--class", "scratch", "--outlines")),
        ("4", ("--truth", "good")),
        ("4", ("--truth", "defective", "--class", "dent", "--outlines")),  # the newest counts
        ("2", ("--truth", "defective")),  # an escape: nobody outlined it
    ):
        assert code("records", "review", of[part], "--db", db, *said, "--by", "Ada") == 0
    out = tmp_path / "set"
    unlocated = layout == "coco"  # cannot say that a part is defective without saying where
    capsys.readouterr()
    assert code("records", "export", "--db", db, "--to", layout, "--out", out) == int(unlocated)
    told = capsys.readouterr().out
    assert f"{layout}, 2 good and {2 if unlocated else 3} defective images" in told
    assert ("left out" in told) is unlocated
    loaded = load(out, layout)
    assert set(loaded.classes) == {"dent", "scratch"} | (set() if unlocated else {"defect"})
    if layout != "folders":
        found = {sample.annotations[0].cls: sample for sample in loaded.samples if sample.annotations}
        for cls, (x, y, w, h) in {"scratch": (30, 20, 6, 4), "dent": (40, 10, 20, 12)}.items():
            mask = load_mask(found[cls], (96, 64))[0]
            assert int(np.count_nonzero(mask)) == w * h
            assert np.all(mask[y : y + h, x : x + w])
    assert code("check", out, "--layout", layout, "--json") in (0, 1)
    assert json.loads(capsys.readouterr().out)["layout"] == layout
    assert code("records", "export", "--db", db, "--to", layout, "--out", out) == 2
    assert "is not empty" in capsys.readouterr().err


def test_what_cannot_go_into_a_data_set_is_said(db: str, tmp_path: Path, capsys: Said) -> None:
    of, out = ids(db), tmp_path / "set"
    assert code("records", "export", "--db", db, "--to", "masks", "--out", out) == 2
    assert "no reviewed part to write" in capsys.readouterr().err
    for part in ("0", "4", "5"):  # the last is no image
        assert code("records", "review", of[part], "--db", db, "--truth", "good", "--by", "Ada") == 0
    with closing(Archive(db)) as archive:
        path = archive.image(archive.get(of["0"]).record)
        assert path is not None
        path.unlink()
    assert code("records", "export", "--db", db, "--to", "folders", "--out", out) == 1
    told = capsys.readouterr().out
    assert "1 good and 0 defective" in told
    assert "left out: 1 reviewed, but the image was not kept" in told
    assert told.count("left out") == 2


def test_upgrade_says_what_it_has_done(db: str, capsys: Said) -> None:
    assert code("records", "upgrade", "--db", db) == 0
    assert "are those of this onspec" in capsys.readouterr().out


def test_prune_removes_images_and_no_records(db: str, capsys: Said) -> None:
    assert code("records", "review", ids(db)["3"], "--db", db, "--truth", "good", "--by", "Ada") == 0
    capsys.readouterr()
    assert code("records", "prune", "--db", db, "--keep-gb", "0.0000000001") == 0
    told = capsys.readouterr().out
    assert "removed: 5 images" in told
    assert "spared: 1 images of reviewed parts" in told
    assert code("records", "prune", "--db", db, "--keep-gb", "0.0000000001", "--prune-reviewed", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["removed"], told["left"], told["spared"]) == (1, 0, 0)
    assert len(ids(db)) == 6
    assert code("records", "prune", "--db", db) == 2


@pytest.mark.parametrize(
    ("action", "option"),
    [
        ("prune", ("--verdict", "OK")), ("prune", ("--station", "left")), ("prune", ("--since", "1h")),
        ("prune", ("--not-reviewed",)), ("list", ("--truth", "good")), ("list", ("--keep-days", "3")),
        ("export", ("--limit", "5")), ("show", ("--verdict", "NG")), ("upgrade", ("--prune-reviewed",)),
    ],
)  # fmt: skip
def test_what_an_action_would_pass_over_is_refused(action: str, option: tuple[str, ...], db: str, capsys: Said) -> None:
    """Above all, prune would have removed what it was told to keep."""
    more = ("--keep-gb", "0.0000000001") if action == "prune" else ()
    assert code("records", action, "--db", db, *more, *option) == 2
    name = "--reviewed" if option[0] == "--not-reviewed" else option[0]
    assert f"{name} means nothing to records {action}, which takes" in capsys.readouterr().err
    assert all(archive_image(db, id_) for id_ in ids(db).values())


def test_images_that_are_looked_for_in_the_wrong_place_are_said(db: str, tiny_recipe_path: Path, capsys: Said) -> None:
    Path(f"{db}.files").rename(Path(db).parent / "elsewhere")
    for arguments in (("records", "prune", "--keep-days", "1"), ("replay", tiny_recipe_path, "--images")):
        assert code(*arguments, "--db", db) == 0
        assert f"there is no folder {db}.files, so no image is found" in capsys.readouterr().err
        assert code(*arguments, "--db", db, "--db-files", f"{db}.fils") == 2
        assert "fils: no such folder; name the one that onspec serve was given" in capsys.readouterr().err
        assert code(*arguments, "--db", db, "--db-files", Path(db).parent / "elsewhere") == 0
        assert "no image is found" not in capsys.readouterr().err
    assert code("records", "list", "--db", db) == 0
    assert "no image is found" not in capsys.readouterr().err


def archive_image(db: str, id_: str) -> bool:
    """Whether the file of a record is kept."""
    with closing(Archive(db)) as archive:
        return archive.image(archive.get(id_).record) is not None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("look",), "unknown action 'look'; choose list, show"),
        (("list", "--since", "soon"), "no time"),
        (("show",), "name the record by its id"),
        (("show", "17"), "no id of a record"),
        (("review", "0189f0e8-0000-7000-8000-000000000000", "--truth", "good"), "--by NAME"),
        (("review", "0189f0e8-0000-7000-8000-000000000000", "--truth", "good", "--by", "A"), "no record"),
        (("export", "--out", "x.xlsx"), "choose --to csv"),
        (("export",), "--out records.csv"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    db: str, arguments: tuple[str, ...], sentence: str, capsys: Said
) -> None:
    assert code("records", *arguments, "--db", db) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_an_archive_that_is_not_there(tmp_path: Path, tiny_recipe_path: Path, capsys: Said) -> None:
    for command in (("records", "list"), ("replay", str(tiny_recipe_path))):
        assert code(*command, "--db", tmp_path / "absent.db") == 2
        assert "no such archive" in capsys.readouterr().err
        assert code(*command) == 2
        assert "--db records.db" in capsys.readouterr().err


def replay(db: str, capsys: Said, *arguments: object) -> dict[str, Any]:
    """What it says."""
    assert code("replay", *arguments, "--db", db, "--json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_replay_under_other_rules(db: str, tiny_recipe_path: Path, tmp_path: Path, capsys: Said) -> None:
    of = ids(db)
    assert code("records", "review", of["3"], "--db", db, "--truth", "good", "--by", "Ada") == 0
    assert code("records", "review", of["4"], "--db", db, "--truth", "defective", "--by", "Ada") == 0
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - name: large\n    when: {min_area_px: 100}\n")
    capsys.readouterr()
    told = replay(db, capsys, tiny_recipe_path, "--rules", rules, "--out", tmp_path / "r.csv")
    assert told["changes"] == [
        {"before": "NG", "after": "NG", "parts": 1},
        {"before": "NG", "after": "OK", "parts": 1},
        {"before": "OK", "after": "OK", "parts": 3},
    ]
    assert [(one["reason"], one["parts"]) for one in told["not_replayed"]] == [("error", 1)]
    assert told["false_rejects"] == {"before": 1, "after": 0}
    assert told["escapes"] == {"before": 0, "after": 0}
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = {row["part_id"]: (row["before"], row["after"]) for row in csv.DictReader(file)}
    assert rows == {
        **dict.fromkeys("012", ("OK", "OK")),
        "3": ("NG", "OK"),
        "4": ("NG", "NG"),
        "5": ("ERROR", ""),
    }
    assert code("replay", tiny_recipe_path, "--db", db, "--rules", rules) == 0
    text = capsys.readouterr().out
    assert "NG → OK  1" in text
    assert "false rejects  1 → 0" in text


def test_a_replay_that_ends_early_leaves_the_former_table(tmp_path: Path) -> None:
    def broken() -> Iterator[Replayed]:
        raise RecordError("the archive is away")
        yield

    table = tmp_path / "r.csv"
    table.write_text("of yesterday")
    with pytest.raises(RecordError):
        list(written(broken(), table))
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(table, "of yesterday")]
    with pytest.raises(UsageError, match="cannot be written"):
        list(written(iter(()), tmp_path / "absent" / "r.csv"))


def test_replay_under_another_network_takes_images(
    db: str, tiny_recipe_path: Path, tmp_path: Path, capsys: Said
) -> None:
    package = open_package(tiny_recipe_path)
    thresholds = package.recipe.thresholds.model_copy(update={"pixel": 0.9, "image": 0.01, "review": None})
    changed = replace(package, recipe=package.recipe.model_copy(update={"thresholds": thresholds}))
    pack(changed, tmp_path / "lower.onspec")
    told = replay(db, capsys, tmp_path / "lower.onspec")
    wanted = {one["reason"] for one in told["not_replayed"]}
    assert wanted >= {"error", "faint"}
    again = replay(db, capsys, tmp_path / "lower.onspec", "--images")
    assert again["not_replayed"] == []
    assert again["from_images"] == sum(one["parts"] for one in told["not_replayed"])
    assert again["replayed"] == 6
    assert replay(db, capsys, tmp_path / "lower.onspec", "--since", "0s")["parts"] == 0
    assert replay(db, capsys, tmp_path / "lower.onspec", "--of", "another")["parts"] == 0
