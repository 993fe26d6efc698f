"""Pascal VOC: one XML file of boxes an image, as also CVAT, Label Studio, LabelImg and Roboflow write.

`Annotations/X.xml` + `JPEGImages/X.jpg` (or `images/`, or side by side), and `ImageSets/Main/{train,val,test}.txt`. An
image is good if its file has no object, or if it has no file. Where lists exist, images that none of them names are
not used. Without boxes, `SegmentationClass/X.png` locates defects: colours as `labelmap.txt` or VOC's own palette has
them; the border that VOC leaves undecided (index 255) is not marked.

VOC counts pixels from 1 and includes both ends, so that xmin 1, xmax 1 is the first column, 0…1 in onspec. Label Studio
and CVAT count from 0 without the end. A set counts from 0 if one of its boxes begins at 0, if most of its coordinates
are fractions, or if Label Studio signed it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from xml.etree import ElementTree

from onspec.datasets.draft import Drafts, new_drafts, no_area, not_listed, size_problems
from onspec.datasets.folder_names import split_of
from onspec.datasets.image_index import ImageIndex, index_images, tidy
from onspec.datasets.json_file import ends_of
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.problem import Problem
from onspec.datasets.text_file import lines_of
from onspec.datasets.tree import Tree
from onspec.datasets.voc_masks import read_masks
from onspec.datasets.xml_file import read_xml
from onspec.domain import Box, LabelError, Split

_LISTS = {"train": Split.TRAIN, "val": Split.VAL, "test": Split.TEST, "trainval": None, "default": None}
"""Lists in `ImageSets/` that say which images belong to the set, and the split of each; `default` is CVAT's."""

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_ROOT = re.compile(rb"<annotation[\s>/]")


def score(tree: Tree) -> float:
    """Nearly certain where an XML file of such annotations is, or a folder of VOC's masks."""
    files = list(_files(tree))
    if any(_ROOT.search(ends_of(tree.path(file), 4096)) for file in files[:50]):
        return 0.95
    return 0.9 if any(_in_folder(image, "segmentationclass") for image in tree.images) else 0.0


def read(tree: Tree) -> Reading:
    """All boxes; then masks for images without a box; then the lists.

    Raises:
        LabelError: a file that is broken or lacks a field, with file and object.
        SplitError: an image on the lists of two splits.
    """
    images = [i for i in tree.images if not any(_in_folder(i, f"segmentation{kind}") for kind in ("class", "object"))]
    reader = _Reader(tree, index_images(images))
    for file in _files(tree):
        reader.read(file)
    reader.add_boxes()
    read_masks(tree, reader.index, reader.drafts, reader.problems)
    for image in images:
        reader.drafts[image]  # without a label it is good
    listed = reader.lists()
    samples = [
        draft.sample(tree, image, split_of(image.parts[:-1]))
        for image, draft in reader.drafts.items()
        if listed is None or image in listed
    ]
    left = [] if listed is None else sorted(image for image in images if image not in listed)
    problems = [*reader.problems, *size_problems(tree, reader.drafts), *not_listed(left, "ImageSets")]
    return Reading(tuple(samples), tuple(problems))


VOC = Layout("voc", "Annotations/X.xml with JPEGImages/X.jpg, or SegmentationClass/X.png", score, read)


def _files(tree: Tree) -> Iterator[PurePosixPath]:
    """XML files in a folder Annotations, beside an image of their name, or with VOC's outermost element."""
    stems = {(image.parent, image.stem) for image in tree.images}
    for file in tree.others:
        if file.suffix.lower() == ".xml" and (
            _in_folder(file, "annotations")
            or (file.parent, file.stem) in stems
            or _ROOT.search(ends_of(tree.path(file), 4096))
        ):
            yield file


def _in_folder(path: PurePosixPath, name: str) -> bool:
    return any(folder.lower() == name for folder in path.parts[:-1])


_Corners = tuple[float, float, float, float]


