"""Tables (CSV, TSV, blanks) that label images, a row an image or a row a defect."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from onspec.datasets import split_file
from onspec.datasets.folder_names import MASK_FOLDERS
from onspec.datasets.image_index import ImageIndex, tidy
from onspec.datasets.text_file import number_of, read_text
from onspec.datasets.tree import Tree
from onspec.domain import LabelError

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "image": (
        *("imagepath", "filepath", "path", "filename", "file", "imagename", "imagefile", "image", "images", "img"),
        *("imageid", "imgid", "id"),
    ),
    "image_class": ("imageidclassid",),
    "class": (
        *("classname", "labelname", "categoryname", "defecttype", "defectclass", "class", "label", "category"),
        *("classid", "labelid", "categoryid", "defect", "defective", "isdefective", "anomaly", "truth", "verdict"),
        *("target", "labels", "ng"),
    ),
    "mask": ("maskpath", "maskfile", "maskname", "mask", "segmentation", "groundtruth"),
    "runs": ("encodedpixels", "rle", "runlengths", "maskrle"),
    "left": ("xmin", "x1", "left", "x", "bboxx", "boxx", "bboxleft"),
    "top": ("ymin", "y1", "top", "y", "bboxy", "boxy", "bboxtop"),
    "right": ("xmax", "x2", "right", "bboxright"),
    "bottom": ("ymax", "y2", "bottom", "bboxbottom"),
    "width": ("w", "bboxw", "boxw", "bboxwidth", "boxwidth", "width"),
    "height": ("h", "bboxh", "boxh", "bboxheight", "boxheight", "height"),
    "probability": ("probability", "defectprobability", "probabilityofdefect", "prob", "pdefect"),
    "split": ("split", "subset"),
    "part": ("part", "partid", "partname", "serial", "serialnumber"),
}
"""What a column is → the names it may have: case, blanks, `_` and `-` do not count, and an earlier name wins."""

SUFFIXES = (".csv", ".tsv")

_PREDICTIONS = "submission"
"""In the name of a table: not labels, but the form that a competition wants predictions in."""

_LOOKED_AT = 100
"""Rows in which a table must name an image of the set."""

_DELIMITERS = ("\t", ";", ",", " ")


@dataclass(frozen=True)
class Row:
    """One row: its file, also as the tree names it, its line, and its cells by what they are."""

    file: Path
    table: PurePosixPath
    line: int
    cells: Mapping[str, str]

    @property
    def at(self) -> tuple[Path, int]:
        """What tells this row from every other."""
        return self.file, self.line

    def __getitem__(self, column: str) -> str:
        """The cell's text; empty without such a column."""
        return self.cells.get(column, "")

    def find(self, index: ImageIndex, column: str) -> PurePosixPath | None:
        """The image, or in the column `mask` the label image, that the row names; `None` if it is not there.

        Raises:
            LabelError: several may be meant.
        """
        try:
            return find_image(index, self[column], self.table, mask=column == "mask")
        except LabelError as error:
            raise self.fault(str(error).removeprefix(f"{self.table}: ")) from error

    def fault(self, what: str) -> LabelError:
        """The error that names file and line."""
        return LabelError(f"{self.file}, line {self.line}: {what}")


@dataclass(frozen=True)
class Table:
    """A file that labels images; `places` tells which field holds what."""

    path: PurePosixPath
    delimiter: str
    places: Mapping[str, int]
    header: bool

    @property
    def has_boxes(self) -> bool:
        """Whether its rows may hold a box."""
        return has_box(self.places)

    @property
    def locates(self) -> bool:
        """Whether its rows say where a defect is."""
        return self.has_boxes or "runs" in self.places or "mask" in self.places

    @property
    def lists_defects(self) -> bool:
        """Whether a row is a defect, so that an image without a row has none."""
        return self.has_boxes or "runs" in self.places

    def rows(self, tree: Tree) -> Iterator[Row]:
        """Every row that is not blank.

        Raises:
            LabelError: the file is no text, or not such a table.
        """
        file = tree.path(self.path)
        rows = _fields(file, read_text(file), self.delimiter)
        for line, fields in islice(rows, self.header, None):
            cells = {c: _cell(fields[at]) if at < len(fields) else "" for c, at in self.places.items()}
            if "image_class" in cells:
                cells["image"], _, cells["class"] = cells["image_class"].rpartition("_")
            yield Row(file, self.path, line, cells)


