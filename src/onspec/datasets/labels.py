"""A sample's labels → masks or boxes."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import (
    DEFECT,
    Annotation,
    Box,
    Ellipse,
    LabelError,
    MaskFile,
    Polygon,
    RunLengths,
    Sample,
    UnreadableImageError,
)
from onspec.imaging.instances import Labels, extents_of, instances_of
from onspec.imaging.masks import Mask, decode_codes, decode_mask, decode_numbers
from onspec.imaging.reading import Image, read_bytes
from onspec.imaging.shapes import decode_runs, draw_box, draw_ellipse, draw_polygon

Located = Literal["pixels", "boxes", "nowhere"]
"""How exactly a set says where its defects are."""


def is_located(sample: Sample) -> bool:
    """Whether it is known which pixels are defective: always for a good part, else where there are annotations."""
    return not sample.defective or bool(sample.annotations)


def locating(samples: Sequence[Sample]) -> Located:
    """How most located defects of a set are labelled; `nowhere` where all labels are about whole images."""
    boxes = sum(isinstance(a, Box) for s in samples for a in s.annotations)
    others = sum(len(s.annotations) for s in samples) - boxes
    if not boxes and not others:
        return "nowhere"
    return "boxes" if boxes > others else "pixels"


def classes_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The classes of defects that the labels name, sorted; `defect` is that of labels which name none.

    Samples whose defects are not located count by their whole-image class.
    """
    named = {a.cls for s in samples for a in s.annotations}
    named |= {s.cls for s in samples if s.defective and s.cls is not None and not s.annotations}
    return tuple(sorted(named)) or (DEFECT,)


def load_mask(sample: Sample, size: tuple[int, int], classes: tuple[str, ...] = (DEFECT,)) -> NDArray[np.uint8]:
    """The sample's label as uint8 (K, H, W) of 0/1, one plane a class; zeros for a good sample.

    With one class, all annotations are that class: what kind of defect it is does not matter then.

    Args:
        size: width and height of the image in px, which the label must have.

    Raises:
        LabelError: the label is absent, unreadable, of another size, of an unknown class, lies outside the image, or
            the sample is defective and nobody knows where.
    """
    if not is_located(sample):
        raise LabelError(f"{sample.name}: defective, but no label says where; label it, or leave it out of this step")
    width, height = size
    planes = np.zeros((len(classes), height, width), np.uint8)
    for annotation in sample.annotations:
        plane = planes[class_index(annotation.cls, classes, sample.name)]
        np.maximum(plane, _drawn(annotation, size, sample.name), out=plane)
    return planes


