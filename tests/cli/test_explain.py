"""`onspec explain` and `onspec rules` as users call them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML

from onspec.decision.rules_schema import schema_text
from onspec.imaging.reading import read_image
from onspec.imaging.writing import write_image
from onspec.recipe.package import Package
from onspec.recipe.reading import with_digest
from onspec.recipe.writing import pack

Run = Callable[..., tuple[int, str, str]]
MakePart = Callable[..., NDArray[np.uint8]]
DOCS = Path(__file__).parents[2] / "docs"
RULES = """\
pixel_size_mm: 0.1   # measured on 2026-11-02
zones:
  rim: {band: {along: left, width: 8}, use: forbid}
  seal: {ring: {centre: [48, 32], inner: 10, outer: 20}}
rules:
  - name: mark
    when: {inside: seal, max_area_mm2: 0.2}
    outcome: OK
  - name: long
    when: {min_length_mm: 1, zone: seal}
  - name: specks
    when: {max_length_mm: 0.5}
    max_count: 2
"""


@pytest.fixture
def part(tmp_path: Path, make_part: MakePart) -> Path:
    """A part with a long defect, which touches the seal, and a speck."""
    path = tmp_path / "part.png"
    write_image(path, make_part((20, 20, 14, 4), (70, 50, 3, 3)))
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules of this file."""
    path = tmp_path / "rules.yaml"
    path.write_text(RULES, encoding="utf-8")
    return path


def test_every_rule_is_told_with_figures_and_limits(
    onspec: Run, tiny_recipe_path: Path, part: Path, rules: Path
) -> None:
    code, out, err = onspec("explain", tiny_recipe_path, part, "--rules", rules)
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [f"NG  score 1.00  {part}", "  long: length_mm 1.4 >= 1.0"]
    assert "  long: NG for any defect in zone seal, with length_mm >= 1\n    fired: #1 length_mm 1.4 >= 1.0\n" in out
    assert "      #2 no: not in zone seal, length_mm 0.3 < 1.0\n" in out
    assert "  specks: NG for more than 2 defects with length_mm <= 0.5\n    did not fire: count 1 <= 2; #2\n" in out
    assert "  rim: NG for any defect that touches this forbidden zone\n    did not fire: no such defect\n" in out
    assert "  mark: OK: a defect wholly inside seal, with area_mm2 <= 0.2 is accepted" in out
    assert "      #1 no: not wholly inside seal, area_mm2 0.6 > 0.2\n" in out
    assert "  #1 defect, score 1.00, 1.4 × 0.4 mm, 0.56 mm², 0°; at (26, 22) in seal\n" in out
    assert "  rim, forbid: 512 px\n" in out


def test_without_rules_the_recipe_s_own_are_told(onspec: Run, tiny_recipe_path: Path, part: Path) -> None:
    code, out, _ = onspec("explain", tiny_recipe_path, part)
    assert code == 0
    assert "  defect: NG for any defect\n    fired: #1; #2\n" in out


def test_json_has_the_inspection_and_what_each_rule_made_of_each_defect(
    onspec: Run, tiny_recipe_path: Path, part: Path, rules: Path
) -> None:
    code, out, _ = onspec("explain", tiny_recipe_path, part, "--rules", rules, "--json")
    told = json.loads(out)
    assert (code, told["verdict"], told["reasons"]) == (0, "NG", ["long: length_mm 1.4 >= 1.0"])
    assert told["fired"] == [
        {
            "rule": "long", "outcome": "NG", "grade": None, "defects": [0], "unsure": False,
            "grounds": [
                {"measure": "length_mm", "figure": pytest.approx(1.4), "relation": ">=", "limit": 1.0, "scope": ""}
            ],
        }
    ]  # fmt: skip
    assert [(rule["rule"], rule["effect"]) for rule in told["rules"]] == [
        ("rim", "none"), ("mark", "none"), ("long", "fired"), ("specks", "none"),
    ]  # fmt: skip
    assert [under["meant"] for under in told["rules"][3]["defects"]] == [False, True]
    assert [defect["zones"] for defect in told["defects"]] == [["seal"], []]
    assert told["zones"]["rim"] == {"use": "forbid", "area_px": 512}


