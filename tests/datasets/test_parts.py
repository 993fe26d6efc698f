"""Which images show one part."""

import random
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.datasets.parts import Telling, equal_files, tell_apart
from onspec.domain import DataError, Sample, UsageError


def tell(
    names: list[str],
    listed: dict[str, str] | None = None,
    pattern: str | None = None,
    own: dict[str, str] | None = None,
) -> Telling:
    samples = [Sample(name, Path("absent") / name, name, defective=False) for name in names]
    return tell_apart(samples, listed or {}, pattern, own)


def groups(telling: Telling) -> set[frozenset[str]]:
    by_part: defaultdict[str, set[str]] = defaultdict(set)
    for name, part in telling.parts.items():
        by_part[part].add(name)
    return {frozenset(names) for names in by_part.values()}


def test_without_a_clue_every_image_is_a_part() -> None:
    telling = tell(["Train/0001.PNG", "Test/0001.PNG", "a.png"])
    assert len(groups(telling)) == 3
    assert not telling.known
    assert "every image is taken for a part of its own" in telling.rule


def test_a_pattern_names_the_part() -> None:
    telling = tell(["lot7_tile3_a.png", "lot7_tile3_b.png", "lot7_tile4_a.png"], pattern=r"tile(\d+)")
    assert telling.parts == {"lot7_tile3_a.png": "3", "lot7_tile3_b.png": "3", "lot7_tile4_a.png": "4"}
    assert telling.known


def test_a_name_that_the_pattern_misses_is_refused() -> None:
    with pytest.raises(DataError, match=r"other\.png does not match the part pattern"):
        tell(["tile3.png", "other.png"], pattern=r"tile(\d+)")


@pytest.mark.parametrize(("pattern", "why"), [("tile(", "no regular expression"), (r"tile\d+", "has no group")])
def test_a_useless_pattern_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        tell(["tile3.png"], pattern=pattern)


def test_a_listed_part_is_known_and_the_rest_stand_alone() -> None:
    telling = tell(["a.png", "b.png", "c.png"], listed={"a.png": "p", "b.png": "p"})
    assert groups(telling) == {frozenset({"a.png", "b.png"}), frozenset({"c.png"})}
    assert telling.known


def test_the_sets_own_part_is_known_until_a_split_file_or_a_pattern_says_otherwise() -> None:
    names, own = ["k1_a.png", "k1_b.png", "k2_a.png"], {"k1_a.png": "k1", "k1_b.png": "k1"}
    telling = tell(names, own=own)
    assert (telling.parts, telling.known) == ({"k1_a.png": "k1", "k1_b.png": "k1", "k2_a.png": "k2_a.png"}, True)
    assert telling.rule == "parts told by the set itself"
    assert tell(names, own=own, listed={"k1_b.png": "other"}).parts["k1_b.png"] == "other"
    assert tell(names, own=own, listed={"k1_b.png": "other"}).parts["k1_a.png"] == "k1"
    assert tell(names, own=own, pattern=r"_(.)\.").parts["k1_a.png"] == "a"


def test_exports_of_one_original_are_one_part_across_split_folders() -> None:
    names = [
        "train/images/weld_12_jpg.rf.00aa11bb22.jpg",
        "test/images/weld_12_jpg.rf.ffee11bb22.jpg",
        "train/images/x_aug_2.png",
    ]
    telling = tell([*names, "train/images/x.png"])
    assert telling.parts[names[0]] == telling.parts[names[1]] == "weld_12_jpg"
    assert telling.parts[names[2]] == telling.parts["train/images/x.png"]
    assert "3 by the ending of an augmenting export" in telling.rule


def test_views_of_equal_names_are_one_part_over_class_folders() -> None:
    names = [
        f"{'MT_Crack' if cam == 2 else 'MT_Free'}/tile{tile}_cam{cam}.jpg" for tile in range(5) for cam in (1, 2, 3)
    ]
    telling = tell(names)
    assert groups(telling) == {frozenset(n for n in names if f"tile{tile}_" in n) for tile in range(5)}
    assert "5 parts, mostly of 3 views" in telling.rule


def test_folders_that_count_anew_keep_their_views_apart() -> None:
    names = [f"{kind}/{n:03d}_view{v}.png" for kind in ("crack", "hole") for n in range(3) for v in (0, 1)]
    assert len(groups(tell(names))) == 6


