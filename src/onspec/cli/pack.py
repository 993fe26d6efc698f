"""`onspec pack`: run + rules → recipe file."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.decision.rules import RuleSet
    from onspec.recipe.package import Package
    from onspec.recipe.schema import Recipe


def command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, or a recipe to pack anew.")],
    out: Annotated[Path, typer.Option(help="The recipe file to write, as PART.onspec.")],
    rules: Annotated[Path | None, typer.Option(help="The plant's acceptance rules, YAML.")] = None,
    sign: Annotated[Path | None, typer.Option(help="Sign with this Ed25519 private key, PEM.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the recipe; otherwise that of the run.")] = None,
    pixel_size_mm: Annotated[float | None, typer.Option(help="Side of an original pixel on the part, mm.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> int:
    """Pack a run and the plant's rules into one recipe file.

    The golden samples are judged, and what they give is recorded; onspec verify compares with it later.

    Example: onspec pack run/ --out tile.onspec --rules rules.yaml --pixel-size-mm 0.05
    """
    from dataclasses import replace

    from onspec.cli.progress import talk
    from onspec.decision.rules import read_rules
    from onspec.domain import UsageError
    from onspec.recipe.reading import open_package, with_digest
    from onspec.recipe.writing import pack
    from onspec.runtime.golden import record_golden
    from onspec.runtime.inspector import Inspector

    if out.exists() and not force:
        raise UsageError(f"{out} exists; choose another name, or overwrite it with --force")
    package = open_package(run)
    chosen = read_rules(rules) if rules is not None else package.recipe.rules
    recipe = _recipe(package.recipe, chosen, name, pixel_size_mm)
    package = with_digest(replace(package, recipe=recipe))
    inspector = Inspector(package)
    package = replace(package, golden=record_golden(inspector, package.golden))
    inspector.close()
    pack(package, out, signing_key=sign)
    talk(f"{out}: {open_package(out).identity}{'' if sign is None else ', signed'}")
    talk(_golden_summary(package))
    return 0


def _recipe(draft: "Recipe", rules: "RuleSet", name: str | None, pixel_size_mm: float | None) -> "Recipe":
    """The draft with rules, name and pixel size; refuses two pixel sizes and rules that do not fit."""
    from pydantic import ValidationError

    from onspec.domain import UsageError
    from onspec.recipe.schema import Recipe

    of_rules = rules.pixel_size_mm
    if pixel_size_mm is not None and of_rules is not None and pixel_size_mm != of_rules:
        raise UsageError(f"--pixel-size-mm says {pixel_size_mm}, the rules say {of_rules}; remove one of the two")
    sizes = (pixel_size_mm, of_rules, draft.pixel_size_mm)
    values = {
        **draft.model_dump(by_alias=True),
        "rules": rules,
        "name": name or draft.name,
        "pixel_size_mm": next((size for size in sizes if size is not None), None),
    }
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(str(key) for key in detail["loc"])
        sentence = detail["msg"].removeprefix("Value error, ")
        raise UsageError(f"cannot pack: {where + ': ' if where else ''}{sentence}; got {_shown(detail)}") from error


def _shown(detail: object) -> str:
    got = detail["input"] if isinstance(detail, dict) else detail
    return repr(got) if isinstance(got, str | int | float) else "the values above"


def _golden_summary(package: "Package") -> str:
    verdicts = Counter(str(g.expected.verdict) for g in package.golden if g.expected is not None)
    if not verdicts:
        return "no golden samples in this run, so onspec verify will have nothing to judge"
    return f"golden samples recorded: {', '.join(f'{count} {verdict}' for verdict, count in sorted(verdicts.items()))}"
