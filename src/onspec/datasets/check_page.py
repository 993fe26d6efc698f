"""What a check found as one HTML page with contact sheets: a person looks at it before training."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from onspec.datasets.check_words import escapes, number, rows
from onspec.datasets.checking import CheckReport
from onspec.datasets.contact_sheet import Sheet, draw, sheets
from onspec.datasets.dataset import Dataset
from onspec.datasets.problem import Problem
from onspec.domain import DEFECT, MissingExtraError, Sample
from onspec.imaging.camera import Camera
from onspec.imaging.writing import write_bytes

_SHOWN = 10
"""Problems of one code that the page writes out; check.json has all."""


def require_page() -> None:
    """Refuse at once, not after minutes of reading.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise MissingExtraError("The page of onspec check", "evaluate") from None


def write_page(out: Path, dataset: Dataset, report: CheckReport) -> None:
    """Write the page as one HTML file that needs nothing else, neither network nor scripts.

    Raises:
        MissingExtraError: jinja2 is not installed.
        UsageError: the file cannot be written.
    """
    write_bytes(out, render(dataset, report).encode("utf-8", "backslashreplace"))


def render(dataset: Dataset, report: CheckReport) -> str:
    """The page as HTML; see `write_page`."""
    require_page()
    from jinja2 import Environment, StrictUndefined

    source = files("onspec.datasets").joinpath("check.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(
        name=dataset.root.resolve().name,
        tiles=_tiles(report),
        facts=rows(report),
        groups=_grouped(report.problems),
        sheets=_pictured(sheets(dataset, report.problems), dataset.camera),
        shown=_SHOWN,
    )


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure that is read first; `level` is `ok`, `warn`, `bad` or empty."""

    name: str
    figure: str
    note: str
    level: str = ""


def _tiles(report: CheckReport) -> list[Tile]:
    errors, warnings = report.errors, len(report.problems) - report.errors
    images, parts, test = report.images, report.parts, report.escapes
    most = "nothing can be said" if test.best is None else f"{100 * test.best:.{1 if test.best < 0.1 else 0}f}\u00a0%"
    return [
        Tile("errors", str(errors), "make figures wrong or training impossible", "bad" if errors else "ok"),
        Tile("warnings", str(warnings), "worth knowing before training", "warn" if warnings else "ok"),
        Tile("images", str(sum(images.values())), f"{images['good']} good, {images['defective']} defective"),
        Tile("parts", str(parts["all"]), f"{parts['defective']} of them defective"),
        Tile("classes of defects", str(len(report.classes)), ", ".join(list(report.classes)[:6])),
        Tile("best escape rate a test can show", most, escapes(report)),
    ]


@dataclass(frozen=True, slots=True)
class Group:
    """Problems of one code."""

    severity: str
    code: str
    count: str
    problems: tuple[Problem, ...]

    @property
    def suggestion(self) -> str:
        """What to do about the first of them."""
        return self.problems[0].suggestion


def _grouped(problems: Sequence[Problem]) -> list[Group]:
    groups: defaultdict[tuple[str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        groups[problem.severity, problem.code].append(problem)
    return [Group(*key, number(len(found), key[0]), tuple(found)) for key, found in groups.items()]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as a data address, `None` where the image cannot be read, with what it is."""

    name: str
    caption: str
    source: str | None


def _pictured(chosen: Sequence[Sheet], camera: Camera) -> list[tuple[Sheet, list[list[Figure]]]]:
    """Each image is read and drawn once, however many sheets show it."""
    samples = list({sample.name: sample for sheet in chosen for row in sheet.rows for sample in row}.values())
    with ThreadPoolExecutor(4) as threads:
        drawn = dict(zip((s.name for s in samples), threads.map(partial(_figure, camera=camera), samples), strict=True))
    return [(sheet, [[drawn[sample.name] for sample in row] for row in sheet.rows]) for sheet in chosen]


def _figure(sample: Sample, camera: Camera) -> Figure:
    thumbnail = draw(sample, camera)
    truth = "defective" if sample.classes == (DEFECT,) else ", ".join(sample.classes) or "good"
    told = [truth, str(sample.split) if sample.split else "", thumbnail.view if thumbnail else ""]
    told += ["location unknown"] if sample.defective and not sample.annotations else []
    source = f"data:image/jpeg;base64,{base64.b64encode(thumbnail.data).decode()}" if thumbnail else None
    return Figure(sample.name, ", ".join(filter(None, told)), source)
