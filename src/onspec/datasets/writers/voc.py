"""Pascal VOC: `JPEGImages/`, `Annotations/X.xml` with boxes, and `ImageSets/Main/SPLIT.txt`.

VOC counts whole pixels from 1 with both ends, so fractions are rounded outwards. Images without a split stand in
`default.txt`, as CVAT has it.
"""

import math
from collections import defaultdict
from xml.etree import ElementTree

from onspec.datasets.writers.base import Entry, Job, Writer
from onspec.datasets.writers.marks import boxes_of, words
from onspec.domain import Annotation, Box


def write(job: Job) -> None:
    """Boxes of every label."""
    lists: defaultdict[str, list[str]] = defaultdict(list)
    for entry in job.entries:
        job.place(entry, f"JPEGImages/{entry.file}")
        lists[entry.sample.split or "default"].append(entry.stem)
        boxes = [box for annotation in entry.sample.annotations for box in _boxes(job, entry, annotation)]
        job.write(f"Annotations/{entry.stem}.xml", _xml(entry, boxes))
    for split, stems in lists.items():
        job.write(f"ImageSets/Main/{split}.txt", "".join(f"{stem}\n" for stem in stems))


VOC = Writer("voc", unlocated=False, write=write)


def _boxes(job: Job, entry: Entry, annotation: Annotation) -> list[Box]:
    boxes = boxes_of(entry, annotation)
    one, many = words(annotation)
    if not isinstance(annotation, Box):
        job.remarks.add(f"{one} becomes the box around it", f"{many} become the boxes around them")
    elif any(value % 1 for box in boxes for value in (box.x, box.y, box.width, box.height)):
        job.remarks.add("box is rounded outwards to whole pixels", "boxes are rounded outwards to whole pixels")
    return boxes


def _xml(entry: Entry, boxes: list[Box]) -> bytes:
    root = ElementTree.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", entry.file)
    size = _add(root, "size")
    for name, value in zip(("width", "height"), entry.size, strict=True):
        _add(size, name, value)
    _add(size, "depth", 3)
    _add(root, "segmented", 0)
    for box in boxes:
        thing = _add(root, "object")
        _add(thing, "name", box.cls)
        _add(thing, "pose", "Unspecified")
        _add(thing, "truncated", 0)
        _add(thing, "difficult", 0)
        corners = _add(thing, "bndbox")
        _add(corners, "xmin", math.floor(box.x) + 1)
        _add(corners, "ymin", math.floor(box.y) + 1)
        _add(corners, "xmax", math.ceil(box.x + box.width))
        _add(corners, "ymax", math.ceil(box.y + box.height))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8"))


def _add(parent: ElementTree.Element, name: str, value: object = None) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, name)
    child.text = None if value is None else str(value)
    return child
