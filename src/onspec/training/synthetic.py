"""Synthetic defects on good parts: for plants that have no defective part yet, and beside the few real ones.

A segmentation network can learn from good images whose surface was changed in places: DRAEM (Zavrtanik et al., ICCV
2021) laid foreign textures in shapes of Perlin noise, CutPaste (Li et al., CVPR 2021) and NSA (Schlüter et al., ECCV
2022) pasted pieces of the parts themselves, SuperSimpleNet (Rolih et al., ICPR 2024) does it in a network's features.
What is learned from pasting alone is seams. So most of the kinds here change a surface's own texture or light, how
strongly follows from what is just visible on that very surface, what was changed but cannot be seen is not labelled,
and `harmless` leaves the traces of painting where nothing is wrong.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator

from onspec.imaging.masks import Mask
from onspec.imaging.reading import Image
from onspec.training.defect_kinds import KINDS, Kind
from onspec.training.defect_shapes import SHAPES
from onspec.training.defect_spot import Spot, Surface, at_an_edge, in_dtype, place, somewhere, surface_of
from onspec.training.harmless import disguised
from onspec.training.visibility import Texture, changed_pixels, texture_of, visibility

_KINDS_TRIED = 4
"""So many kinds are tried, each at two places, before a defect is painted that shows anywhere."""

_LARGEST = 0.6
"""The largest side of a defect, as a share of the crop's."""

_NEAR = np.ones((7, 7), np.uint8)
"""What is changed further than 3 px from what can be seen is put back."""

Painted = tuple[Image, Mask]
"""A changed copy of a crop, in its dtype and shape, and uint8 (H, W) of 0/1 where the change can be seen."""


class Synthesiser:
    """Paints defects on crops of good parts. Every choice comes from the generator passed in; threads may share it.

    Args:
        images: good parts, uint8 or uint16, (H, W) or (H, W, 3), all of one dtype and kind; pieces are taken from them.

    Raises:
        ValueError: no image, or images of several dtypes or kinds.
    """

    def __init__(self, images: Sequence[Image]) -> None:
        self.surface = surface_of(images)

    def paint(self, crop: Image, rng: Generator) -> Painted:
        """A copy of a good crop with one defect, and the mask of what can be seen of it; it is never empty.

        Raises:
            ValueError: the crop is of another dtype or kind than the good images.
        """
        self._refuse_other(crop)
        texture = texture_of(crop)
        for _ in range(_KINDS_TRIED):
            kind = _NAMED[rng.integers(len(_NAMED))]
            for least in (kind.least, 2 * kind.least):  # what is too faint where small may show where large
                spot = placed(crop, self.surface, kind, least, rng)
                painted = None if spot is None else painted_at(spot, kind, texture, rng)
                if painted is not None:
                    return painted
        return _painted_surely(crop, self.surface, rng)

    def harmless(self, crop: Image, rng: Generator) -> Image:
        """A copy of a good crop that was changed, too, and is still good: a negative to learn beside the painted ones.

        Raises:
            ValueError: the crop is of another dtype or kind than the good images.
        """
        self._refuse_other(crop)
        return disguised(crop, self.surface, rng)

    def _refuse_other(self, crop: Image) -> None:
        like = self.surface.images[0]
        if crop.dtype != like.dtype or crop.ndim != like.ndim:
            raise ValueError(
                f"the crop must be {like.dtype} of {like.ndim} axes as the good images are; "
                f"got {crop.dtype} {crop.shape}"
            )


_NAMED = tuple(KINDS.values())


def placed(crop: Image, surface: Surface, kind: Kind, least: float, rng: Generator) -> Spot | None:
    """Anywhere, in any of the kind's shapes, of any side from `least` px on; `None` where it misses the crop."""
    room = float(min(crop.shape[:2]))
    least = min(least, _LARGEST * room)
    side = least * float(np.exp(rng.uniform(0, np.log(_LARGEST * room / least))))
    shape = SHAPES[kind.shapes[rng.integers(len(kind.shapes))]]
    outline = shape.draw(side, 1.2 * room, rng)
    return place(crop, surface, outline, at_an_edge(crop, rng) if shape.at_edge else somewhere(crop, rng))


def painted_at(spot: Spot, kind: Kind, texture: Texture, rng: Generator) -> Painted | None:
    """The crop with a kind of defect at a place, if it can be seen there."""
    patch = in_dtype(kind.change(spot, rng), spot.crop.dtype)
    changed = patch.astype(np.float32)
    mask = changed_pixels(spot, changed)
    if not mask.any() or visibility(spot, changed, mask, texture) < 1:
        return None
    near = cv2.dilate(mask, _NEAR) > 0
    here = np.s_[spot.top : spot.top + mask.shape[0], spot.left : spot.left + mask.shape[1]]
    image, whole = spot.crop.copy(), np.zeros(spot.crop.shape[:2], np.uint8)
    image[here][near] = patch[near]
    whole[here] = mask
    return image, whole


def _painted_surely(crop: Image, surface: Surface, rng: Generator) -> Painted:
    """With a disc of the level that is furthest from what is there: it shows on any surface."""
    height, width = crop.shape[:2]
    radius = rng.uniform(2, max(3.0, 0.1 * min(height, width)))
    x, y = rng.integers(width), rng.integers(height)
    rows, columns = np.ogrid[0:height, 0:width]
    mask = (np.hypot(rows - y, columns - x) <= radius).astype(np.uint8)
    image = crop.copy()
    bright = float(crop[mask > 0].mean()) > (surface.low + surface.high) / 2
    image[mask > 0] = round(surface.low if bright else surface.high)
    return image, mask
