"""`onspec threshold`: the operating point by a stated risk, or by what errors cost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onspec.cli.data_options import marked_in
from onspec.cli.split_options import LotFrom, PartPattern, SplitFile

if TYPE_CHECKING:
    from onspec.cli.labelled import Selection
    from onspec.decision.thresholds import Thresholds
    from onspec.evaluation.criteria import Choice, Criterion
    from onspec.evaluation.part_scores import PartScores
    from onspec.evaluation.review_band import ReviewBand
    from onspec.recipe.package import Package

LOG = "thresholds.jsonl"
"""In the run: one line for each time a threshold was chosen."""

_Rows = list[tuple[str, str, str]]


def command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    data: Annotated[Path, typer.Argument(help="Folder with the labelled data set.")],
    max_escape_rate: Annotated[
        float | None, typer.Option(help="Criterion: share of defective parts that may be judged OK: 0.01.")
    ] = None,
    max_false_reject_rate: Annotated[
        float | None, typer.Option(help="Criterion: share of good parts that may be judged NG: 0.01.")
    ] = None,
    escape_cost: Annotated[
        float | None, typer.Option(help="Criterion: least expected cost, where an escape costs this: 20.")
    ] = None,
    false_reject_cost: Annotated[
        float | None, typer.Option(help="With --escape-cost: cost of a false reject; otherwise 1.")
    ] = None,
    defect_share: Annotated[
        float | None, typer.Option(help="With --escape-cost: defective share of production; otherwise as in the data.")
    ] = None,
    review_share: Annotated[
        float | None, typer.Option(help="Share of good parts that may go to REVIEW instead of OK: 0.05.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="How sure the claim is to be: 0.95.")] = 0.95,
    split: Annotated[str, typer.Option(help="Parts to choose on: val, test, or all of other data.")] = "val",
    split_file: SplitFile = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Choose the operating point by one criterion, and write it into the run's recipe.

    For a maximum rate: of all thresholds for which the labelled parts prove it, the one with the fewest errors of the
    other kind. Where no threshold does, the command says how many more parts it takes, and changes nothing. For costs:
    the least expected cost, and what the parts prove of it. Exits 1 when an image could not be judged; its part is left
    out.

    Example: onspec threshold run/ parts/ --max-escape-rate 0.05 --confidence 0.95
    """
    from contextlib import closing

    from onspec.cli.labelled import judge_all, select
    from onspec.cli.progress import talk
    from onspec.datasets.layouts import load
    from onspec.domain import UsageError
    from onspec.evaluation.evaluator import Evaluator
    from onspec.evaluation.part_scores import part_scores
    from onspec.evaluation.review_band import review_band
    from onspec.recipe.reading import open_package
    from onspec.runtime.inspector import Inspector

    criterion = _criterion(max_escape_rate, max_false_reject_rate, escape_cost, false_reject_cost, defect_share)
    if run.is_file():
        raise UsageError(f"{run}: a packed recipe is never changed; give the folder of its run, then pack it again")
    package = open_package(run)
    selection = select(
        load(data, layout, part_pattern, lot_from=lot_from, marked=marked_in(package)), package, split, split_file
    )
    _refuse_trained_on(selection, split)
    _refuse_too_few(selection, criterion, confidence, review_share)
    evaluator = Evaluator(package.recipe.classes, package.recipe.thresholds, package.recipe.task)
    with closing(Inspector(package, engine)) as inspector:
        for _ in judge_all(inspector, selection, evaluator):
            pass
    scores = part_scores(evaluator.results)
    choice = criterion.choose(scores, confidence)
    band = None if review_share is None else review_band(scores, choice.image, review_share, confidence)
    caution = _caution(selection, split)
    before, after = package.recipe.thresholds, _thresholds(package, choice, band, split, caution)
    _write(run, package, after, _record(before, after, choice, band, split))
    _print(before, after, choice, band, scores, as_json)
    errors = [result.error for result in evaluator.results if result.score is None]
    for sentence in [*errors[:5], caution, _review_note(before, after), f"written to {run / 'recipe.json'}"]:
        if sentence:
            talk(sentence)
    if errors:
        talk(f"images that could not be judged: {len(errors)}; their parts are left out")
    return 1 if errors else 0


def _criterion(
    max_escape_rate: float | None,
    max_false_reject_rate: float | None,
    escape_cost: float | None,
    false_reject_cost: float | None,
    defect_share: float | None,
) -> "Criterion":
    """The one criterion that was given.

    Raises:
        UsageError: none or several, or what belongs to another one.
    """
    from onspec.domain import UsageError
    from onspec.evaluation.criteria import LeastExpectedCost, MaxEscapeRate, MaxFalseRejectRate
    from onspec.evaluation.least_cost import Costs

    given = {
        "--max-escape-rate": max_escape_rate,
        "--max-false-reject-rate": max_false_reject_rate,
        "--escape-cost": escape_cost,
    }
    named = [option for option, value in given.items() if value is not None]
    if len(named) != 1:
        got = " and ".join(named) or "none"
        raise UsageError(f"a threshold is chosen by one criterion; got {got}; give one of {', '.join(given)}")
    if escape_cost is not None:
        return LeastExpectedCost(
            Costs(escape_cost, 1.0 if false_reject_cost is None else false_reject_cost, defect_share)
        )
    for option, value in (("--false-reject-cost", false_reject_cost), ("--defect-share", defect_share)):
        if value is not None:
            raise UsageError(
                f"{option} belongs to --escape-cost and says nothing with {named[0]}; leave one of them out"
            )
    if max_escape_rate is not None:
        return MaxEscapeRate(max_escape_rate)
    assert max_false_reject_rate is not None
    return MaxFalseRejectRate(max_false_reject_rate)