def test_the_picture_shows_the_image_enlarged_and_a_panel(
    onspec: Run, tiny_recipe_path: Path, part: Path, rules: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "why.png"
    code, _, err = onspec("explain", tiny_recipe_path, part, "--rules", rules, "--out", out)
    assert (code, err) == (0, f"picture: {out}\n")
    picture = read_image(out)
    assert picture.shape[1] == 96 * 11 + 640
    assert (picture[22 * 11, 24 * 11] == 235).all()  # the defect itself, between its outlines
    red = (picture[..., 0] > 180) & (picture[..., 1] < 80)
    blue = (picture[..., 2] > 200) & (picture[..., 0] < 60)
    assert red[:, : 96 * 11].sum() > 500
    assert blue[:, : 96 * 11].sum() > 500
    assert (picture[:, 96 * 11 :] < 100).any(axis=2).sum() > 2000  # text


def test_a_large_image_is_reduced(onspec: Run, rules: Path, tmp_path: Path, tiny_recipe_path: Path) -> None:
    from onspec.cli.explain_picture import Explained, picture
    from onspec.decision.judge import sight
    from onspec.decision.rules import RuleSet
    from onspec.decision.thresholds import Thresholds
    from onspec.domain import Inspection, Prediction, ScoreMap, Verdict

    values = np.zeros((1500, 2000), np.float32)
    seen = sight(Prediction((ScoreMap(values),)), Thresholds(), RuleSet())
    told = Inspection(image="a.png", verdict=Verdict.OK, score=0.0, size=(2000, 1500), recipe="r@sha256:0", engine="e")
    drawn = picture(Explained(np.zeros((1500, 2000), np.uint16), told, seen, RuleSet(), ()))
    assert drawn.shape == (1200, 1600 + 640, 3)


def test_a_located_part_is_drawn_where_it_lies(onspec: Run, tiny_package: Package, tmp_path: Path) -> None:
    taught = np.full((64, 96), 20, np.uint8)
    taught[20:44, 30:40] = taught[36:44, 30:66] = 110  # an angle, too faint to be a defect
    taught_file = tmp_path / "taught.png"
    write_image(taught_file, taught)
    moved = np.full_like(taught, 20)
    moved[5:, 12:] = taught[:-5, :-12]
    moved[38:41, 62:65] = 235
    write_image(tmp_path / "moved.png", moved)
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "part: {find: template, rectangle: [26, 16, 44, 32]}\n"
        "zones: {tip: {circle: {centre: [52, 34], radius: 4}, relative_to: part, use: forbid}}\n",
        encoding="utf-8",
    )
    run = tmp_path / "plain.onspec"
    pack(with_digest(replace(tiny_package, golden=())), run)
    recipe, out = tmp_path / "part.onspec", tmp_path / "why.png"
    assert onspec("pack", run, "--rules", rules, "--part-image", taught_file, "--out", recipe)[0] == 0
    code, told, _ = onspec("explain", recipe, tmp_path / "moved.png", "--out", out)
    assert (code, told.splitlines()[0][:2]) == (0, "NG")
    assert "tip: NG for any defect that touches this forbidden zone\n    fired: #1\n" in told
    assert "part: at (60.0, 37.0), turned by" in told
    picture = read_image(out)
    violet = np.all(np.abs(picture.astype(int) - (130, 60, 200)) < 20, axis=2)
    assert violet[:, : 96 * 11].sum() > 200


def test_what_cannot_be_judged_is_error(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"hello")
    code, out, _ = onspec("explain", tiny_recipe_path, tmp_path / "bad.png", "--out", tmp_path / "why.png")
    assert code == 1
    assert out.startswith("ERROR  ")
    assert not (tmp_path / "why.png").exists()


def test_rules_that_do_not_fit_are_refused(onspec: Run, tiny_recipe_path: Path, part: Path, rules: Path) -> None:
    rules.write_text("rules: [{name: a, when: {class: pore}}]", encoding="utf-8")
    code, _, err = onspec("explain", tiny_recipe_path, part, "--rules", rules)
    assert code == 2
    assert "do not fit the recipe: rule a is about class 'pore'" in err
    rules.write_text("rules: [{name: a, when: {min_area_mm2: 1}}]", encoding="utf-8")
    assert "give the recipe a pixel size" in onspec("explain", tiny_recipe_path, part, "--rules", rules)[2]


def test_a_rules_file_is_read_aloud(onspec: Run, rules: Path) -> None:
    code, out, _ = onspec("rules", rules)
    assert code == 0
    assert out.splitlines() == [
        "pixel size: 0.1 mm",
        "zone rim, on the image: NG for any defect that touches it",
        "zone seal, on the image",
        "1. mark: OK: a defect wholly inside seal, with area_mm2 <= 0.2 is accepted, and not seen by the rules below",
        "2. long: NG for any defect in zone seal, with length_mm >= 1",
        "3. specks: NG for more than 2 defects with length_mm <= 0.5",
        "otherwise: OK for a defect that no rule is about",
    ]


def test_a_fault_in_a_rules_file_has_its_place(onspec: Run, rules: Path) -> None:
    rules.write_text(RULES.replace("outcome: OK", "outcome: FINE"), encoding="utf-8")
    code, _, err = onspec("rules", rules)
    assert code == 2
    assert f"{rules}:8:5: rules[0].outcome: got 'FINE'" in err
    assert onspec("rules")[0] == 2


def test_the_pixel_size_is_written_and_comments_stay(onspec: Run, rules: Path) -> None:
    code, out, _ = onspec("rules", rules, "--pixel-size-mm", "0.1,0.12")
    assert code == 0
    assert out.startswith("pixel size: 0.1,0.12 mm\n")
    text = rules.read_text(encoding="utf-8")
    assert text == RULES.replace("pixel_size_mm: 0.1 ", "pixel_size_mm: {x: 0.1, y: 0.12} ")
    assert onspec("rules", rules.with_name("absent.yaml"), "--pixel-size-mm", "1")[0] == 2
    assert not rules.with_name("absent.yaml").exists()


def test_the_schema_in_the_docs_is_the_one_of_the_code(onspec: Run) -> None:
    code, out, _ = onspec("rules", "--schema")
    assert code == 0
    assert out == schema_text()
    assert (DOCS / "rules.schema.json").read_text(encoding="utf-8") == out, (
        "onspec rules --schema > docs/rules.schema.json"
    )


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (RULES, True),
        ("pixel_size_mm: [0.1, 0.2]\ndefault: REVIEW\n", True),
        ("pixel_size_mm: {x: 0.1, y: 0.2}\nrules: [{name: a, when: {class: [b, c], any: [{not: {zone: d}}]}}]\n", True),
        ("zones: {a: {band: {along: [[0, 0], [5, 5]], width: 3}, unit: mm}}\n", True),
        ("rules: [{name: a, when: {min_aera_px: 1}}]\n", False),
        ("rules: [{name: a, outcome: FINE}]\n", False),
        ("zones: {a: {band: {along: above, width: 3}}}\n", False),
    ],
)
def test_editors_accept_and_refuse_by_the_schema_what_onspec_does(text: str, fits: bool) -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(YAML(typ="safe").load(text)) is fits
