"""A table (CSV, TSV) at the root or beside the images that names an image a row.

Columns are known by name, in any case and order (`label_table.COLUMNS`), and any of them may be there:

- a class: of the whole image, or of the row's defect where the row says where it is;
- a mask file; a box (left, top and either right, bottom or width, height);
- runs, as Severstal has (`ImageId,ClassId,EncodedPixels`): start and length in turn, from 1, column by column;
- the probability of a defect: from 0.5 on the part is defective. A table without a header that gives an image and such
  a number, as the ELPV solar cells do, is read, too;
- `split` and `part`.

In a table of boxes or runs a row is a defect: an image beside the listed ones that no row names is good. In any other
table such an image is not used. Several tables are read together if their names or folders say train, val, test.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from onspec.datasets.draft import not_listed
from onspec.datasets.folder_names import SPLIT_FOLDERS, holds_masks, split_of
from onspec.datasets.image_index import ImageIndex, index_images
from onspec.datasets.label_table import SUFFIXES, Row, Table, tables_in
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.pairing import pair
from onspec.datasets.problem import Problem
from onspec.datasets.row_labels import read_labels
from onspec.datasets.tree import Tree
from onspec.domain import LayoutError, Sample, Split

Rows = Mapping[PurePosixPath, Sequence[Row]]
"""By image, as the tree names it."""


def score(tree: Tree) -> float:
    """Nearly certain where a table names images; slight where it only classifies what label images locate."""
    if not any(path.suffix.lower() in SUFFIXES for path in tree.others):
        return 0.0
    tables = tables_in(tree, index_images(tree.images))
    if tables and not any(table.locates for table in tables) and pair(tree.images).masks:
        return 0.4
    return 0.9 if tables else 0.0


def read(tree: Tree) -> Reading:
    """Every image that a table names, and in a table of defects those beside them.

    Raises:
        LayoutError: no table labels images, or it cannot be told which of several does.
        LabelError: a row that cannot be right, with file and line.
    """
    index = index_images(tree.images)
    tables = tables_in(tree, index)
    if not tables:
        raise LayoutError(f"{tree.root}: no table that labels images; expected {CSV.shape}")
    splits = _splits_of(tree, tables)
    rows, problems = _by_image(tree, index, tables)
    labels = read_labels(tree, index, rows)
    samples = [
        Sample(
            name=str(image),
            image=tree.path(image),
            part=str(image),
            defective=truth.defective,
            annotations=truth.annotations,
            split=_split(image, rows[image], splits),
            cls=truth.cls,
        )
        for image, truth in labels.truths.items()
    ]
    idle = [i for i in tree.images if i not in rows and i not in labels.masks and not _in_mask_folder(i)]
    good = _beside(rows, idle) if all(table.lists_defects for table in tables) else []
    assigned = any(sample.split is not None for sample in samples)
    samples += [
        Sample(str(image), tree.path(image), str(image), defective=False, split=split_of(image.parts[:-1]) or default)
        for default in ([Split.TRAIN] if assigned else [None])
        for image in good
    ]
    unused = [image for image in idle if image not in set(good)]
    return Reading(
        tuple(samples),
        (*problems, *labels.problems, *not_listed(unused, ", ".join(str(table.path) for table in tables))),
        labels.inverted,
        {str(image): part for image, found in rows.items() if (part := _agreed(found, "part"))},
    )


CSV = Layout("csv", "a CSV with a column image and any of class, mask, box, EncodedPixels, probability", score, read)


def _by_image(tree: Tree, index: ImageIndex, tables: Sequence[Table]) -> tuple[Rows, list[Problem]]:
    """The rows of each image; a row whose image is not there is a problem, once an image."""
    rows: defaultdict[PurePosixPath, list[Row]] = defaultdict(list)
    problems: dict[str, Problem] = {}
    for table in tables:
        found: dict[str, PurePosixPath | None] = {}
        for row in table.rows(tree):
            if row["image"] not in found:
                found[row["image"]] = row.find(index, "image")
            image = found[row["image"]]
            if image is not None:
                rows[image].append(row)
            else:
                problems.setdefault(row["image"], _missing(row))
    return rows, list(problems.values())


def _splits_of(tree: Tree, tables: Sequence[Table]) -> dict[str, Split]:
    """The split of each of several tables, by file; none for the only one."""
    if len(tables) == 1:
        return {}
    said = {table.path: _said_split(table.path) for table in tables}
    if None in said.values():
        names = ", ".join(str(path) for path in said)
        raise LayoutError(
            f"{tree.root}: {names} all label images; keep one of them, or let their names say train, val, test"
        )
    return {str(tree.path(path)): split for path, split in said.items() if split is not None}


def _said_split(path: PurePosixPath) -> Split | None:
    words = re.findall(r"[a-z]+", path.stem.lower())
    return next((SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS), split_of(path.parts[:-1]))


def _split(image: PurePosixPath, rows: Sequence[Row], splits: Mapping[str, Split]) -> Split | None:
    """By the column, else by the table, else by the folders."""
    text = _agreed(rows, "split")
    if text and text.lower() not in SPLIT_FOLDERS:
        raise rows[0].fault(f"split {text!r} is none; allowed: {', '.join(Split)}")
    by_table = {splits[str(row.file)]: row for row in rows if str(row.file) in splits}
    if len(by_table) > 1:
        raise rows[-1].fault(f"{image} stands in {' and in '.join(by_table)} by its tables; keep it in one of them")
    return SPLIT_FOLDERS[text.lower()] if text else next(iter(by_table), split_of(image.parts[:-1]))


def _agreed(rows: Sequence[Row], column: str) -> str:
    """What the rows of one image say in a column, or nothing.

    Raises:
        LabelError: they contradict each other.
    """
    said = {row[column]: row for row in rows if row[column]}
    if len(said) > 1:
        (first, before), (second, row) = list(said.items())[:2]
        raise row.fault(f"{column} {second!r} of {row['image']}, which has {column} {first!r} on line {before.line}")
    return next(iter(said), "")


def _beside(rows: Rows, idle: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    folders = {image.parent for image in rows}
    return [image for image in idle if image.parent in folders]


def _in_mask_folder(path: PurePosixPath) -> bool:
    return any(map(holds_masks, path.parts[:-1]))


def _missing(row: Row) -> Problem:
    what = f"names {row['image']}, which is not there" if row["image"] else "names no image"
    return Problem(
        severity="error",
        code="missing",
        file=row["image"] or None,
        message=f"{row.file}, line {row.line}: {what}",
        suggestion="add the image, or remove its rows",
    )
