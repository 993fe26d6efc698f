"""The real sets: read right the first time, without an option."""

from collections import Counter
from pathlib import Path

import pytest

from onspec.datasets.checking import check
from onspec.datasets.dataset import Dataset
from onspec.datasets.fingerprint import fingerprint
from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.datasets.splitting import assign, leaks
from onspec.domain import Split
from onspec.imaging.reading import read_image

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def tiles(real_data: Path) -> Dataset:
    return load(real_data / "magnetic_tile")


@pytest.fixture(scope="module")
def dagm(real_data: Path) -> Dataset:
    return load(real_data / "dagm2007" / "Class1")


def shares(dataset: Dataset) -> list[float]:
    found = []
    for sample in dataset.samples[::9]:
        if sample.annotations:
            height, width = read_image(sample.image).shape[:2]
            found.append(float(load_mask(sample, (width, height)).mean()))
    return found


def test_dagm(dagm: Dataset) -> None:
    assert (dagm.layout, dagm.good, dagm.defective, dagm.problems) == ("dagm", 140, 71, ())
    counts = Counter((s.split, s.defective) for s in dagm.samples)
    assert counts == {
        (Split.TRAIN, False): 80,
        (Split.TRAIN, True): 45,
        (Split.TEST, False): 60,
        (Split.TEST, True): 26,
    }
    split = assign(dagm)
    assert Counter(split.values()) == {Split.TRAIN: 100, Split.VAL: 25, Split.TEST: 86}
    assert all(split[s.name] is Split.TEST for s in dagm.samples if s.split is Split.TEST)
    assert all(0.01 < share < 0.1 for share in shares(dagm))


def test_dagm_by_the_folder_above(real_data: Path, dagm: Dataset) -> None:
    above = load(real_data / "dagm2007")
    assert [s.name for s in above.samples] == [f"Class1/{s.name}" for s in dagm.samples]
    assert fingerprint(dagm, assign(dagm)).startswith("sha256:")


def test_magnetic_tile(tiles: Dataset) -> None:
    assert (tiles.layout, len(tiles.samples), tiles.defective, tiles.inverted) == ("masks", 1344, 392, False)
    assert [(p.severity, p.code, p.file and p.file.split("/")[0]) for p in tiles.problems] == [
        ("warning", "unlocated", "MT_Uneven")
    ] * 4
    assert all(0 < share < 0.6 for share in shares(tiles))


def test_exposures_of_one_magnetic_tile_stay_together(tiles: Dataset) -> None:
    by_name = {s.name: s for s in tiles.samples}
    burst = [(1, 1810), (2, 1836), (3, 1855), (4, 1877), (5, 1903), (6, 1965)]
    assert len({by_name[f"MT_Free/Imgs/exp{v}_num_{n}.jpg"].part for v, n in burst}) == 1
    sizes = Counter(Counter(s.part for s in tiles.samples).values())
    assert sizes[6] >= 200
    assert max(sizes) <= 14
    split = assign(tiles)
    assert leaks(tiles.samples, split) == {}
    assert sum(v is Split.TEST for v in split.values()) == pytest.approx(1344 / 4, rel=0.05)
    kinds = Counter(s.name.split("/")[0] for s in tiles.samples if split[s.name] is Split.TEST)
    assert len(kinds) == 6


def test_a_magnetic_tile_that_its_names_take_for_two_parts_is_found(tiles: Dataset) -> None:
    problems = check(tiles).problems
    twins = [set(p.files) for p in problems if p.code == "near-duplicate"]
    assert any({"MT_Crack/Imgs/exp1_num_86828.jpg", "MT_Crack/Imgs/exp5_num_86031.jpg"} <= group for group in twins)
    assert len(twins) <= 15
    assert 1 <= sum(p.code == "near-duplicate-labels" for p in problems) <= 5
    assert sum(p.code == "exposure" for p in problems) <= 8


def test_dagm_has_neither_near_duplicates_nor_outliers(dagm: Dataset) -> None:
    assert check(dagm).problems == ()


def test_weld(real_data: Path) -> None:
    weld = load(real_data / "weld")
    report = check(weld)
    assert (weld.layout, weld.good, weld.defective) == ("masks", 0, 78)
    assert report.labels.encodings == {"0/1": 78}
    assert Counter((p.severity, p.code) for p in report.problems) == {
        ("warning", "no-good"): 1,
        ("warning", "exposure"): 2,  # a tenth of all pixels at the end of the range
    }
    assert "78 by the ending of an augmenting export" in weld.parts_rule
    assert set(assign(weld).values()) == set(Split)


def test_membrane_is_inverted(real_data: Path) -> None:
    membrane = load(real_data / "membrane")
    assert (membrane.layout, membrane.defective, membrane.inverted) == ("masks", 30, True)
    assert all(0.15 < share < 0.3 for share in shares(membrane))
    assert set(assign(membrane).values()) == set(Split)


def test_deeppcb_has_boxes_of_six_classes_and_its_own_split(real_data: Path) -> None:
    boards = load(real_data / "deeppcb")
    report = check(boards)
    assert (boards.layout, boards.good, boards.defective, boards.problems) == ("deeppcb", 0, 227, ())
    assert boards.classes == ("copper", "mousebite", "open", "pin-hole", "short", "spur")
    assert Counter(s.split for s in boards.samples) == {Split.TRAIN: 211, Split.TEST: 16}
    assert all(s.name.endswith("_test.jpg") for s in boards.samples)
    assert (report.labels.located, report.labels.boxes) == ("boxes", sum(c.defects for c in report.classes.values()))
    codes = Counter((p.severity, p.code) for p in report.problems)
    assert codes == {
        ("warning", "no-good"): 1,
        ("warning", "exposure"): 3,  # hardly any copper
        ("warning", "near-duplicate"): codes["warning", "near-duplicate"],  # one place of one layout, other defects
    }
    assert 5 <= codes["warning", "near-duplicate"] <= 15
    split = assign(boards)
    assert {s.name for s in boards.samples if split[s.name] is Split.TEST} == {
        s.name for s in boards.samples if s.split is Split.TEST
    }
    assert set(split.values()) == set(Split)
