"""`onspec train`: data set → run."""

import math
import re
import time
from pathlib import Path
from typing import Annotated

import typer


def command(
    data: Annotated[Path, typer.Argument(help="Folder with the data set.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the run; made if absent.")],
    budget: Annotated[str, typer.Option(help="Time for the whole command: 90s, 20m, 1h.")] = "20m",
    seed: Annotated[int, typer.Option(help="Start of every random choice; also of the split.", min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    task: Annotated[str, typer.Option(help="Way to inspect: segment.")] = "segment",
    network: Annotated[str | None, typer.Option(help="unet-lite (the default) or unet-deck.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Train by this (edited) plan.yaml.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Exactly so many steps; repeats a run to the bit on one machine.", min=1)
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    split_file: Annotated[Path | None, typer.Option(help="CSV with columns image, split, optionally part.")] = None,
    part_pattern: Annotated[
        str | None, typer.Option(help="Regular expression on the image's name; its group 1 is the part.")
    ] = None,
) -> int:
    """Train a model from a data set within a time budget.

    The run folder gets the plan with its reasons, the split, learning curves while it runs, and at the end the
    network with its operating point. The test split is never read.

    Example: onspec train parts/ --out run/ --budget 20m
    """
    started = time.monotonic()
    from onspec.cli.progress import TrainingProgress, talk
    from onspec.domain import MissingExtraError, UsageError

    if task != "segment":
        raise UsageError(f"Unknown task {task!r}; this version trains: segment")
    seconds = parse_duration(budget)
    try:
        from onspec.datasets.layouts import load
        from onspec.training.run import Settings, train
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "onspec":
            raise
        raise MissingExtraError("Training", "train") from error
    settings = Settings(
        run=out, budget_s=seconds, seed=seed, steps=steps, network=network, plan_file=plan,
        split_file=split_file, resume=resume, started=started,
    )  # fmt: skip
    dataset = load(data, layout, part_pattern)
    with TrainingProgress() as progress:
        recipe = train(dataset, settings, say=talk, watch=progress)
    metrics = recipe.provenance.metrics
    typer.echo(f"run: {out}")
    typer.echo(f"validation: Dice {_figure(metrics['val_dice'])}, image AP {_figure(metrics['val_ap'])}")
    typer.echo(f"threshold: {recipe.thresholds.image:.3f} ({recipe.thresholds.basis})")
    typer.echo(f"next: onspec evaluate {out} {data} --out {out}/evaluation")
    return 0


def parse_duration(text: str) -> float:
    """`90s`, `20m`, `1.5h` or plain seconds → seconds.

    Raises:
        UsageError: anything else, or nothing.
    """
    from onspec.domain import UsageError

    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise UsageError(f"budget {text!r} is not a duration; write it as 90s, 20m or 1h")
    return seconds


def _figure(value: float | None) -> str:
    return "not defined" if value is None or math.isnan(value) else f"{value:.3f}"
