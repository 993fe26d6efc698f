"""The table of a measurement-system study: a row a verdict or a measured value."""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from onspec.datasets.text_file import delimiter_of
from onspec.domain import DataError, UsageError, Verdict
from onspec.evaluation.agreement import CATEGORIES, AttributeStudy
from onspec.evaluation.gauge import GaugeStudy

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "part": ("part", "partid", "sample"),
    "appraiser": ("appraiser", "operator", "inspector"),
    "trial": ("trial", "repeat", "run"),
    "verdict": ("verdict", "result"),
    "truth": ("truth", "standard", "reference"),
    "value": ("value", "measurement", "measured"),
}
"""What a column is → the names it may have: case, blanks, `_` and `-` do not count, and an earlier name wins."""

WORDS: Final = {
    **dict.fromkeys(("ok", "good", "pass"), Verdict.OK),
    **dict.fromkeys(("ng", "nok", "bad", "fail", "defective"), Verdict.NG),
    "review": Verdict.REVIEW,
}
"""What a verdict may be called; case does not count."""

KINDS: Final = {"attribute": "verdict", "gauge": "value"}
"""Kind of study → the column that tells it."""

_DESIGN = ("part", "appraiser", "trial")
_SHOWN = 3
"""Missing rows that the sentence names."""

_Key = tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    line: int
    cells: Mapping[str, str]

    @property
    def key(self) -> _Key:
        """What tells this row from every other; case does not count."""
        return tuple(self.cells[column].casefold() for column in _DESIGN)


def read_study(file: Path, kind: str | None = None) -> AttributeStudy | GaugeStudy:
    """The study in a CSV file, separated by comma, semicolon or tab; its columns tell the kind where `kind` does not.

    Raises:
        DataError: the file cannot be read, or is no complete study; names the line or the missing rows.
        UsageError: no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"Unknown kind {kind!r}; choose {', '.join(KINDS)}")
    places, rows = _table(file)
    kind = kind or _kind(file, places)
    needed = (*_DESIGN, KINDS[kind], *(("truth",) if kind == "attribute" else ()))
    absent = [column for column in needed if column not in places]
    if absent:
        raise DataError(f"{file}: no column {' or '.join(absent)}; a study of kind {kind} has {', '.join(needed)}")
    if not rows:
        raise DataError(f"{file}: no rows below the header; write a row for each trial")
    for row, column in product(rows, (*_DESIGN, KINDS[kind])):
        if not row.cells[column]:
            raise DataError(f"{file}, line {row.line}: {column} is empty; fill it in, or leave the whole row out")
    grid = _grid(file, rows)
    return _attribute(file, rows, grid) if kind == "attribute" else _gauge(file, rows, grid)


def _kind(file: Path, places: Mapping[str, int]) -> str:
    found = [kind for kind, column in KINDS.items() if column in places]
    if len(found) == 1:
        return found[0]
    columns = " and ".join(KINDS.values()) if found else "neither a column verdict nor a column value"
    told = "choose one with --kind" if found else "name the columns in the first line"
    raise DataError(f"{file}: has {columns}; {told}, attribute (verdicts) or gauge (values)")


def _table(file: Path) -> tuple[dict[str, int], list[_Row]]:
    """Column → its place, and every row that is not blank."""
    lines = _text(file).splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "")
    delimiter = delimiter_of(first)
    filled = _fields(file, lines, delimiter)
    header = [re.sub(r"[^a-z0-9]", "", name.casefold()) for name in next(filled, (0, []))[1]]
    places = {
        column: next(header.index(name) for name in names if name in header)
        for column, names in COLUMNS.items()
        if any(name in header for name in names)
    }
    rows = [_Row(n, {c: row[at].strip() if at < len(row) else "" for c, at in places.items()}) for n, row in filled]
    return places, rows


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check its name and rights") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text; save it again as CSV in UTF-8") from error


def _fields(file: Path, lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        yield from ((reader.line_num, row) for row in reader if any(cell.strip() for cell in row))
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: {error}; save the table again as CSV") from error


@dataclass(frozen=True)
class _Grid:
    """The crossed design: the names along each axis as first written, and the place of every row."""

    parts: tuple[str, ...]
    appraisers: tuple[str, ...]
    trials: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Parts, appraisers, trials."""
        return len(self.parts), len(self.appraisers), len(self.trials)


