"""`onspec verify`: is this recipe what it was, and does it judge here as it did there?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.runtime.golden import GoldenOutcome


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    public_key: Annotated[
        Path | None, typer.Option(help="Refuse the recipe unless the private half of this key signed it.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Check a recipe's integrity, its signature, and its golden samples on this machine and engine.

    Exits 1 when a golden sample deviates, 2 when the file is damaged, changed or not signed by the key.

    Example: onspec verify tile.onspec --public-key plant.pub.pem
    """
    from contextlib import closing

    from onspec.recipe.reading import open_package
    from onspec.runtime.golden import run_golden
    from onspec.runtime.inspector import Inspector

    package = open_package(recipe, public_key=public_key)
    with closing(Inspector(package, engine)) as inspector:
        outcomes = run_golden(inspector, package.golden)
    signature = _signature(package.signed, checked=public_key is not None)
    ok = all(outcome.ok for outcome in outcomes)
    if as_json:
        facts = {"recipe": package.identity, "integrity": "draft" if recipe.is_dir() else "ok", "signature": signature}
        golden = [_as_dict(outcome) for outcome in outcomes]
        typer.echo(json.dumps({**facts, "engine": inspector.engine_name, "golden": golden, "ok": ok}))
        return 0 if ok else 1
    typer.echo(f"recipe     {package.identity}")
    typer.echo(f"integrity  {'a draft, not packed yet' if recipe.is_dir() else 'ok, unchanged since it was packed'}")
    typer.echo(f"signature  {signature}")
    typer.echo(f"golden     {_golden_line(outcomes)} ({inspector.engine_name})")
    for outcome in outcomes:
        typer.echo(f"  {outcome.name}: {outcome.inspection.verdict}, {outcome.deviation or _agreement(outcome)}")
    return 0 if ok else 1


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
