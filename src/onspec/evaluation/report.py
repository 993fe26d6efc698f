"""The report a quality engineer reads: one HTML file that needs nothing else, neither network nor scripts."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from onspec.domain import MissingExtraError
from onspec.evaluation import gallery, plots
from onspec.evaluation.metrics import Metrics, Rate
from onspec.evaluation.results import ImageResult
from onspec.imaging.writing import write_bytes

Picture = Callable[[ImageResult], bytes | None]
"""Makes the JPEG of one result's image, see `gallery.draw`; `None` where it cannot."""

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


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure in large type with its name and what has to be known about it; `level` is ok, bad, wide or empty."""

    name: str
    figure: str
    note: str
    level: str = ""


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
    return environment.from_string(source).render(
        name=given.name,
        metrics=given.metrics,
        tiles=[replace(tile, note=tile.note.replace(" %", "\u00a0%")) for tile in tiles(given.metrics)],
        diagrams=_diagrams(given),
        groups=_groups(given),
        errors=errors[:_MOST_ERRORS],
        more_errors=len(errors) - _MOST_ERRORS,
        provenance=_provenance(given.metrics),
    )


def tiles(metrics: Metrics) -> list[Tile]:
    """The figures that matter, in the order in which they matter."""
    images, image, pixel, found = metrics.images, metrics.image, metrics.pixel, metrics.detection
    regions = f"{found.reported_right} of {found.reported} marked regions lie on a label; region F1 {number(found.f1)}"
    errors = f"; {metrics.errors} could not be judged" if metrics.errors else ""
    ranked = f"1 would rank every defective image above every good one; AUROC {number(image.auroc)}"
    outlined = f"mean over {pixel.images} defective images; IoU {number(pixel.iou)}, AUPRO {number(pixel.aupro)}"
    basis = metrics.thresholds.basis or "how it was chosen is not recorded"
    escapes = _share(image.escape_rate, image.reviews_defective)
    rejects = _share(image.false_reject_rate, image.reviews_good)
    return [
        Tile("Escapes", f"{image.escapes} of {images.defective}", escapes, _level(image.escapes)),
        Tile("False rejects", f"{image.false_rejects} of {images.good}", rejects, _level(image.false_rejects)),
        Tile(
            "Images", f"{images.good + images.defective}",
            f"{images.good} good and {images.defective} defective judged{errors}", "bad" if metrics.errors else "",
        ),
        Tile("Image AP", number(image.average_precision), ranked),
        Tile("Dice", number(pixel.dice), outlined),
        Tile("Defects found", f"{found.defects_found} of {found.defects}", regions),
        Tile("Threshold", f"{metrics.threshold:.4g}", basis, "wide"),
    ]  # fmt: skip


def number(value: float | None) -> str:
    """Three decimals; what is not 1 never reads as 1, and what is not defined says so."""
    if value is None:
        return "n/a"
    return ">0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def percent(share: float) -> str:
    """`13.2 %`: one decimal, three where one would read 0."""
    value = share * 100
    return "0 %" if share == 0 else f"{value:.1f} %" if value >= 0.1 else f"{value:.3f} %"


def score_text(score: float) -> str:
    """Four decimals; what is not 0 or 1 never reads as such."""
    if 0.99995 <= score < 1:
        return ">0.9999"
    return "<0.0001" if 0 < score < 0.00005 else f"{score:.4f}"


def _share(rate: Rate, reviews: int) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "not defined: there was none to judge"
    review = f"; {reviews} more to review" if reviews else ""
    span = f"{percent(rate.low)} and {percent(rate.high)}"
    return (
        f"{percent(rate.value)}; with {rate.confidence * 100:g} % confidence the true rate lies between {span}{review}"
    )


def _level(wrong: int) -> str:
    return "bad" if wrong else "ok"


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
            "How loss fell and Dice rose while the network was trained. Validation images were not trained on; a gap "
            "that opens between training and validation means too few or too uniform training images.",
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
    return [
        (group, [_figure(result, given.picture) for result in group.results]) for group in gallery.choose(given.results)
    ]


def _figure(result: ImageResult, make: Picture) -> _Figure:
    data = make(result)
    told = "not judged" if result.score is None else f"{result.verdict}, score {score_text(result.score)}"
    caption = f"{'defective' if result.defective else 'good'}, {told}"
    if result.dice is not None:
        caption += f", Dice {result.dice:.2f}"
    return _Figure(result.name, caption, None if data is None else _address(data, "jpeg"))


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
        "Thresholds": f"image {metrics.thresholds.image:.4g}, pixel {metrics.thresholds.pixel:.4g}, "
        f"window {metrics.thresholds.window} px",
        "Engine": known.engine,
        "Evaluated": f"{known.created}, in {known.seconds:.1f} s",
        "Command": known.command,
        "Versions": ", ".join([f"onspec {known.onspec}", *(f"{k} {v}" for k, v in known.versions.items())]),
    }
