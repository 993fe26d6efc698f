"""Splits that do not leak."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.datasets.dataset import Dataset
from onspec.datasets.splitting import assign, assign_good, read_split, write_split
from onspec.domain import DataError, Sample, Split, SplitError

TRAIN, VAL, TEST = Split


def sample(name: str, part: str | None = None, *, defective: bool = False, split: Split | None = None) -> Sample:
    return Sample(name, Path(name), part or name, defective=defective, split=split)


def dataset(*samples: Sample, known: bool = False) -> Dataset:
    return Dataset(Path("set"), "masks", tuple(sorted(samples, key=lambda s: s.name)), "", parts_known=known)


def many(good: int, defective: int, split: Split | None = None, prefix: str = "") -> list[Sample]:
    made = [sample(f"{prefix}good/{n}.png", split=split) for n in range(good)]
    return made + [sample(f"{prefix}bad/{n}.png", defective=True, split=split) for n in range(defective)]


parts = st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["good", "crack", "hole"])), min_size=6, max_size=60)


@given(parts, st.integers(0, 1000), st.randoms(use_true_random=False))
def test_no_part_stands_in_two_splits_and_order_does_not_matter(
    layout: list[tuple[int, str]], seed: int, shuffler: object
) -> None:
    samples = [
        sample(f"{kind}/p{p}_{n}.png", f"p{p}", defective=kind != "good")
        for p, (count, kind) in enumerate([*layout, (1, "crack"), (1, "crack"), (1, "hole")])
        for n in range(count)
    ]
    assignment = assign(dataset(*samples), seed=seed)
    splits = defaultdict(set)
    for s in samples:
        splits[s.part].add(assignment[s.name])
    assert all(len(found) == 1 for found in splits.values())
    assert assignment.keys() == {s.name for s in samples}
    assert assign(dataset(*reversed(samples)), seed=seed) == assignment
    for wanted in Split:
        assert any(assignment[s.name] is wanted and s.defective for s in samples)


def test_shares_and_strata() -> None:
    kinds = {"good": 200, "crack": 40, "hole": 20}
    samples = [
        sample(f"{kind}/{n}.png", defective=kind != "good") for kind, count in kinds.items() for n in range(count)
    ]
    counts = Counter((s.name.split("/")[0], assign(dataset(*samples))[s.name]) for s in samples)
    for kind, count in kinds.items():
        assert counts[kind, TEST] == count // 4
        assert counts[kind, VAL] == pytest.approx(0.15 * count, abs=1)


def test_the_seed_decides() -> None:
    data = dataset(*many(30, 30))
    assert assign(data, seed=1) == assign(data, seed=1) != assign(data, seed=2)


def test_a_part_more_leaves_the_others_where_they_are() -> None:
    before = assign(dataset(*many(40, 40)))
    after = assign(dataset(*many(41, 40)))
    assert sum(before[name] is not after[name] for name in before) <= 2


def test_train_and_test_folders_are_kept_and_val_is_carved_from_train() -> None:
    samples = many(40, 20, TRAIN, "train/") + many(20, 10, TEST, "test/")
    assignment = assign(dataset(*samples))
    assert all(assignment[s.name] is TEST for s in samples if s.split is TEST)
    counts = Counter((assignment[s.name], s.defective) for s in samples if s.split is TRAIN)
    assert counts == {(TRAIN, False): 32, (VAL, False): 8, (TRAIN, True): 16, (VAL, True): 4}


def test_a_train_folder_alone_is_split_like_a_set_without_folders() -> None:
    assert set(assign(dataset(*many(20, 20, TRAIN))).values()) == set(Split)


def test_a_whole_split_of_the_set_is_taken_as_it_is() -> None:
    samples = many(4, 4, TRAIN, "a/") + many(4, 4, VAL, "b/") + many(4, 4, TEST, "c/")
    assert assign(dataset(*samples)) == {s.name: s.split for s in samples}


def test_a_training_split_of_good_parts_only_is_split_anew() -> None:
    samples = [*many(20, 0, TRAIN, "train/"), *many(10, 20, TEST, "test/")]
    assignment = assign(dataset(*samples))
    assert any(assignment[s.name] is TRAIN for s in samples if s.defective)


def test_only_defective_images_can_be_split() -> None:
    assert Counter(assign(dataset(*many(0, 40))).values()) == {TRAIN: 24, TEST: 10, VAL: 6}


def test_two_defective_parts_train_and_validate() -> None:
    samples = many(10, 2)
    splits = {assign(dataset(*samples))[s.name] for s in samples if s.defective}
    assert splits == {TRAIN, VAL}


def test_nothing_defective_is_refused() -> None:
    with pytest.raises(DataError, match="no image is defective, so nothing can be learned or judged"):
        assign(dataset(*many(5, 0)))


@pytest.mark.parametrize(("val", "test"), [(0, 0.2), (0.5, 0.5), (0.2, 1.0)])
def test_impossible_shares_are_refused(val: float, test: float) -> None:
    with pytest.raises(SplitError, match="shares of val and test"):
        assign(dataset(*many(5, 5)), val=val, test=test)


def leaking(*, known: bool) -> Dataset:
    return dataset(
        *(s for s in many(4, 4, TRAIN, "a/") + many(4, 4, TEST, "b/")),
        sample("x_1.png", "x", split=TRAIN),
        sample("x_2.png", "x", split=TEST),
        known=known,
    )


def test_a_known_part_in_two_splits_is_refused_by_name() -> None:
    with pytest.raises(SplitError, match=r"part 'x' stands in train \(x_1\.png\) and in test \(x_2\.png\)"):
        assign(leaking(known=True))


def test_a_guessed_part_may_cross_where_the_set_says_so_and_its_file_reads_again(tmp_path: Path) -> None:
    data = leaking(known=False)
    assignment = assign(data)
    assert (assignment["x_1.png"], assignment["x_2.png"]) == (TRAIN, TEST)
    write_split(tmp_path / "split.csv", data, assignment)
    assert read_split(tmp_path / "split.csv", data) == assignment


def test_a_split_is_read_as_it_was_written(tmp_path: Path) -> None:
    data = dataset(*many(9, 9), sample("ümlaut, with comma/x.png", "p,1", defective=True))
    assignment = assign(data)
    write_split(tmp_path / "split.csv", data, assignment)
    assert (tmp_path / "split.csv").read_text("utf-8").startswith("image,split,part\n")
    assert read_split(tmp_path / "split.csv", data) == assignment
    assert assign(data, seed=99, split_file=tmp_path / "split.csv") == assignment


DATA = dataset(sample("a.png", "p", defective=True), sample("b.png", "p"), sample("c.png", defective=True))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image,split\na.png,train\nb.png,train\n", r"c\.png is not listed \(and 0 more\)"),
        (
            "image,split\na.png,train\nb.png,test\nc.png,val\n",
            r"part 'p' stands in train \(a\.png\) and in test \(b\.png\)",
        ),
        ("image,split,part\na.png,train,1\nb.png,train,2\nc.png,val,2\n", "part '2' stands in train"),
        ("image,split\na.png,train\na.png,test\n", r"line 3: a\.png stands in train and in test"),
        ("image,split\na.png,dev\n", "line 2: split 'dev' is none; allowed: train, val, test"),
        ("name,set\na.png,train\n", "got columns name, set; needs image, split"),
        ("", "got columns none"),
        ("image,split\na.png\n", "line 2: a row needs image and split"),
    ],
)
def test_what_a_split_file_may_not_be(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(SplitError, match=why):
        read_split(tmp_path / "s.csv", DATA)


def test_a_split_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"s\.csv: split file cannot be read"):
        read_split(tmp_path / "s.csv", DATA)
    (tmp_path / "s.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(SplitError, match="not UTF-8"):
        read_split(tmp_path / "s.csv", DATA)


def test_a_part_column_overrides_a_guess(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("image,split,part\na.png,train,1\nb.png,test,2\nc.png,val,3\n")
    assert read_split(tmp_path / "s.csv", DATA) == {"a.png": TRAIN, "b.png": TEST, "c.png": VAL}


def test_spreadsheets_write_semicolons_marks_and_backslashes(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(
        "\ufeffImage;Split\r\n.\\a.png;Train\r\nsub\\b.png;train\r\nc.png;TEST\r\n".encode()
    )
    data = replace(DATA, samples=(DATA.samples[0], DATA.samples[2], sample("sub/b.png", "p")))
    assert read_split(tmp_path / "s.csv", data) == {"a.png": TRAIN, "sub/b.png": TRAIN, "c.png": TEST}


@given(parts, st.integers(0, 1000))
def test_to_learn_from_good_parts_every_part_with_a_defect_is_for_the_test(
    layout: list[tuple[int, str]], seed: int
) -> None:
    """Also its good images: a part that has a defect anywhere is no good part."""
    samples = [
        sample(f"{kind}/p{p}_{n}.png", f"p{p}", defective=kind != "good" and n == 0)
        for p, (count, kind) in enumerate([*layout, (2, "good"), (1, "good"), (2, "good"), (2, "crack")])
        for n in range(count)
    ]
    bad = {s.part for s in samples if s.defective}
    assignment = assign_good(dataset(*samples), seed=seed)
    assert assignment.keys() == {s.name for s in samples}
    assert all(assignment[s.name] is TEST for s in samples if s.part in bad)
    splits = defaultdict(set)
    for s in samples:
        splits[s.part].add(assignment[s.name])
    assert all(len(found) == 1 for found in splits.values())
    assert {assignment[s.name] for s in samples if s.part not in bad} == set(Split)
    assert assign_good(dataset(*reversed(samples)), seed=seed) == assignment


def test_good_parts_are_shared_out_as_ever() -> None:
    counts = Counter(assign_good(dataset(*many(80, 0))).values())
    assert counts == {TRAIN: 48, VAL: 12, TEST: 20}


def test_good_parts_keep_the_split_of_their_set() -> None:
    samples = many(8, 4, TRAIN, "a/") + many(4, 4, VAL, "b/") + many(4, 4, TEST, "c/")
    assignment = assign_good(dataset(*samples))
    assert all(assignment[s.name] is (TEST if s.defective else s.split) for s in samples)
    train_and_test = many(40, 0, TRAIN, "a/") + many(10, 10, TEST, "b/")  # as MVTec AD has it
    assignment = assign_good(dataset(*train_and_test))
    counts = Counter((assignment[s.name], s.split) for s in train_and_test)
    assert counts == {(TRAIN, TRAIN): 32, (VAL, TRAIN): 8, (TEST, TEST): 20}


def test_a_split_file_does_not_teach_a_defect_either(tmp_path: Path) -> None:
    data = dataset(*many(4, 4))
    names = [s.name for s in data.samples]
    rows = "".join(f"{name},{('train', 'val', 'test', 'train')[i % 4]}\n" for i, name in enumerate(names))
    (tmp_path / "s.csv").write_text(f"image,split\n{rows}")
    listed = read_split(tmp_path / "s.csv", data)
    assignment = assign_good(data, split_file=tmp_path / "s.csv")
    assert all(assignment[s.name] is (TEST if s.defective else listed[s.name]) for s in data.samples)
    assert any(listed[s.name] is TRAIN for s in data.samples if s.defective)


def test_no_good_part_is_refused() -> None:
    with pytest.raises(DataError, match="no part is free of defects, so there is none to learn from; add good parts"):
        assign_good(dataset(sample("a.png", "p", defective=True), sample("b.png", "p")))


def test_a_known_part_in_two_splits_is_refused_for_good_parts_too() -> None:
    with pytest.raises(SplitError, match="part 'x' stands in train"):
        assign_good(leaking(known=True))
