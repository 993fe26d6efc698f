"""Options that say how a data set is to be read; several commands have them."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.datasets.tree import Marked
    from onspec.recipe.package import Package

MarkedOption = Annotated[
    str | None,
    typer.Option(
        "--marked",
        help="How masks draw what they mark: bright or dark, an object a number (numbers), or a class a code (codes); "
        "otherwise told by their look (what fills most of nearly every border is taken for the background).",
    ),
]


def marked_as(wanted: str | None) -> "Marked | None":
    """The option's value.

    Raises:
        UsageError: another word.
    """
    from onspec.domain import UsageError

    match wanted:
        case None | "bright" | "dark" | "numbers" | "codes":
            return wanted
        case _:
            raise UsageError(f"--marked takes bright, dark, numbers or codes; got {wanted!r}")


def marked_in(package: "Package") -> "Marked | None":
    """What was said when the recipe was trained: its labels are read so ever after."""
    data = package.recipe.provenance.data
    return None if data is None else data.marked
