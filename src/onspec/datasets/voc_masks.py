"""Pascal VOC's masks: `SegmentationClass/X.png`, a colour a class, as CVAT's "Segmentation mask" has, too."""

from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from onspec.datasets.draft import Drafts, without_image
from onspec.datasets.image_index import ImageIndex
from onspec.datasets.problem import Problem
from onspec.datasets.text_file import lines_of
from onspec.datasets.tree import Tree
from onspec.domain import LabelError, RunLengths, UnreadableImageError
from onspec.imaging.masks import is_coloured, packed
from onspec.imaging.outlines import pieces, placed
from onspec.imaging.reading import Image, decode_raw, read_bytes
from onspec.imaging.shapes import encode_runs

_FOLDER = "segmentationclass"
_BACKGROUND, _UNDECIDED = 0, 255
"""Indices that are no class."""

_Colour = tuple[int, int, int]
"""Red, green, blue."""


def voc_colour(index: int) -> _Colour:
    """VOC's palette: the bits of an index are dealt to red, green and blue in turn, highest bits first."""
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (index & 1) << bit
        green |= (index >> 1 & 1) << bit
        blue |= (index >> 2 & 1) << bit
        index >>= 3
    return red, green, blue


def read_masks(tree: Tree, index: ImageIndex, drafts: Drafts, problems: list[Problem]) -> None:
    """Add what masks mark to the drafts of images that have no label yet, one annotation a connected defect.

    Raises:
        LabelError: a mask that cannot be read or holds a colour of no class, or a label map that is none.
    """
    masks = [p for p in tree.images if any(folder.lower() == _FOLDER for folder in p.parts[:-1])]
    names = _label_map(tree) if masks else {}
    for mask in masks:
        image = index.find(mask.stem, mask)
        if image is None:
            problems.append(without_image(mask))
        elif not drafts[image].annotations and not drafts[image].unlocated:
            drafts[image].annotations += _marks(tree, mask, names)


def _label_map(tree: Tree) -> dict[_Colour, str]:
    """Colour → class from `labelmap.txt`, a `name:red,green,blue:parts:actions` a line; VOC's own palette without."""
    file = next((p for p in tree.others if p.name.lower() == "labelmap.txt"), None)
    if file is None:
        return {voc_colour(i): f"class{i}" for i in range(256) if i not in (_BACKGROUND, _UNDECIDED)}
    found: dict[_Colour, str] = {}
    for number, line in lines_of(tree.path(file)):
        if line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        try:
            red, green, blue = (int(value) for value in rest.split(":")[0].split(","))
        except ValueError:
            raise LabelError(
                f"{tree.path(file)}, line {number}: got {line!r}; expected name:red,green,blue:parts:actions"
            ) from None
        if name.strip().lower() != "background":
            found[red, green, blue] = name.strip()
    return found


def _marks(tree: Tree, mask: PurePosixPath, names: Mapping[_Colour, str]) -> list[RunLengths]:
    path = tree.path(mask)
    try:
        raw = decode_raw(read_bytes(path))
    except UnreadableImageError as error:
        raise LabelError(str(error)) from error
    if raw is None or raw.dtype != np.uint8:
        raise LabelError(f"{path}: label image cannot be decoded; export it again as PNG of 8 bit")
    classes = {_number(colour): name for colour, name in names.items()}
    codes = packed(raw) if is_coloured(raw) else _coloured(raw, names)
    size = (raw.shape[1], raw.shape[0])
    held = set(np.unique(codes).tolist()) - {0, _number(voc_colour(_UNDECIDED))}
    for code in held - classes.keys():
        blue, green, red = code & 255, code >> 8 & 255, code >> 16
        raise LabelError(f"{path}: holds the colour {red},{green},{blue}, which no class has; add it to labelmap.txt")
    return [
        RunLengths(encode_runs(placed(piece, at, size)), size, classes[code])
        for code in sorted(held, key=lambda c: classes[c])
        for piece, at in pieces((codes == code).astype(np.uint8))
    ]


def _coloured(raw: Image, names: Mapping[_Colour, str]) -> Image:
    """A gray label: the grays of the label map, else indices of it in its order, background first."""
    gray = raw if raw.ndim == 2 else raw[..., 0]
    as_colours = packed(np.dstack([gray, gray, gray]))
    known = {_number(colour) for colour in names} | {0}
    if set(np.unique(as_colours).tolist()) <= known:
        return as_colours
    table = np.full(256, -1, np.int32)
    order = [(0, 0, 0), *names]
    table[: min(len(order), 256)] = [_number(colour) for colour in order[:256]]
    table[_UNDECIDED] = 0
    if (table[gray] < 0).any():
        return as_colours
    return table[gray]


def _number(colour: _Colour) -> int:
    red, green, blue = colour
    return int(packed(np.array([[blue, green, red]], np.uint8))[0])
