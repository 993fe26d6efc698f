"""`onspec records`: what was judged, what people say of it, and taking it elsewhere."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onspec.cli.archive_options import Db, DbFiles, Since, Until, tell_of_no_images

if TYPE_CHECKING:
    from onspec.records.archive import Archive
    from onspec.records.query import Filter
    from onspec.records.record import Entry


_LIMIT = 50

_FILTERS = (
    "--since", "--until", "--verdict", "--recipe", "--part-id", "--station", "--class", "--score-min", "--score-max",
    "--reviewed",
)  # fmt: skip
TAKES: Mapping[str, tuple[str, ...]] = {
    "list": (*_FILTERS, "--limit"),
    "show": ("ID",),
    "review": ("ID", "--truth", "--class", "--outlines", "--by", "--note"),
    "export": (*_FILTERS, "--out", "--to"),
    "prune": ("--keep-days", "--keep-gb", "--prune-reviewed"),
    "upgrade": (),
}
"""Action → what it takes beside the archive and --json."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an action gets."""

    archive: "Archive"
    wanted: "Filter"
    id: str | None
    limit: int
    as_json: bool
    truth: str | None
    cls: str | None
    outlines: bool
    by: str | None
    note: str
    out: Path | None
    to: str | None
    keep_days: float | None
    keep_gb: float | None
    prune_reviewed: bool


