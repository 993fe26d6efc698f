"""A coarse network is a member of the recipe like any other, and fits what it was made for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from onspec.decision.thresholds import Thresholds
from onspec.domain import IntegrityError, RecipeError
from onspec.recipe import archive
from onspec.recipe.difference import differences
from onspec.recipe.facts import facts_of
from onspec.recipe.package import Expected, Package
from onspec.recipe.reading import members_of, open_package
from onspec.recipe.schema import Recipe
from onspec.recipe.writing import pack

MakeHastened = Callable[..., Package]


@pytest.fixture
def fast(tiny_package: Package, make_hastened: MakeHastened) -> Package:
    package = make_hastened(tiny_package)
    known = Expected(verdict="OK", score=0.0)
    return replace(package, golden=tuple(replace(golden, expected=known) for golden in package.golden))


def test_it_is_packed_read_and_protected(fast: Package, tmp_path: Path) -> None:
    out = tmp_path / "fast.onspec"
    pack(fast, out)
    read = open_package(out)
    assert (read.coarse, read.recipe.hastened) == (fast.coarse, fast.recipe.hastened)
    assert f"  {archive.COARSE}\n".encode() in archive.take_apart(out.read_bytes(), "fast")[archive.SUMS]
    assert fast.coarse is not None
    data = bytearray(out.read_bytes())
    data[data.index(fast.coarse[:40]) + 20] ^= 1
    out.write_bytes(data)
    with pytest.raises((IntegrityError, RecipeError)):
        open_package(out)


@pytest.mark.parametrize(
    ("lost", "says"), [("coarse", "has hastened without coarse.onnx"), ("hastened", "coarse.onnx")]
)
def test_network_and_entry_go_together(lost: str, says: str, fast: Package, tmp_path: Path) -> None:
    known = replace(fast, recipe=fast.recipe.model_copy(update={"hastened": None})) if lost == "hastened" else fast
    members = members_of(known)
    if lost == "coarse":
        del members[archive.COARSE]
    (tmp_path / "x.onspec").write_bytes(archive.build(members))
    with pytest.raises(RecipeError, match=says):
        open_package(tmp_path / "x.onspec")


@pytest.mark.parametrize(
    "values",
    [
        {"image": 0.4}, {"review": 0.3}, {"pixel": 0.2}, {"window": 3}, {"pooling": "odds", "image": 0.9},
    ],
)  # fmt: skip
def test_thresholds_that_it_was_not_made_for_are_refused(values: dict[str, object], fast: Package) -> None:
    told = {**fast.recipe.model_dump(by_alias=True), "thresholds": Thresholds.model_validate(values)}
    with pytest.raises(ValidationError, match="it would pass over what they ask for"):
        Recipe.model_validate(told)


@pytest.mark.parametrize("values", [{"image": 0.8}, {"image": 0.6, "review": 0.5}, {"pixel": 0.7}])
def test_higher_thresholds_ask_for_less(values: dict[str, object], fast: Package) -> None:
    told = {**fast.recipe.model_dump(by_alias=True), "thresholds": Thresholds.model_validate(values)}
    assert Recipe.model_validate(told).hastened == fast.recipe.hastened


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"task": "classify"}, "only recipes of task segment are hastened; got task classify"),
        ({"input": {"stride": 64, "halo": 64}}, "hastened.block must be a multiple of stride 64; got 32"),
        ({"hastened": {"limit": 0}}, "hastened.limit"),
        ({"hastened": {"low": 1.0}}, "low must be under high; got 1.0 and 1.0"),
        ({"hastened": {"answer": "x"}}, "hastened.answer"),
    ],
)
def test_what_does_not_fit(values: dict[str, object], says: str, fast: Package) -> None:
    told = fast.recipe.model_dump(by_alias=True)
    for name, value in values.items():
        told[name] = {**told[name], **value} if isinstance(value, dict) else value
    with pytest.raises(ValidationError, match=says):
        Recipe.model_validate(told)


def test_diff_and_archive_tell_it_from_its_parent(fast: Package, tiny_package: Package) -> None:
    told = [str(difference) for difference in differences(tiny_package, fast) if difference.decides]
    assert any(line.startswith("model: coarse.onnx: added: sha256:") for line in told)
    assert "model: hastened.limit: added: 100" in told
    assert facts_of(fast)[2] != facts_of(tiny_package)[2]
    assert facts_of(fast)[2] != facts_of(replace(fast, coarse=b"another"))[2]
