"""A recipe that knows how its images look, and what every command says of one that looks otherwise."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import Verdict
from onspec.imaging.writing import encode_image, write_image
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector

pytest.importorskip("sqlalchemy", reason="the extra 'serve' is not installed")

from onspec.records.archive import Archive
from onspec.records.record import RecipeFacts

Run = Callable[..., tuple[int, str, str]]
Gray = NDArray[np.uint8]


def surface(seed: int, light: float = 1.0) -> Gray:
    """Gray 30 to 60, as `tiny_model` takes for good, with grain."""
    rng = np.random.default_rng(seed)
    clouds = cv2.resize(rng.standard_normal((6, 8), np.float32), (96, 64))
    return np.asarray(np.clip((45 + 5 * clouds + 3 * rng.standard_normal((64, 96))) * light, 0, 255), np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """40 good parts and 8 with a bright spot; of the last 10 good ones, which are to test on, three are dark."""
    folder = tmp_path / "parts"
    for n in range(48):
        bad = n >= 40
        image = surface(n, 0.4 if n in (37, 38, 39) else 1.0)
        if bad:
            image[20:26, 30:40] = 235
            mask = np.zeros_like(image)
            mask[20:26, 30:40] = 255
            write_image(folder / "masks" / f"{n}.png", mask)
        write_image(folder / "images" / f"{n}.png", image)
    return folder


@pytest.fixture
def recipe(tiny_package: Package, data: Path, tmp_path: Path, onspec: Run) -> Path:
    """Packed with the look of its training and validation images."""
    run = tmp_path / "run"
    thresholds = tiny_package.recipe.model_copy(update={"thresholds": Thresholds(image=0.5, pixel=0.5)})
    write_draft(run, thresholds, tiny_package.model, [("a.png", encode_image(surface(0)))])
    split = {n: "test" if 30 <= n < 40 or n >= 46 else "val" if n % 3 == 0 else "train" for n in range(48)}
    rows = "".join(f"images/{n}.png,{s},{n}\n" for n, s in split.items())
    (run / "split.csv").write_text(f"image,split,part\n{rows}")
    out = tmp_path / "a.onspec"
    code, _, err = onspec("pack", run, "--out", out, "--reference", data)
    assert code == 0, err
    assert "looks: by limits that 24 training images set, 0 of 12 validation images are not inspectable, so " in err
    assert "golden samples recorded: 1 OK" in err
    return out


def test_pack_measures_what_the_set_shows(recipe: Path) -> None:
    known = open_package(recipe).recipe.reference
    assert known is not None
    assert (known.images, known.scored, known.picture) == (36, 10, None)
    assert known.scores is not None
    assert 0 < known.scores[0] < known.scores[-1] < 0.5


def test_a_recipe_gets_it_as_its_next_version(
    onspec: Run, recipe: Path, data: Path, tiny_recipe_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "b.onspec"
    assert onspec("pack", recipe, "--out", out, "--reference", data)[0] == 0
    assert open_package(out).recipe == open_package(recipe).recipe  # nothing has changed
    code, told, _ = onspec("diff", tiny_recipe_path, recipe)
    assert code == 1
    assert "brightness" in told
    assert "training 0." in told


def test_rules_and_explain_tell_limits_and_figures(onspec: Run, recipe: Path, data: Path, tmp_path: Path) -> None:
    code, told, _ = onspec("rules", recipe)
    assert code == 0
    assert "an image outside of these limits is not inspectable: an OK becomes REVIEW\n  brightness 0." in told
    dark = data / "images" / "37.png"
    code, told, _ = onspec("explain", recipe, dark)
    assert code == 0
    assert told.startswith("REVIEW  score 0.00")
    assert "  not inspectable: too dark: brightness 0.0" in told
    assert "\nimage\n  brightness 0.0" in told
    assert ": too dark, allowed 0." in told
    assert "  sharpness 0." in told
    shown = json.loads(onspec("explain", recipe, dark, "--json")[1])
    assert shown["look"]["brightness"] < shown["limits"]["brightness"]["min"]
    rules = tmp_path / "rules.yaml"
    rules.write_text("inspectable:\n  outside: accept\n  sharpness: {min: 0.01}\n")
    assert onspec("explain", recipe, dark, "--rules", rules)[1].startswith("OK  ")
    code, told, _ = onspec("rules", rules)
    assert "not inspectable: it is judged like any other\n  sharpness from 0.01 (set by the rules)" in told
    assert onspec("rules", recipe, "--pixel-size-mm", "0.1")[0] == 2


def test_evaluate_counts_them_apart(onspec: Run, recipe: Path, data: Path, tmp_path: Path) -> None:
    code, told, _ = onspec("evaluate", recipe, data, "--out", tmp_path / "e")
    assert code == 0
    assert "not inspectable" in told
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert metrics["not_inspectable"] == {"good": 3, "defective": 0}
    assert (metrics["errors"], metrics["image"]["reviews_good"], metrics["image"]["false_rejects"]) == (0, 3, 0)
    assert metrics["image"]["escapes"] == 0
    assert any(
        "Images that do not look like those of the training: 3 good, 0 defective." in n for n in metrics["notes"]
    )
    rows = (tmp_path / "e" / "predictions.csv").read_text().splitlines()
    assert sum(row.endswith(",no") for row in rows) == 3


def test_replay_tells_it_from_the_record(onspec: Run, recipe: Path, tmp_path: Path) -> None:
    from onspec.recipe.facts import facts_of

    package, db, rules = open_package(recipe), tmp_path / "r.db", tmp_path / "rules.yaml"
    with closing(Archive(str(db))) as archive, closing(Inspector(package, threads=1)) as inspector:
        for n, light in enumerate((1.0, 1.0, 0.4)):
            seen = inspector.inspect_bytes(encode_image(surface(n, light)), f"{n}.png").inspection
            archive.record(seen, recipe=RecipeFacts(*facts_of(package)))
        seen = inspector.inspect_bytes(encode_image(surface(9)), "9.png").inspection
        of_before = seen.model_copy(update={"look": None})
        archive.record(of_before, recipe=RecipeFacts(*facts_of(package)))
        archive.settle()
    told = json.loads(onspec("replay", recipe, "--db", db, "--json")[1])
    assert (told["replayed"], told["changed"]) == (3, 0)
    assert [lack["reason"] for lack in told["not_replayed"]] == ["look"]
    for outside, verdict in (("accept", Verdict.OK), ("error", Verdict.ERROR)):
        rules.write_text(f"inspectable: {{outside: {outside}}}\n")
        told = json.loads(onspec("replay", recipe, "--db", db, "--rules", rules, "--json")[1])
        assert {"before": "REVIEW", "after": str(verdict), "parts": 1} in told["changes"]


def test_verify_notices_a_golden_sample_that_is_not_inspectable(onspec: Run, recipe: Path, tmp_path: Path) -> None:
    from onspec.recipe.reading import with_digest
    from onspec.recipe.writing import pack

    package = open_package(recipe)
    (known,) = package.golden
    dark = replace(known, data=encode_image(surface(0, 0.4)))
    pack(with_digest(replace(package, golden=(dark,))), tmp_path / "b.onspec")
    code, told, _ = onspec("verify", tmp_path / "b.onspec")
    assert code == 1
    assert "verdict REVIEW, expected OK" in told


def test_a_set_without_validation_images_is_not_the_one(
    onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path
) -> None:
    rows = "".join(f"images/{n}.png,{'test' if n % 2 else 'train'}\n" for n in range(48))
    (data / "split.csv").write_text(f"image,split\n{rows}")
    code, _, err = onspec("pack", tiny_recipe_path, "--out", tmp_path / "b.onspec", "--reference", data)
    assert code == 2
    assert "name the data set that the recipe was trained on" in err
    assert not (tmp_path / "b.onspec").exists()
