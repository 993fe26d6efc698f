"""labelme: a JSON file of shapes an image, beside it or in a folder of their own.

Polygons, rectangles (also oriented), circles and masks are areas; shapes of one `group_id` and label are one defect. A
line or a point says that a defect is there, but not how far it reaches. An image is good if its file has no shape, or
if it has no file; a flag of the image that says defective or good (`defective`, `ng`, `ok` …) and is set tells it, too.
"""

import base64
import binascii
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from onspec.datasets.draft import Draft, Drafts, new_drafts, no_area, size_problems
from onspec.datasets.folder_names import folder_truth, split_of
from onspec.datasets.image_index import ImageIndex, index_images, tidy
from onspec.datasets.json_file import Node, ends_of, read_json
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import DEFECT, Annotation, Box, Ellipse, LabelError, Polygon, RunLengths
from onspec.imaging.header import Size
from onspec.imaging.masks import decode_mask
from onspec.imaging.shapes import encode_runs

_MOST_PX = 1 << 16
"""No image that can be read is longer; a mask of its size has to fit into memory."""

Ring = tuple[tuple[float, float], ...]


def score(tree: Tree) -> float:
    """Nearly certain where a JSON file has labelme's shapes."""
    return 0.95 if next(_files(tree), None) is not None else 0.0


def read(tree: Tree) -> Reading:
    """Every image with the shapes of its file.

    Raises:
        LabelError: a file that is broken, lacks a field, or labels an image that another file labels, too.
    """
    reader = _Reader(tree, index_images(tree.images))
    for file in _files(tree):
        reader.read(file)
    for image in tree.images:
        reader.drafts[image]  # without shapes it is good
    samples = [draft.sample(tree, image, split_of(image.parts[:-1])) for image, draft in reader.drafts.items()]
    problems = (*reader.problems, *size_problems(tree, reader.drafts))
    return Reading(tuple(samples), problems)


LABELME = Layout("labelme", "X.json of labelme beside X.jpg", score, read)


def _files(tree: Tree) -> Iterator[PurePosixPath]:
    for file in tree.others:
        if file.suffix.lower() == ".json":
            ends = ends_of(tree.path(file))
            if b'"shapes"' in ends and (b'"imagePath"' in ends or b'"imageHeight"' in ends):
                yield file


@dataclass
class _Reader:
    tree: Tree
    index: ImageIndex
    drafts: Drafts = field(default_factory=new_drafts)
    problems: list[Problem] = field(default_factory=list)
    labels: dict[PurePosixPath, PurePosixPath] = field(default_factory=dict)

    def read(self, file: PurePosixPath) -> None:
        content = read_json(self.tree.path(file))
        image = self._image(file, content)
        if self.labels.setdefault(image, file) != file:
            raise LabelError(
                f"{self.tree.path(file)}: labels {image}, and so does {self.labels[image]}; keep one of them"
            )
        draft = self.drafts[image]
        size = _size(content)
        if size is not None:
            draft.size, draft.sized_by = size, file
        for shapes in _grouped(content["shapes"]):
            self._add(draft, image, shapes, size)
        self._flags(draft, image, content)

    def _image(self, file: PurePosixPath, content: Node) -> PurePosixPath:
        """The image that the file names, else the one of the file's own name, else one that is not there."""
        named = content.find("imagePath")
        listed = named.text() if named is not None and named.value else ""
        found = (self.index.find(listed, file) if listed else None) or self.index.find(file.stem, file)
        return found or file.parent / (tidy(listed).name or f"{file.stem}.png")

    def _add(self, draft: Draft, image: PurePosixPath, shapes: list[Node], size: Size | None) -> None:
        """The shapes of one defect: polygons together are one area, all others one each."""
        cls = shapes[0]["label"].text()
        rings: list[Ring] = []
        for shape in shapes:
            found = _area(shape, cls, size)
            if isinstance(found, Polygon):
                rings += found.rings
            elif found is not None:
                draft.annotations.append(found)
            else:
                draft.unlocated.append(cls)
                kind = shape.find("shape_type")
                what = f"a {kind.text() if kind else 'polygon'} of {cls} that encloses nothing"
                self.problems.append(no_area(image, f"{shape.file}: {shape.at}", what))
        if rings:
            draft.annotations.append(Polygon(tuple(rings), cls))

    def _flags(self, draft: Draft, image: PurePosixPath, content: Node) -> None:
        """Flags may say anything of an image; only those count that say good or defective."""
        flags = content.find("flags")
        told = flags.fields() if flags is not None and isinstance(flags.value, dict) else ()
        truths = {folder_truth(name) for name, node in told if node.value is True}
        labelled = bool(draft.annotations or draft.unlocated)
        if True in truths and not labelled:
            draft.unlocated.append(DEFECT)
        if False in truths and (labelled or True in truths):
            self.problems.append(_contradiction(image, content))


