"""`--marked` decides which gray level of a mask is the class, and a recipe remembers it."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from onspec.cli.data_options import marked_as, marked_in
from onspec.datasets.labels import load_mask
from onspec.datasets.layouts import load
from onspec.domain import UsageError
from onspec.recipe.reading import open_package


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Bright cells that fill most of each image, with dark membranes between them, as masks of 255 and 0."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "cells"
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i in range(12):
        mask = np.full((96, 96), 255, np.uint8)
        mask[10 :: int(rng.integers(24, 40))] = 0
        mask[:, 10 :: int(rng.integers(24, 40))] = 0
        image = np.clip(mask * 0.4 + 60 + 8 * rng.standard_normal(mask.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{i}.png"), mask)
    return folder


@pytest.mark.parametrize(("marked", "share"), [(None, 0.1), ("dark", 0.1), ("bright", 0.9)])
def test_the_user_says_which_level_is_the_class(cells: Path, marked: str | None, share: float) -> None:
    dataset = load(cells, marked=marked_as(marked))
    found = load_mask(dataset.samples[0], (96, 96), dataset.classes).mean()
    assert found == pytest.approx(share, abs=0.07)


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError, match="--marked takes bright, dark, numbers or codes; got 'white'"):
        marked_as("white")


@pytest.mark.slow
def test_a_recipe_remembers_it(cells: Path, tmp_path: Path, onspec: Callable[..., tuple[int, str, str]]) -> None:
    run = tmp_path / "run"
    code, _, said = onspec("train", cells, "--out", run, "--steps", "12", "--marked", "bright")
    assert code == 0, said
    assert json.loads((run / "recipe.json").read_text())["provenance"]["data"]["marked"] == "bright"
    assert marked_in(open_package(run)) == "bright"
    assert onspec("evaluate", run, cells, "--out", tmp_path / "evaluation")[0] == 0
    by_marked = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    recipe = run / "recipe.json"
    recipe.write_text(recipe.read_text().replace('"marked": "bright"', '"marked": "dark"'))
    onspec("evaluate", run, cells, "--out", tmp_path / "other")
    assert json.loads((tmp_path / "other" / "metrics.json").read_text())["pixel"] != by_marked["pixel"]


@pytest.mark.slow
def test_a_recipe_remembers_that_masks_number_objects(
    cells: Path, tmp_path: Path, onspec: Callable[..., tuple[int, str, str]]
) -> None:
    """What is told by the look of a whole set shows no more on the few images of another."""
    for n, file in enumerate(sorted((cells / "masks").iterdir())):
        mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        mask[: 24 * (n % 3)] = 0
        _, numbers = cv2.connectedComponents(mask, connectivity=4)
        cv2.imwrite(str(file), numbers.astype(np.uint16))
    code, _, said = onspec("train", cells, "--out", tmp_path / "run", "--steps", "12")
    assert code == 0, said
    assert marked_in(open_package(tmp_path / "run")) == "numbers"


def test_checking_and_converting_take_it(
    cells: Path, tmp_path: Path, onspec: Callable[..., tuple[int, str, str]]
) -> None:
    shares = [
        json.loads(onspec("check", cells, "--json", "--marked", marked)[1])["labels"]["share_median"]
        for marked in ("bright", "dark")
    ]
    assert sum(shares) == pytest.approx(1, abs=0.02)
    assert shares[0] > 0.8
    assert onspec("convert", cells, tmp_path / "coco", "--to", "masks", "--marked", "bright")[0] == 0
    converted = load(tmp_path / "coco", marked="bright")
    assert load_mask(converted.samples[0], (96, 96), converted.classes).mean() > 0.8
