"""The report's tables: who was taken for whom, and the figures of each class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from onspec.evaluation.metrics import ClassFigures, ClassificationFigures, KindFigures, Metrics, Rate, ZoneFigures
from onspec.evaluation.results import ImageResult
from onspec.evaluation.wording import number, percent, thousands

_Row = TypeVar("_Row", KindFigures, ZoneFigures)


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of images; `share` of its row in [0, 1], `level` ok on the diagonal and bad beside it, empty for 0."""

    count: int
    share: float
    level: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows are what images are, columns what they were told to be; `totals` has the images of each row."""

    labels: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    totals: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FigureTable:
    """Headings, what those mean that do not say it themselves, and for each class its name with a text under each."""

    headings: tuple[str, ...]
    meanings: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def confusion_table(told: ClassificationFigures, results: Sequence[ImageResult]) -> Confusion | None:
    """`None` where images have no classes, or most defective ones have several: one of them says little then."""
    if told.confusion is None or told.classes is None:
        return None
    known = [len(r.present) for r in results if r.defective and r.present]
    if 2 * sum(classes > 1 for classes in known) > len(known):
        return None
    totals = tuple(sum(row) for row in told.confusion)
    rows = tuple(
        tuple(_cell(count, total, right=i == j) for j, count in enumerate(row))
        for i, (row, total) in enumerate(zip(told.confusion, totals, strict=True))
    )
    return Confusion(tuple(told.classes), rows, totals)


def _cell(count: int, total: int, *, right: bool) -> Cell:
    return Cell(count, count / total if total else 0.0, "" if count == 0 else "ok" if right else "bad")


def class_table(metrics: Metrics, confusion: Confusion | None) -> FigureTable | None:
    """The figures that are defined for any class; `None` where there is but one class."""
    if len(metrics.per_class) < 2:
        return None
    columns = {heading: [text(figures) for figures in metrics.per_class.values()] for heading, text in _COLUMNS.items()}
    columns["told right"] = [_told(cls, confusion) for cls in metrics.per_class]
    if not metrics.images.good:
        del columns["false rejects"]
    kept = {heading: texts for heading, texts in columns.items() if any(text is not None for text in texts)}
    rows = zip(*kept.values(), strict=True) if kept else [() for _ in metrics.per_class]
    texts = [tuple(text or "n/a" for text in row) for row in rows]
    meanings = tuple((heading, _MEANINGS[heading]) for heading in kept if heading in _MEANINGS)
    return FigureTable(tuple(kept), meanings, tuple(zip(metrics.per_class, texts, strict=True)))


def _told(cls: str, confusion: Confusion | None) -> str | None:
    """`6 of 8`: images of the class that were told to be of it."""
    if confusion is None:
        return None
    row = confusion.labels.index(cls)
    return f"{confusion.rows[row][row].count} of {confusion.totals[row]}" if confusion.totals[row] else None


def _known(value: float | None) -> str | None:
    return None if value is None else number(value)


def _found(figures: ClassFigures) -> str | None:
    there = figures.detection
    return f"{there.defects_found} of {there.defects}" if there.defects else None


def _right(figures: ClassFigures) -> str | None:
    there = figures.detection
    return f"{there.reported_right} of {there.reported}" if there.reported else None


def _escapes(figures: ClassFigures) -> str | None:
    return _counted(figures.escapes, figures.images, figures.escape_rate)


def _counted(count: int | None, of: int, share: Rate | None) -> str | None:
    """`1 of 8 (0.3 % to 52.7 %)`; `None` where there is nothing to count."""
    if count is None or share is None or share.low is None or share.high is None:
        return None
    return f"{count} of {of} ({percent(share.low)} to {percent(share.high)})"


def kind_table(kinds: Sequence[KindFigures], unit: str) -> FigureTable | None:
    """What became of each kind of defects; `None` where none is labelled."""
    if not kinds:
        return None
    columns: dict[str, Callable[[KindFigures], str | None]] = {
        "defects": lambda k: str(k.defects),
        "found": lambda k: str(k.found),
        "as another class": lambda k: str(k.other_class) if any(other.other_class for other in kinds) else None,
        "missed": lambda k: str(k.missed),
        "not judged": lambda k: str(k.not_judged) if any(other.not_judged for other in kinds) else None,
        f"area, {unit}²": lambda k: (
            None if k.area is None else f"{k.area:.4g}" if k.area < 1000 else thousands(round(k.area))
        ),
        "cumulative": lambda k: percent(k.cumulative_share),
    }
    return _table({k.kind: k for k in kinds}, columns)


def zone_table(zones: Mapping[str, ZoneFigures] | None) -> FigureTable | None:
    """What happened in each zone; `None` without zones."""
    if not zones:
        return None
    columns: dict[str, Callable[[ZoneFigures], str | None]] = {
        "use": lambda z: z.use or "–",
        "defects": lambda z: str(z.defects),
        "found": lambda z: _text(z.found),
        "missed": lambda z: _text(z.missed),
        "escapes": lambda z: _counted(z.escapes, z.defective, z.escape_rate),
        "false reports": lambda z: _text(z.false_reports),
        "false rejects": lambda z: _text(z.false_rejects),
    }
    return _table(zones, columns)


def _text(count: int | None) -> str | None:
    return None if count is None else str(count)


def _table(rows: Mapping[str, _Row], columns: Mapping[str, Callable[[_Row], str | None]]) -> FigureTable:
    """Columns of which no row knows a figure are left out."""
    texts = {heading: [text(row) for row in rows.values()] for heading, text in columns.items()}
    kept = {heading: column for heading, column in texts.items() if any(text is not None for text in column)}
    lines = [tuple(text or "n/a" for text in line) for line in zip(*kept.values(), strict=True)]
    return FigureTable(tuple(kept), (), tuple(zip(rows, lines, strict=True)))


_COLUMNS: dict[str, Callable[[ClassFigures], str | None]] = {
    "escapes": _escapes,
    "false rejects": lambda figures: str(figures.false_rejects),
    "told right": lambda _: None,  # what the confusion says of the class
    "image AP": lambda figures: _known(figures.average_precision),
    "Dice": lambda figures: _known(figures.pixel.dice),
    "IoU": lambda figures: _known(figures.pixel.iou),
    "AUPRO": lambda figures: _known(figures.pixel.aupro),
    "found": _found,
    "reports right": _right,
    "F1": lambda figures: _known(figures.detection.f1),
    "box AP50": lambda figures: _known(figures.detection.map_50),
    "box AP50–95": lambda figures: _known(figures.detection.map_50_95),
}
"""Heading → the text of a class, `None` where its figure is not defined."""

_MEANINGS = {
    "escapes": "images with the class that were judged OK, with their exact interval",
    "false rejects": "good images judged NG that were taken for the class",
    "told right": "images of the class that were told to be of it",
    "image AP": "how well its score ranks images with the class above good ones",
    "found": "labelled defects that were found",
    "reports right": "reported defects that are one of the class",
    "box AP50": "average precision of boxes at IoU 0.5",
    "box AP50–95": "its mean over IoU 0.5 to 0.95",
}
