"""Which images a report shows, and how: what went wrong first, the worst of it first."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import ScoreMap, Verdict
from onspec.evaluation.results import ImageResult
from onspec.imaging.overlays import PREDICTION, TRUTH, outline_mask, to_display
from onspec.imaging.reading import Image
from onspec.imaging.regions import image_score
from onspec.imaging.writing import encode_image

SIDE = 640
"""The longer side of a picture, px."""

_MARGIN, _QUALITY = 48, 80


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are shown under one heading, with a sentence that says what they are."""

    title: str
    sentence: str
    results: tuple[ImageResult, ...]


def choose(results: Sequence[ImageResult], most: int = 6) -> list[Group]:
    """Escapes, false rejects, found defects with the poorest outline and some with an ordinary one; `most` of each.

    Where nothing went wrong, those are shown that came nearest to it.
    """
    judged = [(r.score, r.name, r) for r in results if r.score is not None]
    defective = [r for *_, r in sorted(e for e in judged if e[2].defective)]
    good = [r for *_, r in sorted((e for e in judged if not e[2].defective), key=lambda e: (-e[0], e[1]))]
    found = [r for r in defective if r.verdict is Verdict.NG]
    escapes = [r for r in defective if r.verdict is Verdict.OK]
    rejects = [r for r in good if r.verdict is Verdict.NG]
    outlined = sorted((r for r in found if r.dice is not None), key=lambda r: (r.dice or 0.0, r.name))
    poor = outlined[:most]
    middle = max(0, (len(outlined) - most) // 2)
    typical = [r for r in outlined[middle : middle + most] if r not in poor]
    groups = [
        _wrong("Escapes", "defective image", "was judged OK", "scored lowest", escapes, defective, most),
        _wrong("False rejects", "good image", "was judged NG", "scored highest", rejects, good, most),
        Group(
            "Found, but poorly outlined", "Defective images judged NG, those with the lowest Dice first.", tuple(poor)
        ),
        Group("Typical finds", "Defective images judged NG with a Dice around the median.", tuple(typical)),
    ]
    return [group for group in groups if group.results]


def _wrong(
    title: str, kind: str, verdict: str, nearest: str, wrong: Sequence[ImageResult], of_kind: Sequence[ImageResult],
    most: int,
) -> Group:  # fmt: skip
    if not wrong:
        return Group(f"{title}: none", f"No {kind} {verdict}. These {nearest}.", tuple(of_kind[: most // 2]))
    shown = "all of them" if len(wrong) <= most else f"the worst {most}"
    were = (
        f"1 {kind} {verdict}."
        if len(wrong) == 1
        else f"{len(wrong)} {kind}s {verdict.replace('was', 'were')}; {shown}."
    )
    return Group(f"{title}: {len(wrong)}", were, tuple(wrong[:most]))


def draw(image: Image, maps: Sequence[ScoreMap], truth: NDArray[np.uint8] | None, thresholds: Thresholds) -> bytes:
    """JPEG of the image with truth and marks outlined, around them where the image is large.

    What is marked is what Dice is computed from; where nothing is, but the image is NG, its faint regions.
    """
    values = np.maximum.reduce([m.values for m in maps])
    marked = values >= thresholds.pixel
    if not marked.any() and max(image_score(m, thresholds.window) for m in maps) >= thresholds.image:
        marked = values >= thresholds.floor
    labelled = np.zeros_like(marked) if truth is None else np.logical_or.reduce(truth > 0, axis=0)
    window = _around(marked | labelled)
    picture = _fitted(to_display(image[window]))
    size = (picture.shape[1], picture.shape[0])
    for mask, colour in ((labelled, TRUTH), (marked, PREDICTION)):
        outline_mask(picture, _resized(mask[window], size), colour)
    return encode_image(picture, ".jpg", quality=_QUALITY)


def _around(wanted: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a view at least `SIDE` px wide and high (or the whole image) that has all that is wanted."""
    slices = []
    for axis in (0, 1):
        length = wanted.shape[axis]
        places = np.flatnonzero(wanted.any(axis=1 - axis))
        first, last = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, length)
        extent = min(length, max(SIDE, last - first + 2 * _MARGIN))
        start = min(max(0, (first + last - extent) // 2), length - extent)
        slices.append(slice(start, start + extent))
    return slices[0], slices[1]


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrunk or enlarged to `SIDE`, so that outlines are equally thick in all of them."""
    scale = SIDE / max(picture.shape[:2])
    size = [max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0])]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(picture, size, interpolation=way), np.uint8)


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The mask at another size; what is one pixel wide stays visible."""
    shrunk = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(shrunk > (0 if size[0] < mask.shape[1] else 0.5), np.uint8)
