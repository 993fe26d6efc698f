"""`onspec msa`: is the measurement system good enough? Agreement of verdicts, or gauge R&R of sizes."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.evaluation.agreement import AttributeStudy
    from onspec.evaluation.gauge import GaugeStudy
    from onspec.evaluation.msa_tables import Figures

_WIDE = 160
"""Columns of a table that goes into a file or a pipe."""


def command(
    file: Annotated[Path, typer.Argument(help="CSV: part, appraiser, trial and verdict with truth, or value.")],
    kind: Annotated[str | None, typer.Option(help="attribute or gauge; otherwise told by the columns.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Width of the tolerance in the unit of the values, for a gauge study.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not tables.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for msa.json and msa.html.")] = None,
) -> int:
    """Analyse a measurement system after AIAG: attribute agreement of verdicts, or gauge R&R of measured sizes.

    The inspection system is an appraiser like any other. Exits 1 when a limit is broken: an appraiser or the gauge is
    not acceptable.

    Example: onspec msa study.csv --out msa/
    """
    from onspec.cli.study import read_study
    from onspec.evaluation.msa_page import render
    from onspec.imaging.writing import write_bytes

    figures = _analyse(read_study(file, kind), tolerance)
    text = figures.model_dump_json(indent=2)
    if out is not None:
        page = render(file.name, figures)
        write_bytes(out / "msa.json", f"{text}\n".encode("utf-8", "backslashreplace"))
        write_bytes(out / "msa.html", page.encode("utf-8", "backslashreplace"))
    typer.echo(text) if as_json else _print(figures)
    if out is not None:
        typer.echo(f"page: {out / 'msa.html'}", err=True)
    return 0 if figures.acceptable else 1


def _analyse(study: "AttributeStudy | GaugeStudy", tolerance: float | None) -> "Figures":
    from onspec.domain import UsageError
    from onspec.evaluation import agreement, gauge

    if tolerance is not None and not 0 < tolerance < math.inf:
        raise UsageError(f"--tolerance must be a number over 0, upper minus lower limit; got {tolerance:g}")
    if isinstance(study, gauge.GaugeStudy):
        return gauge.analyse(study, tolerance)
    if tolerance is not None:
        raise UsageError("--tolerance is for measured values (kind gauge); verdicts have none, so leave it out")
    return agreement.analyse(study)


def _print(figures: "Figures") -> None:
    from rich.console import Console
    from rich.table import Table

    from onspec.evaluation.msa_tables import summary, tables

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)
    for told in tables(figures):
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for heading in told.headings:
            table.add_column(heading)
        for row in told.rows:
            table.add_row(*row)
        console.print(f"{told.title}: {told.sentence}")
        console.print(table)
        console.print()
    for note in figures.notes:
        typer.echo(f"note: {note}")
    typer.echo(summary(figures))
