"""One training crop: pixels under random geometry and light, and what is true of them."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.imaging.instances import core_target
from onspec.imaging.masks import Mask
from onspec.imaging.preparation import InputSpec, Tensor, to_tensor
from onspec.imaging.reading import Image
from onspec.training.augmentation import Augmentation, relit
from onspec.training.geometry import Matrix, crop_matrix, inside, warped, warped_boxes, warped_masks
from onspec.training.pool import Labelled, Pixels
from onspec.training.reach import reach, shifted

Paint = Callable[[Image, Generator], tuple[Image, Mask]]
"""Draws a synthetic defect on a crop: the changed crop, and uint8 (S, S) of 0/1 where it changed."""

Disguise = Callable[[Image, Generator], Image]
"""Changes a crop of good surface so that it is still good."""

_WIDER = {"rotation_deg": 30.0, "zoom": 0.5}
"""How much further a pasted defect may be turned and scaled than crops are, as a part's own defects vary more than the
part."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true of a crop.

    Attributes:
        mask: uint8 (K, S, S) of 0/1, with the plane of object cores behind it where the plan has one; where labels are
            not about pixels, the one plane of a synthetic defect, or none.
        boxes: float32 (n, 4) of left, top, right, bottom in crop px; `kinds`, int64 (n,), their classes.
        valid: float32 (1, S, S), 0 outside of the image.
        cls: class of the whole image, 0 for good.
        located: the label says which pixels are defective.
    """

    mask: Mask
    boxes: NDArray[np.float32]
    kinds: NDArray[np.int64]
    valid: Tensor
    cls: int
    located: bool


@dataclass(frozen=True, slots=True)
class Donor:
    """A located defect of another image, to be pasted: its image, which of its spots, and the place in it."""

    item: Labelled
    spot: int
    centre: tuple[float, float]


def cut(
    item: Labelled,
    centre: tuple[float, float],
    size: int,
    how: Augmentation,
    spec: InputSpec,
    rng: Generator,
    *,
    donor: Donor | None = None,
    paint: Paint | None = None,
    separate: bool = False,
) -> tuple[Tensor, Truth]:
    """Cut a `size`×`size` crop around `centre` (x, y in working px), warped and relit: float32 (C, S, S) and its truth.

    Beyond an image's border the tensor is 0, as the network sees it in production, and so is `valid`. A
    `donor`'s defect is pasted into it, and `paint` may draw a synthetic one, with its core where objects are told apart
    (`separate`).
    """
    placed = crop_matrix(centre, size, how, rng)
    pixels, matrix = _around(item, placed, size)
    image, mask = warped(pixels.image, matrix, size), warped_masks(pixels.mask, matrix, size)
    valid = inside(matrix, size, pixels.image.shape[:2])
    if donor is not None:
        image, mask = pasted(image, mask, donor, size, how, rng)
    if paint is not None:
        image, drawn = paint(image, rng)
        mask = mask.copy() if len(mask) else np.zeros((1, size, size), np.uint8)
        mask[0] |= drawn
        if separate:
            mask[-1] |= core_target(np.asarray(cv2.connectedComponents(drawn, connectivity=8)[1], np.int32))
    tensor = relit(to_tensor(image, spec, item.stats), how, rng) * valid
    boxes = warped_boxes(item.boxes, placed)
    return tensor, Truth(mask, boxes, item.kinds, valid, item.cls, item.located)


def _around(item: Labelled, matrix: Matrix, size: int) -> tuple[Pixels, Matrix]:
    """What of an image a crop is made of, and the map from the crop to that."""
    rows, columns = reach(matrix, size, item.size[::-1])
    return item.part(rows, columns), shifted(matrix, rows, columns)


def pasted(image: Image, mask: Mask, donor: Donor, size: int, how: Augmentation, rng: Generator) -> tuple[Image, Mask]:
    """The crop with the donor's defect on it, brought to the light of its new surroundings; both anew.

    Copy-paste (Ghiasi et al. 2021) makes more of few defects: each appears on every surface that is known. Mean and
    deviation of a ring around the defect are matched to those of the place it comes to, and its border is soft.
    """
    spot = donor.item.spots[donor.spot]
    wider = how.model_copy(update={k: max(v, getattr(how, k)) for k, v in _WIDER.items()})
    pixels, matrix = _around(donor.item, crop_matrix(donor.centre, size, wider, rng), size)
    known = inside(matrix, size, pixels.image.shape[:2])[0] > 0
    planes = warped_masks(pixels.mask, matrix, size)
    shown = planes[spot.cls] * known.astype(np.uint8)
    grown = cv2.dilate(shown, np.ones((7, 7), np.uint8))
    ring = (cv2.dilate(grown, np.ones((15, 15), np.uint8)) > grown) & known
    if not shown.any() or np.count_nonzero(ring) < 20:
        return image, mask
    there, here = warped(pixels.image, matrix, size).astype(np.float32), image.astype(np.float32)
    mean_there, mean_here = there[ring].mean(axis=0), here[ring].mean(axis=0)
    gain = np.clip((here[ring].std(axis=0) + 1) / (there[ring].std(axis=0) + 1), 0.5, 2.0)
    soft = cv2.GaussianBlur(grown.astype(np.float32), (0, 0), 1.5)
    if here.ndim == 3:
        soft = soft[..., None]
    mixed = here * (1 - soft) + soft * (mean_here + (there - mean_there) * gain)
    top = float(np.iinfo(image.dtype).max)
    return np.clip(np.rint(mixed), 0, top).astype(image.dtype), np.where(shown, planes, mask)  # cores come with it
