"""KolektorSDD and KolektorSDD2: an image and its label image in one folder, the label empty for a good surface.

KolektorSDD: `kosNN/PartN.jpg` with `PartN_label.bmp`. The pictures of a folder show the surfaces of one item, so the
folder is the part. KolektorSDD2: `train/NNNNN.png` with `NNNNN_GT.png`, and `test/`; it does not say which pictures
show one part.
"""

import re
from pathlib import PurePosixPath

from onspec.datasets.draft import without_image
from onspec.datasets.folder_names import meaningful, split_of
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.mask_set import survey
from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import DEFECT, LayoutError, Sample

_SURFACE = re.compile(r"part\d+", re.IGNORECASE)
_SURFACE_LABEL = re.compile(r"(part\d+)_label", re.IGNORECASE)
_ITEM = re.compile(r"kos\d+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_NUMBER_LABEL = re.compile(r"(\d+)_gt", re.IGNORECASE)


def score(tree: Tree) -> float:
    """By the share of files that are such an image or such a label."""
    images, labels = _images(tree), _labels(tree)
    known = sum(key in labels for key in images)
    return 0.9 * (len(images) + len(labels)) / len(tree.images) if known else 0.0


def read(tree: Tree) -> Reading:
    """Every image with its label; the label tells good from defective.

    Raises:
        LayoutError: no image has a label.
    """
    images, labels = _images(tree), _labels(tree)
    paired = {image: labels[key] for key, image in images.items() if key in labels}
    if not paired:
        raise LayoutError(f"{tree.root}: no image has a label; expected {KOLEKTOR.shape}")
    masks = survey(tree, [tree.path(label) for label in paired.values()])
    samples: list[Sample] = []
    for image, label in paired.items():
        path = tree.path(label)
        marks = masks.labels(path, DEFECT) if masks.marks(path) else ()
        split = split_of(image.parts[:-1])
        samples.append(Sample(str(image), tree.path(image), str(image), bool(marks), marks, split))
    problems = [*masks.problems, *(_without_label(i) for i in images.values() if i not in paired)]
    problems += [without_image(label) for key, label in labels.items() if key not in images]
    return Reading(
        tuple(samples),
        tuple(problems),
        masks.inverted,
        {str(image): "/".join(meaningful(image.parts[:-1])) for image in paired if _SURFACE.fullmatch(image.stem)},
    )


KOLEKTOR = Layout(
    "kolektor", "kosNN/PartN.jpg with PartN_label.bmp, or train/NNNNN.png with NNNNN_GT.png and test/", score, read
)

_Key = tuple[str, str]
"""Folder and stem of an image, lower case."""


def _images(tree: Tree) -> dict[_Key, PurePosixPath]:
    return {_key(p, p.stem): p for p in tree.images if _stands(p, _SURFACE, _NUMBER)}


def _labels(tree: Tree) -> dict[_Key, PurePosixPath]:
    found = [(p, _SURFACE_LABEL.fullmatch(p.stem) or _NUMBER_LABEL.fullmatch(p.stem)) for p in tree.images]
    return {_key(p, match[1]): p for p, match in found if match and _stands(p, _SURFACE_LABEL, _NUMBER_LABEL)}


def _stands(path: PurePosixPath, surface: re.Pattern[str], number: re.Pattern[str]) -> bool:
    """Whether a file of such a name stands where it should: in the folder of an item, or in one of a split."""
    if surface.fullmatch(path.stem):
        return bool(_ITEM.fullmatch(path.parent.name))
    return bool(number.fullmatch(path.stem)) and split_of(path.parts[-2:-1]) is not None


def _key(path: PurePosixPath, stem: str) -> _Key:
    return str(path.parent).lower(), stem.lower()


def _without_label(image: PurePosixPath) -> Problem:
    return Problem(
        severity="error",
        code="label-missing",
        file=str(image),
        message=f"{image} has no label, so it is not known whether it is good; it is not used",
        suggestion="add its label, an empty one for a good surface, or remove the image",
    )
