"""The images a run trains or validates on: facts of all of them, and the pixels of as many as memory holds."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.datasets.labels import class_index, is_located, load_boxes, load_instances, load_mask
from onspec.domain import DEFECT, Sample, Task
from onspec.imaging.header import size_in
from onspec.imaging.instances import core_target
from onspec.imaging.masks import Mask
from onspec.imaging.preparation import Extent, InputSpec, conform, resized, statistics
from onspec.imaging.reading import Image, read_image
from onspec.imaging.windows import read_window, reads_rows
from onspec.training.marks import Marks
from onspec.training.plan import Plan

_AT_ONCE = 1 << 27
"""px of all images together that are loaded at a time."""

_ANCHORS = 64
"""How many pixels of each defect are kept as places to look at."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One defect: its class, and int32 (n, 2) of (x, y) working px on it."""

    cls: int
    places: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """What of an image takes memory: the image in its own dtype, (H, W) or (H, W, 3), and its label.

    `mask` is uint8 (K, H, W) of 0/1, with one more plane of object cores where touching objects are told apart; it has
    no plane where labels are not about pixels.
    """

    image: Image
    mask: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One image with its label at working resolution.

    Attributes:
        size: width, height in working px.
        stats: what `imaging.preparation.statistics` says of the whole image.
        located: it is known which pixels are defective; always so for a good part.
        spots: the located defects.
        boxes: float32 (n, 4) of x, y, width, height in working px, and `kinds`, int64 (n,), their classes.
        cls: class of the whole image: 0 for a good part, else 1 + the class's index.
        read: gives the pixels, from memory or anew from the files; `part` gives some of them.
    """

    sample: Sample
    size: tuple[int, int]
    stats: tuple[float, float]
    located: bool
    spots: tuple[Spot, ...]
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    cls: int
    read: Callable[[], Pixels]

    def part(self, rows: slice, columns: slice) -> Pixels:
        """These rows and columns, which lie in the image; a file is decoded no further than its format demands."""
        if isinstance(self.read, _Kept | _InFiles):
            return self.read.part(rows, columns)
        pixels = self.read()
        return Pixels(pixels.image[rows, columns], pixels.mask[:, rows, columns])


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Pixels in memory."""

    image: Image
    marks: Marks

    def __call__(self) -> Pixels:
        return Pixels(self.image, self.marks.whole())

    def part(self, rows: slice, columns: slice) -> Pixels:
        return Pixels(self.image[rows, columns], self.marks.window(rows, columns))


@dataclass(frozen=True, slots=True, eq=False)
class _InFiles:
    """Pixels that are read again, by rows where working resolution and format allow; what is marked stays in memory."""

    sample: Sample
    plan: Plan
    marks: Marks
    by_rows: bool

    def __call__(self) -> Pixels:
        return Pixels(_working(self.sample, self.plan), self.marks.whole())

    def part(self, rows: slice, columns: slice) -> Pixels:
        spec, path = self.plan.input, self.sample.image
        if self.by_rows:
            image = read_window(path, rows, columns, spec.camera)
            image = conform(image, at_any_size(spec), self.sample.name)
        else:
            image = _working(self.sample, self.plan)[rows, columns]
        return Pixels(image, self.marks.window(rows, columns))


def load_labelled(sample: Sample, plan: Plan) -> tuple[Labelled, Pixels]:
    """Read, check and resize one image with its label; `read` reads the image again.

    Raises:
        ImageError, LabelError: what is wrong with the file, by name.
    """
    pixels, boxes, kinds = _read(sample, plan)
    height, width = pixels.image.shape[:2]
    classes = len(plan.classes)
    spots = _box_spots(boxes, kinds) if plan.task is Task.DETECT else mask_spots(pixels.mask[:classes])
    areas = [int(plane.sum()) for plane in pixels.mask[:classes]]
    item = Labelled(
        sample=sample,
        size=(width, height),
        stats=statistics(pixels.image, plan.input),
        located=is_located(sample) and plan.task is not Task.CLASSIFY,
        spots=spots,
        boxes=boxes,
        kinds=kinds,
        cls=_image_class(sample, plan, areas, kinds),
        read=_InFiles(
            sample, plan, Marks.of(pixels.mask), plan.input.scale == 1.0 and reads_rows(sample.image, plan.input.camera)
        ),
    )
    return item, pixels


def load_pool(
    samples: Sequence[Sample],
    plan: Plan,
    tell: Callable[[int], None] = lambda _: None,
    *,
    memory_bytes: int | None = None,
) -> list[Labelled]:
    """Load all samples with a few threads (fewer for large images), in order; `tell` is called with the count so far.

    Pixels beyond `memory_bytes` (by default 40 % of what the machine has) are not kept but read again whenever they
    are needed: a training set may be larger than memory.
    """
    left = _memory() * 2 // 5 if memory_bytes is None else memory_bytes
    pool: list[Labelled] = []
    with ThreadPoolExecutor(_threads(samples)) as threads:
        for item, pixels in threads.map(lambda s: load_labelled(s, plan), samples):
            assert isinstance(item.read, _InFiles)
            left -= pixels.image.nbytes + item.read.marks.nbytes
            pool.append(replace(item, read=_Kept(pixels.image, item.read.marks)) if left >= 0 else item)
            tell(len(pool))
    return pool


