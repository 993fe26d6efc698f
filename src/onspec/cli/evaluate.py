"""`onspec evaluate`: labelled images and a recipe → metrics, a row an image, and a report."""

import csv
import io
import shlex
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onspec.cli.data_options import marked_in
from onspec.cli.split_options import LotFrom, PartPattern, SplitFile

if TYPE_CHECKING:
    from onspec.cli.labelled import Selection
    from onspec.datasets.dataset import Dataset
    from onspec.evaluation.least_cost import Costs
    from onspec.evaluation.metrics import Metrics, MetricsProvenance, Rate
    from onspec.evaluation.report import Picture
    from onspec.evaluation.results import ImageResult
    from onspec.recipe.package import Package
    from onspec.runtime.inspector import Inspector

COLUMNS = (
    *("image", "part", "truth", "verdict", "score", "dice", "iou", "defects", "area_px", "ms", "error"),
    *("class", "true_class", "inspectable"),
)
"""Of predictions.csv."""

_Rows = list[tuple[str, str]]


def command(
    recipe: Annotated[Path, typer.Argument(help="The folder of a run, or a recipe file (.onspec).")],
    data: Annotated[Path, typer.Argument(help="Folder with the labelled images.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for metrics.json, predictions.csv and report.html.")],
    split: Annotated[str, typer.Option(help="Which images: train, val, test or all.")] = "test",
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    split_file: SplitFile = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    escape_cost: Annotated[float, typer.Option(help="What an escape costs, for the report's cost curve.")] = 20.0,
    false_reject_cost: Annotated[float, typer.Option(help="What a false reject costs, likewise.")] = 1.0,
    defect_share: Annotated[
        float | None, typer.Option(help="Defective share of production: 0.02; otherwise as in the data.")
    ] = None,
    engine: Annotated[str, typer.Option(help="Inference engine.")] = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON, not as a table.")] = False,
) -> int:
    """Measure a run or recipe on labelled images; write metrics.json, predictions.csv and report.html.

    Exits 1 when an image could not be judged (it is counted apart, never as OK) or a label could not be used.

    Example: onspec evaluate run/ parts/ --out evaluation/
    """
    from onspec.cli.labelled import judge_all, require_evaluate, select
    from onspec.cli.progress import talk
    from onspec.datasets.layouts import load
    from onspec.evaluation.evaluator import Evaluator
    from onspec.evaluation.least_cost import Costs
    from onspec.evaluation.report import ReportInput, write_report
    from onspec.imaging.writing import write_bytes
    from onspec.recipe.reading import open_package
    from onspec.runtime.inspector import Inspector
    from onspec.training import curves

    started = time.monotonic()
    require_evaluate("onspec evaluate")
    costs = Costs(escape_cost, false_reject_cost, defect_share)
    package = open_package(recipe)
    dataset = load(data, layout, part_pattern, lot_from=lot_from, marked=marked_in(package))
    selection = select(dataset, package, split, split_file)
    talk(f"{len(selection.samples)} images ({selection.rule})")
    _make_folder(out)
    known = package.recipe
    evaluator = Evaluator(known.classes, known.thresholds, known.task, known.rules, known.pixel_size_mm)
    with closing(Inspector(package, engine)) as inspector:
        for _ in judge_all(inspector, selection, evaluator):
            pass
        seconds = time.monotonic() - started
        origin = _provenance(inspector, dataset, selection, seconds, _line(recipe, data, split, out, costs))
        notes = _notes(package, selection, split, origin.fingerprint)
        metrics = evaluator.metrics(split, costs=costs)
        notes = (*notes, *_unlike(metrics), *_label_faults(evaluator.results))
        metrics = metrics.model_copy(update={"notes": notes, "provenance": origin})
        write_bytes(out / "metrics.json", metrics.to_json().encode())
        write_bytes(out / "predictions.csv", _table(evaluator.results).encode("utf-8", "backslashreplace"))
        pictures = _pictures(inspector, selection)
        given = ReportInput(
            known.name, evaluator.results, metrics, pictures, curves.read(recipe), costs, evaluator.pixel_size_mm
        )
        write_report(out / "report.html", given)
    typer.echo(metrics.to_json(), nl=False) if json_output else _print(metrics)
    talk(f"report: {out / 'report.html'}")
    return 1 if any(result.error for result in evaluator.results) else 0


def _make_folder(out: Path) -> None:
    """Before minutes of judging, not after."""
    from onspec.domain import UsageError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: no folder can be made there ({error.strerror}); choose another --out") from error


def _line(recipe: Path, data: Path, split: str, out: Path, costs: "Costs") -> str:
    share = [] if costs.defect_share is None else ["--defect-share", f"{costs.defect_share:g}"]
    priced = ["--escape-cost", f"{costs.escape:g}", "--false-reject-cost", f"{costs.false_reject:g}", *share]
    return shlex.join(["onspec", "evaluate", str(recipe), str(data), "--split", split, *priced, "--out", str(out)])


def _pictures(inspector: "Inspector", selection: "Selection") -> "Picture":
    """Draws one result's image: only a few are shown, and none has to be kept until then."""
    from onspec.cli.labelled import redrawn

    samples = {sample.name: sample for sample in selection.samples}
    return lambda result: redrawn(inspector, samples[result.name])


def _notes(package: "Package", selection: "Selection", split: str, fingerprint: str) -> tuple[str, ...]:
    """What a reader must know before believing the figures."""
    notes = []
    learned = package.recipe.provenance.data
    same = learned is not None and learned.fingerprint == fingerprint
    if split != "test" and (selection.known or same):
        use = {
            "train": "The network was trained on these images",
            "val": "Network and thresholds were chosen on these images",
            "all": "The network was trained on part of these images",
        }[split]
        notes.append(f"{use}: the figures are better than new parts will give. Judge the recipe by its test images.")
    if learned is not None and not selection.known and not same:
        notes.append(
            "The recipe does not tell which of these images it was trained on. If there are some among them, the "
            "figures are better than new parts will give."
        )
    if selection.changed:
        notes.append(f"{selection.changed[0].upper()}{selection.changed[1:]}.")
    return tuple(notes)


