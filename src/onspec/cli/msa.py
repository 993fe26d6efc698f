"""`onspec msa`: is the measurement system good enough? Agreement of verdicts, or gauge R&R of sizes."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onspec.cli.archive_options import DbFiles

if TYPE_CHECKING:
    from onspec.evaluation.agreement import AttributeStudy
    from onspec.evaluation.gauge import GaugeStudy
    from onspec.evaluation.msa_tables import Figures

_WIDE = 160
"""Columns of a table that goes into a file or a pipe."""


def command(
    file: Annotated[
        Path | None, typer.Argument(help="CSV: part, appraiser, trial and verdict with truth, or value.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="attribute or gauge; otherwise told by the columns.")] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Width of the tolerance in the unit of the values, for a gauge study.")
    ] = None,
    db: Annotated[
        str | None,
        typer.Option(help="In place of a CSV: the archive of onspec serve --db, its stations as appraisers."),
    ] = None,
    db_files: DbFiles = None,
    recipe: Annotated[str | None, typer.Option(help="With --db: only this recipe, NAME or NAME@sha256:HEX.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not tables.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for msa.json and msa.html.")] = None,
) -> int:
    """Analyse a measurement system after AIAG: attribute agreement of verdicts, or gauge R&R of measured sizes.

    The inspection system is an appraiser like any other. Exits 1 when a limit is broken: an appraiser or the gauge is
    not acceptable.

    With --db the truth of a part is its newest review, and its inspections under one part id are the trials.

    Example: onspec msa study.csv --out msa/
    """
    from onspec.evaluation.msa_page import render
    from onspec.imaging.writing import write_bytes

    name, study = _study(file, kind, db, db_files, recipe)
    figures = _analyse(study, tolerance)
    text = figures.model_dump_json(indent=2)
    if out is not None:
        page = render(name, figures)
        write_bytes(out / "msa.json", f"{text}\n".encode("utf-8", "backslashreplace"))
        write_bytes(out / "msa.html", page.encode("utf-8", "backslashreplace"))
    typer.echo(text) if as_json else _print(figures)
    if out is not None:
        typer.echo(f"page: {out / 'msa.html'}", err=True)
    return 0 if figures.acceptable else 1


def _study(
    file: Path | None, kind: str | None, db: str | None, db_files: Path | None, recipe: str | None
) -> "tuple[str, AttributeStudy | GaugeStudy]":
    """What the page calls the study, and the study."""
    from onspec.cli.study import read_study
    from onspec.domain import UsageError

    if (file is None) == (db is None) or (db is None and (recipe, db_files) != (None, None)):
        raise UsageError("give either a CSV file, or --db URL with the archive (and --recipe, if it has several)")
    if file is not None:
        return file.name, read_study(file, kind)
    if kind not in (None, "attribute"):
        raise UsageError("the archive has verdicts, so --kind with --db is attribute; measure sizes into a CSV")
    from onspec.cli.archive_options import opened
    from onspec.cli.recorded_study import study_of
    from onspec.records.query import Filter

    with opened(str(db), db_files) as archive:
        study, left_out = study_of(archive.walk(Filter(recipe=recipe)))
        if left_out:
            typer.echo(f"left out: {left_out} reviewed parts that not every station judged", err=True)
        return archive.database.shown, study


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
