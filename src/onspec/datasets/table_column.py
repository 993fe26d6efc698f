"""One column of the tables of a set, whatever else they hold: what a plant knows of its images beside the labels."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePosixPath

from onspec.datasets.image_index import index_images
from onspec.datasets.label_table import COLUMNS, SUFFIXES, Table
from onspec.datasets.text_file import delimiter_of
from onspec.datasets.tree import Tree


def read_column(tree: Tree, column: str) -> dict[str, str] | None:
    """Image name → cell of the column `column`, blank cells left out; `None` where no table of the set has it.

    Case, blanks, `_` and `-` in the names of columns do not count. Rows of images that are not there say nothing.

    Raises:
        LabelError: two rows say different things of one image, or a table is no text.
    """
    tables = list(_tables(tree, column))
    index = index_images(tree.images)
    found: dict[str, str] = {}
    for table in tables:
        for row in table.rows(tree):
            image = row.find(index, "image") if row["image"] and row["wanted"] else None
            if image is None:
                continue
            if found.setdefault(str(image), row["wanted"]) != row["wanted"]:
                raise row.fault(
                    f"{column} {row['wanted']!r} of {image}, for which another row says {found[str(image)]!r}"
                )
    return found if tables else None


def columns_of(tree: Tree) -> list[str]:
    """The names of all columns beside one that names images, as they are written; for messages."""
    return sorted({name for _, _, header in _headers(tree) if _image_at(header) is not None for name in header if name})


def _tables(tree: Tree, column: str) -> Iterator[Table]:
    for path, delimiter, header in _headers(tree):
        image, names = _image_at(header), [_plain(name) for name in header]
        if image is not None and _plain(column) in names:
            yield Table(path, delimiter, {"image": image, "wanted": names.index(_plain(column))}, header=True)


def _headers(tree: Tree) -> Iterator[tuple[PurePosixPath, str, list[str]]]:
    """Each table's path, delimiter and first row."""
    for path in tree.others:
        if path.suffix.lower() not in SUFFIXES:
            continue
        try:
            with tree.path(path).open(encoding="utf-8-sig", errors="replace") as file:
                first = next(islice(file, 1), "").strip()
        except OSError:
            continue
        delimiter = delimiter_of(first)
        yield path, delimiter, [name.strip().strip('"') for name in first.split(delimiter)]


def _image_at(header: list[str]) -> int | None:
    names = [_plain(name) for name in header]
    return next((names.index(alias) for alias in COLUMNS["image"] if alias in names), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
