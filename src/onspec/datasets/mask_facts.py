"""What a label image says of itself: size, encoding, how much of it is marked, and where."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from onspec.datasets.numbered import objects_in
from onspec.domain import ImageError, LabelError
from onspec.imaging.masks import HIGHEST_CODE, codes_in, colours_in, decode_label, is_coloured, packed
from onspec.imaging.reading import Image, read_bytes

_INVERTED_FROM = 3
"""Fewer masks than this do not show how a set draws its background."""

_MOST_COLOURS = 8
"""A label picture with more colours than this has blended edges; fewer may stand for a class each."""


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """One label image, read as not inverted.

    Attributes:
        size: width, height in px.
        encoding: values found, such as `0/255`, `0/1`, `codes 0…4`, `palette 0…2`, `gray levels`, `colour`.
        share: share of pixels that are set.
        border: share of the image's outermost pixels that are set.
        codes: the class codes that occur but for 0, rising; `None` where the values are no codes.
        colours: the few colours of a colour picture but for black, as B + 256 G + 65536 R.
        mixed: the values, if they are codes and 255, so that the codes are cut off as gray edges are.
        objects: how many objects its values or colours number, see `numbered`; `highest` is the highest value, or
            colour. `None` where they are no numbers of objects, or no numbers at all.
    """

    size: tuple[int, int]
    encoding: str
    share: float
    border: float
    codes: tuple[int, ...] | None = None
    colours: frozenset[int] = frozenset()
    mixed: tuple[int, ...] = ()
    objects: int | None = None
    highest: int | None = None


def mask_facts(path: Path) -> MaskFacts:
    """Read one label image.

    Raises:
        LabelError: it cannot be decoded.
        UnreadableImageError: it is absent or empty.
    """
    data = read_bytes(path)
    mask, raw = decode_label(data, str(path))
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    codes = codes_in(data, raw)
    picture = is_coloured(raw) and codes is None
    values = [] if picture else _values(raw if raw.ndim == 2 else raw[..., 0]) if codes is None else _values(codes)
    numbers = codes if codes is not None else colours_in(data, raw)
    held = tuple(v for v in values if v) if codes is not None and values[-1] <= HIGHEST_CODE else None
    return MaskFacts(
        (mask.shape[1], mask.shape[0]),
        _encoding(raw, values),
        cv2.countNonZero(mask) / mask.size,
        float(edge.mean()),
        held,
        _colours(raw) if held is None and is_coloured(raw) else frozenset(),
        () if codes is None or is_coloured(raw) else _mixed(values),
        None if numbers is None else objects_in(numbers),
        None if numbers is None else values[-1] if codes is not None else int(packed(raw).max()),
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
    return sum(map(looks_inverted, facts)) >= 0.9 * len(facts)


def looks_inverted(facts: MaskFacts) -> bool:
    """Whether a mask is mostly set, on its border, too, as one is that draws its background bright."""
    return facts.share > 0.5 and facts.border > 0.5


def class_codes(facts: Sequence[MaskFacts]) -> tuple[int, ...]:
    """The codes that a set tells its classes by, rising; empty where its masks mark one class.

    Every mask must hold codes, and more than one must occur over the set: 0/1, 0/255 and gray edges are one class.
    """
    held = [f.codes for f in facts]
    codes = sorted({code for codes in held if codes is not None for code in codes})
    return tuple(codes) if len(codes) > 1 and None not in held else ()


def _facts_or_fault(path: Path) -> MaskFacts | str:
    try:
        return mask_facts(path)
    except (LabelError, ImageError) as error:
        return str(error)


def _encoding(raw: Image, values: Sequence[int]) -> str:
    if raw.ndim == 3 and raw.shape[2] == 4:
        return "RGBA"
    if is_coloured(raw):
        return f"palette 0…{values[-1]}" if values else "colour"
    if len(values) == 1:
        return "one value"
    if len(values) == 2 and values[0] == 0:
        return f"0/{values[1]}"
    return f"codes 0…{values[-1]}" if values[-1] <= HIGHEST_CODE else "gray levels"


def _values(gray: Image) -> list[int]:
    """The values that occur, rising."""
    bins = int(np.iinfo(gray.dtype).max) + 1
    histogram = cv2.calcHist([gray], [0], None, [bins], [0, bins])
    return [int(v) for v in np.flatnonzero(histogram)]


def _mixed(values: Sequence[int]) -> tuple[int, ...]:
    """The values, if they are 0, 1, 2 … and 255: gray edges leave gaps."""
    codes = [value for value in values if 0 < value <= HIGHEST_CODE]
    return tuple(values) if codes and values == [0, *range(1, len(codes) + 1), 255] else ()


def _colours(raw: Image) -> frozenset[int]:
    """The colours of an 8-bit BGR picture but for black; none where it has many."""
    if raw.dtype != np.uint8 or raw.shape[2] != 3:
        return frozenset()
    found = np.unique(packed(raw))
    return frozenset(int(c) for c in found if c) if len(found) <= _MOST_COLOURS + 1 else frozenset()
