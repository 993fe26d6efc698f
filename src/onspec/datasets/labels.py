"""A sample's labels → masks."""

import numpy as np
from numpy.typing import NDArray

from onspec.domain import Annotation, Ellipse, LabelError, MaskFile, Sample, UnreadableImageError
from onspec.imaging.masks import Mask, decode_mask, draw_ellipse
from onspec.imaging.reading import read_bytes


def is_located(sample: Sample) -> bool:
    """Whether it is known which pixels are defective: always for a good part, else where there are annotations."""
    return not sample.defective or bool(sample.annotations)


def load_mask(sample: Sample, size: tuple[int, int], classes: tuple[str, ...] = ("defect",)) -> NDArray[np.uint8]:
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
        plane = planes[_plane(annotation, classes, sample.name)]
        if isinstance(annotation, MaskFile):
            np.maximum(plane, _read(annotation, size, sample.name), out=plane)
        else:
            _draw(plane, annotation, sample.name)
    return planes


def _plane(annotation: Annotation, classes: tuple[str, ...], name: str) -> int:
    if len(classes) == 1:
        return 0
    if annotation.cls not in classes:
        raise LabelError(f"{name}: label of unknown class {annotation.cls!r}; known: {', '.join(classes)}")
    return classes.index(annotation.cls)


def _read(annotation: MaskFile, size: tuple[int, int], name: str) -> Mask:
    try:
        data = read_bytes(annotation.path)
    except UnreadableImageError as error:
        raise LabelError(f"{name}: its label cannot be read: {error}") from error
    mask = decode_mask(data, str(annotation.path), inverted=annotation.inverted)
    got = (mask.shape[1], mask.shape[0])
    if got != size:
        raise LabelError(
            f"{annotation.path}: label of {got[0]}×{got[1]} px for image {name} of {size[0]}×{size[1]} px; "
            "export it again in the image's size"
        )
    return mask


def _draw(plane: Mask, ellipse: Ellipse, name: str) -> None:
    drawn = np.zeros_like(plane)
    draw_ellipse(drawn, (ellipse.x, ellipse.y), (ellipse.a, ellipse.b), ellipse.angle_deg)
    if not drawn.any():
        raise LabelError(
            f"{name}: an ellipse at ({ellipse.x:g}, {ellipse.y:g}) px lies outside the image of "
            f"{plane.shape[1]}×{plane.shape[0]} px; correct labels.txt"
        )
    np.maximum(plane, drawn, out=plane)
