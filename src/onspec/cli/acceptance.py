"""`onspec acceptance`: the acceptance test of a classifying system, with its protocol."""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onspec.cli.data_options import marked_in
from onspec.cli.split_options import LotFrom, PartPattern, SplitFile

if TYPE_CHECKING:
    from onspec.evaluation.acceptance import Agreement
    from onspec.evaluation.acceptance_protocol import Protocol


_WIDE = 200
"""Columns of a table that goes into a file or a pipe."""


def command(
    recipe: Annotated[Path, typer.Argument(help="The recipe file exactly as delivered (.onspec).")],
    data: Annotated[Path, typer.Argument(help="Folder with the test parts and what they are.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for acceptance.html, .json, .csv; new or empty.")],
    max_escape_rate: Annotated[float, typer.Option(help="Agreed: share of defective parts judged OK: 0.05.")],
    max_false_reject_rate: Annotated[float, typer.Option(help="Agreed: share of good parts judged NG: 0.02.")],
    max_review_rate: Annotated[
        float | None,
        typer.Option(help="Agreed: share of good parts to REVIEW; otherwise such a part counts as a false reject."),
    ] = None,
    confidence: Annotated[float, typer.Option(help="How sure each rate is to be: 0.95.")] = 0.95,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="How often every part is judged.")] = 3,
    borderline: Annotated[
        Path | None,
        typer.Option(help="CSV with columns image, borderline; parts in folders named borderline are so anyway."),
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who tests.")] = "",
    supplier: Annotated[str, typer.Option(help="Who delivers the system: company, name.")] = "",
    user: Annotated[str, typer.Option(help="Who takes it over: company, name.")] = "",
    site: Annotated[str, typer.Option(help="Where.")] = "",
    subject: Annotated[str, typer.Option(help="What is inspected, at which station.")] = "",
    comment: Annotated[str, typer.Option(help="Anything else that was agreed on.")] = "",
    condition: Annotated[
        list[str] | None,
        typer.Option(help="Accept with this condition if a rate is within its limit, but not proved. May be repeated."),
    ] = None,
    split: Annotated[str, typer.Option(help="Which images: test, or all of other data.")] = "test",
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    split_file: SplitFile = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    public_key: Annotated[Path | None, typer.Option(help="Refuse the recipe unless this key's half signed it.")] = None,
    pictures: Annotated[int, typer.Option(min=0, help="Most pictures in the protocol.")] = 100,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print acceptance.pdf, too, with an installed Chromium.")] = False,
    sign: Annotated[Path | None, typer.Option(help="Sign the protocol with this Ed25519 private key, PEM.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print acceptance.json, not a table.")] = False,
) -> int:
    """Run the acceptance test of a classifying system after VDI/VDE/VDMA 2632-3, and write its protocol.

    Accepted is only what the parts prove: the exact upper bound of each rate must be within its limit. Limits that
    these parts could never prove are refused before anything is judged. Exits 0 accepted, 1 not accepted or accepted
    with conditions only.

    Example: onspec acceptance tile.onspec parts/ --max-escape-rate 0.05 --max-false-reject-rate 0.05 --out acceptance/
    """
    from onspec.cli.accepting import judge_repeatedly
    from onspec.cli.browser import find_browser
    from onspec.cli.labelled import require_evaluate, select
    from onspec.cli.progress import talk
    from onspec.cli.protocol import conditions, delivered, notes, pictures_of, reference_data, write
    from onspec.cli.reference import reference_parts, refuse_learned_from
    from onspec.datasets.layouts import load
    from onspec.domain import UsageError
    from onspec.evaluation.acceptance import Agreement, Outcome, decide, require_enough
    from onspec.evaluation.acceptance_protocol import Parties, Protocol
    from onspec.evaluation.reference_part import Reference
    from onspec.recipe.reading import open_package

    started = time.time()
    require_evaluate("onspec acceptance")
    browser = find_browser() if pdf else None
    if recipe.is_dir():
        raise UsageError(f"{recipe}: the draft of a run can still change; accepted is a recipe file: onspec pack")
    agreed = _conditions(condition or ())
    package = open_package(recipe, public_key=public_key)
    agreement = Agreement(
        max_escape_rate=max_escape_rate, max_false_reject_rate=max_false_reject_rate, max_review_rate=max_review_rate,
        confidence=confidence, repeats=repeats,
    )  # fmt: skip
    line = _line(recipe, data, agreement, {
        "--borderline": borderline, "--split": split, "--layout": layout, "--split-file": split_file,
        "--part-pattern": part_pattern, "--lot-from": lot_from, "--engine": engine, "--public-key": public_key,
        "--out": out,
    }, agreed)  # fmt: skip
    dataset = load(data, layout, part_pattern, lot_from=lot_from, marked=marked_in(package))
    selection = select(dataset, package, split, split_file)
    refuse_learned_from(selection, split)
    reference = reference_parts(selection.samples, borderline, selection.assignment)
    require_enough(agreement, reference.count(Reference.GOOD), reference.count(Reference.DEFECTIVE))
    _make_folder(out)
    talk(f"{len(reference.parts)} parts, {len(selection.samples)} images, {repeats} repeats ({selection.rule})")
    judged = judge_repeatedly(package, engine, reference, repeats)
    judgement = decide(
        judged.parts, agreement, classes=package.recipe.classes, golden=len(package.golden),
        golden_failed=judged.golden_failed, conditions=agreed,
    )  # fmt: skip
    protocol = Protocol(
        parties=Parties(by=by, supplier=supplier, user=user, site=site, subject=subject, comment=comment),
        recipe=delivered(package, checked=public_key is not None),
        data=reference_data(dataset, selection, reference, split),
        agreement=agreement,
        conditions=conditions(judged, started, line),
        judgement=judgement,
        notes=notes(package, selection, reference, agreement),
        parts=judged.parts,
    )
    write(out, protocol, pictures_of(package, judged.engine, selection), pictures, browser, sign)
    typer.echo(protocol.to_json(), nl=False) if json_output else _print(protocol)
    talk(f"protocol: {out / 'acceptance.html'}")
    return 0 if judgement.outcome is Outcome.ACCEPTED else 1


