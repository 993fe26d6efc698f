"""Splits by whole lots and by time, and where lots and times come from."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.datasets.dataset import Dataset
from onspec.datasets.grouping import groups_of
from onspec.datasets.layouts import load
from onspec.datasets.split_summary import describe
from onspec.datasets.splitting import (
    Way,
    assign,
    assign_good,
    leaks,
    lot_leaks,
    read_split,
    refuse_lot_leaks,
    write_split,
)
from onspec.datasets.times import in_order
from onspec.domain import DataError, Sample, Split, SplitError, UsageError

TRAIN, VAL, TEST = Split
Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]


def sample(
    name: str, part: str | None = None, *, lot: str | None = None, time: str | None = None, defective: bool = False
) -> Sample:
    return Sample(name, Path(name), part or name, defective=defective, lot=lot, time=time)


def dataset(samples: Sequence[Sample], *, known: bool = True) -> Dataset:
    return Dataset(Path("set"), "masks", tuple(sorted(samples, key=lambda s: s.name)), "", parts_known=known)


images = st.lists(
    st.tuples(
        st.integers(0, 15),  # part
        st.one_of(st.none(), st.integers(0, 7)),  # lot; a part may reach over lots
        st.integers(0, 9),  # time
        st.sampled_from(["good", "crack", "hole"]),
    ),
    max_size=50,
)


def made(drawn: Sequence[tuple[int, int | None, int, str]]) -> list[Sample]:
    """What was drawn, and enough beside it that every split is possible."""
    always = [(100 + n, 100 + n, n, kind) for n in range(6) for kind in ("good", "crack")]
    rows = [*drawn, *[(part if kind == "good" else part + 50, lot, time, kind) for part, lot, time, kind in always]]
    return [
        sample(
            f"{kind}/{n}.png",
            f"p{part}",
            lot=None if lot is None else f"L{lot}",
            time=str(time),
            defective=kind != "good",
        )
        for n, (part, lot, time, kind) in enumerate(rows)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["chance", "time"])
@given(images, st.integers(0, 99))
def test_no_part_and_no_lot_stands_in_two_splits_and_order_does_not_matter(
    by: Way, drawn: list[tuple[int, int | None, int, str]], seed: int
) -> None:
    samples = made(drawn)
    assignment = assign(dataset(samples), seed=seed, by=by)
    assert assignment.keys() == {s.name for s in samples}
    assert leaks(samples, assignment) == lot_leaks(samples, assignment) == {}
    for split in Split:
        assert any(assignment[s.name] is split and s.defective for s in samples)
    assert assign(dataset(samples[::-1]), seed=seed, by=by) == assignment
    assert list(groups_of(samples)) == list(groups_of(samples[::-1]))


@pytest.mark.slow
@given(images, st.integers(0, 99))
def test_to_learn_from_good_parts_no_lot_leaks_either(drawn: list[tuple[int, int | None, int, str]], seed: int) -> None:
    rows = [(part, lot, time, "good") for part, lot, time, _ in drawn[::2]]
    good = [replace(s, lot=s.lot and f"g{s.lot}", part=f"g{s.part}") for s in made(rows) if not s.defective]
    samples = [*good, *(replace(s, name=f"x/{s.name}") for s in made(drawn[1::2]))]
    assignment = assign_good(dataset(samples), seed=seed)
    assert leaks(samples, assignment) == lot_leaks(samples, assignment) == {}
    assert all(assignment[s.name] is TEST for s in samples if s.defective)
    assert {assignment[s.name] for s in good} == set(Split)


@given(images)
def test_by_time_no_test_part_is_older_than_a_training_part(drawn: list[tuple[int, int | None, int, str]]) -> None:
    samples = made(drawn)
    assignment = assign(dataset(samples), by="time")
    newest = {
        split: [
            max(int(s.time or 0) for s in samples if s.name in group.images)
            for group in groups_of(samples)
            if assignment[group.images[0]] is split
        ]
        for split in Split
    }
    assert max(newest[TRAIN]) < min(newest[VAL]) <= max(newest[VAL]) < min(newest[TEST])


def lots(count: int, parts: int, *, bad: int, kinds: Sequence[str] = ("crack",)) -> list[Sample]:
    return [
        sample(f"{kinds[n % len(kinds)] if n < bad else 'good'}/{lot}_{n}.png", lot=f"{lot}", defective=n < bad)
        for lot in range(count)
        for n in range(parts)
    ]


def test_whole_lots_come_near_the_shares_of_truth_and_kind() -> None:
    data = dataset(lots(20, 12, bad=4, kinds=("crack", "hole")))
    for seed in range(3):
        assignment = assign(data, seed=seed)
        counts = Counter((s.name.split("/")[0], assignment[s.name]) for s in data.samples)
        for kind, total in (("good", 160), ("crack", 40), ("hole", 40)):
            assert counts[kind, TEST] == pytest.approx(total / 4, abs=total / 20)
            assert counts[kind, VAL] == pytest.approx(0.15 * total, abs=total / 20)


def test_lots_of_one_kind_each_still_give_every_split_defective_parts() -> None:
    samples = [sample(f"good/{n}.png", lot="all good") for n in range(40)]
    samples += [sample(f"bad/{lot}_{n}.png", lot=lot, defective=True) for lot in "abc" for n in range(5)]
    assignment = assign(dataset(samples))
    assert {assignment[s.name] for s in samples if s.defective} == set(Split)


def test_the_seed_decides_which_lots() -> None:
    data = dataset(lots(20, 6, bad=2))
    assert assign(data, seed=1) == assign(data, seed=1) != assign(data, seed=2)


def test_few_lots_train_and_validate_first() -> None:
    two = dataset(lots(2, 6, bad=2))
    assert set(assign(two).values()) == {TRAIN, VAL}
    with pytest.raises(
        SplitError, match=r"all defective parts lie in one lot \(0\).*add another lot, or split without"
    ):
        assign(dataset(lots(1, 6, bad=2)))


def test_what_the_set_leaves_open_is_carved_by_lots() -> None:
    samples = [replace(s, split=TEST if s.lot in ("0", "1") else TRAIN) for s in lots(10, 6, bad=2)]
    assignment = assign(dataset(samples))
    assert all(assignment[s.name] is TEST for s in samples if s.split is TEST)
    assert len({s.lot for s in samples if assignment[s.name] is VAL}) == 2
    assert lot_leaks(samples, assignment) == {}


def test_a_lot_in_two_splits_of_the_set_is_refused_by_name() -> None:
    samples = [replace(s, split=TEST if s.name.endswith("_1.png") else TRAIN) for s in lots(4, 6, bad=3)]
    with pytest.raises(SplitError, match=r"lot '0' stands in .* keep all images of a lot in one split"):
        assign(dataset(samples, known=False))
    with pytest.raises(SplitError, match="lot '0' stands in"):
        refuse_lot_leaks(samples, {s.name: s.split or TRAIN for s in samples})


def test_a_split_file_with_lots_is_read_as_written_and_may_not_leak(tmp_path: Path) -> None:
    data = dataset([replace(s, time=f"2026-01-{int(s.lot or 0) + 1:02}") for s in lots(6, 6, bad=2)])
    assignment = assign(data)
    path = tmp_path / "split.csv"
    write_split(path, data, assignment)
    assert path.read_text().splitlines()[:2] == [
        "image,split,part,lot,time",
        f"crack/0_0.png,{assignment['crack/0_0.png']},crack/0_0.png,0,2026-01-01",
    ]
    assert read_split(path, data) == assignment
    path.write_text(path.read_text().replace("crack/0_0.png,test", "crack/0_0.png,train"))
    bare = dataset([replace(s, lot=None) for s in data.samples])
    changed = path.read_text().replace("_0.png,train,crack/0_0.png", "_0.png,val,crack/0_0.png")
    path.write_text(changed)
    with pytest.raises(SplitError, match="lot '0' stands in"):
        read_split(path, bare)


def test_a_file_that_says_another_split_is_never_overwritten(tmp_path: Path) -> None:
    data = dataset(lots(6, 6, bad=2))
    path = tmp_path / "split.csv"
    path.write_text("image,split\nmine.png,train\n")
    with pytest.raises(SplitError, match=r"split\.csv: there is a file of this name already.*not overwritten"):
        write_split(path, data, assign(data))
    assert path.read_text() == "image,split\nmine.png,train\n"
    path.unlink()
    write_split(path, data, assign(data))
    write_split(path, data, assign(data))  # the same again is no loss


def test_images_without_a_time_cannot_be_split_by_time() -> None:
    with pytest.raises(SplitError, match=r"24 images have no time, the first is crack/0_0\.png.*give --time-from"):
        assign(dataset(lots(4, 6, bad=2)), by="time")


def test_by_time_every_split_needs_a_time_of_its_own() -> None:
    samples = [replace(s, time=str(int(s.lot or 0) // 3)) for s in lots(6, 6, bad=2)]
    with pytest.raises(SplitError, match="defective parts are of 2 different times only"):
        assign(dataset(samples), by="time")


def test_a_split_that_is_complete_leaves_nothing_to_split_by_time(tmp_path: Path) -> None:
    samples = [replace(s, split=tuple(Split)[int(s.lot or 0) % 3], time=s.lot) for s in lots(6, 6, bad=2)]
    with pytest.raises(SplitError, match="the own split of set assigns train, val and test already"):
        assign(dataset(samples), by="time")
    with pytest.raises(SplitError, match=r"s\.csv assigns"):
        assign(dataset(samples), by="time", split_file=tmp_path / "s.csv")


def test_every_lot_with_a_defect_leaves_none_to_learn_good_parts_from() -> None:
    with pytest.raises(DataError, match=r"no lot is free of defects.*add lots of good parts alone"):
        assign_good(dataset(lots(4, 6, bad=2)))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2026-01-31", "2026-02-01"),
        ("20260131_235959", "20260201_000000"),
        ("20260131", "20260201"),
        ("31.01.2026", "01.02.2026"),
        ("2026-01-31T10:00:00+02:00", "2026-01-31T09:00:00+00:00"),
        ("9", "10"),
        ("00099", "100"),
        ("2026/01/31 10:00:00", "2026/01/31 10:00:01"),
    ],
)
def test_times_of_many_forms_have_an_order(older: str, newer: str) -> None:
    found = in_order({"a": newer, "b": older})
    assert found["b"] < found["a"]


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ({"a.png": "2026-01-31", "b.png": "yesterday"}, r"b\.png: 'yesterday' is no time; allowed.*2026-05-31"),
        ({"a.png": "2026-01-31", "b.png": "17"}, r"b\.png: '17' is no time"),
        ({"a.png": "5/6/2026"}, "'5/6/2026' is no time"),
        ({"a.png": "2026-01-31T10:00", "b.png": "2026-01-31T10:00Z"}, r"b\.png says its time with a zone .* a\.png w"),
    ],
)
def test_what_is_no_time(texts: dict[str, str], why: str) -> None:
    with pytest.raises(DataError, match=why):
        in_order(texts)


def test_the_sentence_says_what_the_split_achieved() -> None:
    data = dataset([replace(s, time=s.lot) for s in lots(10, 6, bad=3)])
    said = describe(data, assign(data, by="time"))
    assert said == (
        "train 36 images of 36 parts in 6 lots (50% defective), val 6 images of 6 parts in 1 lot (50% defective), "
        "test 18 images of 18 parts in 3 lots (50% defective); training images up to 5, no other is older"
    )
    reaching = dataset([*data.samples, sample("late.png", "p", time="9"), sample("old.png", "p", time="1")])
    assert "1 of the others are older, as their parts or lots reach past that" in describe(
        reaching, assign(reaching, by="time")
    )


@pytest.fixture
def root(build: Build, picture: Make, mask: Make) -> Path:
    """Three days of eight parts, three of them defective; the second picture of a part has the same number."""
    files: dict[str, Pixels | str | bytes] = {}
    for day in range(3):
        for n in range(8):
            name = f"2026010{day + 1}/p{day}{n}"
            files[f"images/{name}.png"] = picture(10 * day + n)
            if n < 3:
                files[f"masks/{name}.png"] = mask()
    return build(files)


def by_lot(data: Dataset) -> dict[str | None, int]:
    return dict(Counter(s.lot for s in data.samples))


DAYS = {"20260101": 8, "20260102": 8, "20260103": 8}


def test_lots_come_from_the_folder_or_a_pattern(root: Path) -> None:
    data = load(root, lot_from="folder")
    assert by_lot(data) == DAYS
    assert data.parts_rule.endswith("; 3 lots told by the folder of the image")
    assert by_lot(load(root, lot_from=r"/(\d{8})/")) == DAYS
    assert by_lot(load(root)) == {None: 24}
    assert lot_leaks(data.samples, assign(data)) == {}
    with pytest.raises(SplitError, match="all defective parts lie in one lot"):
        assign(load(root, lot_from="folder", part_pattern=r"p\d(\d)"))  # parts that are seen every day join all lots


def test_lots_and_times_come_from_a_column(root: Path) -> None:
    names = [s.name for s in load(root).samples]
    rows = "".join(f"{name},C{i // 6},2026-01-{i + 1:02}\n" for i, name in enumerate(names))
    (root / "plant.csv").write_text(f"file name,Coil No,Taken\n{rows}")
    data = load(root, lot_from="coil no", time_from="taken")
    assert by_lot(data) == {"C0": 6, "C1": 6, "C2": 6, "C3": 6}
    assert data.samples[0].time == "2026-01-01"
    (root / "plant.csv").write_text(f"image,lot,time\n{rows}")
    found = load(root)
    assert by_lot(found) == by_lot(data)
    assert found.parts_rule.endswith("; 4 lots told by the column lot")
    assert found.samples[-1].time == "2026-01-24"


def test_a_column_must_be_full_and_agree(root: Path) -> None:
    names = [s.name for s in load(root).samples]
    (root / "plant.csv").write_text("image;coil\n" + "".join(f"{name};1\n" for name in names[1:]))
    with pytest.raises(DataError, match=r"p00\.png \(and 0 more\) has no lot in the column coil"):
        load(root, lot_from="coil")
    (root / "plant.csv").write_text(f"image;coil\n{names[0]};1\n{names[0]};2\n")
    with pytest.raises(DataError, match=r"plant\.csv, line 3: coil '2' of .* for which another row says '1'"):
        load(root, lot_from="coil")


def test_the_split_files_lots_win_over_a_table_and_an_option_over_both(root: Path) -> None:
    names = [s.name for s in load(root).samples]
    (root / "plant.csv").write_text("image,lot\n" + "".join(f"{name},table\n" for name in names))
    rows = "".join(f"{n},{('train', 'val', 'test')[i % 3]},{i % 3}\n" for i, n in enumerate(names))
    (root / "split.csv").write_text(f"image,split,lot\n{rows}")
    assert by_lot(load(root)) == {"0": 8, "1": 8, "2": 8}
    assert by_lot(load(root, lot_from="folder")) == DAYS
    with pytest.raises(SplitError, match="lot '20260101' stands in"):
        assign(load(root, lot_from="folder"))


@pytest.mark.parametrize(
    ("source", "error", "why"),
    [
        (
            "coil",
            UsageError,
            r"'coil' is no column of a table of .*give folder, a column, or a pattern with the lot in",
        ),
        (r"p\d", UsageError, "is no column"),
        ("(", UsageError, "lot pattern '\\(' is no regular expression"),
        (r"q(\d)", DataError, "does not match the lot pattern"),
    ],
)
def test_where_lots_cannot_come_from(source: str, error: type[Exception], why: str, root: Path) -> None:
    with pytest.raises(error, match=why):
        load(root, lot_from=source)


def test_class_folders_are_no_lots(build: Build, picture: Make) -> None:
    root = build({f"{kind}/{n}.png": picture(n + 10 * i) for i, kind in enumerate(("good", "dent")) for n in range(4)})
    with pytest.raises(DataError, match="lies in no folder that could be its lot"):
        load(root, lot_from="folder")
    nested = build({f"{kind}/a/{n}.png": picture(90 + n) for kind in ("good", "dent") for n in range(2)})
    (nested / "good" / "0.png").unlink()
    for n in range(4):
        for kind in ("good", "dent"):
            (nested / kind / f"{n}.png").unlink(missing_ok=True)
    assert set(by_lot(load(nested, lot_from="folder"))) == {"a"}


def test_the_files_date_is_a_time_only_when_asked_for(root: Path) -> None:
    for n, s in enumerate(load(root).samples):
        os.utime(s.image, (1_700_000_000 + n, 1_700_000_000 + n))
    data = load(root, time_from="modified")
    assert data.samples[1].time == "2023-11-14T22:13:21+00:00"
    assignment = assign(data, by="time")
    order = [assignment[s.name] for s in data.samples]
    assert order == sorted(order, key=list(Split).index)
    assert {s.time for s in load(root).samples} == {None}


@pytest.mark.slow
@pytest.mark.real
def test_magnetic_tiles_split_by_their_counter(real_data: Path) -> None:
    data = load(real_data / "magnetic_tile", time_from=r"num_(\d+)")
    assignment = assign(data, by="time")
    assert leaks(data.samples, assignment) == {}
    newest: defaultdict[Split, list[int]] = defaultdict(list)
    for group in groups_of(data.samples):
        of_group = [int(s.time or 0) for s in data.samples if s.name in set(group.images)]
        newest[assignment[group.images[0]]].append(max(of_group))
    assert max(newest[TRAIN]) < min(newest[VAL]) <= max(newest[VAL]) < min(newest[TEST])
    shares = Counter(assignment.values())
    assert shares[TEST] / len(data.samples) == pytest.approx(0.25, abs=0.05)
