"""The taught image, moved and in other light: what finding a part is tried on before a recipe relies on it."""

import cv2
import numpy as np

from onspec.domain.placement import Placement
from onspec.imaging.reading import Image

_NOISE = 4.0
_GAIN = 0.85


def moved(image: Image, placement: Placement) -> Image:
    """The image turned and shifted as a placement says; beyond its edge, the edge's pixels go on."""
    corners = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]])
    before, after = ((points - 0.5).astype(np.float32) for points in (corners, placement.to_image(corners)))
    size = (image.shape[1], image.shape[0])
    matrix = cv2.getAffineTransform(before, after)
    return np.asarray(
        cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), image.dtype
    )


def darker_and_noisy(image: Image, seed: int) -> Image:
    """Less light, and noise of 4 of 255 gray values; the same for the same seed."""
    most = int(np.iinfo(image.dtype).max)
    noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32) * (_NOISE * most / 255)
    return np.asarray(np.clip(np.round(image * _GAIN + noise), 0, most), image.dtype)


def rehearsals(reference: tuple[float, float], most_deg: float, most_px: float, count: int = 8) -> list[Placement]:
    """Placements spread over what is allowed, the same each time."""
    rng = np.random.default_rng(0)
    spread = []
    for _ in range(count):
        shift = rng.uniform(-1, 1, 2) * most_px / np.sqrt(2)
        there = (reference[0] + float(shift[0]), reference[1] + float(shift[1]))
        spread.append(Placement(reference, there, float(rng.uniform(-1, 1)) * most_deg, 1.0))
    return spread
