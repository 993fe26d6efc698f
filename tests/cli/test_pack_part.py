"""`onspec pack --part-image`: zones follow the part, from the rules file to the verdict."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import RecipeError, Verdict
from onspec.imaging.writing import encode_image, write_image
from onspec.recipe import archive
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package
from onspec.recipe.taught import locator_of
from onspec.runtime.inspector import Inspector

Run = Callable[..., tuple[int, str, str]]
Gray = NDArray[np.uint8]
RULES = """
part: {{find: template, rectangle: [24, 16, 60, 50], max_angle_deg: 25, max_shift_px: 30}}
zones:
  label:
    rectangle: [62, 30, 16, 14]
    relative_to: {to}
    use: ignore
"""
CENTRE = (54.0, 41.0)


def part(angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0), *, spot: bool = False) -> Gray:
    """A dark blotchy part with a bright label, which the model takes for a defect, and perhaps with a bright spot."""
    noise = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 1, (96, 128)), (0, 0), 3)
    image = np.clip(48 + 22 * noise / noise.std(), 5, 95).astype(np.uint8)
    image[33:41, 65:75] = 240
    if spot:
        image[50:56, 40:46] = 240
    a = math.radians(angle)
    turn = np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])
    matrix = np.column_stack([turn, np.add(CENTRE, shift) - turn @ np.subtract(CENTRE, 0.5) - 0.5])
    return np.asarray(cv2.warpAffine(image, matrix, (128, 96), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


@pytest.fixture
def run(tiny_package: Package, tmp_path: Path) -> Path:
    """A run whose golden samples show the part, one moved."""
    folder = tmp_path / "run"
    golden = [("good.png", encode_image(part(-4, (2, 1)))), ("spot.png", encode_image(part(spot=True)))]
    write_draft(folder, tiny_package.recipe, tiny_package.model, golden)
    write_image(tmp_path / "taught.png", part())
    for to in ("part", "image"):
        (tmp_path / f"{to}.yaml").write_text(RULES.format(to=to))
    return folder


@pytest.fixture
def recipe(onspec: Run, run: Path, tmp_path: Path) -> Path:
    """Packed with a zone on the part."""
    out = tmp_path / "part.onspec"
    code, _, err = onspec(
        "pack", run, "--out", out, "--rules", tmp_path / "part.yaml", "--part-image", tmp_path / "taught.png"
    )
    assert code == 0, err
    return out


def inspected(recipe: Path, image: Gray) -> dict[str, object]:
    inspector = Inspector(open_package(recipe), "onnxruntime", threads=1)
    line = inspector.inspect_bytes(encode_image(image), "a.png").inspection.to_json()
    inspector.close()
    return dict(json.loads(line))


MOVES = [(0.0, (0.0, 0.0)), (14.0, (9.0, -4.0)), (-20.0, (-6.0, 7.5)), (0.0, (12.0, 0.0))]


@pytest.mark.parametrize(("angle", "shift"), MOVES)
def test_a_moved_part_is_judged_as_the_taught_one(
    onspec: Run, run: Path, recipe: Path, tmp_path: Path, angle: float, shift: tuple[float, float]
) -> None:
    good, bad = (inspected(recipe, part(angle, shift, spot=spot)) for spot in (False, True))
    assert (good["verdict"], bad["verdict"]) == ("OK", "NG")
    place = good["placement"]
    assert isinstance(place, dict)
    assert math.dist((place["x"], place["y"]), np.add(CENTRE, shift)) < 0.5
    assert math.dist(place["shift_px"], shift) < 0.5
    assert abs(place["angle_deg"] - angle) < 0.5
    assert place["score"] > 0.9
    assert set(good["ms"] if isinstance(good["ms"], dict) else ()) == {"read", "infer", "locate", "decide"}
    fixed = tmp_path / "fixed.onspec"
    onspec("pack", run, "--out", fixed, "--rules", tmp_path / "image.yaml", "--part-image", tmp_path / "taught.png")
    assert inspected(fixed, part(angle, shift))["verdict"] == ("OK" if shift == (0.0, 0.0) else "NG")


def test_a_part_that_is_not_there_is_an_error(recipe: Path) -> None:
    for image in (np.full((96, 128), 20, np.uint8), part(0, (45, 0)), part(60)):
        told = inspected(recipe, image)
        assert told["verdict"] == "ERROR"
        assert told["placement"] is None
        assert "part is" in str(told["error"])


def test_pack_says_how_well_the_part_is_found(onspec: Run, run: Path, tmp_path: Path) -> None:
    arguments = ("--rules", tmp_path / "part.yaml", "--part-image", tmp_path / "taught.png")
    code, _, err = onspec("pack", run, "--out", tmp_path / "a.onspec", *arguments)
    assert code == 0
    assert "where it was taught, score 1.00; no other place is like it" in err
    assert "part found in all 2 golden samples: scores from" in err
    assert "turned by up to 4.0°" in err


def test_the_taught_image_is_stored_without_loss(recipe: Path) -> None:
    package = open_package(recipe)
    assert package.taught is not None
    pixels = cv2.imdecode(np.frombuffer(package.taught, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert np.array_equal(pixels, part())


def test_packing_anew_keeps_the_taught_image(onspec: Run, recipe: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.onspec"
    assert onspec("pack", recipe, "--out", again)[0] == 0
    assert open_package(again).content == open_package(recipe).content


def test_rules_without_a_part_drop_it(onspec: Run, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("zones: {label: {rectangle: [62, 30, 16, 14], use: ignore}}\n")
    again = tmp_path / "again.onspec"
    assert onspec("pack", recipe, "--out", again, "--rules", tmp_path / "none.yaml")[0] == 0
    assert open_package(again).taught is None


def test_a_part_without_its_image_and_the_reverse_are_refused(onspec: Run, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.onspec"
    code, _, err = onspec("pack", run, "--out", out, "--rules", tmp_path / "part.yaml")
    assert (code, "give --part-image GOOD.png" in err) == (2, True)
    code, _, err = onspec("pack", run, "--out", out, "--part-image", tmp_path / "taught.png")
    assert (code, "leave out --part-image" in err) == (2, True)
    assert not out.exists()


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((20, 20), np.uint8), "this recipe takes"),
        (part().astype(np.uint16) * 257, "this recipe takes uint8"),
        (np.full((96, 128), 40, np.uint8), "nothing to find the part by"),
        (np.tile(np.repeat(np.arange(4, dtype=np.uint8) * 25, 4), (96, 8)), "cannot be told"),
    ],
    ids=["size", "depth", "even", "stripes"],
)
def test_an_image_that_cannot_be_taught_is_refused(
    onspec: Run, run: Path, tmp_path: Path, image: NDArray[np.uint8 | np.uint16], sentence: str
) -> None:
    write_image(tmp_path / "bad.png", image)
    out = tmp_path / "a.onspec"
    code, _, err = onspec(
        "pack", run, "--out", out, "--rules", tmp_path / "part.yaml", "--part-image", tmp_path / "bad.png"
    )
    assert code == 2
    assert sentence in err
    assert not out.exists()


def test_a_golden_sample_without_the_part_is_refused(onspec: Run, run: Path, tmp_path: Path) -> None:
    write_image(run / "golden" / "empty.png", np.full((96, 128), 20, np.uint8))
    arguments = ("--rules", tmp_path / "part.yaml", "--part-image", tmp_path / "taught.png")
    code, _, err = onspec("pack", run, "--out", tmp_path / "a.onspec", *arguments)
    assert code == 2
    assert "golden sample empty.png cannot be judged" in err
    assert "part is not found" in err


def test_a_recipe_that_lost_its_taught_image_judges_nothing(recipe: Path) -> None:
    package = open_package(recipe)
    with pytest.raises(RecipeError, match="is not in it"):
        Inspector(replace(package, taught=None), "onnxruntime")
    without = package.recipe.model_copy(update={"rules": package.recipe.rules.model_copy(update={"part": None})})
    with pytest.raises(RecipeError, match="its rules have no part"):
        locator_of(replace(package, recipe=without))
    with pytest.raises(RecipeError, match="not an image that can be decoded"):
        locator_of(replace(package, taught=b"nonsense"))


def test_the_member_has_its_place(recipe: Path) -> None:
    members = archive.take_apart(recipe.read_bytes(), "part.onspec")
    assert list(members)[2] == archive.TAUGHT == "part/taught.png"


@pytest.mark.slow
def test_evaluate_judges_with_the_zone_on_the_part(onspec: Run, recipe: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, (angle, shift) in enumerate(MOVES):
        write_image(data / "images" / f"good{number}.png", part(angle, shift))
        write_image(data / "masks" / f"good{number}.png", np.zeros((96, 128), np.uint8))
        write_image(data / "images" / f"bad{number}.png", part(angle, shift, spot=True))
        mask = (part(angle, shift, spot=True).astype(int) - part(angle, shift) > 60).astype(np.uint8) * 255
        write_image(data / "masks" / f"bad{number}.png", mask)
    code, said, err = onspec("evaluate", recipe, data, "--split", "all", "--out", tmp_path / "report")
    assert code == 0, said + err
    figures = json.loads((tmp_path / "report" / "metrics.json").read_text())["image"]
    assert (figures["escapes"], figures["false_rejects"]) == (0, 0)
    assert Verdict.OK in (tmp_path / "report" / "predictions.csv").read_text()
