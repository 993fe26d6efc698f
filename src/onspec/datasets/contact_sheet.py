"""Which images of a set a person should look at before training, and how they are drawn: small, labels outlined."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.datasets.dataset import Dataset
from onspec.datasets.labels import load_mask
from onspec.datasets.problem import Problem
from onspec.domain import DEFECT, Box, ImageError, LabelError, Sample
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.masks import Mask
from onspec.imaging.overlays import TRUTH, to_display, view_around
from onspec.imaging.reading import read_image
from onspec.imaging.writing import encode_image

SIDE = 300
"""The longer side of a picture, px."""

_VIEW = 640
"""Of a larger image at least so much is shown around what is marked, px."""

_MARGIN, _LINE, _QUALITY = 48, 2, 76
_OF_CLASSES, _OF_A_CLASS, _LEAST_OF_A_CLASS = 120, 24, 4
_GOOD = 24
_OF_A_CODE, _IN_A_GROUP = 12, 4

_SIDE_BY_SIDE = "duplicate"
"""Codes with this in their names are about images that are to be compared with each other."""

_UNREADABLE = {"unreadable", "missing"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """Pictures under one heading: in rows that belong together, or one row of single ones."""

    title: str
    sentence: str
    rows: tuple[tuple[Sample, ...], ...]


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A JPEG of one image, and what of it is shown."""

    data: bytes
    view: str


def sheets(dataset: Dataset, problems: Sequence[Problem]) -> list[Sheet]:
    """First what problems name, then defective images of each class, then good ones."""
    return [*_of_problems(dataset, problems), *_of_classes(dataset), *_of_good(dataset)]


def draw(sample: Sample, camera: Camera = AS_STORED) -> Thumbnail | None:
    """The image, its label outlined; around the label where the image is large. `None` where it cannot be read."""
    try:
        image = read_image(sample.image, camera)
    except ImageError:
        return None
    size = (image.shape[1], image.shape[0])
    mask, boxes = _marks(sample, size)
    rows, columns = view_around(_covered(mask, boxes), _VIEW, _MARGIN)
    picture, scale = _fitted(to_display(image[rows, columns]))
    if mask.any():
        shrunk = cv2.resize(mask[rows, columns] * 255.0, picture.shape[1::-1], interpolation=cv2.INTER_AREA)
        drawn = (shrunk > (0 if scale < 1 else 127)).astype(np.uint8)
        around = cv2.dilate(drawn, np.ones((5, 5), np.uint8))  # a crack must not vanish under its outline
        contours, _ = cv2.findContours(around, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, TRUTH, _LINE)
    for box in boxes:
        xs, ys = (box.x, box.x + box.width), (box.y, box.y + box.height)
        left, right = (round((x - columns.start) * scale) for x in xs)
        top, bottom = (round((y - rows.start) * scale) for y in ys)
        cv2.rectangle(picture, (left, top), (right, bottom), TRUTH, _LINE)
    whole = (columns.stop - columns.start, rows.stop - rows.start) == size
    view = "" if whole else f"cut-out of {size[0]}×{size[1]} px at ({columns.start}, {rows.start})"
    return Thumbnail(encode_image(picture, ".jpg", quality=_QUALITY), view)


def _of_problems(dataset: Dataset, problems: Sequence[Problem]) -> Iterator[Sheet]:
    samples = {sample.name: sample for sample in dataset.samples}
    by_code: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        if problem.code not in _UNREADABLE and any(name in samples for name in (problem.files or (problem.file,))):
            by_code[problem.code].append(problem)
    for code, found in by_code.items():
        named = [[samples[n] for n in p.files or (p.file,) if n is not None and n in samples] for p in found]
        if _SIDE_BY_SIDE in code:
            rows = [tuple(group[:_IN_A_GROUP]) for group in named[: _OF_A_CODE // 2]]
            sentence = f"{_shown(len(rows), len(named), 'group')}, at most {_IN_A_GROUP} images of each."
        else:
            single = list(dict.fromkeys(sample for group in named for sample in group))
            rows = [tuple(single[:_OF_A_CODE])]
            sentence = f"{_shown(len(rows[0]), len(single), 'image')}."
        yield Sheet(code, f"{sentence} {found[0].suggestion[0].upper()}{found[0].suggestion[1:]}.", tuple(rows))


def _of_classes(dataset: Dataset) -> Iterator[Sheet]:
    by_class: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        for cls in sample.classes:
            by_class[cls].append(sample)
    most = min(_OF_A_CLASS, max(_LEAST_OF_A_CLASS, _OF_CLASSES // max(1, len(by_class))))
    for cls, found in sorted(by_class.items(), key=lambda item: (-len(item[1]), item[0])):
        chosen = evenly(found, most)
        title = "Defective" if list(by_class) == [DEFECT] else f"Defective: {cls}"
        yield Sheet(title, f"{_shown(len(chosen), len(found), 'image')}, evenly over the set.", (tuple(chosen),))


def _of_good(dataset: Dataset) -> Iterator[Sheet]:
    good = [sample for sample in dataset.samples if not sample.defective]
    if good:
        chosen = evenly(good, _GOOD)
        text = f"{_shown(len(chosen), len(good), 'image')}, evenly over the set. Is there really no defect on them?"
        yield Sheet("Good", text, (tuple(chosen),))


def evenly(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many, evenly over the names, and of as many parts as there are before a second image of any."""
    if len(samples) <= most:
        return list(samples)
    first = list({sample.part: sample for sample in reversed(samples)}.values())[::-1]
    pool = sorted(first, key=lambda s: s.name) if len(first) >= most else samples
    return [pool[n] for n in np.linspace(0, len(pool) - 1, most).round().astype(int)]


def _shown(shown: int, of: int, noun: str) -> str:
    if shown == of:
        return f"{of} {noun}" + ("" if of == 1 else "s")
    return f"{shown} of {of} {noun}s"


def _marks(sample: Sample, size: tuple[int, int]) -> tuple[Mask, list[Box]]:
    """What is drawn as an area: uint8 (H, W) of 0/1, and what as a box; nothing of a label that does not fit."""
    boxes = [a for a in sample.annotations if isinstance(a, Box)]
    areas = tuple(a for a in sample.annotations if not isinstance(a, Box))
    empty = np.zeros((size[1], size[0]), np.uint8)
    try:
        return (load_mask(replace(sample, annotations=areas), size)[0] if areas else empty), boxes
    except LabelError:
        return empty, boxes


def _covered(mask: Mask, boxes: Sequence[Box]) -> NDArray[np.bool_]:
    covered = mask > 0
    for box in boxes:
        top, left = max(0, int(box.y)), max(0, int(box.x))
        covered[top : max(0, int(np.ceil(box.y + box.height))), left : max(0, int(np.ceil(box.x + box.width)))] = True
    return covered


def _fitted(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Shrunk or enlarged to `SIDE`, and by how much."""
    scale = SIDE / max(picture.shape[:2])
    size = [max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0])]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(picture, size, interpolation=way), np.uint8), scale