def _conditions(given: Sequence[str]) -> tuple[str, ...]:
    """What was agreed on, in words: a condition without any would accept what is not proved."""
    from onspec.domain import UsageError

    told = tuple(text.strip() for text in given)
    if not all(told):
        raise UsageError("--condition is empty; say on what condition it is accepted, or leave it out")
    return told


def _line(
    recipe: Path, data: Path, agreement: "Agreement", options: Mapping[str, object], agreed: Sequence[str]
) -> str:
    """The command without names and comments, which stand in the protocol anyway."""
    told = {
        "--max-escape-rate": agreement.max_escape_rate,
        "--max-false-reject-rate": agreement.max_false_reject_rate,
        "--max-review-rate": agreement.max_review_rate,
        "--confidence": agreement.confidence,
        "--repeats": agreement.repeats,
        **options,
    }
    words = [text for name, value in told.items() if value is not None for text in (name, str(value))]
    words += [text for condition in agreed for text in ("--condition", condition)]
    return shlex.join(["onspec", "acceptance", str(recipe), str(data), *words])


def _make_folder(out: Path) -> None:
    """Before minutes of judging, not after; a protocol is a document, and no second one is written over it."""
    from onspec.domain import UsageError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; a protocol is never overwritten, so choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: no folder can be made there ({error.strerror}); choose another --out") from error


def _print(protocol: "Protocol") -> None:
    from rich.console import Console
    from rich.table import Table

    judgement = protocol.judgement
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("criterion", "agreed", "found", "met"):
        table.add_column(heading)
    for criterion in judgement.criteria:
        met = "yes" if criterion.met else "not proved" if criterion.open else "no"
        table.add_row(criterion.name, criterion.agreed, criterion.found, met)
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDE).print(table)
    for note in protocol.notes:
        typer.echo(f"note: {note}")
    for condition in judgement.conditions:
        typer.echo(f"condition: {condition}")
    typer.echo(f"{judgement.outcome}: {judgement.summary}")
