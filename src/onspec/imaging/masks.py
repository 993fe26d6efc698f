"""Label images of any encoding → one binary mask.

Plants and labelling tools store masks as 0/255, 0/1, with gray edges, as palette or RGBA pictures, one file an
instance, and inverted. Only the encoding is decided here, from the file's own content; nothing is resized or blurred.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import LabelError
from onspec.imaging.reading import Image, decode_raw

_FEW = 8
"""A colour label with no more levels than this holds one colour a class; with more, it has blended edges."""

HIGHEST_CODE = 31
"""A file with no higher value than this holds codes: no gray edge ends there. So masks tell at most so many classes."""

_MOST_NUMBERS = 4096
"""A picture with more colours than this numbers no objects by them."""

_JPEG = b"\xff\xd8\xff"

Mask = NDArray[np.uint8]
"""uint8 (H, W): 1 where the class is, 0 elsewhere."""


def decode_mask(data: bytes, name: str, *, inverted: bool = False) -> Mask:
    """Decode a label file to uint8 (H, W) of 0 and 1.

    `inverted` marks sets that draw the background bright (0 is the class); it is a property of a set, so it is
    decided over the set, not for each file.

    Raises:
        LabelError: the file cannot be decoded.
    """
    mask, _ = decode_label(data, name)
    return (1 - mask).astype(np.uint8) if inverted else mask


def decode_label(data: bytes, name: str) -> tuple[Mask, Image]:
    """As `decode_mask`, not inverted, and the values as they stand in the file (BGR order).

    Raises:
        LabelError: the file cannot be decoded.
    """
    raw = _decoded(data, name)
    ground = _palette_ground(data)
    if ground is not None and raw.ndim == 3:
        return np.any(raw[..., :3] != ground, axis=2).astype(np.uint8), raw
    gray = _one_channel(raw)
    if data.startswith(_JPEG):  # a JPEG's ringing must not pass for codes
        return (gray > int(np.iinfo(gray.dtype).max) // 2).astype(np.uint8), raw
    coloured = is_coloured(raw) and len(np.unique(gray)) <= _FEW
    return ((gray > 0).astype(np.uint8) if coloured else binarise(gray)), raw


def decode_codes(data: bytes, name: str) -> Image:
    """A label image that holds several classes, as the codes (H, W) that stand in it: gray values or palette indices.

    Raises:
        LabelError: it cannot be decoded, or is a picture whose values are no codes (see `codes_in`).
    """
    raw = _decoded(data, name)
    codes = codes_in(data, raw)
    if codes is None:
        raise LabelError(
            f"{name}: a label image in colours holds no class codes; export it as PNG of gray values 0, 1, 2 …"
        )
    return codes


def decode_numbers(data: bytes, name: str) -> Image:
    """A label image that numbers its objects, as those numbers (H, W), 0 for the ground.

    In a picture in colours each connected region (8-neighbourhood) of one colour but black is an object, since a few
    colours may be shared by many.

    Raises:
        LabelError: it cannot be decoded, or its values are no numbers.
    """
    raw = _decoded(data, name)
    codes = codes_in(data, raw)
    if codes is not None:
        return codes
    colours = colours_in(data, raw)
    if colours is None:
        raise LabelError(
            f"{name}: a JPEG, soft edges or a transparent ground number no objects; "
            "export it as PNG of gray values 0, 1, 2 …"
        )
    labels = np.zeros(colours.shape, np.int32)
    for colour in range(1, int(colours.max()) + 1):
        _, found = cv2.connectedComponents((colours == colour).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        labels += np.where(found > 0, found + labels.max(), 0).astype(np.int32)
    return labels


def colours_in(data: bytes, raw: Image) -> Image | None:
    """The colours of a label picture without codes (`codes_in`), int32 (H, W): 0 for black, then a number a colour.

    `None` where they say nothing of objects: a JPEG, what is drawn on a transparent ground, soft edges, which have very
    many.
    """
    if data.startswith(_JPEG) or raw.dtype != np.uint8 or raw.ndim < 3 or raw.shape[2] < 3 or _is_transparent(raw):
        return None
    kinds, places = np.unique(packed(raw), return_inverse=True)
    if len(kinds) > _MOST_NUMBERS:
        return None
    return np.asarray(places.reshape(raw.shape[:2]) + (kinds[0] > 0), np.int32)


def codes_in(data: bytes, raw: Image) -> Image | None:
    """The gray values or palette indices (H, W) of a label file that was decoded to `raw`.

    `None` where values are no codes: a JPEG, colours without a palette, what is drawn on a transparent ground. Of
    palette entries with one colour the first is taken.
    """
    if data.startswith(_JPEG):
        return None
    if raw.ndim == 2:
        return raw
    palette = _palette(data)
    if palette is not None:
        colours, first = np.unique(packed(palette), return_index=True)
        wanted = packed(raw)
        found = np.minimum(np.searchsorted(colours, wanted), len(colours) - 1)
        return first[found].astype(np.uint8) if np.array_equal(colours[found], wanted) else None
    return None if _is_transparent(raw) or is_coloured(raw) else np.ascontiguousarray(raw[..., 0])


def binarise(gray: Image) -> Mask:
    """Values → 0/1. Label codes (0/1, 0/1/2 …) are set where not 0, gray levels where over half of the range.

    A file with no value above `HIGHEST_CODE` holds codes. Everything else is a picture of a mask whose edges may be
    anti-aliased, so half of the full range of the dtype is the border.
    """
    top = int(gray.max(initial=0))
    if top <= HIGHEST_CODE:
        return (gray > 0).astype(np.uint8)
    full = 255 if gray.dtype == np.uint8 else int(np.iinfo(gray.dtype).max)
    border = full // 2 if top > full // 2 else top // 2
    return (gray > border).astype(np.uint8)


def merge(masks: Sequence[Mask]) -> Mask:
    """The union of masks of one size, as for one file an instance."""
    union = masks[0].copy()
    for mask in masks[1:]:
        np.maximum(union, mask, out=union)
    return union


def _decoded(data: bytes, name: str) -> Image:
    raw = decode_raw(data)
    if raw is None:
        raise LabelError(f"{name}: label image cannot be decoded; export it again as PNG")
    return raw if raw.dtype in (np.uint8, np.uint16) else _as_numbers(raw, name)


def _as_numbers(raw: NDArray[np.generic], name: str) -> Image:
    """Values of another type, as of objects that a program of 32 bit numbered, as uint16."""
    with np.errstate(invalid="ignore"):
        numbers = raw.astype(np.uint16)
    if not np.array_equal(numbers, raw):
        raise LabelError(
            f"{name}: label image of {raw.dtype} whose values are no whole numbers 0 … 65535; "
            "export it as PNG of 8 or 16 bit"
        )
    return numbers


def _is_transparent(raw: Image) -> bool:
    """Whether something is drawn on a transparent ground."""
    return raw.shape[2] == 4 and int(raw[..., 3].min()) < int(np.iinfo(raw.dtype).max)


def _one_channel(raw: Image) -> Image:
    """Gray of a colour, palette (decoded to colours) or RGBA label: what differs from black, or the alpha channel."""
    if raw.ndim == 2:
        return raw
    if raw.shape[2] == 2:
        return np.ascontiguousarray(raw[..., 0])
    if raw.shape[2] == 4:
        if _is_transparent(raw):
            return np.ascontiguousarray(raw[..., 3])
        raw = raw[..., :3]
    return np.ascontiguousarray(raw.max(axis=2))


def is_coloured(raw: Image) -> bool:
    """Whether a picture has more than grays; an alpha channel is none."""
    return raw.ndim == 3 and any(not np.array_equal(raw[..., 0], raw[..., i]) for i in range(1, min(3, raw.shape[2])))


def _palette_ground(data: bytes) -> NDArray[np.uint8] | None:
    """BGR of the first entry of a palette of colours, which labelling tools give to the background."""
    palette = _palette(data)
    return None if palette is None else palette[0].copy()


def _palette(data: bytes) -> NDArray[np.uint8] | None:
    """A PNG's palette of colours (PNG specification, 11.2.3), uint8 (n, 3) BGR; `None` for other files, and for a
    palette of grays, which is a gray picture.
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < 26 or data[25] != 3:
        return None
    at = data.find(b"PLTE")
    if at < 4:
        return None
    size = int.from_bytes(data[at - 4 : at], "big")
    palette = np.frombuffer(data[at + 4 : at + 4 + size - size % 3], np.uint8).reshape(-1, 3)
    if len(palette) == 0 or not np.ptp(palette.astype(np.int16), axis=1).any():
        return None
    return palette[:, ::-1]


def packed(colours: Image) -> NDArray[np.int32]:
    """BGR on the last axis → one number a colour."""
    blue, green, red = (colours[..., i].astype(np.int32) for i in range(3))
    return blue | green << 8 | red << 16