def _grid(file: Path, rows: Sequence[_Row]) -> _Grid:
    """The design, in which each row is there once and none is missing."""
    lines: dict[_Key, int] = {}
    for row in rows:
        before = lines.setdefault(row.key, row.line)
        if before != row.line:
            raise DataError(f"{file}, line {row.line}: {_told(row)} is already in line {before}; keep one of them")
    written: list[dict[str, str]] = [{}, {}, {}]
    for row in rows:
        for axis, (name, column) in enumerate(zip(row.key, _DESIGN, strict=True)):
            written[axis].setdefault(name, row.cells[column])
    missing = [key for key in product(*written) if key not in lines]
    if missing:
        cells = [{c: written[i][key[i]] for i, c in enumerate(_DESIGN)} for key in missing[:_SHOWN]]
        shown = "; ".join(_told(_Row(0, cell)) for cell in cells)
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise DataError(
            f"{file}: {len(missing)} row{'s are' if len(missing) > 1 else ' is'} missing: {shown}{more}; "
            "every appraiser takes every part in every trial"
        )
    order = [{name: at for at, name in enumerate(axis)} for axis in written]
    places = tuple(tuple(order[i][name] for i, name in enumerate(row.key)) for row in rows)
    parts, appraisers, trials = (tuple(axis.values()) for axis in written)
    return _Grid(parts, appraisers, trials, places)


def _told(row: _Row) -> str:
    return ", ".join(f"{column} {row.cells[column]}" for column in _DESIGN)


def _attribute(file: Path, rows: Sequence[_Row], grid: _Grid) -> AttributeStudy:
    verdicts = np.zeros(grid.shape, np.int64)
    standard: dict[int, tuple[Verdict, int]] = {}
    for row, place in zip(rows, grid.places, strict=True):
        verdicts[place] = CATEGORIES.index(_verdict(file, row, "verdict", "OK, NG or REVIEW"))
        if row.cells["truth"]:
            truth = _verdict(file, row, "truth", "OK or NG")
            before, line = standard.setdefault(place[0], (truth, row.line))
            if before is not truth:
                part = row.cells["part"]
                raise DataError(
                    f"{file}, line {row.line}: part {part} is {truth}, in line {line} {before}; keep one truth"
                )
    for at, part in enumerate(grid.parts):
        if at not in standard:
            raise DataError(f"{file}: part {part} has no truth in any row; write OK or NG into the column truth")
    defective = np.array([standard[at][0] is Verdict.NG for at in range(grid.shape[0])])
    return AttributeStudy(grid.parts, grid.appraisers, grid.trials, verdicts, defective)


def _verdict(file: Path, row: _Row, column: str, allowed: str) -> Verdict:
    word = row.cells[column]
    verdict = WORDS.get(word.casefold())
    if verdict is None or (column == "truth" and verdict is Verdict.REVIEW):
        raise DataError(f"{file}, line {row.line}: {column} is {word!r}; write {allowed}")
    return verdict


def _gauge(file: Path, rows: Sequence[_Row], grid: _Grid) -> GaugeStudy:
    for column, count in zip(_DESIGN, grid.shape, strict=True):
        if count < 2:
            raise DataError(f"{file}: has 1 {column}; a gauge study needs at least 2 (AIAG: 10 parts, 3 of each other)")
    marks = {mark: row for row in rows for mark in ",." if mark in row.cells["value"]}
    if len(marks) > 1:
        at, of = marks[","], marks["."].cells["value"]
        raise DataError(
            f"{file}, line {at.line}: value is {at.cells['value']!r}, elsewhere {of!r}; write all of them with a "
            "decimal point, and thousands without a mark"
        )
    values = np.zeros(grid.shape, np.float64)
    for row, place in zip(rows, grid.places, strict=True):
        values[place] = _number(file, row)
    return GaugeStudy(grid.parts, grid.appraisers, grid.trials, values)


def _number(file: Path, row: _Row) -> float:
    """With a decimal point or, as some spreadsheets write it, a decimal comma."""
    text = row.cells["value"]
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{file}, line {row.line}: value is {text!r}; write a number such as 12.5")
    return value
