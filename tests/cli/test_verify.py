"""`onspec verify`."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from onspec.domain import Verdict
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Expected, Package
from onspec.recipe.reading import open_package
from onspec.recipe.signature import make_keys
from onspec.recipe.writing import pack

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def deviating(tiny_recipe_path: Path) -> Path:
    """A recipe one of whose golden samples is recorded as something else."""
    package = open_package(tiny_recipe_path)
    wrong = replace(package.golden[0], expected=Expected(verdict=Verdict.OK, score=0.01))
    pack(replace(package, golden=(wrong, package.golden[1])), tiny_recipe_path)
    return tiny_recipe_path


def test_a_sound_recipe(onspec: Run, tiny_recipe_path: Path) -> None:
    code, out, err = onspec("verify", tiny_recipe_path)
    assert (code, err) == (0, "")
    package = open_package(tiny_recipe_path)
    assert out.splitlines() == [
        f"recipe     {package.identity}",
        "integrity  ok, unchanged since it was packed",
        "signature  none",
        f"content    {package.content}",
        "version    1",
        "state      draft",
        "golden     2 of 2 as expected (onnxruntime)",
        "  defective.png: NG, as expected",
        "  good.png: OK, as expected",
    ]


def test_a_deviation_is_exit_1(onspec: Run, deviating: Path) -> None:
    code, out, _ = onspec("verify", deviating)
    assert code == 1
    assert "1 of 2 as expected" in out
    assert "defective.png: NG, verdict NG, expected OK (score 1.0000, was 0.0100)" in out


def test_json(onspec: Run, deviating: Path) -> None:
    code, out, _ = onspec("verify", deviating, "--json")
    facts = json.loads(out)
    assert code == 1
    assert (facts["ok"], facts["integrity"], facts["signature"], facts["engine"]) == (
        False,
        "ok",
        "none",
        "onnxruntime",
    )
    assert [(g["image"], g["ok"]) for g in facts["golden"]] == [("defective.png", False), ("good.png", True)]
    assert facts["golden"][0]["expected"]["verdict"] == "OK"
    assert [g["class"] for g in facts["golden"]] == [None, None]
    assert (facts["version"], facts["parent"], facts["changes"], facts["state"], facts["approval"]) == (
        1,
        None,
        [],
        "draft",
        [],
    )


def test_the_signature_is_checked_where_a_key_is_given(onspec: Run, tiny_recipe_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra 'sign' is not installed")
    key, public = tmp_path / "k.pem", tmp_path / "k.pub.pem"
    make_keys(key, public)
    code, _, err = onspec("verify", tiny_recipe_path, "--public-key", public)
    assert code == 2
    assert "not signed" in err
    pack(open_package(tiny_recipe_path), tiny_recipe_path, signing_key=key)
    assert "signature  valid" in onspec("verify", tiny_recipe_path, "--public-key", public)[1]
    assert "signature  present, not checked" in onspec("verify", tiny_recipe_path)[1]


def test_a_changed_recipe_is_exit_2(onspec: Run, tiny_recipe_path: Path) -> None:
    data = bytearray(tiny_recipe_path.read_bytes())
    data[-1] ^= 1
    tiny_recipe_path.write_bytes(data)
    code, out, err = onspec("verify", tiny_recipe_path)
    assert (code, out) == (2, "")
    assert err.startswith("onspec: ")
    assert err.count("\n") == 1


def test_an_unknown_engine(onspec: Run, tiny_recipe_path: Path) -> None:
    code, _, err = onspec("verify", tiny_recipe_path, "--engine", "abacus")
    assert code == 2
    assert "Unknown engine 'abacus'; choose auto, onnxruntime" in err


def test_a_draft_and_a_recipe_without_golden_samples(onspec: Run, tiny_package: Package, tmp_path: Path) -> None:
    write_draft(tmp_path, tiny_package.recipe, tiny_package.model, [(g.name, g.data) for g in tiny_package.golden])
    code, out, _ = onspec("verify", tmp_path)
    assert code == 0
    assert "a draft, not packed yet" in out
    assert "good.png: OK, no known result yet" in out
    pack(replace(tiny_package, golden=()), tmp_path / "none.onspec")
    code, out, _ = onspec("verify", tmp_path / "none.onspec")
    assert code == 0
    assert "none in this recipe: nothing was judged" in out
