"""`onspec convert`: any layout read → another one written."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onspec.cli.data_options import MarkedOption, marked_as
from onspec.cli.split_options import LotFrom, PartPattern

if TYPE_CHECKING:
    from onspec.datasets.converting import Conversion
    from onspec.datasets.dataset import Dataset

_SHOWN = 5
"""Images left out that are named; --json has all."""


def command(
    data: Annotated[Path, typer.Argument(help="Folder with the data set.")],
    out: Annotated[Path, typer.Argument(help="Folder for the new data set; new or empty.")],
    to: Annotated[str, typer.Option("--to", help="Layout to write: dagm, masks, coco, voc, yolo, labelme or folders.")],
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    marked: MarkedOption = None,
    link: Annotated[
        bool, typer.Option("--link", help="Hard links instead of copies: no disk space, but the same files.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not sentences.")] = False,
) -> int:
    """Write a data set in another layout: images copied as they are, labels translated, splits and parts kept.

    What the layout cannot hold is said. Exits 1 when images had to be left out.

    Example: onspec convert parts/ parts-coco/ --to coco
    """
    from rich.console import Console
    from rich.progress import Progress

    from onspec.datasets.converting import convert, refuse
    from onspec.datasets.layouts import load

    refuse(data, out, to)  # before minutes of reading
    dataset = load(data, layout, part_pattern, lot_from=lot_from, marked=marked_as(marked))
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        writing = bar.add_task("converting", total=len(dataset.samples))
        done = convert(dataset, out, to, link=link, tell=lambda count: bar.update(writing, completed=count))
    if as_json:
        typer.echo(json.dumps(_as_dict(dataset, done, out), indent=2, ensure_ascii=False))
    else:
        _print(dataset, done, out)
    return 1 if done.left_out else 0


def _print(dataset: "Dataset", done: "Conversion", out: Path) -> None:
    good, defective = (sum(split[truth] for split in done.splits.values()) for truth in ("good", "defective"))
    typer.echo(f"{out}: {done.layout} from {dataset.layout}, {good} good and {defective} defective images")
    for remark in done.remarks:
        typer.echo(f"  {remark}")
    if done.left_out:
        typer.echo(f"  {len(done.left_out)} left out:")
    for name, why in list(done.left_out.items())[:_SHOWN]:
        typer.echo(f"    {name}: {why}")
    if len(done.left_out) > _SHOWN:
        typer.echo(f"    … and {len(done.left_out) - _SHOWN} more (all with --json)")


def _as_dict(dataset: "Dataset", done: "Conversion", out: Path) -> dict[str, object]:
    return {
        "out": str(out),
        "from": dataset.layout,
        "to": done.layout,
        "classes": list(done.classes),
        "splits": done.splits,
        "remarks": list(done.remarks),
        "left_out": [{"image": name, "why": why} for name, why in done.left_out.items()],
    }
