"""`onspec verify`: is this recipe what it was, how far has it come, and does it judge here as it did there?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.recipe.package import Package
    from onspec.runtime.golden import GoldenOutcome


def command(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe file (.onspec), the folder of a run, or that of an acceptance test.")
    ],
    public_key: Annotated[
        Path | None, typer.Option(help="Refuse the recipe unless the private half of this key signed it.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Check a recipe's integrity, its signature, and its golden samples on this machine and engine; show its life.

    The folder of onspec acceptance is checked likewise: its files and their signature. Exits 1 when a golden sample
    deviates, 2 when a file is damaged, changed or not signed by the key.

    Example: onspec verify tile.onspec --public-key plant.pub.pem
    """
    from contextlib import closing

    from onspec.cli.protocol import JSON
    from onspec.recipe.reading import open_package
    from onspec.runtime.golden import run_golden
    from onspec.runtime.inspector import Inspector

    if (recipe / JSON).is_file():
        return _protocol(recipe, public_key, as_json)
    package = open_package(recipe, public_key=public_key)
    with closing(Inspector(package, engine)) as inspector:
        outcomes = run_golden(inspector, package.golden)
    signature = _signature(package.signed, checked=public_key is not None)
    ok = all(outcome.ok for outcome in outcomes)
    if as_json:
        facts = {"recipe": package.identity, "integrity": "draft" if recipe.is_dir() else "ok", "signature": signature}
        golden = [_as_dict(outcome) for outcome in outcomes]
        typer.echo(json.dumps({**facts, **_life(package), "engine": inspector.engine_name, "golden": golden, "ok": ok}))
        return 0 if ok else 1
    typer.echo(f"recipe     {package.identity}")
    typer.echo(f"integrity  {'a draft, not packed yet' if recipe.is_dir() else 'ok, unchanged since it was packed'}")
    typer.echo(f"signature  {signature}")
    _print_life(package)
    typer.echo(f"golden     {_golden_line(outcomes)} ({inspector.engine_name})")
    for outcome in outcomes:
        typer.echo(f"  {outcome.name}: {outcome.inspection.verdict}, {outcome.deviation or _agreement(outcome)}")
    return 0 if ok else 1


def _protocol(folder: Path, public_key: Path | None, as_json: bool) -> int:
    from onspec.cli.protocol import check_protocol

    protocol, signature = check_protocol(folder, public_key)
    facts = {
        "protocol": "ok, unchanged since the test",
        "signature": signature,
        "recipe": protocol.recipe.identity,
        "content": protocol.recipe.content,
        "tested": f"{protocol.conditions.started}{f' by {protocol.parties.by}' if protocol.parties.by else ''}",
        "result": str(protocol.judgement.outcome),
        "summary": protocol.judgement.summary,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return 0
    for name, text in facts.items():
        typer.echo(f"{name:<10} {text}")
    return 0


def _life(package: "Package") -> dict[str, object]:
    recipe, approval = package.recipe, package.approval
    return {
        "content": package.content,
        "version": recipe.version,
        "parent": None if recipe.parent is None else recipe.parent.model_dump(),
        "changes": [change.model_dump() for change in recipe.changes],
        "state": str(package.state),
        "approval": [] if approval is None else [step.model_dump(mode="json") for step in approval.steps],
    }


def _print_life(package: "Package") -> None:
    recipe, approval = package.recipe, package.approval
    typer.echo(f"content    {package.content}")
    typer.echo(f"version    {recipe.version}{'' if recipe.parent is None else f', made from {recipe.parent}'}")
    for change in recipe.changes:
        typer.echo(f"  {change.version}: {change.at}, {change.by or 'somebody'}: {change.note or 'no note'}")
        for difference in change.differences:
            typer.echo(f"     {difference}")
    typer.echo(f"state      {package.state}")
    for step in () if approval is None else approval.steps:
        told = f"; {step.comment}" if step.comment else ""
        typer.echo(f"  {step.to}: {step.at}, {step.by}{told}")
        found = step.evidence
        typer.echo(f"     {found.result} {found.at} with {found.engine}: {found.summary}")


def _signature(signed: bool, *, checked: bool) -> str:
    if not signed:
        return "none"
    return "valid" if checked else "present, not checked (give --public-key)"


def _golden_line(outcomes: "list[GoldenOutcome]") -> str:
    if not outcomes:
        return "none in this recipe: nothing was judged"
    return f"{sum(o.ok for o in outcomes)} of {len(outcomes)} as expected"


def _agreement(outcome: "GoldenOutcome") -> str:
    return "no known result yet" if outcome.expected is None else "as expected"


def _as_dict(outcome: "GoldenOutcome") -> dict[str, object]:
    return {
        "image": outcome.name,
        "ok": outcome.ok,
        "verdict": str(outcome.inspection.verdict),
        "score": outcome.inspection.score,
        "class": outcome.inspection.cls,
        "expected": None if outcome.expected is None else outcome.expected.model_dump(mode="json"),
        "deviation": outcome.deviation,
    }
