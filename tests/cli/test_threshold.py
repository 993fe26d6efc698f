"""`onspec threshold` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.imaging.writing import write_image
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package

Outcome = tuple[int, str, str]
Onspec = Callable[..., Outcome]
Part = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def run(tiny_package: Package, tmp_path: Path) -> Path:
    """The folder of a run whose network scores each pixel by its gray value."""
    folder = tmp_path / "run"
    write_draft(folder, tiny_package.recipe, tiny_package.model, [(g.name, g.data) for g in tiny_package.golden])
    return folder


@pytest.fixture
def data(make_part: Part, tmp_path: Path) -> Path:
    """Layout `masks`: 6 good parts; 30 defective ones with spots of gray 235 (score 1), the faintest gray 128 (0.5).

    One good part has a spot of gray 150 (0.9). No two images are the same file: copies would be taken for one part.
    """
    root = tmp_path / "parts"
    for i in range(6):
        good = make_part()
        good[0, i] = 0
        if i == 0:
            good[40:50, 40:50] = 150
        write_image(root / "images" / f"good{i}.png", good)
        write_image(root / "masks" / f"good{i}.png", np.zeros((64, 96), np.uint8))
    for i in range(30):
        part = make_part((30, 20, 10, 6))
        part[0, i] = 0
        if i == 0:
            part[part == 235] = 128
        write_image(root / "images" / f"bad{i:02}.png", part)
        write_image(root / "masks" / f"bad{i:02}.png", (part > 20).astype(np.uint8) * 255)
    return root


def split_file(path: Path, data: Path, split: str, others: dict[str, str] | None = None) -> Path:
    """Every image in `split`, but for `others`, by stem."""
    names = sorted(p.name for p in (data / "images").iterdir())
    rows = [f"images/{name},{(others or {}).get(name.removesuffix('.png'), split)}" for name in names]
    path.write_text("image,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_chooses_and_writes(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    given = split_file(tmp_path / "given.csv", data, "val")
    code, out, err = onspec("threshold", run, data, "--max-escape-rate", 0.1, "--split-file", given)
    assert code == 0, err
    assert "6 good parts" in out
    assert "0 of 30 (0.0% … 11.6%)" in out
    thresholds = open_package(run).recipe.thresholds
    assert 0.001 < thresholds.image < 0.5
    assert thresholds.basis.startswith(
        "at most 10 % of defective parts escape, with 95 % confidence: 30 defective parts of the val split, none of"
    )
    log = [json.loads(line) for line in (run / "thresholds.jsonl").read_text("utf-8").splitlines()]
    assert [entry["after"]["image"] for entry in log] == [thresholds.image]
    assert log[0]["before"]["image"] == 0.5


def test_the_rest_of_the_recipe_stays(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    before = open_package(run)
    given = split_file(tmp_path / "given.csv", data, "val")
    assert onspec("threshold", run, data, "--max-escape-rate", 0.1, "--split-file", given)[0] == 0
    after = open_package(run)
    assert after.model == before.model
    assert after.golden == before.golden
    assert after.recipe.model_copy(update={"thresholds": before.recipe.thresholds}) == before.recipe
    assert after.recipe.thresholds.pixel == before.recipe.thresholds.pixel


def test_a_looser_claim_lets_the_faintest_part_go(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    given = split_file(tmp_path / "given.csv", data, "val")
    code, out, _ = onspec("threshold", run, data, "--max-escape-rate", 0.2, "--split-file", given, "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["bound"]["escapes"], told["bound"]["false_rejects"]) == (1, 0)
    assert told["bound"]["rank"] == 3
    assert told["before"]["image"] == 0.5
    assert 0.8 < told["after"]["image"] < 1
    assert "1 of them scores lower" in told["after"]["basis"]


def test_refuses_what_the_data_cannot_support(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    before = (run / "recipe.json").read_bytes()
    given = split_file(tmp_path / "given.csv", data, "val")
    code, out, err = onspec("threshold", run, data, "--max-escape-rate", 0.01, "--split-file", given)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "onspec: The data cannot support an escape rate of at most 1 % with 95 % confidence: 30 defective parts "
        "support at best 9.5 %; it takes 299 defective parts without a miss, 269 more"
    )
    assert "Traceback" not in err
    assert (run / "recipe.json").read_bytes() == before
    assert not (run / "thresholds.jsonl").exists()


def test_says_that_the_val_split_was_used_before(onspec: Onspec, run: Path, data: Path) -> None:
    split_file(run / "split.csv", data, "val", {"good0": "train"})
    code, _, err = onspec("threshold", run, data, "--max-escape-rate", 0.1)
    assert code == 0
    assert "the val parts also served to choose the network" in err
    assert "a little too good" in open_package(run).recipe.thresholds.basis


def test_held_out_parts_need_no_caution(onspec: Onspec, run: Path, data: Path) -> None:
    split_file(run / "split.csv", data, "test", {"good0": "train"})
    code, _, err = onspec("threshold", run, data, "--max-escape-rate", 0.1, "--split", "test")
    assert code == 0
    assert "too good" not in err
    assert "too good" not in open_package(run).recipe.thresholds.basis


@pytest.mark.parametrize("split", ["train", "all"])
def test_refuses_parts_that_were_trained_on(onspec: Onspec, run: Path, data: Path, split: str) -> None:
    split_file(run / "split.csv", data, "train", {"good0": "val"})
    code, _, err = onspec("threshold", run, data, "--max-escape-rate", 0.1, "--split", split)
    assert code == 2
    assert "35 images that the network was trained on, so no bound would hold" in err


def test_an_unreadable_image_is_told_and_left_out(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    path = data / "images" / "bad07.png"
    path.write_bytes(path.read_bytes()[:60])
    given = split_file(tmp_path / "given.csv", data, "val")
    code, out, err = onspec("threshold", run, data, "--max-escape-rate", 0.1, "--split-file", given, "--json")
    assert code == 1
    assert json.loads(out)["bound"]["parts"] == 29
    assert "bad07.png" in err
    assert "images that could not be judged: 1" in err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--max-escape-rate", 0), "an escape rate of 0 cannot be claimed"),
        (("--max-escape-rate", 5), "an escape rate of 5 cannot be claimed"),
        (("--max-escape-rate", 0.1, "--confidence", 95), "a confidence of 95 cannot be reached"),
        (("--max-escape-rate", 0.1, "--split", "tset"), "Unknown split 'tset'; choose train, val, test, all"),
    ],
)
def test_options_that_cannot_be_right(
    onspec: Onspec, run: Path, data: Path, options: tuple[object, ...], sentence: str
) -> None:
    split_file(run / "split.csv", data, "val")
    code, _, err = onspec("threshold", run, data, *options)
    assert code == 2
    assert sentence in err


def test_a_packed_recipe_is_never_changed(onspec: Onspec, tiny_recipe_path: Path, data: Path) -> None:
    before = tiny_recipe_path.read_bytes()
    code, _, err = onspec("threshold", tiny_recipe_path, data, "--max-escape-rate", 0.1)
    assert code == 2
    assert "a packed recipe is never changed; give the folder of its run" in err
    assert tiny_recipe_path.read_bytes() == before


def test_an_absent_run(onspec: Onspec, data: Path, tmp_path: Path) -> None:
    code, _, err = onspec("threshold", tmp_path / "nothing", data, "--max-escape-rate", 0.1)
    assert code == 2
    assert "no such recipe file or run folder" in err


def test_help_has_an_example(onspec: Onspec) -> None:
    code, out, _ = onspec("threshold", "--help")
    assert code == 0
    assert "Example: onspec threshold run/ parts/" in out