@dataclass
class _Reader:
    tree: Tree
    index: ImageIndex
    drafts: Drafts = field(default_factory=new_drafts)
    problems: list[Problem] = field(default_factory=list)
    labels: dict[PurePosixPath, PurePosixPath] = field(default_factory=dict)
    corners: defaultdict[PurePosixPath, list[tuple[str, _Corners | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    signed: bool = False

    def read(self, file: PurePosixPath) -> None:
        root = read_xml(self.tree.path(file))
        if root.tag != "annotation":
            return
        image = self._image(file, root)
        if self.labels.setdefault(image, file) != file:
            raise LabelError(
                f"{self.tree.path(file)}: labels {image}, and so does {self.labels[image]}; keep one of them"
            )
        draft = self.drafts[image]
        width, height = (_whole(root.findtext(f"size/{side}")) for side in ("width", "height"))
        if width and height:
            draft.size, draft.sized_by = (width, height), file
        self.signed |= root.findtext("owner/name", "").strip() == "Label Studio"
        for number, thing in enumerate(root.findall("object"), 1):
            where = f"{self.tree.path(file)}: object {number}"
            name = (thing.findtext("name") or "").strip()
            if not name:
                raise LabelError(f"{where} has no name; export the labels again")
            self.corners[image].append((name, _corners(thing.find("bndbox"), f"{where} ({name})")))

    def _image(self, file: PurePosixPath, root: ElementTree.Element) -> PurePosixPath:
        """The image of the file's own name, else the one that it names, else one that is not there."""
        folders = [folder.lower() for folder in file.parts[:-1]]
        below = len(folders) - folders[::-1].index("annotations") if "annotations" in folders else len(folders)
        own = str(PurePosixPath(*file.parts[below:-1], file.stem))
        named = (root.findtext("filename") or "").strip()
        found = self.index.find(own, file) or (self.index.find(named, file) if named else None)
        return found or (tidy(named) if tidy(named).suffix else PurePosixPath(f"{own}.jpg"))

    def add_boxes(self) -> None:
        """Once all are read, it can be told how they count."""
        from_zero = self.signed or _counts_from_zero([c for found in self.corners.values() for _, c in found if c])
        for image, found in self.corners.items():
            for name, corners in found:
                box = _box(corners, name, from_zero=from_zero)
                if box is not None:
                    self.drafts[image].annotations.append(box)
                    continue
                self.drafts[image].unlocated.append(name)
                self.problems.append(
                    no_area(image, f"{self.tree.path(self.labels[image])}: {name}", "its bndbox is absent or no area")
                )

    def lists(self) -> set[PurePosixPath] | None:
        """The images of the set by its lists, which also assign splits; `None` without lists."""
        files = [f for f in self.tree.others if _in_folder(f, "imagesets") and f.stem.lower() in _LISTS]
        kind = "main" if any(_in_folder(f, "main") for f in files) else "segmentation"
        files = [f for f in files if _in_folder(f, kind)]
        listed: set[PurePosixPath] = set()
        for file in files:
            for number, line in lines_of(self.tree.path(file)):
                image = self._listed(line, file)
                if image is None:
                    self.problems.append(_absent(file, number, line))
                    continue
                listed.add(image)
                self.drafts[image].put_in(_LISTS[file.stem.lower()], file, image)
        for image in listed if any(f.stem.lower() == "trainval" for f in files) else ():
            draft = self.drafts[image]
            draft.split = draft.split or Split.TRAIN
        return listed or None

    def _listed(self, line: str, file: PurePosixPath) -> PurePosixPath | None:
        """A line is a name without suffix, perhaps in quotes, or with VOC's 1, 0 or -1 behind it."""
        plain = line.strip('"')
        for name in (plain, re.sub(r"\s+-?[01]$", "", plain).strip('"')):
            found = self.index.find(name, file)
            if found is None:
                found = next((i for i in self.labels if i not in self.index.images and i.stem == name), None)
            if found is not None:
                return found
        return None


def _corners(bndbox: ElementTree.Element | None, where: str) -> _Corners | None:
    if bndbox is None:
        return None
    values = []
    for side in _SIDES:
        text = bndbox.findtext(side)
        try:
            values.append(float(text or ""))
        except ValueError:
            got = "missing" if text is None else repr(text.strip())
            raise LabelError(f"{where}: {side} is {got}; it must be a number of px") from None
    return (values[0], values[1], values[2], values[3])


def _counts_from_zero(corners: list[_Corners]) -> bool:
    values = [value for found in corners for value in found]
    fractions = sum(value % 1 != 0 for value in values)
    return any(min(left, top) < 1 for left, top, _, _ in corners) or fractions > len(values) / 2


def _box(corners: _Corners | None, cls: str, *, from_zero: bool) -> Box | None:
    """`None` where the corners enclose nothing."""
    if corners is None:
        return None
    left, top, right, bottom = corners
    first = 0 if from_zero else 1
    width, height = right - left + first, bottom - top + first
    return Box(left - first, top - first, width, height, cls) if width > 0 and height > 0 else None


def _whole(text: str | None) -> int | None:
    try:
        return round(float(text)) if text else None
    except ValueError:
        return None


def _absent(file: PurePosixPath, number: int, line: str) -> Problem:
    return Problem(
        severity="error",
        code="missing",
        file=str(file),
        message=f"{file}, line {number}: {line!r} is listed, but there is no such image",
        suggestion="restore the file, or its line in the list",
    )