def _unlike(metrics: "Metrics") -> tuple[str, ...]:
    """What a reader must know of images that were to be reviewed for their look."""
    good, defective = metrics.not_inspectable.good, metrics.not_inspectable.defective
    if not good + defective:
        return ()
    return (
        f"Images that do not look like those of the training: {good} good, {defective} defective. None of them is OK, "
        "whatever its score: see light, focus and place, or train with such images, too.",
    )


def _label_faults(results: "Sequence[ImageResult]") -> tuple[str, ...]:
    """What a reader must know of labels that cannot be used."""
    faults = [result.error for result in results if result.error and result.score is not None]
    if not faults:
        return ()
    return (
        f"Labels that cannot be used: {len(faults)}; of these images only the verdicts count. The first: {faults[0]}.",
    )


def _provenance(
    inspector: "Inspector", dataset: "Dataset", selection: "Selection", seconds: float, line: str
) -> "MetricsProvenance":
    import platform
    from datetime import UTC, datetime
    from importlib.metadata import version

    from onspec import __version__
    from onspec.evaluation.metrics import MetricsProvenance

    libraries = ("numpy", "opencv-python-headless", "onnxruntime")
    return MetricsProvenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        onspec=__version__,
        recipe=inspector.identity,
        engine=inspector.engine_name,
        data=dataset.root.resolve().name,
        layout=dataset.layout,
        fingerprint=selection.fingerprint,
        split_from=selection.rule,
        command=line,
        seconds=round(seconds, 1),
        versions={"python": platform.python_version(), **{name: version(name) for name in libraries}},
    )


def _table(results: "Sequence[ImageResult]") -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for r in results:
        measures = ("" if value is None else f"{value:.6g}" for value in (r.score, r.dice, r.iou))
        found = ("", "") if r.score is None else (r.defects, r.area_px)
        truth = "defective" if r.defective else "good"
        rest = (r.cls, r.true_cls, "" if r.score is None else "yes" if r.inspectable else "no")
        rows.writerow([r.name, r.part, truth, str(r.verdict), *measures, *found, r.ms, r.error, *rest])
    return text.getvalue()


def _print(metrics: "Metrics") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in [*_images(metrics), *_of_task(metrics), ("threshold", f"{metrics.threshold:.4g}")]:
        table.add_row(name, value)
    Console(highlight=False, markup=False).print(table)
    for note in metrics.notes:
        typer.echo(f"note: {note}")


def _images(metrics: "Metrics") -> _Rows:
    """What every task has."""
    from onspec.evaluation.wording import number

    image, images = metrics.image, metrics.images
    rows = [
        ("images", f"{images.good} good, {images.defective} defective ({metrics.split})"),
        ("escapes", f"{image.escapes} of {images.defective}{_span(image.escape_rate)}"),
        ("false rejects", f"{image.false_rejects} of {images.good}{_span(image.false_reject_rate)}"),
        ("image AP", f"{number(image.average_precision)}, AUROC {number(image.auroc)}"),
    ]
    costs = metrics.costs
    if costs is not None and costs.at_threshold is not None and costs.least is not None:
        least = f"least {costs.least:.3g} at {costs.least_threshold:.4g}"
        rows.append(("cost a part", f"{costs.at_threshold:.3g}, an escape {costs.escape_cost:g}; {least}"))
    if image.reviews_good or image.reviews_defective:
        rows.insert(3, ("to review", f"{image.reviews_good} good, {image.reviews_defective} defective"))
    unlike = metrics.not_inspectable
    if unlike.good or unlike.defective:
        told = f"{unlike.good} good, {unlike.defective} defective: none is OK, see predictions.csv"
        rows.insert(1, ("not inspectable", told))
    if metrics.errors:
        rows.insert(1, ("not judged", f"{metrics.errors}: see the column error of predictions.csv"))
    return rows


def _of_task(metrics: "Metrics") -> _Rows:
    """What this task has."""
    from onspec.domain import Task
    from onspec.evaluation.wording import number

    pixel, found, told = metrics.pixel, metrics.detection, metrics.classification
    rows = []
    if metrics.task == Task.SEGMENT or pixel.images:
        rows.append(("Dice on defective", f"{number(pixel.dice)}, IoU {number(pixel.iou)}"))
    if found.map_50 is not None:
        shares = f"precision {number(found.precision)}, recall {number(found.recall)}"
        rows.append(("box AP", f"{number(found.map_50)} at IoU 0.5, {number(found.map_50_95)} over 0.5 to 0.95"))
        rows.append(("single defects", f"F1 {number(found.f1)}, {shares}"))
    sizes = metrics.detectability
    if sizes is not None and sizes.a90 is not None:
        bound = "not bounded" if sizes.a90_95 is None else f"{sizes.a90_95:.3g} {sizes.unit}"
        rows.append(("size found at 90 %", f"{sizes.a90:.3g} {sizes.unit}, a90/95 {bound}"))
    if told.accuracy is not None:
        rows.append(("class told right", f"{number(told.accuracy)}, macro F1 {number(told.f1_macro)}"))
    return rows


def _span(rate: "Rate") -> str:
    from onspec.evaluation.wording import percent

    if rate.low is None or rate.high is None:
        return ""
    return f" ({rate.confidence * 100:g} % interval {percent(rate.low)} to {percent(rate.high)})"
