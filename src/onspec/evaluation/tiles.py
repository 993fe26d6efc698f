"""The report's figures in large type, in the order in which they matter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onspec.domain import Task
from onspec.evaluation.metrics import Metrics, Rate
from onspec.evaluation.wording import number, percent


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure in large type with its name and what has to be known about it; `level` is ok, bad, wide or empty."""

    name: str
    figure: str
    note: str
    level: str = ""


def tiles(metrics: Metrics) -> list[Tile]:
    """The figures that matter, in the order in which they matter."""
    images, image = metrics.images, metrics.image
    errors = f"; {metrics.errors} could not be judged" if metrics.errors else ""
    ranked = f"1 would rank every defective image above every good one; AUROC {number(image.auroc)}"
    if image.average_precision is None:
        ranked = "not defined: it takes good and defective images"
    basis = metrics.thresholds.basis or "how it was chosen is not recorded"
    escapes = _share(image.escape_rate, image.reviews_defective)
    rejects = _share(image.false_reject_rate, image.reviews_good)
    return [
        Tile("Escapes", f"{image.escapes} of {images.defective}", escapes, _level(image.escapes, images.defective)),
        Tile(
            "False rejects", f"{image.false_rejects} of {images.good}", rejects,
            _level(image.false_rejects, images.good),
        ),
        Tile(
            "Images", f"{images.good + images.defective}",
            f"{images.good} good and {images.defective} defective judged{errors}", "bad" if metrics.errors else "",
        ),
        Tile("Image AP", number(image.average_precision), ranked),
        *_TILES[Task(metrics.task)](metrics),
        Tile("Threshold", f"{metrics.threshold:.4g}", basis, "wide"),
    ]  # fmt: skip


def _segment_tiles(metrics: Metrics) -> list[Tile]:
    pixel, found = metrics.pixel, metrics.detection
    outlined = (
        f"mean over {pixel.images} defective images; IoU {number(pixel.iou)}, outline F1 {number(pixel.boundary_f1)}, "
        f"AUPRO {number(pixel.aupro)}"
    )
    rule = "are one labelled object by more than half" if found.one_to_one else "lie on a label"
    regions = f"{found.reported_right} of {found.reported} marked regions {rule}; region F1 {number(found.f1)}"
    boxes = f"; boxes around them: AP at IoU 0.5 {number(found.map_50)}" if found.map_50 is not None else ""
    return [
        Tile("Dice", number(pixel.dice), outlined),
        Tile("Defects found", f"{found.defects_found} of {found.defects}", regions + boxes),
    ]


def _detect_tiles(metrics: Metrics) -> list[Tile]:
    found = metrics.detection
    ranked = f"average precision of boxes at IoU 0.5; mean over IoU 0.5 to 0.95 {number(found.map_50_95)}"
    boxes = (
        f"{found.reported_right} of {found.reported} boxes are right: they overlap a label of their class by half; "
        f"F1 {number(found.f1)}"
    )
    return [
        Tile("Box AP", number(found.map_50), ranked),
        Tile("Defects found", f"{found.defects_found} of {found.defects}", boxes),
    ]


def _classify_tiles(metrics: Metrics) -> list[Tile]:
    pixel = metrics.pixel
    heat = f"; heat maps against {pixel.images} masks: Dice {number(pixel.dice)}" if pixel.images else ""
    figures = metrics.classification
    counts = np.array(figures.confusion or [[]])
    right = f"{int(counts.trace())} of {int(counts.sum())} images told to be what they are{heat}"
    return [
        Tile("Class told right", number(figures.accuracy), right),
        Tile("Macro F1", number(figures.f1_macro), "mean of the F1 of each class, good included, however rare it is"),
    ]


_TILES: dict[Task, Callable[[Metrics], list[Tile]]] = {
    Task.SEGMENT: _segment_tiles,
    Task.DETECT: _detect_tiles,
    Task.CLASSIFY: _classify_tiles,
}


def _share(rate: Rate, reviews: int) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return "not defined: there was none to judge"
    review = f"; {reviews} more to review" if reviews else ""
    span = f"{percent(rate.low)} and {percent(rate.high)}"
    return (
        f"{percent(rate.value)}; with {rate.confidence * 100:g} % confidence the true rate lies between {span}{review}"
    )


def _level(wrong: int, of: int) -> str:
    return "" if of == 0 else "bad" if wrong else "ok"
