"""Labels in the form that a layout holds: masks, boxes or outlines of one annotation of an image."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from onspec.datasets.labels import load_boxes, load_instances, load_mask
from onspec.datasets.writers.base import Entry
from onspec.domain import Annotation, Box, Ellipse, MaskFile, Polygon, RunLengths, Sample
from onspec.imaging.masks import Mask
from onspec.imaging.outlines import Outline, outline, pieces

_WORDS = {
    Box: ("box", "boxes"),
    Polygon: ("polygon", "polygons"),
    Ellipse: ("ellipse", "ellipses"),
    MaskFile: ("label image", "label images"),
    RunLengths: ("mask", "masks"),
}


def words(annotation: Annotation) -> tuple[str, str]:
    """What an annotation is called, one and several."""
    return _WORDS[type(annotation)]


def mask_of(entry: Entry, annotation: Annotation) -> Mask:
    """The pixels of one annotation, uint8 (H, W) of 0/1."""
    return np.asarray(load_mask(_only(entry, annotation), entry.size)[0], np.uint8)


def objects_of(entry: Entry, annotation: Annotation) -> Iterator[Mask]:
    """The pixels of each object that a label image numbers, uint8 (H, W) of 0/1."""
    objects = load_instances(_only(entry, annotation), entry.size)
    for number in range(1, int(objects.max(initial=0)) + 1):
        yield (objects == number).astype(np.uint8)


def boxes_of(entry: Entry, annotation: Annotation) -> list[Box]:
    """The boxes of one annotation, within the image; a label image may have several, or none."""
    found, _ = load_boxes(_only(entry, annotation), entry.size)
    return [Box(x, y, width, height, annotation.cls) for x, y, width, height in found.tolist()]


def outlines_of(entry: Entry, annotation: Annotation) -> Iterator[tuple[Outline, Mask, tuple[int, int]]]:
    """The outline of each connected part of one annotation, with its pixels, cut out, and where they lie; objects that
    are numbered stay apart where they touch."""
    one = not (isinstance(annotation, MaskFile) and annotation.numbered)
    for mask in [mask_of(entry, annotation)] if one else objects_of(entry, annotation):
        for piece, at in pieces(mask):
            yield outline(piece, at), piece, at


def plain(value: float) -> int | float:
    """A number as it is written: whole ones without a point."""
    return int(value) if float(value).is_integer() else float(value)


def _only(entry: Entry, annotation: Annotation) -> Sample:
    return replace(entry.sample, annotations=(annotation,))
