"""`onspec train`: data set → run."""

import math
import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from onspec.cli.data_options import MarkedOption, marked_as
from onspec.cli.split_options import LotFrom, PartPattern, SplitBy, SplitFile, TimeFrom, refuse_unused

FIGURES = {
    "val_dice": "Dice",
    "val_ap": "image AP",
    "val_map_50": "AP50 of boxes",
    "val_map_50_95": "AP50:95",
    "val_accuracy": "accuracy",
}
"""What a validation figure is called."""


def command(
    data: Annotated[Path, typer.Argument(help="Folder with the data set.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the run; made if absent.")],
    budget: Annotated[str, typer.Option(help="Time for the whole command: 90s, 20m, 1h.")] = "20m",
    seed: Annotated[int, typer.Option(help="Start of every random choice; also of the split.", min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    task: Annotated[
        str | None, typer.Option(help="Way to inspect: segment, detect or classify; otherwise as the labels allow.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="one: every defect is just a defect; each: the classes that the labels name.")
    ] = None,
    network: Annotated[str | None, typer.Option(help="unet-lite (the default), unet-deck or cnn-weimer.")] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Train by this (edited) plan.yaml; deck: as the 2018 talk did.")
    ] = None,
    good_only: Annotated[
        bool, typer.Option("--good-only", help="Learn from good parts alone, with synthetic defects.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(help="Exactly so many steps; repeats a run to the bit on one machine.", min=1)
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    split_file: SplitFile = None,
    split_by: SplitBy = "chance",
    marked: MarkedOption = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    time_from: TimeFrom = None,
) -> int:
    """Train a model from a data set within a time budget.

    The run folder gets the plan with its reasons, the split, learning curves while it runs, and at the end the
    network with its operating point. The test split is never read.

    Example: onspec train parts/ --out run/ --budget 20m
    """
    started = time.monotonic()
    from onspec.cli.progress import TrainingProgress, talk
    from onspec.domain import MissingExtraError, Task

    wanted = one_of("task", task, [str(t) for t in Task])
    kept = one_of("classes", classes, ["one", "each"])
    seconds = parse_duration(budget)
    refuse_unused(split_by, time_from, split_file)
    try:
        from onspec.datasets.layouts import load
        from onspec.training.planning import Wishes
        from onspec.training.run import Settings, train
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "onspec":
            raise
        raise MissingExtraError("Training", "train") from error
    settings = Settings(
        run=out, budget_s=seconds, seed=seed, steps=steps, plan_file=plan, split_file=split_file,
        split_by="time" if split_by == "time" else "chance", good_only=good_only, resume=resume, started=started,
        wishes=Wishes(None if wanted is None else Task(wanted), kept, network),
    )  # fmt: skip
    dataset = load(
        data,
        layout,
        part_pattern,
        lot_from=lot_from,
        time_from=time_from,
        split_file=split_file,
        marked=marked_as(marked),
    )
    with TrainingProgress() as progress:
        recipe = train(dataset, settings, say=talk, watch=progress)
    if recipe is None:  # the first of several processes tells
        return 0
    typer.echo(f"run: {out}")
    figures = recipe.provenance.metrics.items()
    typer.echo("validation: " + ", ".join(f"{FIGURES.get(name, name)} {_figure(value)}" for name, value in figures))
    typer.echo(f"threshold: {recipe.thresholds.image:.3f} ({recipe.thresholds.basis})")
    typer.echo(f"next: onspec evaluate {out} {data} --out {out}/evaluation")
    return 0


def one_of(what: str, given: str | None, allowed: list[str]) -> Any:  # noqa: ANN401 - one of the literals of `allowed`
    """The choice, or `None` where none was made.

    Raises:
        UsageError: another one.
    """
    from onspec.domain import UsageError

    if given is not None and given not in allowed:
        raise UsageError(f"Unknown {what} {given!r}; choose {', '.join(allowed)}")
    return given


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