def _size(content: Node) -> Size | None:
    width, height = content.find("imageWidth"), content.find("imageHeight")
    if width is None or height is None:
        return None
    for side in (width, height):
        if not 1 <= side.number() <= _MOST_PX:
            raise side.wrong(f"is {side.number():g}; it must be a number of px")
    return round(width.number()), round(height.number())


def _grouped(shapes: Node) -> Iterator[list[Node]]:
    """Shapes of one label and group together, the others one by one, in their order."""
    groups: dict[tuple[str, str], list[Node]] = {}
    for number, shape in enumerate(shapes.items()):
        group = shape.find("group_id")
        key = f"alone {number}" if group is None else group.key()
        groups.setdefault((shape["label"].text(), key), []).append(shape)
    yield from groups.values()


def _area(shape: Node, cls: str, size: Size | None) -> Annotation | None:
    """What a shape encloses; `None` for nothing."""
    kind = shape.find("shape_type")
    points = [_point(node) for node in shape["points"].items()]
    match kind.text() if kind is not None else "polygon":
        case "mask":
            return _mask(shape, cls, points, size)
        case "line" | "linestrip" | "point" | "points":
            return None
        case _ if not points:
            return None
        case "polygon" | "oriented_rectangle":
            return Polygon((tuple(points),), cls) if len(set(points)) >= 3 else None
        case "rectangle":
            (left, right), (top, bottom) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
            return Box(left, top, right - left, bottom - top, cls) if left < right and top < bottom else None
        case "circle" if len(points) == 2:
            radius = math.dist(points[0], points[1])
            x, y = points[0]
            return Ellipse(x - 0.5, y - 0.5, radius, radius, 0.0, cls) if radius else None  # counts pixels' middles
        case other:
            raise shape.wrong(f"is a {other!r} of {len(points)} points, which is not known; draw it as a polygon")


def _point(node: Node) -> tuple[float, float]:
    x, y = node.numbers(2)
    return x, y


def _mask(shape: Node, cls: str, points: list[tuple[float, float]], size: Size | None) -> Annotation | None:
    """A cut-out as PNG in base64, with its first and last pixel; it is cut where it leaves the image."""
    if size is None or not points:
        raise shape.wrong("is a mask, and imageWidth, imageHeight or its points are missing; save it again in labelme")
    code = shape["mask"]
    try:
        cut = decode_mask(base64.b64decode(code.text(), validate=True), f"{shape.file}: {code.at}")
    except (binascii.Error, ValueError) as error:
        raise code.wrong(f"is no base64 text ({error}); save it again in labelme") from error
    left, top = (round(value) for value in points[0])
    whole = np.zeros((size[1], size[0]), np.uint8)
    inside = whole[max(0, top) : max(0, top + cut.shape[0]), max(0, left) : max(0, left + cut.shape[1])]
    inside[:] = cut[max(0, -top) :, max(0, -left) :][: inside.shape[0], : inside.shape[1]]
    return RunLengths(encode_runs(whole), size, cls) if whole.any() else None


def _contradiction(image: PurePosixPath, content: Node) -> Problem:
    return Problem(
        severity="error",
        code="good-with-label",
        file=str(image),
        message=f"{image} is flagged as good in {content.file}, which also says that it is defective; it is taken as "
        "defective",
        suggestion="remove the flag, or the shapes",
    )
