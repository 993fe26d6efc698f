"""`onspec diff`: what two recipes differ in."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.recipe.difference import Difference
    from onspec.recipe.package import Package

_MOST = 160
"""Letters of a value on the terminal; --json has all of them."""


def command(
    before: Annotated[Path, typer.Argument(metavar="A", help="A recipe file (.onspec), or the folder of a run.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The other one.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Say what two recipes differ in: thresholds, rules and zones by name, model, input, golden samples, origin, state.

    Exits 0 when they are the same, 1 when they differ.

    Example: onspec diff tile-1.onspec tile-2.onspec
    """
    from onspec.recipe.difference import differences
    from onspec.recipe.reading import open_package

    packages = (open_package(before), open_package(after))
    found = differences(*packages)
    if as_json:
        sides = {name: _side(package) for name, package in zip(("before", "after"), packages, strict=True)}
        entries = [
            {"section": d.section, "what": d.what, "before": d.before, "after": d.after, "decides": d.decides}
            for d in found
        ]
        typer.echo(json.dumps({**sides, "same": not found, "differences": entries}))
        return 1 if found else 0
    for sign, package in zip(("A", "B"), packages, strict=True):
        typer.echo(f"{sign}  {_named(package)}")
    _print(found)
    return 1 if found else 0


def _print(found: "tuple[Difference, ...]") -> None:
    section = ""
    for difference in found:
        if difference.section != section:
            section = difference.section
            typer.echo(f"\n{section}")
        change = difference.change
        typer.echo(f"  {difference.what}: {change if len(change) <= _MOST else change[:_MOST] + ' …'}")
    deciding = sum(difference.decides for difference in found)
    number = f"{len(found)} difference{'' if len(found) == 1 else 's'}"
    verdicts = f"{deciding} can change a verdict" if deciding else "none can change a verdict"
    typer.echo(f"\n{number}, {verdicts}" if found else "the same")


def _named(package: "Package") -> str:
    recipe = package.recipe
    return f"{recipe.name} version {recipe.version}, {package.state}, {package.content}"


def _side(package: "Package") -> dict[str, object]:
    return {
        "recipe": package.identity,
        "content": package.content,
        "version": package.recipe.version,
        "state": str(package.state),
    }