def _refuse_too_few(
    selection: "Selection", criterion: "Criterion", confidence: float, review_share: float | None
) -> None:
    """At once, not after minutes of judging."""
    from onspec.evaluation.review_band import check_share

    defective = {sample.part for sample in selection.samples if sample.defective}
    good = {sample.part for sample in selection.samples} - defective
    criterion.check(len(defective), len(good), confidence)
    if review_share is not None:
        check_share(review_share, len(good))


def _refuse_trained_on(selection: "Selection", split: str) -> None:
    from onspec.domain import Split, UsageError

    trained = sum(selection.assignment[sample.name] is Split.TRAIN for sample in selection.samples)
    if trained and (selection.known or split == "train"):
        raise UsageError(
            f"--split {split} has {trained} images that the network was trained on, so no bound would hold; "
            "choose --split val or --split test"
        )


def _caution(selection: "Selection", split: str) -> str:
    """What weakens the claim, as a sentence; empty where nothing does."""
    if split == "val" and selection.known:
        return (
            "the val parts also served to choose the network and its outlines, so the claim is a little too good; "
            "parts that the training never used (--split test) would not flatter it"
        )
    return ""


def _thresholds(
    package: "Package", choice: "Choice", band: "ReviewBand | None", split: str, caution: str
) -> "Thresholds":
    """As chosen; a review band of before stays where none was asked for, if it still lies under the threshold."""
    from onspec.decision.thresholds import Thresholds

    old = package.recipe.thresholds
    kept = old.review if old.review is not None and old.review < choice.image else None
    chosen = {
        "image": choice.image,
        "review": kept if band is None else band.review,
        "basis": "; ".join(filter(None, [choice.basis(split), "" if band is None else band.basis(), caution])),
    }
    return Thresholds.model_validate(old.model_dump() | chosen)


def _review_note(before: "Thresholds", after: "Thresholds") -> str:
    dropped = before.review is not None and after.review is None
    return f"the review band began at {before.review}, over the new threshold; there is none now" if dropped else ""


def _record(
    before: "Thresholds", after: "Thresholds", choice: "Choice", band: "ReviewBand | None", split: str
) -> dict[str, Any]:
    from datetime import UTC, datetime

    created = datetime.now(UTC).isoformat(timespec="seconds")
    return {"created": created, "split": split, **_told(before, after, choice, band)}


def _told(before: "Thresholds", after: "Thresholds", choice: "Choice", band: "ReviewBand | None") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "before": before.model_dump(),
        "after": after.model_dump(),
        "bound": asdict(choice),
        "review": None if band is None else asdict(band),
    }


def _write(run: Path, package: "Package", thresholds: "Thresholds", record: dict[str, Any]) -> None:
    """The draft first, then the line that says so."""
    from onspec.domain import UsageError
    from onspec.imaging.writing import write_bytes
    from onspec.recipe import archive

    recipe = package.recipe.model_copy(update={"thresholds": thresholds})
    write_bytes(run / archive.RECIPE, (recipe.to_json(indent=2) + "\n").encode())
    try:
        with (run / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
    except OSError as error:
        raise UsageError(f"{run / LOG}: cannot be written ({error.strerror}); the recipe has its threshold") from error


def _print(
    before: "Thresholds",
    after: "Thresholds",
    choice: "Choice",
    band: "ReviewBand | None",
    scores: "PartScores",
    as_json: bool,
) -> None:
    from rich.console import Console
    from rich.table import Table

    if as_json:
        typer.echo(json.dumps(_told(before, after, choice, band), indent=2))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "before", "after"):
        table.add_column(heading)
    for row in _rows(before, choice, band, scores):
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)
    typer.echo(f"\n{after.basis}")


def _rows(before: "Thresholds", choice: "Choice", band: "ReviewBand | None", scores: "PartScores") -> _Rows:
    """Before: with a two-sided interval. After: with the bound that holds although these parts chose the threshold."""
    n, m = len(scores.bad), len(scores.good)
    escapes, rejects = scores.errors(before.image)
    rows = [
        ("image threshold", f"{before.image:.4g}", f"{choice.image:.4g}"),
        ("escapes", _share(escapes, n, choice.confidence), _bounded(choice.escapes, n, choice.escape_bound)),
        (
            "false rejects",
            _share(rejects, m, choice.confidence),
            _bounded(choice.false_rejects, m, choice.false_reject_bound),
        ),
    ]
    if band is None:
        return rows
    begins = "none" if before.review is None else f"{before.review:.4g}"
    caught = _bounded(band.escapes_review_caught, n, band.bound_review_caught)
    reviewed = f"{band.good} of {m} ({band.low:.1%} … {band.high:.1%})"
    return [
        *rows,
        ("review threshold", begins, f"{band.review:.4g}"),
        ("escapes, REVIEW caught", "", caught),
        ("good parts to review", "", reviewed),
    ]


def _share(count: int, of: int, confidence: float) -> str:
    from onspec.evaluation.intervals import clopper_pearson

    low, high = clopper_pearson(count, of, confidence)
    return f"{count} of {of} ({low:.1%} … {high:.1%})" if of else "no part"


def _bounded(count: int, of: int, bound: float | None) -> str:
    from onspec.evaluation.evidence import at_most

    return "no part" if bound is None else f"{count} of {of} ({at_most(bound)} at most)"
