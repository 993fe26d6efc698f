"""`onspec demo`: the whole way on generated data."""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

_ESCAPE_RATE, _CONFIDENCE = 0.25, 0.95


def command(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything the demo makes; must be empty.")] = Path(
        "demo"
    ),
    seed: Annotated[
        int, typer.Option(help="Another seed generates other parts and trains another network.", min=0)
    ] = 0,
    budget: Annotated[str, typer.Option(help="Time for training.")] = "150s",
) -> int:
    """Generate parts, train, evaluate, choose a threshold, pack a recipe, judge parts with it, write a report.

    Takes under 5 minutes on 2 cores. Every step is a command that you can run yourself; the demo names it.

    Example: onspec demo --out demo/
    """
    from onspec.cli.evaluate import command as evaluate
    from onspec.cli.inspect import command as inspect
    from onspec.cli.pack import command as pack
    from onspec.cli.synth import command as synth
    from onspec.cli.threshold import command as threshold
    from onspec.cli.train import command as train
    from onspec.domain import EvidenceError, UsageError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; choose another one with --out")
    parts, run, recipe, report = out / "parts", out / "run", out / "part.onspec", out / "report"
    images, lines = parts / "Class1" / "Test", out / "verdicts.jsonl"
    steps = _Steps()
    steps(
        f"onspec synth {parts} --textures 1 --good 120 --defective 120 --seed {seed}",
        lambda: synth(parts, textures=1, good=120, defective=120, seed=seed),
    )
    steps(
        f"onspec train {parts} --out {run} --budget {budget} --seed {seed}",
        lambda: train(parts, run, budget=budget, seed=seed),
    )

    def refused() -> int:
        try:
            return threshold(run, parts, max_escape_rate=0.01, confidence=_CONFIDENCE)
        except EvidenceError as error:
            typer.echo(f"onspec: {error}", err=True)
            return 0

    steps(f"onspec threshold {run} {parts} --max-escape-rate 0.01 --confidence {_CONFIDENCE}", refused)
    steps(
        f"onspec threshold {run} {parts} --max-escape-rate {_ESCAPE_RATE} --confidence {_CONFIDENCE}",
        lambda: threshold(run, parts, max_escape_rate=_ESCAPE_RATE, confidence=_CONFIDENCE),
    )
    steps(f"onspec evaluate {run} {parts} --out {report}", lambda: evaluate(run, parts, out=report))
    steps(f"onspec pack {run} --out {recipe}", lambda: pack(run, recipe))
    steps(
        f"onspec inspect {recipe} {images} --jsonl {lines} --overlays {out / 'overlays'}",
        lambda: inspect(recipe, [str(p) for p in sorted(images.glob("*.PNG"))], jsonl=lines, overlays=out / "overlays"),
    )
    _table(json.loads((report / "metrics.json").read_text("utf-8")), steps.seconds, recipe, report / "report.html")
    return 0


class _Steps:
    """Runs one command after the other, names it, and sends what it prints to stderr: stdout is for the result."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self, line: str, step: Callable[[], int]) -> None:
        typer.secho(f"\n$ {line}", err=True, bold=True)
        with contextlib.redirect_stdout(sys.stderr):
            step()

    @property
    def seconds(self) -> float:
        """Since the first step."""
        return time.monotonic() - self._begun


def _table(metrics: dict[str, dict[str, float]], seconds: float, recipe: Path, report: Path) -> None:
    image, pixel, images = metrics["image"], metrics["pixel"], metrics["images"]
    rows = [
        ("held-out parts", f"{images['defective']} defective, {images['good']} good"),
        ("image AP", f"{image['average_precision']:.4f}"),
        ("Dice on defective", f"{pixel['dice']:.3f}"),
        ("escapes", f"{image['escapes']} of {images['defective']}"),
        ("false rejects", f"{image['false_rejects']} of {images['good']}"),
        ("recipe", str(recipe)),
        ("report", str(report)),
        ("time", f"{seconds:.0f} s"),
    ]
    typer.echo("\n".join(f"{name:<18} {value}" for name, value in rows))
