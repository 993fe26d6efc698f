"""YOLO: a text file of boxes or polygons an image, in shares of its size, as Ultralytics and Darknet train from.

`images/{train,val}/X.jpg` + `labels/{train,val}/X.txt`, `train/images/` + `train/labels/` (Roboflow), or side by side
(Darknet, `obj_train_data/`). A line is `class cx cy w h` or `class x1 y1 x2 y2 x3 y3 …`. An image is good if its file
is empty or absent. Names of classes stand in `data.yaml`, `classes.txt` or `obj.names`; without, class 0 is `class0`.
Splits are told by `train.txt`, `val.txt` and `test.txt`, else by folders, else by what `data.yaml` calls a folder.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from onspec.datasets.draft import Drafts, new_drafts, no_area, without_image
from onspec.datasets.folder_names import IMAGE_FOLDERS
from onspec.datasets.image_index import index_images
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.problem import Problem
from onspec.datasets.text_file import lines_of
from onspec.datasets.tree import Tree
from onspec.datasets.yolo_config import YoloConfig, is_names, read_config, read_lists
from onspec.domain import Annotation, Box, LabelError, Polygon
from onspec.imaging.header import Size, sizes_of

_LABELS = {"labels", "label"}
_TOLERANCE = 0.01
"""How far a coordinate may lie outside 0…1 by rounding; it is cut there."""

_FARTHEST = 0.5
"""How far a mark may reach out of the image and still be one that `onspec check` lists; beyond it is no share."""

_DIGITS = 4
"""A share of six digits says no more of a place in px."""


def score(tree: Tree) -> float:
    """Probable where the text files of images hold such lines; slight where all of them are empty."""
    paired, _ = _pair(tree)
    sizes = [(tree.path(label).stat().st_size, label) for label in paired]
    told = [label for size, label in sizes if size][:50]
    if told:
        return 0.9 if any(_looks_right(tree, label) for label in told) else 0.0
    return 0.3 if any(_is_label_folder(label) for label in paired) else 0.0


def read(tree: Tree) -> Reading:
    """Every image with the lines of its text file.

    Raises:
        LabelError: a line that is no label, is not in shares of the image or is of no class, with file and line; a text
            file that may be of two images.
        SplitError: an image on the lists of two splits.
    """
    paired, orphans = _pair(tree)
    reader = _Reader(tree, read_config(tree))
    lines = {label: lines_of(tree.path(label)) for label in paired}
    labelled = [(label, _only(images, tree.path(label))) for label, images in paired.items() if lines[label]]
    sizes = sizes_of([tree.path(image) for _, image in labelled])
    for image in tree.images:
        reader.drafts[image]  # without a line it is good
    for (label, image), size in zip(labelled, sizes, strict=True):
        for number, line in lines[label]:
            reader.add(image, f"{tree.path(label)}, line {number}", line, size)
    problems = [*reader.problems, *(without_image(label) for label in orphans)]
    problems += read_lists(tree, reader.config, index_images(tree.images), reader.drafts)
    samples = [reader.config.sample(tree, image, draft) for image, draft in reader.drafts.items()]
    return Reading(tuple(samples), tuple(problems))


YOLO = Layout("yolo", "images/ with labels/, a text file of boxes or polygons an image", score, read)


def _pair(tree: Tree) -> tuple[dict[PurePosixPath, list[PurePosixPath]], list[PurePosixPath]]:
    """Text file → the images of its name, and text files in a folder of labels without an image."""
    named: defaultdict[tuple[str, ...], list[PurePosixPath]] = defaultdict(list)
    for image in tree.images:
        named[_key(image)].append(image)
    paired: dict[PurePosixPath, list[PurePosixPath]] = {}
    orphans = []
    for file in tree.others:
        if file.suffix.lower() != ".txt" or is_names(file):
            continue
        images = named.get(_key(file))
        if images is not None:
            paired[file] = images
        elif _is_label_folder(file):
            orphans.append(file)
    return paired, orphans


def _only(images: list[PurePosixPath], label: Path) -> PurePosixPath:
    if len(images) > 1:
        raise LabelError(f"{label}: may be of {images[0]} or {images[1]}; give every image a name of its own")
    return images[0]


def _key(path: PurePosixPath) -> tuple[str, ...]:
    folders = (folder.lower() for folder in path.parts[:-1])
    return (*(f for f in folders if f not in IMAGE_FOLDERS | _LABELS), path.stem.lower())


def _is_label_folder(file: PurePosixPath) -> bool:
    return any(folder.lower() in _LABELS for folder in file.parts[:-1])


def _looks_right(tree: Tree, label: PurePosixPath) -> bool:
    """By the first line; a file of other text is some other file."""
    try:
        cls, *shares = (float(word) for word in lines_of(tree.path(label))[0][1].split())
    except (ValueError, IndexError, LabelError):
        return False
    return cls >= 0 and cls % 1 == 0 and len(shares) >= 4 and all(-0.5 <= share <= 1.5 for share in shares)


@dataclass
class _Reader:
    tree: Tree
    config: YoloConfig
    drafts: Drafts = field(default_factory=new_drafts)
    problems: list[Problem] = field(default_factory=list)

    def add(self, image: PurePosixPath, where: str, line: str, size: Size | None) -> None:
        """One line. An image whose size cannot be read is defective; where, its labels cannot say."""
        cls, shares = self._parse(line, where)
        draft = self.drafts[image]
        if size is None:
            draft.unlocated.append(cls)
            return
        annotation = _box(shares, size, cls, where) if len(shares) == 4 else _polygon(shares, size, cls, where)
        if annotation is not None:
            draft.annotations.append(annotation)
            return
        draft.unlocated.append(cls)
        self.problems.append(no_area(image, where, "its box or polygon is no area"))

    def _parse(self, line: str, where: str) -> tuple[str, list[float]]:
        words = line.split()
        try:
            code, *shares = (float(word) for word in words)
        except ValueError:
            code, shares = math.nan, []
        if not all(map(math.isfinite, (code, *shares))) or not (len(shares) == 4 or _is_ring(shares)):
            raise LabelError(
                f"{where}: got {line[:80]!r}; expected class cx cy w h, or class and x y of 3 points or more"
            )
        return self.config.name(code, where), shares


def _is_ring(shares: list[float]) -> bool:
    return len(shares) >= 6 and len(shares) % 2 == 0


def _box(shares: list[float], size: Size, cls: str, where: str) -> Annotation | None:
    middle, sides = shares[:2], shares[2:]
    low = [_cut(m - s / 2, where) for m, s in zip(middle, sides, strict=True)]
    high = [_cut(m + s / 2, where) for m, s in zip(middle, sides, strict=True)]
    (x, y), (right, bottom) = _in_px(low[0], low[1], size), _in_px(high[0], high[1], size)
    width, height = round(right - x, _DIGITS), round(bottom - y, _DIGITS)
    return Box(x, y, width, height, cls) if width > 0 and height > 0 else None


def _polygon(shares: list[float], size: Size, cls: str, where: str) -> Annotation | None:
    cut = [_cut(share, where) for share in shares]
    points = tuple(_in_px(x, y, size) for x, y in zip(cut[0::2], cut[1::2], strict=True))
    return Polygon((points,), cls) if len(set(points)) >= 3 else None


def _cut(share: float, where: str) -> float:
    if not -_FARTHEST <= share <= 1 + _FARTHEST:
        raise LabelError(f"{where}: reaches to {share:g}; expected shares of the image's size, 0 … 1")
    if -_TOLERANCE <= share <= 1 + _TOLERANCE:
        return min(1.0, max(0.0, share))
    return share


def _in_px(x: float, y: float, size: Size) -> tuple[float, float]:
    return round(x * size[0], _DIGITS), round(y * size[1], _DIGITS)