def load_boxes(
    sample: Sample, size: tuple[int, int], classes: tuple[str, ...] = (DEFECT,)
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The sample's defects as boxes: float32 (n, 4) of x, y, width, height in px, cut at the border, and int64 (n,)
    class indices. A label that is no box gives the box around each of its connected defects.

    Raises:
        LabelError: as `load_mask`.
    """
    if not is_located(sample):
        raise LabelError(f"{sample.name}: defective, but no label says where; label it, or leave it out of this step")
    boxes: list[tuple[float, float, float, float]] = []
    kinds: list[int] = []
    for annotation in sample.annotations:
        found = _boxes(annotation, size, sample.name)
        boxes += found
        kinds += [class_index(annotation.cls, classes, sample.name)] * len(found)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(kinds, np.int64)


def class_index(cls: str, classes: tuple[str, ...], name: str) -> int:
    """The class's place; with one class everything is that class.

    Raises:
        LabelError: a class that is not among several.
    """
    if len(classes) == 1:
        return 0
    if cls not in classes:
        raise LabelError(f"{name}: label of unknown class {cls!r}; known: {', '.join(classes)}")
    return classes.index(cls)


def _drawn(annotation: Annotation, size: tuple[int, int], name: str) -> Mask:
    if isinstance(annotation, MaskFile):
        return (_read(annotation, size, name) > 0).astype(np.uint8)
    if isinstance(annotation, RunLengths):
        if annotation.size != size:
            raise _other_size(f"{name}: run lengths", annotation.size, name, size)
        return decode_runs(annotation.counts, size)
    mask = np.zeros((size[1], size[0]), np.uint8)
    match annotation:
        case Ellipse():
            draw_ellipse(mask, (annotation.x, annotation.y), (annotation.a, annotation.b), annotation.angle_deg)
        case Box():
            draw_box(mask, annotation.x, annotation.y, annotation.width, annotation.height)
        case Polygon():
            draw_polygon(mask, annotation.rings)
    if not mask.any():
        raise _outside(annotation, size, name)
    return mask


def _boxes(annotation: Annotation, size: tuple[int, int], name: str) -> list[tuple[float, float, float, float]]:
    if isinstance(annotation, Box):
        left, top = max(0.0, annotation.x), max(0.0, annotation.y)
        right = min(float(size[0]), annotation.x + annotation.width)
        bottom = min(float(size[1]), annotation.y + annotation.height)
        if left >= right or top >= bottom:
            raise _outside(annotation, size, name)
        return [(left, top, right - left, bottom - top)]
    ends = extents_of(_objects(annotation, size, name))[1:].astype(float)
    return [(left, top, right - left, bottom - top) for top, bottom, left, right in ends.tolist()]


def _objects(annotation: Annotation, size: tuple[int, int], name: str) -> Labels:
    """The defects of one annotation, int32 (H, W) of 0 and 1…n: of a label image those that it numbers, or else its
    connected regions (8-neighbourhood); any other annotation is one."""
    if not isinstance(annotation, MaskFile):
        return _drawn(annotation, size, name).astype(np.int32)
    values = _read(annotation, size, name)
    if annotation.numbered:
        numbers, places = np.unique(values, return_inverse=True)
        return np.asarray(places.reshape(values.shape) + (numbers[0] > 0), np.int32)
    return np.asarray(cv2.connectedComponents(values, connectivity=8, ltype=cv2.CV_32S)[1], np.int32)


def _read(annotation: MaskFile, size: tuple[int, int], name: str) -> Image:
    """The marked pixels, uint8 (H, W) of 0/1; the numbers themselves where objects are numbered."""
    try:
        data = read_bytes(annotation.path)
    except UnreadableImageError as error:
        raise LabelError(f"{name}: its label cannot be read: {error}") from error
    if annotation.numbered:
        mask = decode_numbers(data, str(annotation.path))
    elif annotation.code is None:
        mask = decode_mask(data, str(annotation.path), inverted=annotation.inverted)
    else:
        mask = (decode_codes(data, str(annotation.path)) == annotation.code).astype(np.uint8)
    got = (mask.shape[1], mask.shape[0])
    if got != size:
        raise _other_size(str(annotation.path), got, name, size)
    return mask


def _other_size(label: str, got: tuple[int, int], name: str, size: tuple[int, int]) -> LabelError:
    return LabelError(
        f"{label}: label of {got[0]}×{got[1]} px for image {name} of {size[0]}×{size[1]} px; "
        "export it again in the image's size"
    )


def _outside(annotation: Annotation, size: tuple[int, int], name: str) -> LabelError:
    kind = {Ellipse: "an ellipse", Box: "a box", Polygon: "a polygon"}.get(type(annotation), "a label")
    return LabelError(
        f"{name}: {kind} at {_place(annotation)} px lies outside the image of {size[0]}×{size[1]} px; correct its label"
    )


def _place(annotation: Annotation) -> str:
    match annotation:
        case Ellipse() | Box():
            x, y = annotation.x, annotation.y
        case Polygon():
            x, y = annotation.rings[0][0]
        case _:
            x = y = 0.0
    return f"({x:g}, {y:g})"


def load_instances(sample: Sample, size: tuple[int, int]) -> NDArray[np.int32]:
    """The sample's defects as int32 (H, W): 0 for good surface, then a number an object.

    An annotation is one object, the smaller on top where they overlap; but of a single label image each connected
    region is one, and where it numbers its objects, each number.

    Raises:
        LabelError: as `load_mask`.
    """
    files = {a.path for a in sample.annotations if isinstance(a, MaskFile)}
    numbered = any(isinstance(a, MaskFile) and a.numbered for a in sample.annotations)
    if numbered or (len(files) == 1 and all(isinstance(a, MaskFile) for a in sample.annotations)):
        return _beside([_objects(annotation, size, sample.name) for annotation in sample.annotations])
    if not sample.annotations:
        return np.zeros((size[1], size[0]), np.int32)
    return instances_of(_drawn(annotation, size, sample.name) for annotation in sample.annotations)


def _beside(labels: Sequence[Labels]) -> Labels:
    """Objects of several annotations, which do not overlap, as those of the codes of one label image."""
    objects = np.zeros(labels[0].shape, np.int32)
    for found in labels:
        objects = np.where(found > 0, found + objects.max(), objects).astype(np.int32)
    return objects
