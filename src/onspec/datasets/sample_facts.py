"""What one labelled image says of itself when it is read: size, depth, how much is marked, and what is wrong."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from onspec.datasets.labels import load_instances, load_mask
from onspec.datasets.look import Look, look_at
from onspec.datasets.problem import Problem, new_problem
from onspec.domain import Annotation, Box, Ellipse, ImageError, LabelError, MaskFile, Polygon, Sample
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.look import SIDE
from onspec.imaging.masks import Mask, merge
from onspec.imaging.preparation import holds_gray
from onspec.imaging.reading import decode_image, read_bytes

_SLIP_PX = 2.0
"""What a person's hand may slip over the border of an image, px."""


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """One image with its label, or the problem with either.

    Attributes:
        size: width and height in px; `None` if the image cannot be read.
        channels, dtype: how pixels are stored.
        share: share of the image that is marked; `None` where nothing is, or nobody knows.
        defects: marked defects by class.
        label_digest: equal for equal labels of equal images.
        content: equal for files with equal bytes.
        look: the image as a whole, in few numbers; `None` if it cannot be read.
        marks: where the shrunk picture of `look` is marked, a bit a pixel; empty where nothing is.
        problems: what is wrong.
    """

    size: tuple[int, int] | None
    channels: str = ""
    dtype: str = ""
    share: float | None = None
    defects: Mapping[str, int] = field(default_factory=dict)
    label_digest: str = ""
    content: bytes = b""
    look: Look | None = None
    marks: bytes = b""
    problems: tuple[Problem, ...] = ()


def facts_of(sample: Sample, camera: Camera = AS_STORED) -> SampleFacts:
    """Read the image and its label once; nothing is raised for a file."""
    try:
        data = read_bytes(sample.image)
        image = decode_image(data, str(sample.image), camera)
    except ImageError as error:
        code = "unreadable" if sample.image.exists() else "missing"
        advice = (
            "copy it again from its source" if code == "unreadable" else "restore the file, or its line in the list"
        )
        return SampleFacts(None, problems=(new_problem("error", code, sample.name, str(error), advice),))
    height, width = image.shape[:2]
    kind = "gray" if image.ndim == 2 else "colour that holds gray" if holds_gray(image) else "colour"
    content = hashlib.sha256(data).digest()
    about = SampleFacts((width, height), kind, str(image.dtype), content=content, look=look_at(image))
    if not sample.annotations:
        return replace(about, label_digest=f"{sample.truth} {sample.cls}")
    return _with_label(about, sample, (width, height))


def _with_label(about: SampleFacts, sample: Sample, size: tuple[int, int]) -> SampleFacts:
    try:
        mask, defects = _marked(sample, size)
    except LabelError as error:
        absent = any(isinstance(a, MaskFile) and not a.path.exists() for a in sample.annotations)
        code = "label-missing" if absent else "label"
        advice = "correct the label, or label anew"
        return replace(about, problems=(new_problem("error", code, sample.name, str(error), advice),))
    if not mask.any():
        text = f"{sample.name} is defective, but its label marks nothing"
        advice = "label it, or move the image to the good ones"
        return replace(about, problems=(new_problem("error", "label-empty", sample.name, text, advice),))
    return replace(
        about,
        share=cv2.countNonZero(mask) / mask.size,
        defects=defects,
        label_digest=hashlib.sha256(np.packbits(mask).tobytes() + repr(sorted(defects.items())).encode()).hexdigest(),
        marks=np.packbits(cv2.resize(mask * np.uint8(255), (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0).tobytes(),
        problems=tuple(_reaching_out(sample, size)),
    )


def _reaching_out(sample: Sample, size: tuple[int, int]) -> Iterator[Problem]:
    """Marks that leave the image by more than a hand slips; a coarse ellipse may, if its centre does not."""
    beyond = max((_beyond(annotation, size) for annotation in sample.annotations), default=0.0)
    if beyond > _SLIP_PX:
        text = f"{sample.name}: a label reaches {beyond:.0f} px beyond the image of {size[0]}×{size[1]} px"
        advice = (
            "correct it; it is cut at the border. If many do, they were perhaps made for another size of the images"
        )
        yield new_problem("warning", "label-outside", sample.name, text, advice)


def _beyond(annotation: Annotation, size: tuple[int, int]) -> float:
    """How far a mark leaves the image, px."""
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    match annotation:
        case Box():
            xs, ys = (annotation.x, annotation.x + annotation.width), (annotation.y, annotation.y + annotation.height)
        case Polygon():
            xs, ys = zip(*(point for ring in annotation.rings for point in ring), strict=True)
        case Ellipse():
            xs, ys = (annotation.x,), (annotation.y,)
        case _:
            return 0.0
    return max(-min(xs), max(xs) - size[0], -min(ys), max(ys) - size[1])


def _marked(sample: Sample, size: tuple[int, int]) -> tuple[Mask, dict[str, int]]:
    """All that is marked, uint8 (H, W), and how many defects of each class: one for each object of its
    label images (see `load_instances`) and for every other annotation.
    """
    planes: list[Mask] = []
    defects: Counter[str] = Counter()
    for cls in sorted({a.cls for a in sample.annotations}):
        files = tuple(a for a in sample.annotations if a.cls == cls and isinstance(a, MaskFile))
        shapes = tuple(a for a in sample.annotations if a.cls == cls and not isinstance(a, MaskFile))
        defects[cls] += len(shapes)
        if files:
            objects = load_instances(replace(sample, annotations=files), size)
            planes.append((objects > 0).astype(np.uint8))
            defects[cls] += int(objects.max())
        if shapes:
            planes.append(load_mask(replace(sample, annotations=shapes), size)[0])
    return merge(planes), dict(defects)
