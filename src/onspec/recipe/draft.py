"""The draft of a recipe: what a training leaves in its RUN folder, to be packed with the plant's rules."""

from collections.abc import Sequence
from pathlib import Path

from onspec.imaging.writing import write_bytes
from onspec.recipe import archive
from onspec.recipe.schema import Recipe
from onspec.recipe.writing import check_name


def write_draft(run: Path, recipe: Recipe, model: bytes, golden: Sequence[tuple[str, bytes]]) -> None:
    """Write RUN/recipe.json, RUN/model.onnx and RUN/golden/NAME; golden samples of an earlier draft are removed.

    `recipe.json` comes last: a run with one is complete.

    Raises:
        RecipeError: a golden sample's name cannot be stored.
        UsageError: the folder cannot be written to.
    """
    for name, _ in golden:
        check_name(name)
    folder = run / archive.GOLDEN
    (run / archive.RECIPE).unlink(missing_ok=True)
    for old in folder.glob("*"):
        old.unlink()
    write_bytes(run / archive.MODEL, model)
    for name, data in golden:
        write_bytes(folder / name, data)
    write_bytes(run / archive.RECIPE, (recipe.to_json(indent=2) + "\n").encode())
