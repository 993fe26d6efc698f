"""The CSV file that says which image belongs to which split: columns image, split, optionally part, lot, time."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onspec.datasets.listed_names import ListedNames
from onspec.datasets.text_file import delimiter_of
from onspec.domain import Sample, Split, SplitError
from onspec.imaging.writing import write_bytes

NAME = "split.csv"
"""Beside the data, a file of this name wins over every other split."""


@dataclass(frozen=True, slots=True)
class FileSplit:
    """Image name → split, and image name → part, lot and time where the file says so."""

    splits: dict[str, Split]
    parts: dict[str, str] = field(default_factory=dict)
    lots: dict[str, str] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)


def read(path: Path, names: Iterable[str]) -> FileSplit:
    """Read a split file that covers every image. Images are named as in the set, or by a unique file name.

    Raises:
        SplitError: absent, not such a table, a split that is none, an image twice or left out; by line or name.
    """
    wanted = ListedNames(names)
    found = FileSplit({})
    for line, row in _rows(path):
        given = row["image"].strip()
        name = wanted.find(given)
        if name is None:
            continue  # a file may list more than this folder holds
        try:
            split = Split(row["split"].strip().lower())
        except ValueError:
            raise SplitError(
                f"{path}, line {line}: split {row['split']!r} is none; allowed: {', '.join(Split)}"
            ) from None
        if found.splits.setdefault(name, split) is not split:
            raise SplitError(f"{path}, line {line}: {given} stands in {found.splits[name]} and in {split}; keep one")
        for column, told in (("part", found.parts), ("lot", found.lots), ("time", found.times)):
            text = (row.get(column) or "").strip()
            if text and told.setdefault(name, text) != text:
                raise SplitError(f"{path}, line {line}: {given} has {column} {told[name]!r} and {text!r}; keep one")
    missing = sorted(wanted.names - found.splits.keys())
    if missing:
        raise SplitError(
            f"{path}: {missing[0]} is not listed (and {len(missing) - 1} more); add a row for every image of the set"
        )
    return found


def write(path: Path, samples: Iterable[Sample], assignment: Mapping[str, Split]) -> None:
    """Write image, split, part, and lot and time where any is known; a row an image, sorted by name.

    Raises:
        SplitError: the file is there already and says something else: it may be the user's.
    """
    given = sorted(samples, key=lambda s: s.name)
    more = [column for column in ("lot", "time") if any(getattr(s, column) is not None for s in given)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "split", "part", *more])
    for sample in given:
        table.writerow([sample.name, assignment[sample.name], sample.part, *(getattr(sample, c) or "" for c in more)])
    data = text.getvalue().encode()
    if path.is_file() and path.read_bytes() != data:
        raise SplitError(
            f"{path}: there is a file of this name already, which says another split; it is not overwritten; move it "
            "away, or give it with --split-file and choose another folder"
        )
    write_bytes(path, data)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise SplitError(f"{path}: split file cannot be read ({error.strerror}); check the name") from error
    except UnicodeDecodeError as error:
        raise SplitError(f"{path}: split file is not UTF-8 text; save it as CSV in UTF-8") from error
    first = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter_of(first))
    columns = [name.strip().lower() for name in reader.fieldnames or []]
    if "image" not in columns or "split" not in columns:
        raise SplitError(
            f"{path}: got columns {', '.join(columns) or 'none'}; needs image, split, optionally part, lot, time"
        )
    reader.fieldnames = columns
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise SplitError(f"{path}: not a table ({error}); save it again as CSV") from error
    short = next((line for line, row in rows if row["image"] is None or row["split"] is None), None)
    if short is not None:
        raise SplitError(f"{path}, line {short}: a row needs image and split")
    return rows