@pytest.mark.parametrize("word", ["img", "image_", "frame", "shot-", "part"])
def test_a_running_number_is_no_view(word: str) -> None:
    assert len(groups(tell([f"{word}{n}.png" for n in range(1, 10)]))) == 9


def burst_names(parts: int, seed: int, views: int = 6) -> dict[str, list[str]]:
    """Names of bursts: views under a counter that runs 10…60 within a part and 300…3000 from part to part."""
    rng = random.Random(seed)
    counter = 1000
    names: dict[str, list[str]] = {}
    for part in range(parts):
        names[f"p{part}"] = []
        for view in range(1, views + 1):
            names[f"p{part}"].append(f"{rng.choice(['A', 'B'])}/Imgs/exp{view}_num_{counter}.jpg")
            counter += rng.randint(10, 60)
        counter += rng.randint(300, 3000)
    return names


@given(st.integers(3, 30), st.integers(0, 10**6), st.integers(2, 8))
def test_bursts_are_found_whatever_the_class_folder(parts: int, seed: int, views: int) -> None:
    truth = burst_names(max(parts, 40 // views + 1), seed, views)
    telling = tell([name for names in truth.values() for name in names])
    assert groups(telling) == {frozenset(names) for names in truth.values()}


@given(st.integers(5, 30), st.integers(0, 10**6), st.data())
def test_a_burst_with_lost_frames_is_never_cut_in_two(parts: int, seed: int, data: st.DataObject) -> None:
    truth = burst_names(parts, seed)
    lost = data.draw(st.sets(st.sampled_from([n for names in truth.values() for n in names]), max_size=parts))
    kept = {part: [n for n in names if n not in lost] for part, names in truth.items()}
    parts_of = tell(sorted(n for names in kept.values() for n in names)).parts
    for names in kept.values():
        assert len({parts_of[n] for n in names}) <= 1


def test_interleaved_bursts_are_told_apart_by_the_view_that_comes_next() -> None:
    frames = [
        (6508, 1),
        (6528, 2),
        (6539, 1),
        (6541, 3),
        (6552, 4),
        (6558, 2),
        (6566, 5),
        (6571, 3),
        (6586, 4),
        (6600, 6),
    ]
    frames += [(6605, 5), (6634, 6)]
    first = {6508, 6528, 6541, 6552, 6566, 6600}
    names = {number: f"exp{view}_num_{number}.jpg" for number, view in frames}
    others = [f"exp{view}_num_{9000 + 1000 * part + 20 * view}.jpg" for part in range(8) for view in range(1, 7)]
    parts = tell([*names.values(), *others]).parts
    assert {n for n in names if parts[names[n]] == parts[names[6508]]} == first
    assert len({parts[names[n]] for n in names if n not in first}) == 1


def test_bursts_that_cannot_be_told_apart_become_one_part() -> None:
    pair = [f"exp{view}_num_{5000 + 20 * view + shift}.jpg" for view in range(1, 7) for shift in (0, 3)]
    others = [f"exp{view}_num_{9000 + 1000 * part + 20 * view}.jpg" for part in range(8) for view in range(1, 7)]
    parts = tell([*pair, *others]).parts
    assert len({parts[name] for name in pair}) == 1
    assert len(set(parts.values())) == 9


def test_views_in_a_random_order_are_no_bursts() -> None:
    rng = random.Random(1)
    names = [f"exp{rng.randint(1, 6)}_num_{n * 17}.jpg" for n in range(200)]
    assert len(groups(tell(names))) == 200


def test_equal_files_share_a_part(tmp_path: Path) -> None:
    for name, content in {"a.png": b"one", "b.png": b"two", "c.png": b"one", "d.png": b"other"}.items():
        (tmp_path / name).write_bytes(content)
    samples = [Sample(n, tmp_path / n, n, defective=False) for n in ("a.png", "b.png", "c.png", "d.png", "gone.png")]
    telling = tell_apart(samples, {}, None)
    assert groups(telling) == {frozenset({"a.png", "c.png"}), *(frozenset({n}) for n in ("b.png", "d.png", "gone.png"))}
    assert "1 image is a copy of another file" in telling.rule
    assert equal_files([s.image for s in samples]) == [[tmp_path / "a.png", tmp_path / "c.png"]]
