"""What a plan needs to know about a training set: sizes, colours, light, labels. Nothing of the test split is read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.datasets.labels import Located, is_located, load_instances, locating
from onspec.domain import DataError, Sample
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.preparation import holds_gray
from onspec.imaging.reading import Image, read_image

_EDGE = 512
"""Longest side on which texture direction is measured; it does not need the full resolution."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is kept of one image: size and light, its texture's direction, its defects' areas and widths in px, and how
    many of them touch another one."""

    width: int
    height: int
    gray: bool
    dtype: str
    mean: float
    deviation: float
    structure: tuple[complex, complex]
    defect_areas: tuple[int, ...]
    defect_widths: tuple[float, ...]
    touching: int


@dataclass(frozen=True, slots=True)
class Survey:
    """The training set in figures; gray values as shares of the dtype's range, areas and sizes in px.

    `located` says how most defects are labelled, `unlocated` counts defective images of which only that is known.
    `class_parts` counts defective parts by class; `unlocated_classes` are those without a located defect, where other
    classes have some. `touching` is the share of labelled defects that touch another one.
    `coherence` is 0 for a texture that all over the set has no direction and 1 for parallel lines, `fourfold` the same
    for lines that cross at right angles. `defect_widths` says how wide each defect is at its widest place.
    """

    images: int
    good: int
    defective: int
    widths: tuple[int, int]
    heights: tuple[int, int]
    median_side: float
    channels: int
    dtype: str
    mean_spread: float
    deviation: float
    coherence: float
    fourfold: float
    defect_areas: tuple[int, ...]
    defect_widths: tuple[float, ...]
    located: Located
    unlocated: int
    parts: int
    defective_parts: int
    class_parts: Mapping[str, int]
    touching: float
    unlocated_classes: frozenset[str] = frozenset()

    @property
    def small_defect_side(self) -> float | None:
        """Side of a square of the area that 10 % of the defects stay below, px; `None` without located defects."""
        return float(np.sqrt(np.percentile(self.defect_areas, 10))) if self.defect_areas else None

    @property
    def narrow_defect_width(self) -> float | None:
        """The width, px, that 10 % of the defects stay below; `None` without located defects."""
        return float(np.percentile(self.defect_widths, 10)) if self.defect_widths else None


def survey(samples: Sequence[Sample], camera: Camera = AS_STORED) -> Survey:
    """Read every training and validation image once, as it comes from the camera.

    Raises:
        DataError: images of different pixel types, or none at all.
        ImageError, LabelError: an unreadable file, by name.
    """
    if not samples:
        raise DataError("the data set has no image to train on; check its split with: onspec check DATA")
    with ThreadPoolExecutor(4) as threads:
        facts = list(threads.map(partial(_facts, camera=camera), samples))
    dtypes = {f.dtype for f in facts}
    if len(dtypes) > 1:
        raise DataError(f"images of different pixel types ({', '.join(sorted(dtypes))}); convert them to one depth")
    areas = tuple(area for f in facts for area in f.defect_areas)
    return Survey(
        images=len(facts),
        good=sum(not s.defective for s in samples),
        defective=sum(s.defective for s in samples),
        widths=(min(f.width for f in facts), max(f.width for f in facts)),
        heights=(min(f.height for f in facts), max(f.height for f in facts)),
        median_side=float(np.median([max(f.width, f.height) for f in facts])),
        channels=1 if all(f.gray for f in facts) else 3,
        dtype=facts[0].dtype,
        mean_spread=float(np.std([f.mean for f in facts])),
        deviation=float(np.mean([f.deviation for f in facts])),
        coherence=float(abs(np.mean([f.structure[0] for f in facts]))),
        fourfold=float(abs(np.mean([f.structure[1] for f in facts]))),
        defect_areas=areas,
        defect_widths=tuple(width for f in facts for width in f.defect_widths),
        located=locating(samples),
        unlocated=sum(not is_located(s) for s in samples),
        parts=len({s.part for s in samples}),
        defective_parts=len({s.part for s in samples if s.defective}),
        class_parts=_class_parts(samples),
        touching=sum(f.touching for f in facts) / max(1, len(areas)),
        unlocated_classes=_unlocated_classes(samples),
    )


def _class_parts(samples: Sequence[Sample]) -> dict[str, int]:
    pairs = {(s.part, cls) for s in samples for cls in s.classes}
    return dict(sorted(Counter(cls for _, cls in pairs).items()))


def _unlocated_classes(samples: Sequence[Sample]) -> frozenset[str]:
    located = {a.cls for s in samples for a in s.annotations}
    return frozenset({cls for s in samples for cls in s.classes} - located if located else ())


def _facts(sample: Sample, camera: Camera) -> ImageFacts:
    image = read_image(sample.image, camera)
    height, width = image.shape[:2]
    gray = holds_gray(image)
    plane = image if image.ndim == 2 else image[..., 1]
    mean, deviation = cv2.meanStdDev(plane)
    top = float(np.iinfo(image.dtype).max)
    areas, widths = tuple[int, ...](), tuple[float, ...]()
    touching = 0
    if sample.annotations:
        objects = load_instances(sample, (width, height))
        counts = np.bincount(objects.ravel())[1:]
        areas, widths, touching = tuple(int(c) for c in counts if c), _widths(objects), _touching(objects)
    return ImageFacts(
        width,
        height,
        gray,
        str(image.dtype),
        float(mean[0, 0]) / top,
        float(deviation[0, 0]) / top,
        _structure(plane),
        areas,
        widths,
        touching,
    )


def _widths(objects: NDArray[np.int32]) -> tuple[float, ...]:
    """The diameter of the largest circle in each object, as far as the image shows it, px; touching ones are one."""
    framed = np.pad((objects > 0).astype(np.uint8), 1)
    depth = np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 5), np.float32)[1:-1, 1:-1]
    deepest = np.zeros(int(objects.max(initial=0)) + 1, np.float32)
    np.maximum.at(deepest, objects, depth)
    return tuple(float(2 * d - 1) for d in deepest[1:] if d)


def _touching(objects: NDArray[np.int32]) -> int:
    """How many objects have a neighbouring pixel of another one."""
    pairs = [(objects[:, :-1], objects[:, 1:]), (objects[:-1], objects[1:])]
    meeting = [np.concatenate([a[m], b[m]]) for a, b in pairs for m in [(a != b) & (a > 0) & (b > 0)]]
    return len(np.unique(np.concatenate(meeting)))


def _structure(plane: Image) -> tuple[complex, complex]:
    """How gradients are spread over directions θ: mean of |g|²·exp(2iθ) and of |g|²·exp(4iθ), of the mean of |g|².

    The first is the structure tensor's anisotropy (Bigün and Granlund 1987), the second the same for directions that
    are alike at right angles, as of weaves and printed boards. Each image weighs the same.
    """
    factor = min(1.0, _EDGE / max(plane.shape))
    small = cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else plane
    gx, gy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    squared, real, imaginary = gx * gx + gy * gy, gx * gx - gy * gy, 2 * gx * gy
    total = max(float(squared.mean()), 1e-12)
    floor = np.maximum(squared, np.float32(1e-6))
    twofold = complex(real.mean(), imaginary.mean())
    fourfold = complex(((real**2 - imaginary**2) / floor).mean(), (2 * real * imaginary / floor).mean())
    return twofold / total, fourfold / total
