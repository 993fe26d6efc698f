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

Mask = NDArray[np.uint8]
"""uint8 (H, W): 1 where the class is, 0 elsewhere."""


def decode_mask(data: bytes, name: str, *, inverted: bool = False) -> Mask:
    """Decode a label file to uint8 (H, W) of 0 and 1.

    `inverted` marks sets that draw the background bright (0 is the class); it is a property of a set, so it is
    decided over the set, not for each file.

    Raises:
        LabelError: the file cannot be decoded.
    """
    raw = decode_raw(data)
    if raw is None:
        raise LabelError(f"{name}: label image cannot be decoded; export it again as PNG")
    mask = binarise(_one_channel(raw))
    return (1 - mask).astype(np.uint8) if inverted else mask


def binarise(gray: Image) -> Mask:
    """Values → 0/1. Label codes (0/1, 0/1/2 …) are set where not 0, gray levels where over half of the range.

    A file with its values within 0…31 holds codes: no gray edge ends there. Everything else is a picture of a mask
    whose edges may be anti-aliased, so half of the full range of the dtype is the border.
    """
    top = int(gray.max(initial=0))
    if top < 32:
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


def _one_channel(raw: Image) -> Image:
    """Gray of a colour, palette (decoded to colours) or RGBA label: what differs from black, or the alpha channel."""
    if raw.ndim == 2:
        return raw
    if raw.shape[2] == 2:
        return np.ascontiguousarray(raw[..., 0])
    if raw.shape[2] == 4:
        alpha = raw[..., 3]
        opaque = int(np.iinfo(raw.dtype).max)
        if int(alpha.min()) < opaque:  # drawn on a transparent ground
            return np.ascontiguousarray(alpha)
        raw = raw[..., :3]
    return np.ascontiguousarray(raw.max(axis=2))


def draw_ellipse(mask: Mask, centre: tuple[float, float], axes: tuple[float, float], angle_deg: float) -> None:
    """Fill an ellipse into `mask` in place; sub-pixel centre and semi-axes (px), angle from x towards y (degrees)."""
    bits = 4
    one = 1 << bits
    point = (round(centre[0] * one), round(centre[1] * one))
    half = (round(axes[0] * one), round(axes[1] * one))
    cv2.ellipse(mask, point, half, angle_deg, 0, 360, 1, thickness=-1, shift=bits)