def find_image(index: ImageIndex, name: str, table: PurePosixPath, *, mask: bool = False) -> PurePosixPath | None:
    """The image that a table means by `name`, or `None`.

    A file of that name in another folder than the one that is written is not meant: in a set that counts from 1 in each
    folder it is another part. Of a path from the root of another machine only the last folder must agree.

    Raises:
        LabelError: several agree equally.
    """
    image = index.find(name, table, [*_hints(table), *MASK_FOLDERS] if mask else _hints(table))
    if image is None:
        return None
    *wanted, last = [part.lower() for part in tidy(name).parts]
    *folders, _ = [part.lower() for part in image.parts]
    foreign = re.match(r"/|\\|[A-Za-z]+:", name.strip()) is not None
    compared = min(len(folders), len(wanted), 1 if foreign else len(wanted))
    agrees = compared > 0 or not wanted or foreign
    same = folders[len(folders) - compared :] == wanted[len(wanted) - compared :]
    return image if agrees and same and last in (image.name.lower(), image.stem.lower()) else None


def _hints(table: PurePosixPath) -> list[str]:
    """Folders that a table's name points to: `train.csv` to `train` and to `train_images`."""
    words = re.findall(r"[a-z]+", table.stem.lower())
    return [folder for word in words for folder in (word, f"{word}_images", f"{word}_imgs", f"images_{word}")]


def tables_in(tree: Tree, index: ImageIndex) -> list[Table]:
    """The tables that label images of this tree, sorted by path; a split file is none."""
    found = (_table(tree, path, index) for path in tree.others if path.suffix.lower() in SUFFIXES)
    return [table for table in found if table is not None]


def _table(tree: Tree, path: PurePosixPath, index: ImageIndex) -> Table | None:
    if path.name.lower() == split_file.NAME or _PREDICTIONS in path.stem.lower():
        return None
    try:
        with tree.path(path).open(encoding="utf-8-sig", errors="replace") as file:
            head = list(islice(file, _LOOKED_AT))
    except OSError:
        return None
    for delimiter in _DELIMITERS:
        table = _told_by_header(path, head, delimiter) or _told_by_content(path, head, delimiter, index)
        if table is not None and _names_images(table, head, index):
            return table
    return None


def _told_by_header(path: PurePosixPath, head: list[str], delimiter: str) -> Table | None:
    names = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in _split(head[0], delimiter)] if head else []
    found = {column: [names.index(alias) for alias in COLUMNS[column] if alias in names] for column in COLUMNS}
    places = {column: at[0] for column, at in found.items() if at}
    labels = places.keys() & {"image_class", "class", "mask", "runs", "probability"}
    if not places.keys() & {"image", "image_class"} or not (labels or has_box(places)):
        return None
    return Table(path, delimiter, places, header=True)


def _told_by_content(path: PurePosixPath, head: list[str], delimiter: str, index: ImageIndex) -> Table | None:
    """Without a header: an image, then the probability that it shows a defect, as the ELPV solar cells have."""
    fields = _split(head[0], delimiter) if head else []
    if len(fields) < 2 or not _names(index, fields[0], path):
        return None
    try:
        is_probability = 0 <= number_of(fields[1]) <= 1
    except ValueError:
        return None
    return Table(path, delimiter, {"image": 0, "probability": 1}, header=False) if is_probability else None


def _names_images(table: Table, head: list[str], index: ImageIndex) -> bool:
    at = table.places.get("image", table.places.get("image_class", 0))
    rows = (_split(line, table.delimiter) for line in head[table.header :])
    named = (fields[at].strip() for fields in rows if at < len(fields))
    return any(_names(index, n if "image" in table.places else n.rpartition("_")[0], table.path) for n in named)


def _names(index: ImageIndex, name: str, table: PurePosixPath) -> bool:
    try:
        return find_image(index, name, table) is not None
    except LabelError:  # several may be meant, which is said when the row is read
        return True


def has_box(columns: Mapping[str, object]) -> bool:
    """Whether these columns make a box."""
    ends = ({"right", "bottom"}, {"width", "height"})
    return {"left", "top"} <= columns.keys() and any(end <= columns.keys() for end in ends)


def _cell(text: str) -> str:
    """Without blanks around it; what pandas writes for an empty cell is empty."""
    text = text.strip()
    return "" if text.lower() == "nan" else text


def _split(line: str, delimiter: str) -> list[str]:
    return next((fields for _, fields in _fields(Path(), line, delimiter)), [])


def _fields(file: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every row that is not blank."""
    if delimiter == " ":
        yield from ((n, line.split()) for n, line in enumerate(text.splitlines(), 1) if line.strip())
        return
    csv.field_size_limit(1 << 30)  # the runs of one large mask are longer than Python allows by default
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    try:
        yield from ((reader.line_num, fields) for fields in reader if any(field.strip() for field in fields))
    except csv.Error as error:
        raise LabelError(f"{file}, line {reader.line_num}: {error}; save the table again as CSV") from error
