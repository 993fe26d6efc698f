"""How a report shows an image: what is labelled in green, what the recipe said in red."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.decision.tasks import image_scores
from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, Task
from onspec.evaluation.boxes import LEAST_IOU, Boxes, Labelled, found, labelled
from onspec.imaging.boxes import iou
from onspec.imaging.instances import Labels, beside_another, objects_of
from onspec.imaging.overlays import PREDICTION, TRUTH, Colour, outline_mask, to_display, view_around
from onspec.imaging.reading import Image
from onspec.imaging.writing import encode_image

SIDE = 640
"""The longer side of a picture, px."""

_MARGIN, _QUALITY = 48, 80
_LETTERS = 0.55
_HEAT = 0.7
"""How much of a picture's pixel the red of the highest heat covers."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What a picture is made of.

    Attributes:
        truth: uint8 (K, H, W) of 0/1, and `boxes` the labelled ones; `None` where nobody knows.
        objects: int32 (H, W) of 0 and a number a labelled object, where the recipe tells touching ones apart.
        thresholds: the recipe's: what is marked is what the figures are computed from.
    """

    image: Image
    prediction: Prediction
    thresholds: Thresholds
    task: Task = Task.SEGMENT
    truth: NDArray[np.uint8] | None = None
    boxes: Labelled | None = None
    objects: Labels | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the maps."""
        return tuple(m.cls for m in self.prediction.maps)

    @property
    def defective(self) -> bool:
        """Whether the score alone rejects the image."""
        return image_scores(self.prediction, self.thresholds, self.task).image >= self.thresholds.image

    @property
    def labelled(self) -> Flags:
        """Where a defect of any class is labelled: bool (H, W)."""
        if self.truth is None:
            return np.zeros(self.image.shape[:2], bool)
        return np.asarray(np.logical_or.reduce(self.truth > 0, axis=0), bool)


def draw(shown: Shown) -> bytes:
    """JPEG of an image with label and answer, around them where the image is large."""
    return encode_image(_DRAWINGS[shown.task](shown), ".jpg", quality=_QUALITY)


def _outlines(shown: Shown) -> NDArray[np.uint8]:
    """What Dice is computed from; where nothing is, but the image is NG, its faint regions."""
    values = shown.prediction.total().values
    marked = values >= shown.thresholds.pixel
    if not marked.any() and shown.defective:
        marked = values >= shown.thresholds.weighing.floor(shown.thresholds.floor)
    window = view_around(marked | shown.labelled, SIDE, _MARGIN)
    picture = _fitted(to_display(shown.image[window]))
    _outline(picture, shown.labelled[window], TRUTH, None if shown.objects is None else shown.objects[window])
    cores = shown.prediction.cores
    _outline(picture, marked[window], PREDICTION, None if cores is None else objects_of(marked, cores)[0][window])
    return picture


def _heat(shown: Shown) -> NDArray[np.uint8]:
    """The heat map in red, full at twice the pixel threshold, and outlined at it if the score rejects the image."""
    values = shown.prediction.total().values
    marked = values >= shown.thresholds.pixel
    window = view_around(marked | shown.labelled, SIDE, _MARGIN)
    picture = _fitted(to_display(shown.image[window]))
    size = (picture.shape[1], picture.shape[0])
    heat = cv2.resize(values[window], size, interpolation=cv2.INTER_LINEAR) / (2 * shown.thresholds.pixel)
    cover = _HEAT * np.clip(heat, 0.0, 1.0)[..., None]
    picture = np.ascontiguousarray(picture * (1 - cover) + np.array(PREDICTION) * cover, np.uint8)
    _outline(picture, shown.labelled[window], TRUTH)
    if shown.defective:
        _outline(picture, marked[window], PREDICTION)
    return picture


