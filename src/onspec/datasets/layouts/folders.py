"""A folder a class, for classification: `good/`, `scratch/` …, also `train/scratch/` or `scratch/train/`.

The class is told by the outermost level of folders where a name says good or defective; where none does, by the
outermost level with several names. Folders of splits, and those that say what files are (`images`), are no level, nor
are counted lots (`lot1`, `batch_2`, a date).

- A name that says good (`good`, `ok`, `no_defect` …) is a good part.
- Every other name is a class of defects; one that says no more than defective (`ng`, `bad`, `defect` …) is `defect`.
- Two folders `0` and `1` are good and defective.
- Folders that all say good, such as `good/` alone or `train/good/` with `test/good/`, are a set that has no defect yet.
"""

import re
from collections import Counter, defaultdict
from pathlib import PurePosixPath

from onspec.datasets.folder_names import folder_truth, meaningful, says_only_truth, split_of
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.pairing import pair
from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import DEFECT, LayoutError, Sample

_COUNTED = re.compile(
    r"(lot|batch|series|run|day|shift|week|tray|box|board|panel|coil|roll|wafer|sheet|item|part|sample|cam|camera|station"
    r"|line|machine|session)s?[_\-. ]*\d+|(19|20)\d\d[_\-. ]?\d\d[_\-. ]?\d\d.*"
)
"""Folders, lower case, that count what was taken together, and name no class."""

_LABEL_SUFFIXES = {".json", ".xml", ".txt"}
"""Files of an image's stem that would say where its defects are."""


def score(tree: Tree) -> float:
    """Slight, and only without any label image or file: folders are in nearly every set."""
    if _level(tree) is None and not _all_good(tree):
        return 0.0
    stems = {p.stem.lower() for p in tree.images}
    if any(p.suffix.lower() in _LABEL_SUFFIXES and p.stem.lower() in stems for p in tree.others):
        return 0.0
    pairs = pair(tree.images)
    return 0.0 if pairs.masks or pairs.orphans else 0.1


def read(tree: Tree) -> Reading:
    """Every image with the class of its folder.

    Raises:
        LayoutError: fewer than two class folders, and not one of good parts alone.
    """
    classes, level = _classes(tree), _level(tree)
    if level is None and _all_good(tree):
        return Reading(
            tuple(Sample(str(i), tree.path(i), str(i), False, split=split_of(i.parts[:-1])) for i in tree.images)
        )
    if level is None:
        raise LayoutError(f"{tree.root}: fewer than two class folders; expected {FOLDERS.shape}")
    truth = {name: _truth(name, classes) for name in classes}
    samples: list[Sample] = []
    problems = [_numbered()] if _is_binary(classes) else [] if None in truth.values() else [_without_good(classes)]
    for image in tree.images:
        folders = meaningful(image.parts[:-1])
        if len(folders) <= level:
            problems.append(_without_class(image))
            continue
        cls = truth[folders[level].lower()]
        split = split_of(image.parts[:-1])
        samples.append(Sample(str(image), tree.path(image), str(image), cls is not None, split=split, cls=cls))
    return Reading(tuple(samples), tuple(problems))


FOLDERS = Layout("folders", "a folder a class, such as good/ and scratch/, without label files", score, read)


def _all_good(tree: Tree) -> bool:
    """Whether every image stands in a folder whose name says good."""
    return all(any(folder_truth(f) is False for f in meaningful(image.parts[:-1])) for image in tree.images)


def _level(tree: Tree) -> int | None:
    """Which folder of each path is the class, counted among those that mean something; `None` where no level is."""
    levels: defaultdict[int, set[str]] = defaultdict(set)
    for image in tree.images:
        for level, folder in enumerate(meaningful(image.parts[:-1])):
            levels[level].add(folder.lower())
    branching = [n for n in sorted(levels) if len(levels[n]) > 1]
    telling = [n for n in branching if any(folder_truth(name) is not None for name in levels[n])]
    several = [n for n in branching if sum(not _COUNTED.fullmatch(name) for name in levels[n]) > 1]
    return next(iter([*telling, *several]), None)


def _classes(tree: Tree) -> dict[str, str]:
    """The class folders in lower case, each with its most frequent spelling."""
    level = _level(tree)
    spelled: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for image in tree.images if level is not None else ():
        for folder in meaningful(image.parts[:-1])[level:][:1]:
            spelled[folder.lower()][folder] += 1
    return {name: max(sorted(counts), key=counts.__getitem__) for name, counts in spelled.items()}


def _truth(name: str, classes: dict[str, str]) -> str | None:
    """The class of defects that a folder holds; `None` for good parts."""
    if _is_binary(classes):
        return DEFECT if name == "1" else None
    if folder_truth(name) is False:
        return None
    return DEFECT if says_only_truth(name) else classes[name]


def _is_binary(classes: dict[str, str]) -> bool:
    return classes.keys() == {"0", "1"}


def _numbered() -> Problem:
    return Problem(
        severity="warning",
        code="truth-guessed",
        message="the folders are called 0 and 1; 0 is taken for good, 1 for defective",
        suggestion="rename them to good and defective, so that nobody has to guess",
    )


def _without_good(classes: dict[str, str]) -> Problem:
    return Problem(
        severity="warning",
        code="truth-guessed",
        message=f"no folder's name says good, so each is taken for a class of defects: {', '.join(classes.values())}",
        suggestion="rename the folder of good parts to good, if there is one",
    )


def _without_class(image: PurePosixPath) -> Problem:
    return Problem(
        severity="error",
        code="no-class",
        file=str(image),
        message=f"{image} stands in no class folder, so it is not known whether it is good; it is not used",
        suggestion="move it to the folder of its class, or out of the set",
    )
