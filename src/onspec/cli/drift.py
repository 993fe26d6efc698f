"""`onspec drift`: do images and scores still look as those did that the recipe was made of?"""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onspec.cli.archive_options import DbFiles, Since, Until

if TYPE_CHECKING:
    from onspec.evaluation.drift import Seen, WindowDrift
    from onspec.evaluation.drift_windows import Naming
    from onspec.recipe.package import Package

    Windows = list[tuple[str, WindowDrift]]

_WIDE = 200
"""Columns of a table that goes into a file or a pipe."""
_WINDOW = 500


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe that judged (.onspec), or the folder of a run.")],
    db: Annotated[
        str | None,
        typer.Option(
            "--db", metavar="URL", envvar="ONSPEC_DB", help="The archive of onspec serve --db to look through."
        ),
    ] = None,
    db_files: DbFiles = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="In its place a folder, judged in order.")] = None,
    since: Since = None,
    until: Until = None,
    station: Annotated[str | None, typer.Option(help="Only of this station.")] = None,
    of: Annotated[
        str | None, typer.Option(metavar="NAME", help="Parts that this recipe judged, by NAME or NAME@sha256:HEX.")
    ] = None,
    window: Annotated[int | None, typer.Option(min=30, help=f"Images a window; {_WINDOW} if not given.")] = None,
    shift: Annotated[
        str | None, typer.Option(metavar="TIMES", help="A window a shift: 06:00,14:00,22:00 by this machine's clock.")
    ] = None,
    per_hours: Annotated[float | None, typer.Option(metavar="N", help="A window for so many hours.")] = None,
    rate: Annotated[float, typer.Option(help="Share of windows without any change that may give an alarm.")] = 0.001,
    engine: Annotated[str, typer.Option(help="Inference engine for --images.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: a list of windows.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with the trend of each measure.")] = None,
    fail_on_drift: Annotated[bool, typer.Option("--fail-on-drift", help="Exit 1 if any window has an alarm.")] = False,
) -> int:
    """Compare recorded images and scores with the recipe's training data, window by window.

    Each figure of light, focus and place, and the scores of parts judged OK, are held against the training by the
    population stability index and a Kolmogorov-Smirnov test; shares of NG, REVIEW and ERROR against the windows before.
    An alarm says what changed and where to look.

    Example: onspec drift tile.onspec --db records.db --since 7d --shift 06:00,14:00,22:00 --html drift.html
    """
    from onspec.domain import UsageError
    from onspec.evaluation.drift import Standard
    from onspec.evaluation.drift_page import render
    from onspec.evaluation.drift_windows import assess_windows
    from onspec.imaging.writing import write_bytes

    if db is None and images is None:
        raise UsageError("say where the images are: --db records.db, or --images DIR")
    if images is not None and any(given is not None for given in (since, until, station, of, shift, per_hours)):
        raise UsageError("files have no time of inspection and no station: with --images give --window only")
    package = _package(recipe)
    naming, standard, known = _naming(window, shift, per_hours), Standard(rate=rate), package.recipe
    with ExitStack() as stack:
        if images is not None:
            seen = _judged(package, images, engine, stack)
        else:
            seen = _recorded(str(db), db_files, (since, until), station, of or package.identity, stack)
        found = list(assess_windows(seen, naming, known.reference, known.thresholds.lowest, standard))
    if not found:
        raise UsageError(_nothing(package, images, of))
    source = str(images) if images is not None else "the records"
    if html is not None:
        page = render(package.identity, source, [name for name, _ in found], [window for _, window in found])
        write_bytes(html, page.encode("utf-8", "backslashreplace"))
    typer.echo(_json(found)) if as_json else _print(found)
    if html is not None:
        typer.echo(f"page: {html}", err=True)
    return 1 if fail_on_drift and any(window.state == "alarm" for _, window in found) else 0