def command(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="list, show, review, export, prune or upgrade.")],
    id_: Annotated[str | None, typer.Argument(metavar="[ID]", help="Of the record to show or review.")] = None,
    db: Db = "",
    db_files: DbFiles = None,
    since: Since = None,
    until: Until = None,
    verdict: Annotated[list[str] | None, typer.Option(help="Only OK, NG, REVIEW or ERROR; may be given often.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Only of this recipe: NAME or NAME@sha256:HEX.")] = None,
    part_id: Annotated[str | None, typer.Option(help="Only of this part.")] = None,
    station: Annotated[str | None, typer.Option(help="Only of this station.")] = None,
    cls: Annotated[
        str | None, typer.Option("--class", help="Only with a defect of this class; of review: the defect's class.")
    ] = None,
    score_min: Annotated[float | None, typer.Option(min=0, max=1, help="Only with at least this score.")] = None,
    score_max: Annotated[float | None, typer.Option(min=0, max=1, help="Only with at most this score.")] = None,
    reviewed: Annotated[
        bool | None, typer.Option("--reviewed/--not-reviewed", help="Only those that somebody has reviewed, or not.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Of list: at most so many, the newest first.", show_default=str(_LIMIT))
    ] = None,
    truth: Annotated[str | None, typer.Option(help="Of review: good or defective.")] = None,
    outlines: Annotated[
        bool, typer.Option("--outlines", help="Of review: the recorded outlines are right, use them as labels.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="Of review: who says it.")] = None,
    note: Annotated[str, typer.Option(help="Of review: anything to add.")] = "",
    out: Annotated[Path | None, typer.Option(help="Of export: the file or folder to write.")] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Of export: csv, parquet; for a data set of reviewed parts masks, folders, coco …"),
    ] = None,
    keep_days: Annotated[float | None, typer.Option(min=0, help="Of prune: remove images that are older.")] = None,
    keep_gb: Annotated[
        float | None, typer.Option(min=0, help="Of prune: remove the oldest until this is left.")
    ] = None,
    prune_reviewed: Annotated[
        bool, typer.Option("--prune-reviewed", help="Of prune: remove images of reviewed parts, too; they are labels.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Look through the archive of onspec serve --db, review parts, export records, remove old images.

    A review never changes a verdict: it stands beside it, and the newest one counts. Export with --to masks, folders or
    another layout that onspec convert writes makes a data set of reviewed parts, to train on; exits 1 when some had to
    be left out. Any action brings the tables up to date, upgrade does nothing else.

    Example: onspec records list --db records.db --verdict NG --since 8h
    """
    from onspec.cli.archive_options import opened
    from onspec.domain import UsageError
    from onspec.records.query import Filter, parse_time
    from onspec.records.record import verdicts

    if action not in ACTIONS:
        raise UsageError(f"unknown action {action!r}; choose {', '.join(ACTIONS)}")
    if not db:
        raise UsageError("name the archive: --db records.db")
    _refuse_unused(action, {
        "ID": id_, "--since": since, "--until": until, "--verdict": verdict, "--recipe": recipe, "--part-id": part_id,
        "--station": station, "--class": cls, "--score-min": score_min, "--score-max": score_max,
        "--reviewed": reviewed, "--limit": limit, "--truth": truth, "--outlines": outlines or None, "--by": by,
        "--note": note or None, "--out": out, "--to": to, "--keep-days": keep_days, "--keep-gb": keep_gb,
        "--prune-reviewed": prune_reviewed or None,
    })  # fmt: skip
    wanted = Filter(
        since=None if since is None else parse_time(since),
        until=None if until is None else parse_time(until),
        verdicts=verdicts(verdict or ()),
        recipe=recipe, part_id=part_id, station=station, score_min=score_min, score_max=score_max,
        cls=None if action == "review" else cls, reviewed=reviewed,
    )  # fmt: skip
    with opened(db, db_files) as archive:
        asked = Asked(
            archive, wanted, id_, limit or _LIMIT, as_json, truth, cls, outlines, by, note, out, to, keep_days, keep_gb,
            prune_reviewed,
        )  # fmt: skip
        return ACTIONS[action](asked)


def _refuse_unused(action: str, given: Mapping[str, object]) -> None:
    """Refuse what would be passed over: images that were to be kept would be gone."""
    from onspec.domain import UsageError

    for name, value in given.items():
        if value is not None and name not in TAKES[action]:
            takes = ", ".join(TAKES[action]) or "nothing else"
            raise UsageError(f"{name} means nothing to records {action}, which takes {takes}; leave it out")


def _list(asked: Asked) -> int:
    entries = list(islice(asked.archive.walk(asked.wanted, newest_first=True), asked.limit + 1))
    more, entries = len(entries) > asked.limit, entries[: asked.limit]
    if asked.as_json:
        for entry in entries:
            typer.echo(json.dumps(entry.as_json(), ensure_ascii=False))
    else:
        for entry in entries:
            typer.echo(_line(entry))
    if more:
        typer.echo(f"onspec: there are more than {asked.limit}; ask for more with --limit, or for fewer", err=True)
    return 0


def _line(entry: "Entry") -> str:
    record, seen, said = entry.record, entry.record.inspection, entry.truth
    score = "    " if seen.score is None else f"{seen.score:.2f}"
    when = record.time.strftime("%Y-%m-%d %H:%M:%SZ")
    told = "" if said is None else f"  reviewed: {said.truth}{'' if said.cls is None else f' ({said.cls})'}"
    why = seen.error or "; ".join(seen.reasons)
    part = "-" if seen.part_id is None else seen.part_id
    return f"{record.id}  {when}  {seen.verdict:<6} {score}  {part}  {seen.image}{told}{'  ' if why else ''}{why}"


def _show(asked: Asked) -> int:
    entry = asked.archive.get(_id(asked))
    if asked.as_json:
        typer.echo(json.dumps(entry.as_json(), ensure_ascii=False))
        return 0
    record, seen = entry.record, entry.record.inspection
    image = asked.archive.image(record)
    typer.echo(_line(entry))
    rows = {
        "station": record.station,
        "recipe": seen.recipe,
        "engine": seen.engine,
        "image": "not kept" if image is None else str(image),
        "defects": str(len(seen.defects)),
        "time taken": ", ".join(f"{stage} {ms:.1f} ms" for stage, ms in seen.ms.items()),
    }
    for name, value in rows.items():
        typer.echo(f"  {name:<10}  {value}")
    for cls in record.maps:
        score_map = asked.archive.score_map(record, cls)
        typer.echo(f"  {'map':<10}  {cls}: {'not kept' if score_map is None else score_map}")
    for number, defect in enumerate(seen.defects, start=1):
        x, y = defect.centroid
        typer.echo(f"  #{number} {defect.cls}, score {defect.score:.2f}, {defect.area_px} px at ({x:.0f}, {y:.0f})")
    for one in entry.reviews:
        said = one.review
        what = said.truth if said.cls is None else f"{said.truth} ({said.cls})"
        note = f": {said.note}" if said.note else ""
        typer.echo(f"  review  {one.time:%Y-%m-%d %H:%M:%SZ}  {what} by {said.by}{note}")
    return 0


def _review(asked: Asked) -> int:
    from pydantic import ValidationError

    from onspec.domain import UsageError
    from onspec.records.record import Review

    if asked.truth not in ("good", "defective") or not asked.by:
        raise UsageError("a review needs --truth good or --truth defective, and who says it: --by NAME")
    fields = {"truth": asked.truth, "class": asked.cls, "outlines": asked.outlines, "by": asked.by, "note": asked.note}
    try:
        review = Review.model_validate(fields)
    except ValidationError as error:
        raise UsageError(f"review: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    asked.archive.review(_id(asked), review)
    typer.echo(f"reviewed: {review.truth}{'' if review.cls is None else f' ({review.cls})'} by {review.by}")
    return 0


def _export(asked: Asked) -> int:
    from onspec.datasets.writers import WRITERS
    from onspec.domain import UsageError
    from onspec.records.table import write_csv, write_parquet
    from onspec.service.reviewed_set import write_reviewed

    if asked.out is None:
        raise UsageError("name the file or folder to write: --out records.csv")
    kind = asked.to or asked.out.suffix.removeprefix(".").lower()
    tables = {"csv": write_csv, "parquet": write_parquet}
    entries = asked.archive.walk(asked.wanted)
    if kind in tables:
        typer.echo(f"records: {tables[kind](entries, asked.out)} in {asked.out}")
        return 0
    if kind not in WRITERS:
        allowed = ", ".join([*tables, *WRITERS])
        raise UsageError(f"cannot export to {kind or str(asked.out)!r}; choose --to {allowed}")
    tell_of_no_images(asked.archive)
    done, missing = write_reviewed(asked.archive, entries, asked.out, kind)
    good, defective = (sum(split[truth] for split in done.splits.values()) for truth in ("good", "defective"))
    typer.echo(f"{asked.out}: {done.layout}, {good} good and {defective} defective images")
    for remark in done.remarks:
        typer.echo(f"  {remark}")
    if missing:
        typer.echo(f"left out: {missing} reviewed, but the image was not kept (see --keep-ok of onspec serve)")
    for name, why in done.left_out.items():
        typer.echo(f"left out: {name}: {why}")
    return 1 if missing or done.left_out else 0


def _upgrade(asked: Asked) -> int:
    """Opening the archive has done it."""
    typer.echo(f"{asked.archive.database.shown}: its tables are those of this onspec")
    return 0


def _prune(asked: Asked) -> int:
    from onspec.domain import UsageError
    from onspec.records.images import KeepPolicy

    policy = KeepPolicy(days=asked.keep_days, gigabytes=asked.keep_gb, reviewed=not asked.prune_reviewed)
    if not policy.limited:
        raise UsageError("say what is to be kept: --keep-days N, --keep-gb N, or both")
    tell_of_no_images(asked.archive)
    pruned = asked.archive.prune(policy)
    if asked.as_json:
        told = {
            "removed": pruned.files,
            "bytes": pruned.bytes,
            "left": pruned.files_left,
            "bytes_left": pruned.bytes_left,
            "spared": pruned.spared,
        }
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"removed: {pruned.files} images, {pruned.bytes / 1e6:.1f} MB")
        typer.echo(f"left: {pruned.files_left} images, {pruned.bytes_left / 1e6:.1f} MB; the records stay")
        if pruned.spared:
            typer.echo(f"spared: {pruned.spared} images of reviewed parts, which are labels (see --prune-reviewed)")
    return 0


def _id(asked: Asked) -> str:
    from onspec.domain import UsageError

    if asked.id is None:
        raise UsageError("name the record by its id, as `onspec records list` shows it")
    return asked.id


ACTIONS: dict[str, Callable[[Asked], int]] = {
    "list": _list,
    "show": _show,
    "review": _review,
    "export": _export,
    "prune": _prune,
    "upgrade": _upgrade,
}
"""What can be done with records."""
