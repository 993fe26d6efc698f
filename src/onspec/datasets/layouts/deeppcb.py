"""DeepPCB: binarised pictures of bare boards, each with a picture of the same spot without defects.

`groupNNNNN/NNNNN/X_test.jpg` is a sample, `groupNNNNN/NNNNN_not/X.txt` holds its boxes, one `x1 y1 x2 y2 class` a line
(separated by blanks or commas), and `trainval.txt` and `test.txt` name `X.jpg` with its label file. An empty label file
means that the board is good there.

`X_temp.jpg`, the template, is no sample: it was cleaned of defects by hand, so no camera saw such a good board, and
the published results are about test pictures alone.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.problem import Problem
from onspec.datasets.text_file import lines_of, number_of
from onspec.datasets.tree import Tree
from onspec.domain import Box, LabelError, Sample, Split, SplitError

CLASSES: Final = {"1": "open", "2": "short", "3": "mousebite", "4": "spur", "5": "copper", "6": "pin-hole"}
"""Class of a box by its number; 5 is copper where none should be."""

LISTS: Final = {
    "trainval.txt": Split.TRAIN,
    "train.txt": Split.TRAIN,
    "val.txt": Split.VAL,
    "test.txt": Split.TEST,
}
"""Split of the images that a list names; what a run validates on is taken out of trainval.txt later."""

_TESTED = "_test"
_LABELS = "_not"


def score(tree: Tree) -> float:
    """Nearly certain where a picture `X_test` has a text file in the folder of labels beside its own."""
    texts = {_key(p) for p in tree.others}
    return 0.95 if any(_key(_label_of(image)) in texts for image in _tested(tree)) else 0.0


def read(tree: Tree) -> Reading:
    """Every tested picture and every listed one, with its boxes.

    Raises:
        LabelError: a line that is no box of a known class, with file and line.
        SplitError: an image on the lists of two splits.
    """
    texts = {_key(p): p for p in tree.others}
    listed = _listed(tree)
    images = {_key(p): p for p in _tested(tree)}
    absent = {key: image for key, (image, _) in listed.items() if key not in images}
    samples: list[Sample] = []
    problems: list[Problem] = []
    for key, image in sorted((images | absent).items()):
        label = texts.get(_key(_label_of(image)))
        if label is None:
            problems.append(_without_label(image))
            continue
        boxes = tuple(_boxes(tree, label))
        split = listed[key][1] if key in listed else Split.TRAIN if listed else None
        samples.append(Sample(str(image), tree.path(image), str(image), bool(boxes), boxes, split))
    unlisted = [image for key, image in sorted(images.items()) if key not in listed]
    problems += [_unlisted(unlisted)] if listed and unlisted else []
    return Reading(tuple(samples), tuple(problems))


DEEPPCB = Layout("deeppcb", "groupN/N/X_test.jpg with groupN/N_not/X.txt, a box a line", score, read)


def _tested(tree: Tree) -> list[PurePosixPath]:
    return [p for p in tree.images if p.stem.lower().endswith(_TESTED) and len(p.parts) > 1]


def _label_of(image: PurePosixPath) -> PurePosixPath:
    folder = image.parent.with_name(image.parent.name + _LABELS)
    return folder / f"{image.stem[: -len(_TESTED)]}.txt"


def _key(path: PurePosixPath) -> str:
    return str(path).lower()


def _listed(tree: Tree) -> dict[str, tuple[PurePosixPath, Split]]:
    """Key of every listed image → the image and its split. Lists name images from their own folder."""
    found: dict[str, tuple[PurePosixPath, Split]] = {}
    for file in (p for p in tree.others if p.name.lower() in LISTS and not p.parent.name.endswith(_LABELS)):
        split = LISTS[file.name.lower()]
        for number, line in lines_of(tree.path(file)):
            named = file.parent / line.split()[0].replace("\\", "/")
            if len(named.parts) < 2:
                raise LabelError(f"{tree.path(file)}, line {number}: got {line!r}; expected image and label file")
            image = named.with_name(f"{named.stem}{_TESTED}{named.suffix}")
            before = found.setdefault(_key(image), (image, split))[1]
            if before is not split:
                raise SplitError(
                    f"{tree.path(file)}, line {number}: {image} stands in {before} and in {split}; keep one"
                )
    return found


def _boxes(tree: Tree, label: PurePosixPath) -> Iterator[Box]:
    for number, line in lines_of(tree.path(label)):
        try:
            *corners, code = re.split(r"[\s,]+", line.strip(" ,"))
            left, top, right, bottom = map(number_of, corners)
            yield Box(left, top, right - left, bottom - top, CLASSES[code])
        except (ValueError, KeyError) as error:
            classes = ", ".join(f"{code} {name}" for code, name in CLASSES.items())
            raise LabelError(
                f"{tree.path(label)}, line {number}: got {line!r}; expected x1 y1 x2 y2 class, where x1 < x2, y1 < y2, "
                f"class one of {classes}"
            ) from error


def _without_label(image: PurePosixPath) -> Problem:
    return Problem(
        severity="error",
        code="label-missing",
        file=str(image),
        message=f"{image} has no {_label_of(image)}, so it is not known whether it is good; it is not used",
        suggestion="add the label file, empty for a board without defects, or remove the image",
    )


def _unlisted(images: list[PurePosixPath]) -> Problem:
    return Problem(
        severity="warning",
        code="unlisted",
        file=str(images[0]),
        message=f"{len(images)} images stand on none of the lists ({', '.join(LISTS)}) and are taken for training; "
        f"the first is {images[0]}",
        suggestion="add them to a list, or write a split.csv",
    )
