"""`onspec pack`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import Verdict
from onspec.imaging.writing import write_image
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package
from onspec.recipe.signature import make_keys

Run = Callable[..., tuple[int, str, str]]
RULES = "rules:\n  - name: large\n    when: {min_area_mm2: 1.0}\n"


@pytest.fixture
def run(tiny_package: Package, tmp_path: Path) -> Path:
    """The draft of the tiny package."""
    folder = tmp_path / "run"
    write_draft(folder, tiny_package.recipe, tiny_package.model, [(g.name, g.data) for g in tiny_package.golden])
    return folder


def test_a_run_is_packed_with_its_golden_samples_recorded(onspec: Run, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.onspec"
    code, said, err = onspec("pack", run, "--out", out)
    package = open_package(out)
    assert (code, said) == (0, "")
    assert err == f"{out}: {package.identity}\ngolden samples recorded: 1 NG, 1 OK\n"
    assert [g.expected.verdict for g in package.golden if g.expected] == [Verdict.NG, Verdict.OK]


def test_packing_is_reproducible(onspec: Run, run: Path, tmp_path: Path) -> None:
    onspec("pack", run, "--out", tmp_path / "a.onspec")
    onspec("pack", run, "--out", tmp_path / "b.onspec")
    assert (tmp_path / "a.onspec").read_bytes() == (tmp_path / "b.onspec").read_bytes()


def test_rules_name_and_pixel_size_go_into_the_recipe(onspec: Run, run: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    out = tmp_path / "tile.onspec"
    arguments = ("--rules", tmp_path / "rules.yaml", "--name", "tile", "--pixel-size-mm", "0.1")
    code, _, err = onspec("pack", run, "--out", out, *arguments)
    assert code == 0
    assert "golden samples recorded: 2 OK" in err  # the spot has 0.6 mm²
    recipe = open_package(out).recipe
    assert (recipe.name, recipe.pixel_size_mm, recipe.rules.rules[0].name) == ("tile", 0.1, "large")


def test_a_pixel_size_in_the_rules_goes_into_the_recipe(onspec: Run, run: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("pixel_size_mm: 0.2\n" + RULES)
    out = tmp_path / "tile.onspec"
    assert onspec("pack", run, "--out", out, "--rules", tmp_path / "rules.yaml")[0] == 0
    assert open_package(out).recipe.pixel_size_mm == 0.2


def test_a_recipe_may_be_packed_anew_with_other_rules(onspec: Run, run: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n  - name: many\n    max_count: 5\n")
    onspec("pack", run, "--out", tmp_path / "a.onspec")
    code, _, err = onspec(
        "pack", tmp_path / "a.onspec", "--out", tmp_path / "b.onspec", "--rules", tmp_path / "rules.yaml"
    )
    assert code == 0
    assert "golden samples recorded: 2 OK" in err


def test_a_signed_recipe(onspec: Run, run: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra 'sign' is not installed")
    make_keys(tmp_path / "k.pem", tmp_path / "k.pub.pem")
    _, _, err = onspec("pack", run, "--out", tmp_path / "a.onspec", "--sign", tmp_path / "k.pem")
    assert ", signed\n" in err
    assert open_package(tmp_path / "a.onspec", public_key=tmp_path / "k.pub.pem").signed


def test_nothing_is_overwritten_without_force(onspec: Run, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.onspec"
    out.write_bytes(b"precious")
    code, _, err = onspec("pack", run, "--out", out)
    assert (code, out.read_bytes()) == (2, b"precious")
    assert "overwrite it with --force" in err
    assert onspec("pack", run, "--out", out, "--force")[0] == 0


@pytest.mark.parametrize(
    ("rules", "options", "says"),
    [
        (RULES, [], "cannot pack: the rules have limits in mm; give the recipe a pixel size"),
        ("pixel_size_mm: 0.2\n" + RULES, ["--pixel-size-mm", "0.3"], "says 0.3, the rules say 0.2; remove one"),
        ("", ["--pixel-size-mm", "-1"], "got the pixel size '-1'; allowed: mm over 0"),
        ("", ["--name", "a b"], "cannot pack: name: String should match"),
        ("rules:\n  - nam: x\n", [], "rules.yaml:2:5: unknown key 'rules[0].nam'"),
        ("rules:\n  - name: x\n    when: {class: pore}\n", [], "would never fire; classes: defect"),
        ("zones:\n  far: {rectangle: [500, 0, 9, 9]}\n", [], "cannot be judged: zone far lies outside"),
        ("", ["--sign", "absent.pem"], "absent.pem: cannot read the key"),
    ],
)
def test_what_cannot_be_packed(
    rules: str, options: list[str], says: str, onspec: Run, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(rules)
    out = tmp_path / "x.onspec"
    code, _, err = onspec("pack", run, "--out", out, "--rules", tmp_path / "rules.yaml", *options)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_a_folder_that_is_no_run(onspec: Run, tmp_path: Path) -> None:
    code, _, err = onspec("pack", tmp_path, "--out", tmp_path / "x.onspec")
    assert code == 2
    assert "not the folder of a finished run" in err


def test_a_golden_sample_that_gives_another_result_than_it_had_is_named(onspec: Run, run: Path, tmp_path: Path) -> None:
    out, rules = tmp_path / "a.onspec", tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - name: large\n    when: {min_area_px: 5000}\n")
    assert onspec("pack", run, "--out", out)[0] == 0
    again = ("--out", tmp_path / "b.onspec", "--note", "again", "--author", "A")
    assert "golden sample" not in onspec("pack", out, *again)[2].replace("golden samples recorded", "")
    said = onspec("pack", out, *again, "--force", "--rules", rules)[2]
    [line] = [line for line in said.splitlines() if line.startswith("golden sample ")]
    assert ": was NG, score " in line
    assert "; is OK, score " in line


def test_a_run_without_golden_samples_says_so(onspec: Run, run: Path, tmp_path: Path) -> None:
    for file in (run / "golden").iterdir():
        file.unlink()
    code, _, err = onspec("pack", run, "--out", tmp_path / "x.onspec")
    assert code == 0
    assert "no golden samples" in err


def test_the_next_version_goes_on_from_its_parent(onspec: Run, run: Path, tmp_path: Path) -> None:
    a, b, c = (tmp_path / f"{name}.onspec" for name in "abc")
    (tmp_path / "rules.yaml").write_text("pixel_size_mm: 0.2\n" + RULES)
    begun = ("--note", "begun", "--author", "A")
    assert onspec("pack", run, "--out", a, "--name", "tile", "--rules", tmp_path / "rules.yaml", *begun)[0] == 0
    new = ("--parent", a, "--note", "trained again", "--author", "B. Chef")
    code, _, err = onspec("pack", run, "--out", b, *new)
    assert code == 0
    assert "rules: those of the parent" in err
    first, second = open_package(a), open_package(b)
    assert f"version 2, made from tile version 1 ({first.content[:19]}…); draft" in err
    assert (second.recipe.name, second.recipe.pixel_size_mm, second.recipe.rules) == (
        "tile", 0.2, first.recipe.rules,
    )  # fmt: skip
    assert second.recipe.parent is not None
    assert second.recipe.parent.content == first.content
    assert [(change.version, change.by, change.note) for change in second.recipe.changes] == [
        (1, "A", "begun"),
        (2, "B. Chef", "trained again"),
    ]
    (tmp_path / "none.yaml").write_text("")
    assert onspec("pack", b, "--out", c, "--rules", tmp_path / "none.yaml")[0] == 0
    third = open_package(c).recipe
    assert (third.version, third.rules.rules) == (3, ())
    assert "rules: rule large: removed: min_area_mm2 1" in third.changes[-1].differences
    code, said, _ = onspec("diff", a, c, "--json")
    told = json.loads(said)
    assert (code, told["after"]["version"], told["same"]) == (1, 3, False)
    assert ["rules", "rule large"] in [[d["section"], d["what"]] for d in told["differences"] if d["decides"]]
    assert onspec("diff", b, b)[:2][0] == 0
    assert "version    3, made from tile version 2" in onspec("verify", c)[1]


def test_packed_again_unchanged_it_stays_the_version_that_it_was(onspec: Run, run: Path, tmp_path: Path) -> None:
    onspec("pack", run, "--out", tmp_path / "a.onspec")
    onspec("pack", tmp_path / "a.onspec", "--out", tmp_path / "b.onspec")
    assert (tmp_path / "a.onspec").read_bytes() == (tmp_path / "b.onspec").read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--parent", "a.onspec"], 'needs its line in the change log: give --note "…" and --author NAME'),
        (["--parent", "run", "--note", "n", "--author", "a"], "the draft of a run is no version"),
        (["--note", "n"], "goes into the change log with a name; give --author NAME"),
    ],
)
def test_a_version_without_its_line_in_the_log(
    options: list[str], says: str, onspec: Run, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    onspec("pack", run, "--out", "a.onspec")
    code, _, err = onspec("pack", run, "--out", "x.onspec", *options)
    assert code == 2
    assert says in err
    assert not Path("x.onspec").exists()


def test_golden_samples_are_chosen_from_data(
    onspec: Run, run: Path, tmp_path: Path, make_part: Callable[..., NDArray[np.uint8]]
) -> None:
    rows = []
    for i in range(6):
        for kind, spots in (("good", ()), ("bad", ((30, 20, 10, 6),))):
            image = make_part(*spots)
            image[0, i] = 40 if kind == "good" else 0
            name = f"{kind}{i}.png"
            write_image(tmp_path / "data" / "images" / name, image)
            rows.append(f"images/{name},{'val' if i < 4 else 'test'}")
        mask = np.where(make_part((30, 20, 10, 6)) > 200, 255, 0).astype(np.uint8)
        write_image(tmp_path / "data" / "masks" / f"bad{i}.png", mask)
    (run / "split.csv").write_text("image,split\n" + "\n".join(rows) + "\n")
    code, _, err = onspec("pack", run, "--out", tmp_path / "a.onspec", "--golden-from", tmp_path / "data")
    assert code == 0, err
    golden = {g.name: g for g in open_package(tmp_path / "a.onspec").golden}
    assert {"clear-good.png", "clear-defect.png", "under-threshold.png", "over-threshold.png"} <= set(golden)
    files = {p.read_bytes(): p.stem for p in (tmp_path / "data" / "images").iterdir()}
    assert not {files[g.data] for g in golden.values()} & {"good4", "good5", "bad4", "bad5"}  # of the test split
    assert golden["clear-good.png"].expected is not None
    assert golden["clear-good.png"].expected.verdict is Verdict.OK
    assert onspec("verify", tmp_path / "a.onspec")[0] == 0
