"""`onspec threshold` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.evaluation.evidence import at_most, best_rate, rate_anywhere
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


def test_a_bound_on_false_rejects(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    """6 good parts bound 40 % at 95 %: the threshold lies over the one that scores 0.9, and the faintest part goes."""
    given = split_file(tmp_path / "given.csv", data, "val")
    options = ("--max-false-reject-rate", 0.4, "--split-file", given)
    code, out, _ = onspec("threshold", run, data, *options, "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["bound"]["escapes"], told["bound"]["false_rejects"], told["bound"]["good"]) == (1, 0, 6)
    assert told["bound"]["false_reject_bound"] == pytest.approx(1 - 0.05 ** (1 / 6))
    assert 0.9 < told["after"]["image"] <= 1
    assert told["after"]["basis"].startswith(
        "at most 40 % of good parts are rejected falsely, with 95 % confidence: 6 good parts of the val split, none of"
    )
    code, out, _ = onspec("threshold", run, data, *options)
    assert code == 0
    assert "0 of 6 (40 % at most)" in out


def test_refuses_with_the_good_parts_that_it_takes(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    before = (run / "recipe.json").read_bytes()
    given = split_file(tmp_path / "given.csv", data, "val")
    code, out, err = onspec("threshold", run, data, "--max-false-reject-rate", 0.05, "--split-file", given)
    assert (code, out) == (2, "")
    assert "6 good parts support at best 39 %; it takes 59 good parts without a false reject, 53 more" in err
    assert (run / "recipe.json").read_bytes() == before


def test_the_least_cost(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    """A false reject is cheaper than an escape where many parts are defective, dearer where one in a thousand is."""
    given = split_file(tmp_path / "given.csv", data, "val")
    found = []
    for share in ((), ("--defect-share", 0.001), ("--defect-share", 0.001, "--false-reject-cost", 0.001)):
        code, out, err = onspec("threshold", run, data, "--escape-cost", 20, *share, "--split-file", given, "--json")
        assert code == 0, err
        found.append(json.loads(out))
    assert [(told["bound"]["escapes"], told["bound"]["false_rejects"]) for told in found] == [(0, 1), (1, 0), (0, 1)]
    assert "83.33 % of the parts defective as here" in found[0]["after"]["basis"]
    assert "0.1 % of the parts defective:" in found[1]["after"]["basis"]
    assert found[1]["bound"]["cost"] == pytest.approx(0.001 * 20 / 30)
    assert found[1]["bound"]["cost"] < found[1]["bound"]["cost_bound"]
    assert open_package(run).recipe.thresholds.basis == found[2]["after"]["basis"]


def test_a_review_band(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    """Over the good part at 0.9 lies the threshold; a sixth of the good parts, this one, goes to review, and with it
    the faintest defective part. What the recipe then says of them is so."""
    given = split_file(tmp_path / "given.csv", data, "val")
    options = ("--max-escape-rate", 0.2, "--review-share", 0.2, "--split-file", given)
    code, out, err = onspec("threshold", run, data, *options)
    assert code == 0, err
    assert "escapes, REVIEW caught" in out
    thresholds = open_package(run).recipe.thresholds
    assert thresholds.review is not None
    assert 0 < thresholds.review < 0.5
    assert thresholds.image > 0.9
    assert "1 of 6 good parts" in thresholds.basis
    assert "escapes: 0 where a REVIEW counts as caught (12 % at most), 1 where not" in thresholds.basis
    log = [json.loads(line) for line in (run / "thresholds.jsonl").read_text("utf-8").splitlines()]
    assert (log[0]["review"]["good"], log[0]["review"]["defective"]) == (1, 1)
    code, out, err = onspec("inspect", run, data / "images")
    assert code == 0, err
    verdicts = [json.loads(line)["verdict"] for line in out.splitlines()]
    assert (verdicts.count("REVIEW"), verdicts.count("NG")) == (2, 29)


def test_a_review_band_that_no_part_makes_up(onspec: Onspec, run: Path, data: Path, tmp_path: Path) -> None:
    given = split_file(tmp_path / "given.csv", data, "val")
    options = ("--max-escape-rate", 0.2, "--review-share", 0.05, "--split-file", given)
    code, _, err = onspec("threshold", run, data, *options)
    assert code == 2
    assert "one of 6 good parts is more than that; it takes 20 good parts, 14 more" in err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--max-escape-rate", 0), "an escape rate of 0 cannot be claimed"),
        (("--max-escape-rate", 5), "an escape rate of 5 cannot be claimed"),
        (("--max-escape-rate", 0.1, "--confidence", 95), "a confidence of 95 cannot be reached"),
        (
            (),
            "chosen by one criterion; got none; give one of --max-escape-rate, --max-false-reject-rate, --escape-cost",
        ),
        (("--max-escape-rate", 0.1, "--escape-cost", 20), "got --max-escape-rate and --escape-cost; give one of"),
        (("--max-escape-rate", 0.1, "--defect-share", 0.1), "--defect-share belongs to --escape-cost"),
        (("--max-false-reject-rate", 0.1, "--false-reject-cost", 2), "--false-reject-cost belongs to --escape-cost"),
        (("--defect-share", 0.1), "got none; give one of"),
        (("--max-false-reject-rate", 1.5), "a false-reject rate of 1.5 cannot be claimed"),
        (("--escape-cost", -1), "a cost of -1 for an escape cannot be weighed"),
        (("--escape-cost", 20, "--defect-share", 2), "a share of 2 of defective parts cannot be weighed"),
        (("--escape-cost", 20, "--confidence", 95), "a confidence of 95 cannot be reached"),
        (("--escape-cost", 20, "--review-share", 0), "a review share of 0 cannot be aimed at"),
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


def test_the_docs_name_every_criterion_and_are_right() -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    options = ("escape-cost", "false-reject-cost", "defect-share", "max-escape-rate", "max-false-reject-rate")
    assert [name for name in (*options, "review-share", "confidence") if f"--{name}" not in text] == []
    assert "0 misses in 71 parts bound the escape rate at 5.1 %\nthen, not at 4.1 %" in text
    assert (at_most(rate_anywhere(0, 71, 0.95)), f"{best_rate(71, 0.95):.1%}") == ("5.1 %", "4.1%")
    assert "1 ÷ 72 = 1.4 %" in text
    assert f"{1 / 72:.1%}" == "1.4%"


def test_help_has_an_example(onspec: Onspec) -> None:
    code, out, _ = onspec("threshold", "--help")
    assert code == 0
    assert "Example: onspec threshold run/ parts/" in out
