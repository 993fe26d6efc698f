"""Options of splits, and whether the data are still those that a recipe was trained on."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.fingerprint import fingerprint
from onspec.datasets.layouts import load
from onspec.datasets.splitting import assign, write_split
from onspec.imaging.writing import write_image
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.schema import DataProvenance

Run = Callable[..., tuple[int, str, str]]
Part = Callable[..., NDArray[np.uint8]]


def write_part(data: Path, lot: str, n: int, image: NDArray[np.uint8], *, spot: bool) -> None:
    """Every image is a file of its own kind: copies would be taken for one part."""
    image[0, n], image[1, int(lot, 36) % 60] = 0, 0
    write_image(data / "images" / f"{lot}_{n}.png", image)
    if spot:
        write_image(data / "masks" / f"{lot}_{n}.png", np.where(image > 200, 255, 0).astype(np.uint8))


@pytest.fixture
def data(tmp_path: Path, make_part: Part) -> Path:
    """Six lots of four parts, two of them with a spot; the first number is the lot."""
    folder = tmp_path / "parts"
    for lot in "abcdef":
        for n in range(4):
            write_part(folder, lot, n, make_part((30, 20, 10, 6)) if n < 2 else make_part(), spot=n < 2)
    return folder


LOTS = r"/([a-z])_"


@pytest.fixture
def run(data: Path, tiny_package: Package, tmp_path: Path) -> Path:
    """A run that was trained by lots."""
    dataset = load(data, lot_from=LOTS)
    assignment = assign(dataset)
    learned = DataProvenance(
        name="parts", layout="masks", fingerprint=fingerprint(dataset, assignment), images={}, parts={}
    )
    provenance = tiny_package.recipe.provenance.model_copy(update={"data": learned})
    recipe = tiny_package.recipe.model_copy(update={"provenance": provenance})
    write_draft(tmp_path / "run", recipe, tiny_package.model, [])
    write_split(tmp_path / "run" / "split.csv", dataset, assignment)
    return tmp_path / "run"


@pytest.fixture
def notes(onspec: Run, run: Path, data: Path, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Evaluate on the test split: what stderr says, and the notes in the metrics."""

    def evaluate(*options: object) -> tuple[str, str]:
        code, _, err = onspec("evaluate", run, data, "--out", tmp_path / "e", *options)
        assert code == 0
        return err, " ".join(json.loads((tmp_path / "e" / "metrics.json").read_text())["notes"])

    return evaluate


@pytest.mark.slow
def test_the_same_data_are_known_without_the_options_of_training(notes: Callable[..., tuple[str, str]]) -> None:
    for options in ((), ("--lot-from", LOTS)):
        err, noted = notes(*options)
        assert "not those" not in err
        assert noted == ""


def test_a_label_that_changed_is_said(notes: Callable[..., tuple[str, str]], data: Path) -> None:
    write_image(data / "masks" / "a_0.png", np.full((64, 96), 255, np.uint8))
    err, noted = notes()
    assert err.startswith(
        "the data are not those that the recipe was trained on: images are the same by name, but since then a file, a "
        "label, a part or a lot has changed"
    )
    assert noted.startswith("The data are not those that the recipe was trained on")


def test_new_and_missing_images_are_named(
    notes: Callable[..., tuple[str, str]], data: Path, make_part: Part, run: Path
) -> None:
    write_part(data, "z", 0, make_part(), spot=False)
    (data / "images" / "b_3.png").unlink()
    err, _ = notes()
    assert "1 image is new (images/z_0.png) and 1 image is missing (images/b_3.png); the rest may have changed" in err
    assert "their lots are not known here: give --lot-from as for training" in err


def test_a_new_image_goes_with_its_lot(
    notes: Callable[..., tuple[str, str]], data: Path, make_part: Part, run: Path, tmp_path: Path
) -> None:
    rows = [line.split(",") for line in (run / "split.csv").read_text().splitlines()[1:]]
    trained = next(lot for _, split, _, lot in rows if split == "train")
    tested = next(lot for _, split, _, lot in rows if split == "test")
    for lot in (trained, tested):
        write_part(data, lot, 7, make_part(), spot=False)
    err, _ = notes("--lot-from", LOTS)
    assert "not known here" not in err
    judged = (tmp_path / "e" / "predictions.csv").read_text()
    assert f"images/{tested}_7.png" in judged
    assert f"images/{trained}_7.png" not in judged


def test_threshold_says_it_too(onspec: Run, run: Path, data: Path) -> None:
    write_image(data / "masks" / "a_0.png", np.full((64, 96), 255, np.uint8))
    _, _, err = onspec("threshold", run, data, "--max-escape-rate", "0.9", "--confidence", "0.5", "--split", "test")
    assert "the data are not those that the recipe was trained on" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--split-by", "moon"], "Unknown way to split 'moon'; choose chance, time"),
        (["--time-from", "_(.)"], "--time-from only serves to split by time; add --split-by time"),
        (["--split-by", "time", "--split-file", "s.csv"], "s.csv assigns every image already"),
        (["--split-by", "time"], "24 images have no time, the first is images/a_0.png"),
        (["--split-by", "time", "--time-from", "([a-z])_"], "'a' is no time; allowed"),
        (["--lot-from", "coil"], "'coil' is no column of a table"),
        (["--lot-from", "images/(.*)_9"], "images/a_0.png does not match the lot pattern"),
    ],
)
def test_what_cannot_be_split_is_one_sentence(
    options: list[str], says: str, onspec: Run, data: Path, tmp_path: Path
) -> None:
    code, _, err = onspec("train", data, "--out", tmp_path / "new", "--steps", "1", *options)
    assert code == 2
    assert says in err
    assert "Traceback" not in err
    assert not (tmp_path / "new" / "split.csv").exists()


def test_a_run_into_the_data_does_not_overwrite_its_split(onspec: Run, data: Path) -> None:
    names = [s.name for s in load(data).samples]
    mine = "image,split\n" + "".join(f"{n},{('train', 'val', 'test')[i % 3]}\n" for i, n in enumerate(names))
    (data / "split.csv").write_text(mine)
    code, _, err = onspec("train", data, "--out", data, "--steps", "1")
    assert code == 2
    assert "split.csv: there is a file of this name already" in err
    assert (data / "split.csv").read_text() == mine
