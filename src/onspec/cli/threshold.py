"""`onspec threshold`: the operating point for a stated escape risk."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onspec.cli.data_options import marked_in
from onspec.cli.split_options import LotFrom, PartPattern, SplitFile

if TYPE_CHECKING:
    from onspec.cli.labelled import Selection
    from onspec.decision.thresholds import Thresholds
    from onspec.evaluation.bounded import Bounded
    from onspec.evaluation.results import ImageResult
    from onspec.recipe.package import Package

LOG = "thresholds.jsonl"
"""In the run: one line for each time a threshold was chosen."""

_Rows = list[tuple[str, str, str]]


def command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    data: Annotated[Path, typer.Argument(help="Folder with the labelled data set.")],
    max_escape_rate: Annotated[float, typer.Option(help="Share of defective parts that may be judged OK: 0.01.")],
    confidence: Annotated[float, typer.Option(help="How sure the claim is to be: 0.95.")] = 0.95,
    split: Annotated[str, typer.Option(help="Parts to choose on: val, test, or all of other data.")] = "val",
    split_file: SplitFile = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Choose the operating point for a stated escape risk, and write it into the run's recipe.

    Of all thresholds for which the labelled parts prove the claim, the one with the fewest false rejects is taken, and
    of equal ones that with the fewest escapes. Where no threshold does, the command says how many more defective parts
    it takes, and changes nothing. Exits 1 when an image could not be judged; its part is left out.

    Example: onspec threshold run/ parts/ --max-escape-rate 0.05 --confidence 0.95
    """
    from contextlib import closing

    from onspec.cli.labelled import judge_all, select
    from onspec.cli.progress import talk
    from onspec.datasets.layouts import load
    from onspec.domain import UsageError
    from onspec.evaluation.bounded import bounded
    from onspec.evaluation.evaluator import Evaluator
    from onspec.evaluation.evidence import rank_for
    from onspec.recipe.reading import open_package
    from onspec.runtime.inspector import Inspector

    if run.is_file():
        raise UsageError(f"{run}: a packed recipe is never changed; give the folder of its run, then pack it again")
    package = open_package(run)
    selection = select(
        load(data, layout, part_pattern, lot_from=lot_from, marked=marked_in(package)), package, split, split_file
    )
    _refuse_trained_on(selection, split)
    parts = {sample.part for sample in selection.samples if sample.defective}
    rank_for(len(parts), max_escape_rate, confidence)  # refuses at once, not after minutes of judging
    evaluator = Evaluator(package.recipe.classes, package.recipe.thresholds, package.recipe.task)
    with closing(Inspector(package, engine)) as inspector:
        for _ in judge_all(inspector, selection, evaluator):
            pass
    bound = bounded(evaluator.results, max_escape_rate, confidence)
    caution = _caution(selection, split)
    before, after = package.recipe.thresholds, _thresholds(package, bound, split, caution)
    _write(run, package, after, _record(before, after, bound, split))
    _print(before, after, bound, evaluator.results, as_json)
    errors = [result.error for result in evaluator.results if result.error]
    for sentence in [*errors[:5], caution, _review_note(before, after), f"written to {run / 'recipe.json'}"]:
        if sentence:
            talk(sentence)
    if errors:
        talk(f"images that could not be judged: {len(errors)}; their parts are left out")
    return 1 if errors else 0


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
            "defective parts that the training never used (--split test) would not flatter it"
        )
    return ""


def _thresholds(package: "Package", bound: "Bounded", split: str, caution: str) -> "Thresholds":
    from onspec.decision.thresholds import Thresholds

    old = package.recipe.thresholds
    lower = f"{bound.escapes or 'none'} of them score{'s' if bound.escapes < 2 else ''}"
    basis = (
        f"{bound.claim}: {bound.parts} defective parts of the {split} split, {lower} lower (order statistics of their "
        f"scores, Wilks 1941); false rejects: {bound.false_rejects} of {bound.good} good parts"
    )
    chosen = {
        "image": bound.image,
        "review": old.review if old.review is not None and old.review < bound.image else None,
        "basis": f"{basis}; {caution}" if caution else basis,
    }
    return Thresholds.model_validate(old.model_dump() | chosen)


def _review_note(before: "Thresholds", after: "Thresholds") -> str:
    dropped = before.review is not None and after.review is None
    return f"the review band began at {before.review}, over the new threshold; there is none now" if dropped else ""


def _record(before: "Thresholds", after: "Thresholds", bound: "Bounded", split: str) -> dict[str, Any]:
    from dataclasses import asdict
    from datetime import UTC, datetime

    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "split": split,
        "before": before.model_dump(),
        "after": after.model_dump(),
        "bound": asdict(bound),
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
    before: "Thresholds", after: "Thresholds", bound: "Bounded", results: "list[ImageResult]", as_json: bool
) -> None:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    if as_json:
        given = {"before": before.model_dump(), "after": after.model_dump(), "bound": asdict(bound)}
        typer.echo(json.dumps(given, indent=2))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "before", "after"):
        table.add_column(heading)
    for row in _rows(before, after, bound, results):
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)
    typer.echo(f"\n{after.basis}")


def _rows(before: "Thresholds", after: "Thresholds", bound: "Bounded", results: "list[ImageResult]") -> _Rows:
    from onspec.evaluation.bounded import part_scores

    good, bad = part_scores(results)
    limits = (before.image, after.image)
    escapes = [_share(int((bad < limit).sum()), bound.parts, bound.confidence) for limit in limits]
    rejects = [_share(int((good >= limit).sum()), bound.good, bound.confidence) for limit in limits]
    return [
        ("image threshold", f"{before.image:.4g}", f"{after.image:.4g}"),
        ("escapes", escapes[0], escapes[1]),
        ("false rejects", rejects[0], rejects[1]),
    ]


def _share(count: int, of: int, confidence: float) -> str:
    from onspec.evaluation.intervals import clopper_pearson

    low, high = clopper_pearson(count, of, confidence)
    return f"{count} of {of} ({low:.1%} … {high:.1%})" if of else "no part"
