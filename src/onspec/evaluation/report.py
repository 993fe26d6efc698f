"""The report a quality engineer reads: one HTML file that needs nothing else, neither network nor scripts."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from onspec.domain import MissingExtraError, Task
from onspec.domain.verdict import GOOD
from onspec.evaluation import gallery, plots
from onspec.evaluation.metrics import Metrics
from onspec.evaluation.results import ImageResult, Matches
from onspec.evaluation.tables import class_table, confusion_table
from onspec.evaluation.tiles import tiles
from onspec.evaluation.wording import number, score_text
from onspec.imaging.writing import write_bytes

Picture = Callable[[ImageResult], bytes | None]
"""Makes the JPEG of one result's image, see `pictures.draw`; `None` where it cannot."""

_KEYS = {
    Task.SEGMENT: "marked by the recipe",
    Task.DETECT: "boxes of the recipe",
    Task.CLASSIFY: "heat: where the recipe saw a defect",
}
"""What is drawn in red."""

_MOST_ERRORS = 20


@dataclass(frozen=True)
class ReportInput:
    """What a report is made of.

    Attributes:
        name: of the recipe.
        curves: the lines of the run's curves.jsonl; empty where they are not known.
        picture: only called for the few images that are shown.
    """

    name: str
    results: Sequence[ImageResult]
    metrics: Metrics
    picture: Picture
    curves: Sequence[Mapping[str, Any]] = ()


def write_report(out: Path, given: ReportInput) -> None:
    """Write the report as one HTML file.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        UsageError: the file cannot be written.
    """
    write_bytes(out, render(given).encode("utf-8", "backslashreplace"))


def render(given: ReportInput) -> str:
    """The report as HTML; see `write_report`."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingExtraError("The report", "evaluate") from None
    source = files("onspec.evaluation").joinpath("report.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    errors = [result for result in given.results if result.score is None]
    confusion = confusion_table(given.metrics.classification, given.results)
    return environment.from_string(source).render(
        name=given.name,
        metrics=given.metrics,
        tiles=[replace(tile, note=tile.note.replace(" %", "\u00a0%")) for tile in tiles(given.metrics)],
        number=number,
        diagrams=_diagrams(given),
        confusion=confusion,
        classes=class_table(given.metrics, confusion),
        key=_KEYS[Task(given.metrics.task)],
        groups=_groups(given),
        errors=errors[:_MOST_ERRORS],
        more_errors=len(errors) - _MOST_ERRORS,
        provenance=_provenance(given.metrics),
    )


@dataclass(frozen=True, slots=True)
class Diagram:
    """SVGs as data addresses, with a heading, a sentence and what it says to who cannot see it."""

    title: str
    sentence: str
    sources: tuple[str, ...]
    wide: bool = False


def _diagrams(given: ReportInput) -> dict[str, Diagram]:
    judged = [r for r in given.results if r.score is not None]
    score = np.array([r.score for r in judged], np.float64)
    defective = np.array([r.defective for r in judged], bool)
    diagrams = {}
    if given.curves:
        diagrams["curves"] = Diagram(
            "Learning curves",
            "How the loss fell and the figures rose while the network was trained. Validation images were not trained "
            "on; a gap that opens between training and validation means too few or too uniform training images.",
            tuple(_address(svg, "svg+xml") for svg in plots.learning_curves(given.curves)),
        )
    if judged:
        histogram = plots.score_histogram(score[~defective], score[defective], given.metrics.thresholds.image)
        diagrams["scores"] = Diagram(
            "Scores",
            "Each image's defect score. By score alone, good images right of the threshold are false rejects and "
            "defective images left of it escapes. The farther both groups keep from it, the more light, material or "
            "camera may change before either happens.",
            (_address(histogram, "svg+xml"),),
            wide=True,
        )
    curve = plots.precision_recall_curve(defective, score, given.metrics.thresholds.image) if judged else None
    if curve is not None:
        diagrams["precision"] = Diagram(
            "Precision and recall",
            "What other thresholds would have given on these images; the area under the steps is the image AP.",
            (_address(curve, "svg+xml"),),
        )
    return diagrams


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    caption: str
    source: str | None


def _groups(given: ReportInput) -> list[tuple[gallery.Group, list[_Figure]]]:
    groups = gallery.choose(given.results, Task(given.metrics.task))
    return [(group, [_figure(result, given) for result in group.results]) for group in groups]


def _figure(result: ImageResult, given: ReportInput) -> _Figure:
    data = given.picture(result)
    return _Figure(result.name, caption(result, given.metrics), None if data is None else _address(data, "jpeg"))


def caption(result: ImageResult, metrics: Metrics) -> str:
    """`scratch, NG as dent, score 0.9713, Dice 0.81`: what the image is, what was said of it, and how well."""
    task, several = Task(metrics.task), len(metrics.per_class) > 1
    truth, told = "defective" if result.defective else GOOD, str(result.verdict)
    if several and task is not Task.DETECT:  # a detector names each box
        truth = result.true_cls or truth
        told += f" as {result.cls}" if result.cls not in (None, GOOD) else ""
    parts = [truth, told if result.score is not None else "not judged"]
    if result.score is not None:
        parts.append(f"score {score_text(result.score)}")
    if task is Task.DETECT and result.box_matches:
        boxes = sum(result.box_matches, Matches())
        wrong = boxes.predicted - boxes.right
        parts.append(f"{boxes.found} of {boxes.truth} defects found")
        parts += [f"{wrong} wrong box{'' if wrong == 1 else 'es'}"] if wrong else []
    if task is Task.SEGMENT and result.dice is not None:
        parts.append(f"Dice {result.dice:.2f}")
    return ", ".join(parts)


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _provenance(metrics: Metrics) -> dict[str, str]:
    """Name → value in words; empty where nothing is known."""
    known = metrics.provenance
    if known is None:
        return {}
    return {
        "Recipe": known.recipe,
        "Data set": f"{known.data} (layout {known.layout})",
        "Data fingerprint": known.fingerprint,
        "Split": f"{metrics.split}; {known.split_from}",
        "Thresholds": _thresholds(metrics),
        "Engine": known.engine,
        "Evaluated": f"{known.created}, in {known.seconds:.1f} s",
        "Command": known.command,
        "Versions": ", ".join([f"onspec {known.onspec}", *(f"{k} {v}" for k, v in known.versions.items())]),
    }


def _thresholds(metrics: Metrics) -> str:
    """Those that the task has."""
    used, task = metrics.thresholds, Task(metrics.task)
    shown = [f"image {used.image:.4g}"]
    if task is not Task.DETECT:
        shown.append(f"pixel {used.pixel:.4g}")
        shown.append(f"sharpness {used.sharpness:g}" if used.pooling == "odds" else f"window {used.window} px")
    return ", ".join(shown)