def _frames(shown: Shown) -> NDArray[np.uint8]:
    """The boxes that reject the image, and the labelled ones; with several classes their names."""
    every = found(shown.prediction.boxes, shown.classes)
    marked = every.kept(every.scores >= shown.thresholds.image)
    label = None if shown.boxes is None else labelled(shown.boxes)
    window = view_around(_covered(shown.image.shape[:2], [b for b in (marked, label) if b is not None]), SIDE, _MARGIN)
    rows, columns = window
    picture = _fitted(to_display(shown.image[window]))
    scale = picture.shape[1] / (columns.stop - columns.start)
    for boxes, colour in ((label, TRUTH), (marked, PREDICTION)):
        for ends, _ in _frames_of(boxes, (columns.start, rows.start), scale):
            cv2.rectangle(picture, ends[:2], ends[2:], colour, 2)
    if len(shown.classes) > 1:  # the name of a defect that was found is on the box that found it
        for boxes, colour in ((_missed(label, marked), TRUTH), (marked, PREDICTION)):
            for ends, cls in _frames_of(boxes, (columns.start, rows.start), scale):
                _name(picture, ends, shown.classes[cls], colour, below=colour is TRUTH)
    return picture


def _missed(label: Boxes | None, marked: Boxes) -> Boxes | None:
    """The labelled boxes that none of its class overlaps by half."""
    if label is None:
        return None
    same = label.classes[:, None] == marked.classes[None, :]
    return label.kept(~((iou(label.xywh, marked.xywh) >= LEAST_IOU) & same).any(axis=1))


_DRAWINGS: dict[Task, Callable[[Shown], NDArray[np.uint8]]] = {
    Task.SEGMENT: _outlines,
    Task.DETECT: _frames,
    Task.CLASSIFY: _heat,
}


def _outline(picture: NDArray[np.uint8], mask: Flags, colour: Colour, objects: Labels | None = None) -> None:
    """Around what hangs together, or around each of the objects in it."""
    size = (picture.shape[1], picture.shape[0])
    shown = _resized(mask, size)
    if objects is not None:
        numbers = cv2.resize(objects.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
        shown[beside_another(numbers.astype(np.int32))] = 0
    outline_mask(picture, shown, colour)


def _covered(shape: Sequence[int], boxes: Sequence[Boxes]) -> Flags:
    """The pixels that any of the boxes touches: bool (H, W)."""
    covered = np.zeros(shape, bool)
    for each in boxes:
        for x, y, w, h in each.xywh:
            covered[int(y) : int(np.ceil(y + h)), int(x) : int(np.ceil(x + w))] = True
    return covered


def _frames_of(boxes: Boxes | None, origin: tuple[int, int], scale: float) -> Iterator[tuple[tuple[int, ...], int]]:
    """Left, top, right and bottom of each box in px of the picture, and its class."""
    if boxes is None:
        return
    corners = np.concatenate([boxes.xywh[:, :2], boxes.xywh[:, :2] + boxes.xywh[:, 2:]], axis=1)
    ends = np.rint((corners - np.tile(origin, 2)) * scale).astype(int)
    yield from zip(map(tuple, ends.tolist()), boxes.classes.tolist(), strict=True)


def _name(picture: NDArray[np.uint8], ends: tuple[int, ...], text: str, colour: Colour, *, below: bool) -> None:
    """The class on a plate over the box, or below it, within the picture."""
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _LETTERS, 1)
    width, height = width + 6, height + 8
    left = min(max(0, ends[0] - 1), max(0, picture.shape[1] - width))
    top = ends[3] + 1 if below else ends[1] - height
    top = min(max(0, top), picture.shape[0] - height)
    cv2.rectangle(picture, (left, top), (left + width - 1, top + height - 1), colour, cv2.FILLED)
    at = (left + 3, top + height - 5)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, _LETTERS, (0, 0, 0), 1, cv2.LINE_AA)


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrunk or enlarged to `SIDE`, so that outlines are equally thick in all of them."""
    scale = SIDE / max(picture.shape[:2])
    size = [max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0])]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(picture, size, interpolation=way), np.uint8)


def _resized(mask: Flags, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The mask at another size; what is one pixel wide stays visible."""
    shrunk = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(shrunk > (0 if size[0] < mask.shape[1] else 0.5), np.uint8)
