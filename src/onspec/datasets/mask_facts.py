"""What a label image says of itself: size, encoding, how much of it is marked, and where."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from onspec.domain import ImageError, LabelError
from onspec.imaging.masks import decode_label
from onspec.imaging.reading import Image, read_bytes

_INVERTED_FROM = 3
"""Fewer masks than this do not show how a set draws its background."""


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """One label image, read as not inverted.

    Attributes:
        size: width, height in px.
        encoding: values found, such as `0/255`, `0/1`, `codes 0…4`, `gray levels`, `colour`.
        share: share of pixels that are set.
        border: share of the image's outermost pixels that are set.
    """

    size: tuple[int, int]
    encoding: str
    share: float
    border: float


def mask_facts(path: Path) -> MaskFacts:
    """Read one label image.

    Raises:
        LabelError: it cannot be decoded.
        UnreadableImageError: it is absent or empty.
    """
    mask, raw = decode_label(read_bytes(path), str(path))
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return MaskFacts(
        (mask.shape[1], mask.shape[0]), _encoding(raw), cv2.countNonZero(mask) / mask.size, float(edge.mean())
    )


def survey_masks(paths: Sequence[Path]) -> dict[Path, MaskFacts | str]:
    """Facts of many label images, or the sentence that says why one cannot be read."""
    with ThreadPoolExecutor(4) as threads:
        return dict(zip(paths, threads.map(_facts_or_fault, paths), strict=True))


def are_inverted(facts: Sequence[MaskFacts]) -> bool:
    """Whether a set draws its background bright: nearly every mask is mostly set, on its border, too.

    Defects and objects lie inside an image, so what fills most of nearly every border is the background. In doubt,
    the masks are taken as they are.
    """
    if len(facts) < _INVERTED_FROM:
        return False
    bright = sum(f.share > 0.5 and f.border > 0.5 for f in facts)
    return bright >= 0.9 * len(facts)


def _facts_or_fault(path: Path) -> MaskFacts | str:
    try:
        return mask_facts(path)
    except (LabelError, ImageError) as error:
        return str(error)


def _encoding(raw: Image) -> str:
    if raw.ndim == 3 and raw.shape[2] == 4:
        return "RGBA"
    if raw.ndim == 3 and not all(np.array_equal(raw[..., 0], raw[..., i]) for i in range(1, raw.shape[2])):
        return "colour"
    values = _values(raw if raw.ndim == 2 else raw[..., 0])
    if len(values) == 1:
        return "one value"
    if len(values) == 2 and values[0] == 0:
        return f"0/{values[1]}"
    return f"codes 0…{values[-1]}" if values[-1] < 32 else "gray levels"


def _values(gray: Image) -> list[int]:
    """The values that occur, rising."""
    bins = int(np.iinfo(gray.dtype).max) + 1
    histogram = cv2.calcHist([gray], [0], None, [bins], [0, bins])
    return [int(v) for v in np.flatnonzero(histogram)]
