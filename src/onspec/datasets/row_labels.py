"""What the rows of a table say of each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from onspec.datasets.class_names import names_file, read_names
from onspec.datasets.folder_names import folder_truth, says_only_truth
from onspec.datasets.image_index import ImageIndex, tidy
from onspec.datasets.label_table import Row, has_box
from onspec.datasets.mask_set import MaskSet, survey
from onspec.datasets.problem import Problem
from onspec.datasets.text_file import number_of
from onspec.datasets.tree import Tree
from onspec.domain import DEFECT, Annotation, Box, RunLengths
from onspec.imaging.header import sizes_of

DEFECTIVE_FROM: Final = 0.5
"""Probability of a defect from which on a part is defective."""

GOOD: Final = {"none", "no", "false", "negative", "pass", "passed", "background"}
"""Classes, lower case, that mean no defect, besides those of good folders (`good`, `ok` …)."""

BAD: Final = {"yes", "true", "positive", "fail", "failed", "reject", "rejected"}
"""Classes, lower case, that say defective and no more, besides those of such folders (`ng`, `defect` …)."""

_NO_RUNS = {"", "-1", "none", "null"}
_BOX = ("left", "top", "right", "bottom", "width", "height")


class RunsOutsideError(ValueError):
    """Run lengths of a larger image than this one."""


@dataclass(frozen=True)
class Truth:
    """What is known of one image; as in `Sample`."""

    defective: bool
    annotations: tuple[Annotation, ...] = ()
    cls: str | None = None


@dataclass(frozen=True)
class Labels:
    """The truth by image; `masks` are the label images that rows name."""

    truths: Mapping[PurePosixPath, Truth]
    masks: frozenset[PurePosixPath]
    inverted: bool
    problems: tuple[Problem, ...]


def read_labels(tree: Tree, index: ImageIndex, rows: Mapping[PurePosixPath, Sequence[Row]]) -> Labels:
    """Tell good from defective, and where the defects are.

    Raises:
        LabelError: a row that cannot be right, with file and line.
    """
    every = [row for found in rows.values() for row in found]
    masks = {row.at: _mask_of(index, row) for row in every if row["mask"]}
    surveyed = survey(tree, list(dict.fromkeys(tree.path(mask) for mask in masks.values())))
    measured = [image for image, found in rows.items() if any(_has_runs(row) for row in found)]
    sizes = dict(zip(measured, sizes_of([tree.path(image) for image in measured]), strict=True))
    reader = _Reader(tree, _Words.of(tree, every), masks, surveyed, sizes)
    truths = {image: reader.truth(image, found) for image, found in rows.items()}
    problems = (*surveyed.problems, *reader.problems)
    return Labels(truths, frozenset(masks.values()), surveyed.inverted, problems)


def runs_of(text: str, size: tuple[int, int]) -> tuple[int, ...]:
    """Severstal's runs (start and length in turn, from 1, column by column) → COCO's counts of 0 and 1 in turn.

    `size` is (width, height) in px.

    Raises:
        RunsOutsideError: they leave the image.
        ValueError: no such runs, or they overlap.
    """
    numbers = [int(word) for word in text.split()]
    if len(numbers) % 2:
        raise ValueError(f"{len(numbers)} numbers; a start and a length must come in turn")
    counts: list[int] = []
    end, area = 0, size[0] * size[1]
    for start, length in sorted(zip(numbers[::2], numbers[1::2], strict=True)):
        if length < 1 or start < 1 or start - 1 + length > area:
            raise RunsOutsideError(f"the run {start} {length} leaves the image of {size[0]}×{size[1]} px")
        if start - 1 < end:
            raise ValueError(f"the run {start} {length} overlaps the one before it")
        counts += [start - 1 - end, length]
        end = start - 1 + length
    return (*counts, area - end)


@dataclass(frozen=True)
class _Words:
    """What the column of classes means over the whole table.

    Attributes:
        names: class by number, from a file beside the data; empty without one.
        one: boxes or runs are all of one number, 0 or 1, which then names nothing.
        binary: whole images are numbered 0 and 1, good and defective.
    """

    names: Mapping[int, str]
    one: bool
    binary: bool

    @classmethod
    def of(cls, tree: Tree, rows: Sequence[Row]) -> "_Words":
        spots = {_number(row) for row in rows if _has_box(row) or _has_runs(row)} - {None}
        wholes = {_number(row) for row in rows if not (_has_box(row) or _has_runs(row))} - {None}
        file = names_file(tree) if spots | wholes else None
        named = read_names(tree.path(file)) if file is not None else {}
        return cls(named, one=spots in ({0}, {1}), binary=wholes <= {0, 1})

    def whole(self, row: Row) -> str | None:
        """The class of a whole image or of its mask; `None` for good."""
        number = _number(row)
        if number is None:
            return self._word(row["class"])
        if number == 0:
            return None
        return DEFECT if self.binary and not self.names else self._named(number, row)

    def spot(self, row: Row) -> str | None:
        """The class of a box or of runs; `None` where the row says good, which cannot be."""
        number = _number(row)
        if number is None:
            return self._word(row["class"])
        return DEFECT if self.one and not self.names else self._named(number, row)

    def _word(self, text: str) -> str | None:
        if text.lower() in GOOD or folder_truth(text) is False:
            return None
        return DEFECT if not text or text.lower() in BAD or says_only_truth(text) else text

    def _named(self, number: int, row: Row) -> str:
        if not self.names:
            return f"class{number}"
        if number not in self.names:
            known = ", ".join(f"{code} {name}" for code, name in sorted(self.names.items()))
            raise row.fault(f"class {number} has no name in the set's file of class names, which has {known}")
        return self.names[number]


@dataclass(frozen=True)
class _Reader:
    tree: Tree
    words: _Words
    masks: Mapping[tuple[Path, int], PurePosixPath]
    surveyed: MaskSet
    sizes: Mapping[PurePosixPath, tuple[int, int] | None]
    problems: list[Problem] = field(default_factory=list)

    def truth(self, image: PurePosixPath, rows: Sequence[Row]) -> Truth:
        """What the rows of one image say together."""
        marks: list[Annotation] = []
        said: dict[str | None, Row] = {}
        unread: list[str] = []
        for row in rows:
            if self._marks(row):
                cls = self.words.spot(row) if _has_box(row) or _has_runs(row) else self.words.whole(row)
                if cls is None:
                    self.problems.append(_marked_good(image, row))
                    return Truth(defective=False)
                drawn = self._drawn(image, row, cls)
                marks += drawn
                unread += [] if drawn else [cls]
            elif "runs" not in row.cells:  # a class without runs says that the image has none of it
                said.setdefault(self._said(image, row), row)
        if marks:
            return Truth(defective=True, annotations=tuple(dict.fromkeys(marks)))
        if unread:
            return Truth(defective=True, cls=unread[0])
        if len(said) > 1:
            (first, before), (second, row) = list(said.items())[:2]
            raise row.fault(f"{image} is {second or 'good'} here and {first or 'good'} on line {before.line}; keep one")
        cls = next(iter(said), None)
        return Truth(cls is not None, cls=cls)

    def _marks(self, row: Row) -> bool:
        in_mask = row.at in self.masks and self.surveyed.marks(self.tree.path(self.masks[row.at]))
        return _has_box(row) or _has_runs(row) or in_mask

    def _drawn(self, image: PurePosixPath, row: Row, cls: str) -> tuple[Annotation, ...]:
        """The row's runs, else its box, else its mask; nothing for runs that are not of this image, which is told, or
        of one that cannot be read."""
        if not _has_runs(row):
            return (_box(row, cls),) if _has_box(row) else self.surveyed.labels(self.tree.path(self.masks[row.at]), cls)
        size = self.sizes[image]
        if size is None:
            return ()
        try:
            return (RunLengths(runs_of(row["runs"], size), size, cls),)
        except RunsOutsideError as error:
            self.problems.append(_runs_elsewhere(image, row, str(error)))
            return ()
        except ValueError as error:
            raise row.fault(f"runs of {image} cannot be read: {error}") from error

    def _said(self, image: PurePosixPath, row: Row) -> str | None:
        """What a row without a mark says of the whole image: its class, `None` for a good one."""
        locates = "mask" in row.cells or has_box(row.cells)
        if row["class"]:
            cls = self.words.whole(row)
            if cls is not None and locates:
                self.problems.append(_unlocated(image, row))
            return cls
        if row["probability"]:
            return DEFECT if _probability(row) >= DEFECTIVE_FROM else None
        if not locates:
            raise row.fault(f"says nothing of {image}; write its class, such as good")
        return None


def _mask_of(index: ImageIndex, row: Row) -> PurePosixPath:
    """The mask that a row names; one that is not there is looked for beside the table, and found missing there."""
    return row.find(index, "mask") or row.table.parent / tidy(row["mask"])


def _has_box(row: Row) -> bool:
    return has_box(row.cells) and any(row[column] for column in _BOX[:4] if column in row.cells)


def _has_runs(row: Row) -> bool:
    return row["runs"].lower() not in _NO_RUNS


def _number(row: Row) -> int | None:
    """The class as a number; `None` for one in words."""
    try:
        number = number_of(row["class"])
    except ValueError:
        return None
    if number < 0 or number != int(number):
        raise row.fault(f"class {row['class']} is neither a name nor one of 0, 1, 2 …")
    return int(number)


def _probability(row: Row) -> float:
    try:
        found = number_of(row["probability"])
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise row.fault(f"probability {row['probability']!r} is no number from 0 to 1")
    return found


def _box(row: Row, cls: str) -> Box:
    ends = ("right", "bottom") if {"right", "bottom"} <= row.cells.keys() else ("width", "height")
    try:
        left, top, first, second = (number_of(row[column]) for column in ("left", "top", *ends))
        sides = (first - left, second - top) if ends[0] == "right" else (first, second)
        return Box(left, top, *sides, cls)
    except ValueError as error:
        got = ", ".join(f"{column} {row[column]!r}" for column in ("left", "top", *ends))
        raise row.fault(f"no box: {got}; expected numbers in px that enclose an area") from error


def _marked_good(image: PurePosixPath, row: Row) -> Problem:
    return Problem(
        severity="error",
        code="good-with-label",
        file=str(image),
        message=f"{row.file}, line {row.line}: {image} is {row['class']} and has a mark; it is taken as good",
        suggestion="correct the class, or remove the mark",
    )


def _runs_elsewhere(image: PurePosixPath, row: Row, fault: str) -> Problem:
    return Problem(
        severity="error",
        code="label",
        file=str(image),
        message=f"{row.file}, line {row.line}: runs of {image} cannot be drawn: {fault}; it counts as defective, but "
        "not this place in it",
        suggestion="use the images that were labelled, in their size, or export the runs again",
    )


def _unlocated(image: PurePosixPath, row: Row) -> Problem:
    return Problem(
        severity="warning",
        code="unlocated",
        file=str(image),
        message=f"{row.file}, line {row.line}: {image} is {row['class']}, but nothing says where",
        suggestion="label it; until then it only teaches that something is there, and its verdict alone counts",
    )
