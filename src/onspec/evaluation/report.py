"""The report a quality engineer reads: one HTML file that needs nothing else, no network, and no script to be read.

Its one script, `what_if.js`, moves the figures to another threshold; the page's own policy lets no other run.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from onspec.domain import MissingExtraError, Task
from onspec.domain.verdict import GOOD
from onspec.evaluation import gallery, risk_page
from onspec.evaluation.cost_figures import DEFAULT
from onspec.evaluation.diagrams import Diagram, Drawn, address, diagrams
from onspec.evaluation.least_cost import Costs
from onspec.evaluation.metrics import Metrics
from onspec.evaluation.results import ImageResult, Matches
from onspec.evaluation.tables import class_table, confusion_table, kind_table, zone_table
from onspec.evaluation.tiles import tiles
from onspec.evaluation.what_if import WhatIf, what_if
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
        costs: what errors cost, the same as in the metrics.
        pixel_size_mm: side of a pixel, where it is known.
    """

    name: str
    results: Sequence[ImageResult]
    metrics: Metrics
    picture: Picture
    curves: Sequence[Mapping[str, Any]] = ()
    costs: Costs = field(default=DEFAULT)
    pixel_size_mm: float | None = None


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
    script = files("onspec.evaluation").joinpath("what_if.js").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    errors = [result for result in given.results if result.score is None]
    metrics, table = given.metrics, what_if(given.results, given.metrics.thresholds)
    confusion = confusion_table(metrics.classification, given.results)
    drawn = diagrams(Drawn(given.results, metrics, table, given.costs, given.curves, given.pixel_size_mm))
    return environment.from_string(source).render(
        name=given.name,
        metrics=metrics,
        tiles=[replace(tile, note=tile.note.replace(" %", "\u00a0%")) for tile in tiles(metrics)],
        number=number,
        rates=risk_page.rate_rows(metrics),
        slider=None if table is None else _slider(table, given, drawn),
        others=[] if table is None else risk_page.other_thresholds(table, given.costs),
        script=script,
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        diagrams=drawn,
        confusion=confusion,
        classes=class_table(metrics, confusion),
        kinds=kind_table(metrics.kinds, "px" if given.pixel_size_mm is None else "mm"),
        kinds_are_sizes=any(kind.size_from is not None for kind in metrics.kinds),
        zones=zone_table(metrics.zones),
        key=_KEYS[Task(metrics.task)],
        groups=_groups(given, table),
        errors=errors[:_MOST_ERRORS],
        more_errors=len(errors) - _MOST_ERRORS,
        provenance=_provenance(metrics),
    )


@dataclass(frozen=True, slots=True)
class _Slider:
    """The page's slider: how many steps, where it stands, and what its script looks up."""

    steps: int
    image: int
    review: int
    own: str
    left_out: int
    data: str


def _slider(table: WhatIf, given: ReportInput, drawn: Mapping[str, Diagram]) -> _Slider:
    places = {d.line: d.places for d in drawn.values() if d.line}
    confidence = given.metrics.image.escape_rate.confidence
    return _Slider(
        steps=len(table.thresholds),
        image=table.image,
        review=table.review,
        own=risk_page.threshold_text(table.thresholds[table.image]),
        left_out=table.left_out,
        data=risk_page.slider_data(table, given.results, given.costs, confidence, places),
    )


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    caption: str
    source: str | None
    ng: int
    ok: int


def _groups(given: ReportInput, table: WhatIf | None) -> list[tuple[gallery.Group, list[_Figure]]]:
    if table is None:
        return []
    groups = gallery.choose(given.results, Task(given.metrics.task), threshold=given.metrics.thresholds.image)
    return [(group, [_figure(result, given, table) for result in group.results]) for group in groups]


def _figure(result: ImageResult, given: ReportInput, table: WhatIf) -> _Figure:
    data = given.picture(result)
    source = None if data is None else address(data, "jpeg")
    return _Figure(result.name, caption(result, given.metrics), source, *risk_page.sides(result, table))


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