def load_pools(
    learned: Sequence[Sample], held_out: Sequence[Sample], plan: Plan, *, memory_bytes: int | None = None
) -> tuple[list[Labelled], list[Labelled]]:
    """What is trained on and what is validated on, with one memory for both, as of `load_pool`.

    Held-out images come first into it: each is looked at whole, and many times.
    """
    pool = load_pool([*held_out, *learned], plan, memory_bytes=memory_bytes)
    return pool[len(held_out) :], pool[: len(held_out)]


def defective_of(pool: Iterable[Labelled]) -> list[Labelled]:
    """Those whose defects are located."""
    return [item for item in pool if item.spots]


def at_any_size(spec: InputSpec) -> InputSpec:
    """The same input for images of any size: windows of those that it takes."""
    anything = Extent(min=1, max=1 << 30)
    return spec.model_copy(update={"width": anything, "height": anything})


def _threads(samples: Sequence[Sample]) -> int:
    """So many that the largest images, loaded at once, stay within a bound."""
    sizes = [size for size in map(_size, samples) if size is not None]
    return max(1, min(4, _AT_ONCE // max((width * height for width, height in sizes), default=1)))


def _size(sample: Sample) -> tuple[int, int] | None:
    try:
        with sample.image.open("rb") as file:
            return size_in(file)
    except OSError:  # which loading will say in words
        return None


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _working(sample: Sample, plan: Plan) -> Image:
    """The image at working resolution."""
    return resized(conform(read_image(sample.image, plan.input.camera), plan.input, sample.name), plan.input)


def _read(sample: Sample, plan: Plan) -> tuple[Pixels, NDArray[np.float32], NDArray[np.int64]]:
    image = conform(read_image(sample.image, plan.input.camera), plan.input, sample.name)
    height, width = image.shape[:2]
    working = resized(image, plan.input)
    shape = (working.shape[0], working.shape[1])
    boxes, kinds = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    planes: list[Mask] = []
    if is_located(sample) and plan.task is not Task.CLASSIFY:
        if plan.task is Task.DETECT:
            boxes, kinds = load_boxes(sample, (width, height), plan.classes)
            boxes *= np.array([shape[1] / width, shape[0] / height] * 2, np.float32)
        else:
            planes = [_shrunk(plane, shape) for plane in load_mask(sample, (width, height), plan.classes)]
            if plan.separate:
                planes.append(core_target(_nearest(load_instances(sample, (width, height)), shape)))
    if not planes:
        planes = [np.zeros(shape, np.uint8) for _ in range(plan.label_planes)]
    mask = np.stack(planes) if planes else np.zeros((0, *shape), np.uint8)
    return Pixels(working, mask), boxes, kinds


def _image_class(sample: Sample, plan: Plan, areas: Sequence[int], kinds: NDArray[np.int64]) -> int:
    """The class of a whole image: that of its label, else the one with the largest area, or most boxes.

    Only to classify must it be known; where a defect is not located, it may be any.
    """
    if not sample.defective:
        return 0
    if any(areas):
        return 1 + int(np.argmax(areas))
    if len(kinds):
        return 1 + int(np.bincount(kinds).argmax())
    named = [a.cls for a in sample.annotations]
    cls = sample.cls or (max(set(named), key=lambda c: (named.count(c), c)) if named else DEFECT)
    if plan.task is not Task.CLASSIFY and cls not in plan.classes:
        return 1
    return 1 + class_index(cls, plan.classes, sample.name)


def _shrunk(mask: Mask, shape: tuple[int, int]) -> Mask:
    """Resize a 0/1 mask: a working pixel is defective where at least half of its area is."""
    if mask.shape == shape:
        return mask
    share = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return (share >= 0.5).astype(np.uint8)


def _nearest(labels: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.int32]:
    if labels.shape == shape:
        return labels
    resampled = cv2.resize(labels.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resampled, np.int32)


def mask_spots(mask: Mask) -> tuple[Spot, ...]:
    """Pixels of every connected defect, evenly picked so that large ones cost no memory."""
    found = []
    for cls, plane in enumerate(mask):
        if not plane.any():
            continue
        count, labels, stats, _ = cv2.connectedComponentsWithStats(plane, connectivity=8)
        for label in range(1, count):
            x, y, w, h = (int(v) for v in stats[label, :4])
            ys, xs = np.nonzero(labels[y : y + h, x : x + w] == label)
            pick = np.linspace(0, len(xs) - 1, min(len(xs), _ANCHORS)).astype(np.int64)
            found.append(Spot(cls, np.stack([xs[pick] + x, ys[pick] + y], axis=1).astype(np.int32)))
    return tuple(found)


def _box_spots(boxes: NDArray[np.float32], kinds: NDArray[np.int64]) -> tuple[Spot, ...]:
    middles = np.rint(boxes[:, :2] + boxes[:, 2:] / 2).astype(np.int32)
    return tuple(Spot(int(k), m[None]) for k, m in zip(kinds, middles, strict=True))
