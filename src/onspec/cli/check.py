"""`onspec check`: what a data set holds, and what is wrong with it."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.datasets.checking import CheckReport, ClassReport

_SHOWN = 5
"""Problems of one kind that the table shows; --json has all."""


def command(
    data: Annotated[Path, typer.Argument(help="Folder with the data set.")],
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    part_pattern: Annotated[
        str | None, typer.Option(help="Regular expression on the image's name; its group 1 is the part.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Look through a data set: layout, counts, sizes, labels, parts, splits, and what is wrong.

    Exits 1 when an error is found; a warning is worth knowing, but no reason to stop.

    Example: onspec check parts/
    """
    from onspec.datasets.checking import check
    from onspec.datasets.layouts import load

    report = check(load(data, layout, part_pattern))
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _print(report)
    return 1 if report.errors else 0


def _print(report: "CheckReport") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _rows(report):
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
    summary = f"{_number(report.errors, 'error')}, {_number(warnings, 'warning')}"
    typer.echo(f"\n{summary}" if report.problems else "\nnothing wrong found")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _rows(report: "CheckReport") -> list[tuple[str, str]]:
    from onspec.domain import DEFECT

    labels = report.labels
    kinds = [f"{n} × {name}" for name, n in labels.encodings.items()]
    counted = {"ellipses": labels.ellipses, "boxes": labels.boxes, "polygons": labels.polygons}
    kinds += [f"{n} {name}" for name, n in {**counted, "masks as run lengths": labels.runs}.items() if n]
    kinds += ["inverted: 0 is the defect"] if labels.inverted else []
    kinds += [f"{labels.unlocated} defective images without a location"] if labels.unlocated else []
    rows = [
        ("layout", report.layout),
        ("images", f"{report.images['good']} good, {report.images['defective']} defective"),
        ("parts", f"{report.parts['all']}, {report.parts['defective']} of them defective; {report.parts_rule}"),
    ]
    rows += [(split, f"{n['good']} good, {n['defective']} defective") for split, n in report.splits.items()]
    rows += [
        ("sizes", _sizes(report.sizes)),
        ("pixels", f"{_several(report.channels)}; {_several(report.dtypes)}"),
        ("labels", ", ".join(kinds) or "none"),
    ]
    if labels.share_median is not None and labels.share_min is not None and labels.share_max is not None:
        spread = f"{labels.share_min:.3%} … {labels.share_max:.2%} of the image, median {labels.share_median:.2%}"
        rows.append(("defects", f"{labels.defects}; marked area {spread}"))
    if report.classes.keys() - {DEFECT}:
        rows += [("classes" if n == 0 else "", _class(*item)) for n, item in enumerate(report.classes.items())]
    return rows


def _class(name: str, found: "ClassReport") -> str:
    marked = f"{_number(found.defects, 'defect')} in " if found.defects else ""
    return f"{name}: {marked}{_number(found.images, 'image')}"


def _sizes(counts: dict[str, int]) -> str:
    if len(counts) <= 4:
        return _several(counts)
    sides = [[int(side) for side in size.split("×")] for size in counts]
    (w_min, h_min), (w_max, h_max) = map(min, zip(*sides, strict=True)), map(max, zip(*sides, strict=True))
    return f"{len(counts)} different: {w_min} … {w_max} px wide, {h_min} … {h_max} px high"


def _several(counts: dict[str, int]) -> str:
    shown = [f"{n} × {name}" for name, n in list(counts.items())[:4]]
    return ", ".join(shown) + (f" and {len(counts) - 4} more" if len(counts) > 4 else "")
