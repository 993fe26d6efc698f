"""`onspec rules`: check a rules file and read it aloud; the schema that editors complete and check by."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.decision.inspectability import Gate
    from onspec.decision.rules import RuleSet


def command(
    file: Annotated[
        Path | None, typer.Argument(metavar="RULES.yaml", help="The rules file, or a recipe to read its rules.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of rules files.")] = False,
    pixel_size_mm: Annotated[
        str | None, typer.Option(help="Write this pixel size into the file, mm; X,Y where the sides differ.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rules as JSON, not in words.")] = False,
) -> int:
    """Check a rules file and say in words what it says.

    What is wrong is said with line and column. --pixel-size-mm changes that one entry; comments and layout stay. Of a
    recipe it says, too, which limits hold for what is inspectable.

    Example: onspec rules rules.yaml
    """
    from onspec.decision.inspectability import Gate
    from onspec.decision.rules import read_rules
    from onspec.decision.rules_rewrite import set_pixel_size
    from onspec.decision.rules_schema import schema_text
    from onspec.domain import UsageError
    from onspec.domain.pixel_size import pixel_size
    from onspec.recipe.reading import open_package

    if schema:
        typer.echo(schema_text(), nl=False)
        return 0
    if file is None:
        raise UsageError("name a rules file, or ask for the schema with --schema")
    recipe = open_package(file).recipe if file.is_dir() or file.suffix == ".onspec" else None
    if pixel_size_mm is not None and recipe is not None:
        raise UsageError("--pixel-size-mm is for a rules file; a recipe gets its own from onspec pack --pixel-size-mm")
    if pixel_size_mm is not None:
        size = pixel_size(pixel_size_mm)
        read_rules(file)  # refuses what is no rules file before it is touched
        set_pixel_size(file, size)
    rules = read_rules(file) if recipe is None else recipe.rules
    gate = Gate(None if recipe is None else recipe.reference, rules.inspectable)
    typer.echo(rules.model_dump_json(by_alias=True, indent=1) if as_json else _text(rules, gate))
    return 0


def _text(rules: "RuleSet", gate: "Gate") -> str:
    from onspec.decision.wording import default_in_words, gate_in_words, in_words

    size = "not said here" if rules.pixel_size_mm is None else f"{rules.pixel_size_mm} mm"
    lines = [f"pixel size: {size}{', which these rules need' if rules.needs_pixel_size else ''}"]
    for name, zone in rules.zones.items():
        use = {"ignore": ": nothing in it is judged", "forbid": ": NG for any defect that touches it", None: ""}[
            zone.use
        ]
        lines.append(f"zone {name}, on the {zone.relative_to}{use}")
    lines += [f"{number}. {rule.name}: {in_words(rule)}" for number, rule in enumerate(rules.rules, start=1)]
    lines.append(f"otherwise: {default_in_words(rules.default_rule)}")
    if gate.limits or rules.inspectable is not None:
        lines += [gate_in_words(gate), *(f"  {limit}" for limit in gate.limits)]
    return "\n".join(lines)
