"""What one labelled image says of itself when it is read: size, depth, how much is marked, and what is wrong."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from onspec.datasets.labels import load_mask
from onspec.datasets.problem import Problem, Severity
from onspec.domain import ImageError, LabelError, MaskFile, Sample
from onspec.imaging.masks import Mask, merge
from onspec.imaging.preparation import holds_gray
from onspec.imaging.reading import read_image


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """One image with its label, or the problem with either.

    Attributes:
        size: width and height in px; `None` if the image cannot be read.
        channels, dtype: how pixels are stored.
        share: share of the image that is marked; `None` where nothing is, or nobody knows.
        defects: marked defects by class.
        label_digest: equal for equal labels of equal images.
        problem: what is wrong.
    """

    size: tuple[int, int] | None
    channels: str = ""
    dtype: str = ""
    share: float | None = None
    defects: Mapping[str, int] = field(default_factory=dict)
    label_digest: str = ""
    problem: Problem | None = None


def facts_of(sample: Sample) -> SampleFacts:
    """Read the image and its label; nothing is raised for a file."""
    try:
        image = read_image(sample.image)
    except ImageError as error:
        code = "unreadable" if sample.image.exists() else "missing"
        advice = (
            "copy it again from its source" if code == "unreadable" else "restore the file, or its line in the list"
        )
        return SampleFacts(None, problem=_problem("error", code, sample.name, str(error), advice))
    height, width = image.shape[:2]
    kind = "gray" if image.ndim == 2 else "colour that holds gray" if holds_gray(image) else "colour"
    about = ((width, height), kind, str(image.dtype))
    if not sample.annotations:
        return SampleFacts(*about, label_digest=f"{sample.truth} {sample.cls}")
    try:
        mask, defects = _marked(sample, (width, height))
    except LabelError as error:
        absent = any(isinstance(a, MaskFile) and not a.path.exists() for a in sample.annotations)
        code = "label-missing" if absent else "label"
        return SampleFacts(
            *about, problem=_problem("error", code, sample.name, str(error), "correct the label, or label anew")
        )
    if not mask.any():
        text = f"{sample.name} is defective, but its label marks nothing"
        problem = _problem("error", "label-empty", sample.name, text, "label it, or move the image to the good ones")
        return SampleFacts(*about, problem=problem)
    share = cv2.countNonZero(mask) / mask.size
    digest = hashlib.sha256(np.packbits(mask).tobytes() + repr(sorted(defects.items())).encode()).hexdigest()
    return SampleFacts(*about, share, defects, digest)


def _marked(sample: Sample, size: tuple[int, int]) -> tuple[Mask, dict[str, int]]:
    """All that is marked, uint8 (H, W), and how many defects of each class: a connected region of label images is
    one, and so is every other annotation.
    """
    planes: list[Mask] = []
    defects: Counter[str] = Counter()
    for cls in sorted({a.cls for a in sample.annotations}):
        files = tuple(a for a in sample.annotations if a.cls == cls and isinstance(a, MaskFile))
        shapes = tuple(a for a in sample.annotations if a.cls == cls and not isinstance(a, MaskFile))
        defects[cls] += len(shapes)
        planes += [load_mask(replace(sample, annotations=drawn), size)[0] for drawn in (files, shapes) if drawn]
        if files:
            defects[cls] += cv2.connectedComponents(planes[-1 - bool(shapes)], connectivity=8)[0] - 1
    return merge(planes), dict(defects)


def _problem(severity: Severity, code: str, file: str | None, message: str, suggestion: str) -> Problem:
    return Problem(severity=severity, code=code, file=file, message=message, suggestion=suggestion)
