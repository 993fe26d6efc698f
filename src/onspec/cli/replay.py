"""`onspec replay`: what another recipe or rule set would have decided on recorded parts."""

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onspec.cli.archive_options import Db, DbFiles, Since, Until

if TYPE_CHECKING:
    from onspec.recipe.package import Package
    from onspec.records.replay import Judge, Replayed, Summary
    from onspec.records.table import Cell

_COLUMNS = ("id", "time", "part_id", "image", "score", "before", "after", "truth", "from_image", "reasons")


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe to judge by (.onspec), or the folder of a run.")],
    db: Db = "",
    db_files: DbFiles = None,
    rules: Annotated[Path | None, typer.Option(help="Judge by these rules, not those of the recipe.")] = None,
    since: Since = None,
    until: Until = None,
    of: Annotated[
        str | None, typer.Option(metavar="NAME", help="Parts that this recipe judged, by NAME or NAME@sha256:HEX.")
    ] = None,
    images: Annotated[
        bool, typer.Option("--images", help="Judge kept images anew where the record does not say enough.")
    ] = False,
    engine: Annotated[str, typer.Option(help="Inference engine for --images.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Write a row a part (CSV).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Judge recorded parts by another recipe, or other rules, from their recorded defects: the network does not run.

    Says how verdicts change, and what that does to escapes and false rejects among reviewed parts. What cannot be told
    from the record is counted with its reason, never guessed. Parts of the recipe's own name are taken, unless --of
    names another.

    Example: onspec replay tile.onspec --db records.db --rules stricter.yaml --since 7d
    """
    from onspec.cli.archive_options import opened, tell_of_no_images
    from onspec.domain import UsageError
    from onspec.recipe.facts import facts_of
    from onspec.recipe.reading import open_package, with_rules
    from onspec.records.query import Filter, parse_time
    from onspec.records.record import RecipeFacts
    from onspec.records.replay import Replay, Summary

    if not db:
        raise UsageError("name the archive: --db records.db")
    package = open_package(recipe)
    if rules is not None:
        package = with_rules(package, rules)
    wanted = Filter(
        since=None if since is None else parse_time(since),
        until=None if until is None else parse_time(until),
        recipe=of or package.recipe.name,
    )
    summary = Summary()
    with ExitStack() as stack:
        archive = stack.enter_context(opened(db, db_files))
        if images:
            tell_of_no_images(archive)
        judge = _judge(package, engine, stack) if images else None
        replayed = Replay(archive, RecipeFacts(*facts_of(package)), judge).run(wanted)
        for one in written(replayed, out):
            summary.add(one)
    typer.echo(json.dumps(summary.as_json()) if as_json else _text(summary, images))
    return 0


def _judge(package: "Package", engine: str, stack: ExitStack) -> "Judge":
    from onspec.domain import Inspection
    from onspec.records.record import Entry
    from onspec.runtime.inspector import Inspector

    inspector = stack.enter_context(closing(Inspector(package, engine)))

    def judge(data: bytes, entry: Entry) -> Inspection:
        seen = entry.record.inspection
        return inspector.inspect_bytes(data, seen.image, seen.part_id).inspection

    return judge


def written(replayed: "Iterator[Replayed]", out: Path | None) -> "Iterator[Replayed]":
    """Each part on its way, written if asked for."""
    from onspec.domain import UsageError
    from onspec.records.files import aside
    from onspec.records.table import cell

    if out is None:
        yield from replayed
        return
    try:
        with aside(out) as handle, open(handle, "w", encoding="utf-8", newline="", closefd=False) as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            for one in replayed:
                writer.writerow([cell(value) for value in _row(one)])
                yield one
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror})") from error


def _row(one: "Replayed") -> "tuple[Cell, ...]":
    record, truth = one.entry.record, one.entry.truth
    seen = record.inspection
    after = None if one.after is None else one.after.value
    why = "; ".join(one.reasons) if one.lack is None else one.lack.value
    return (
        record.id, record.time, seen.part_id, seen.image, seen.score, one.before.value, after,
        None if truth is None else truth.truth, one.from_image, why,
    )  # fmt: skip


def _text(summary: "Summary", images: bool) -> str:
    told = f", {summary.from_images} of them from their images" if summary.from_images else ""
    lines = [f"parts: {summary.parts}", f"replayed: {summary.replayed}{told}", f"changed: {summary.changed}"]
    changes = sorted(summary.changes.items(), key=lambda item: (item[0][0] == item[0][1], item[0]))
    lines += [f"  {before} → {after}  {count}" for (before, after), count in changes]
    if summary.reviewed.total():
        good, defective = summary.reviewed["good"], summary.reviewed["defective"]
        lines += [
            f"reviewed: {good} good, {defective} defective",
            f"  escapes        {summary.before.escapes} → {summary.after.escapes}",
            f"  false rejects  {summary.before.false_rejects} → {summary.after.false_rejects}",
        ]
    if summary.lacks:
        lines.append(f"not replayed: {summary.lacks.total()}")
        lines += [f"  {count}  {lack.value}" for lack, count in sorted(summary.lacks.items())]
        lines.append(
            "  their images were not kept" if images else "  those whose images were kept can be judged with --images"
        )
    return "\n".join(lines)
