"""Records as a table for a spreadsheet or a data frame: CSV, or Parquet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from onspec.domain import MissingExtraError, UsageError
from onspec.records.files import aside, write_all
from onspec.records.record import Entry, iso

Cell = str | int | float | bool | datetime | None

COLUMNS: dict[str, str] = {
    "id": "string", "time": "time", "station": "string", "part_id": "string", "image": "string",
    "image_sha256": "string", "width": "int", "height": "int", "recipe": "string", "engine": "string",
    "verdict": "string", "score": "float", "class": "string", "defect_count": "int", "defect_classes": "string",
    "largest_area_px": "int", "largest_area_mm2": "float", "reasons": "string", "error": "string",
    "ms_total": "float", "truth": "string", "truth_class": "string", "reviewed_by": "string", "reviewed_at": "time",
    "note": "string", "reviews": "int", "defects": "string",
}  # fmt: skip
"""Column → its kind. `defects` is JSON, as the contract spells it; lists are joined with `; `."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run when a cell begins with it."""
_ROWS = 2000


def row_of(entry: Entry) -> dict[str, Cell]:
    """One record."""
    record, seen, said = entry.record, entry.record.inspection, entry.truth
    last = entry.reviews[-1] if entry.reviews else None
    areas_mm2 = [defect.area_mm2 for defect in seen.defects if defect.area_mm2 is not None]
    return {
        "id": record.id,
        "time": record.time,
        "station": record.station,
        "part_id": seen.part_id,
        "image": seen.image,
        "image_sha256": None if record.original is None else record.original.sha256,
        "width": None if seen.size is None else seen.size[0],
        "height": None if seen.size is None else seen.size[1],
        "recipe": seen.recipe,
        "engine": seen.engine,
        "verdict": seen.verdict.value,
        "score": seen.score,
        "class": seen.cls,
        "defect_count": len(seen.defects),
        "defect_classes": "; ".join(sorted({defect.cls for defect in seen.defects})),
        "largest_area_px": max((defect.area_px for defect in seen.defects), default=None),
        "largest_area_mm2": max(areas_mm2, default=None),
        "reasons": "; ".join(seen.reasons),
        "error": seen.error,
        "ms_total": round(sum(seen.ms.values()), 3),
        "truth": None if said is None else said.truth,
        "truth_class": None if said is None else said.cls,
        "reviewed_by": None if said is None else said.by,
        "reviewed_at": None if last is None else last.time,
        "note": None if said is None else said.note,
        "reviews": len(entry.reviews),
        "defects": json.dumps(
            [defect.model_dump(mode="json", by_alias=True) for defect in seen.defects],
            ensure_ascii=False, separators=(",", ":"),
        ),
    }  # fmt: skip


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """A header and a line a record (RFC 4180). A text that a spreadsheet would run as a formula gets a `'` in front."""
    yield _line(list(COLUMNS))
    for entry in entries:
        yield _line([cell(value) for value in row_of(entry).values()])


def write_csv(entries: Iterable[Entry], path: Path) -> int:
    """How many rows. Raises UsageError where the file cannot be written."""
    count = -1
    try:
        with aside(path) as handle, open(handle, "w", encoding="utf-8", newline="", closefd=False) as file:
            for line in csv_lines(entries):
                file.write(line)
                count += 1
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
    return count


class Sink:
    """A file that is written from its beginning to its end, whose bytes are taken away as they come."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """All of it."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """What was not taken stays."""

    def taken(self) -> bytes:
        """What was written since this was asked last."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def parquet_chunks(entries: Iterable[Entry]) -> Iterator[bytes]:
    """A Parquet file piece by piece; memory for some thousand rows.

    Raises at once:
        MissingExtraError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise MissingExtraError("Parquet", "parquet")
    return _parquet(map(row_of, entries))


def _parquet(rows: Iterator[dict[str, Cell]]) -> Iterator[bytes]:
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    kinds = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "time": pa.timestamp("us", tz="UTC")}
    schema, sink = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()]), Sink()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        while some := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(some, schema))
            yield sink.taken()
    yield sink.taken()


def write_parquet(entries: Iterable[Entry], path: Path) -> int:
    """How many rows.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UsageError: the file cannot be written.
    """
    count = 0

    def counted() -> Iterator[Entry]:
        nonlocal count
        for entry in entries:
            count += 1
            yield entry

    chunks = parquet_chunks(counted())
    try:
        with aside(path) as handle:
            for chunk in chunks:
                write_all(handle, chunk)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror or error})") from error
    return count


def cell(value: Cell) -> str | int | float | bool | None:
    """As CSV has it: a time in ISO 8601, and no text that a spreadsheet would run."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _line(cells: list[str] | list[str | int | float | bool | None]) -> str:
    into = io.StringIO(newline="")
    csv.writer(into).writerow(cells)
    return into.getvalue()