def _package(path: Path) -> "Package":
    from onspec.domain import RecipeError
    from onspec.recipe.reading import open_package

    package = open_package(path)
    if package.recipe.reference is None:
        raise RecipeError(
            f"{path}: the recipe does not know how its training images looked, so nothing can be compared; "
            "train it with this version of onspec and pack it again"
        )
    return package


def _naming(window: int | None, shift: str | None, per_hours: float | None) -> "Naming":
    from onspec.domain import UsageError
    from onspec.evaluation.drift_windows import by_count, by_hours, by_shift

    if sum(given is not None for given in (window, shift, per_hours)) > 1:
        raise UsageError("--window, --shift and --per-hours each say what a window is; give one of them")
    if shift is not None:
        return by_shift(shift)
    return by_count(window or _WINDOW) if per_hours is None else by_hours(per_hours)


def _recorded(
    db: str, files: Path | None, span: tuple[str | None, str | None], station: str | None, recipe: str, stack: ExitStack
) -> "Iterator[Seen]":
    from onspec.cli.archive_options import opened
    from onspec.evaluation.drift import Seen
    from onspec.records.query import Filter, parse_time

    since, until = (None if text is None else parse_time(text) for text in span)
    archive = stack.enter_context(opened(db, files))
    wanted = Filter(since=since, until=until, station=station, recipe=recipe)
    return (Seen.of(entry.record.inspection, entry.record.time.timestamp()) for entry in archive.walk(wanted))


def _judged(package: "Package", folder: Path, engine: str, stack: ExitStack) -> "Iterator[Seen]":
    """What files show, judged now, in the order of their names."""
    import cv2

    from onspec.cli.progress import talk
    from onspec.evaluation.drift import Seen
    from onspec.runtime.choosing import resolve
    from onspec.runtime.inspector import Inspector
    from onspec.runtime.lanes import plan_lanes
    from onspec.runtime.sources import find_sources

    found, _ = find_sources([str(folder)])
    engine = resolve(engine, package, None, len(found), talk)
    cv2.setNumThreads(1)  # images are worked on side by side
    plan = plan_lanes(engine, len(found), package.recipe.input)
    inspector = stack.enter_context(closing(Inspector(package, engine, plan.threads, plan.lanes)))
    results = stack.enter_context(closing(inspector.inspect_files(source.path for source in found)))
    return (Seen.of(result.inspection, math.nan) for result in results)


def _nothing(package: "Package", images: Path | None, of: str | None) -> str:
    if images is not None:
        return f"no image in {images}"
    name = of or package.identity
    return f"no records of {name}; other versions of the recipe judged with --of {package.recipe.name}, or see --since"


def _json(found: "Windows") -> str:
    from onspec.evaluation.drift_words import sentences

    told = [
        {"window": name, **window.model_dump(mode="json"), "sentences": sentences(window)} for name, window in found
    ]
    return json.dumps(told, ensure_ascii=False, indent=1)


def _print(found: "Windows") -> None:
    """All windows side by side, or one in full; then a sentence an alarm."""
    from onspec.evaluation.drift_words import lacks, measure_table, rate_table, sentences, summary, trend_table

    tables = [trend_table(found)] if len(found) > 1 else [measure_table(found[0][1]), rate_table(found[0][1])]
    for table in tables:
        if table.rows:
            _table(table.headings, table.rows, f"{table.title}: {table.sentence}")
    for lack in lacks(found[0][1]) if len(found) == 1 else ():
        typer.echo(lack)
    for name, window in found:
        for sentence in sentences(window):
            typer.echo(f"{name}: {sentence}")
    alarms = sum(window.state == "alarm" for _, window in found)
    if len(found) > 1:
        typer.echo(f"windows: {len(found)}, with an alarm: {alarms}")
    elif not alarms:
        typer.echo(summary(found[0][1]))


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]], sentence: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    console.print(sentence)
    console.print(table)
    console.print()
