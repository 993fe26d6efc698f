"""The draft that training leaves in its RUN folder."""

from pathlib import Path

import pytest

from onspec.domain import RecipeError
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package


@pytest.fixture
def run(tiny_package: Package, tmp_path: Path) -> Path:
    """A RUN folder with what else a training writes there."""
    folder = tmp_path / "run"
    write_draft(folder, tiny_package.recipe, tiny_package.model, [(g.name, g.data) for g in tiny_package.golden])
    (folder / "plan.yaml").write_text("task: segment\n")
    (folder / "split.csv").write_bytes(tiny_package.split_csv or b"")
    return folder


def test_a_draft_opens_as_the_package_that_was_written(run: Path, tiny_package: Package) -> None:
    assert open_package(run) == tiny_package


def test_the_digest_of_a_draft_follows_its_content(run: Path) -> None:
    before = open_package(run).digest
    (run / "plan.yaml").write_text("task: other\n")
    assert open_package(run).digest == before
    (run / "golden" / "more.png").write_bytes(b"x")
    assert open_package(run).digest != before


def test_a_second_draft_replaces_the_first(run: Path, tiny_package: Package) -> None:
    write_draft(run, tiny_package.recipe, b"another", [("only.png", b"x")])
    package = open_package(run)
    assert (package.model, [g.name for g in package.golden]) == (b"another", ["only.png"])


@pytest.mark.parametrize("name", ["recipe.json", "model.onnx"])
def test_an_unfinished_run_says_so(name: str, run: Path) -> None:
    (run / name).unlink()
    with pytest.raises(RecipeError, match="not the folder of a finished run"):
        open_package(run)


def test_a_name_that_cannot_be_stored_leaves_the_draft_as_it_was(run: Path, tiny_package: Package) -> None:
    before = open_package(run)
    with pytest.raises(RecipeError, match="cannot be stored"):
        write_draft(run, tiny_package.recipe, b"another", [("a/b.png", b"x")])
    assert open_package(run) == before
