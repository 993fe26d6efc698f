"""`onspec check`: what a data set holds, and what is wrong with it."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from onspec.cli.data_options import MarkedOption, marked_as
from onspec.cli.split_options import LotFrom, PartPattern

if TYPE_CHECKING:
    from onspec.datasets.checking import CheckReport

_SHOWN = 5
"""Problems of one kind that the table shows; --json has all."""


def command(
    data: Annotated[Path, typer.Argument(help="Folder with the data set.")],
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    marked: MarkedOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for check.html, with contact sheets, and check.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Look through a data set: layout, counts, sizes, labels, parts, splits, and what is wrong.

    With --out it writes a page with pictures, labels outlined: look at it before training. Exits 1 when an error is
    found; a warning is worth knowing, but no reason to stop.

    Example: onspec check parts/ --out check/
    """
    from onspec.datasets.check_page import require_page, write_page
    from onspec.datasets.checking import check
    from onspec.datasets.layouts import load
    from onspec.imaging.writing import write_bytes

    if out is not None:
        require_page()
    dataset = load(data, layout, part_pattern, lot_from=lot_from, marked=marked_as(marked))
    with _Progress(len(dataset.samples)) as progress:
        report = check(dataset, progress)
    text = report.model_dump_json(indent=2)
    if out is not None:
        write_bytes(out / "check.json", text.encode("utf-8", "backslashreplace"))
        write_page(out / "check.html", dataset, report)
    typer.echo(text) if as_json else _print(report)
    if out is not None:
        typer.echo(f"page: {out / 'check.html'}", err=True)
    return 1 if report.errors else 0


class _Progress:
    """A bar on stderr while images are read; silent where that is no terminal."""

    def __init__(self, images: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
        self._task = self._bar.add_task("reading", total=images)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int) -> None:
        """Show how many are read."""
        self._bar.update(self._task, completed=done)


def _print(report: "CheckReport") -> None:
    from rich.console import Console
    from rich.table import Table

    from onspec.datasets.check_words import number, rows

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows(report):
        table.add_row(name, value)
    Console(highlight=False, markup=False).print(table)
    by_code = Counter((p.severity, p.code) for p in report.problems)
    for (severity, code), count in by_code.items():
        typer.echo(f"\n{severity}: {code} ({count})")
        of_kind = [p for p in report.problems if (p.severity, p.code) == (severity, code)]
        for problem in of_kind[:_SHOWN]:
            typer.echo(f"  {problem.message}")
        if count > _SHOWN:
            typer.echo(f"  … and {count - _SHOWN} more (all with --json)")
        typer.echo(f"  → {of_kind[0].suggestion}")
    warnings = len(report.problems) - report.errors
    summary = f"{number(report.errors, 'error')}, {number(warnings, 'warning')}"
    typer.echo(f"\n{summary}" if report.problems else "\nnothing wrong found")
