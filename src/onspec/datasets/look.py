"""What a check keeps of how an image looks: its light, and its shrunk picture for finding copies.

Taken from the one decode that a check does anyway, of every pixel; nothing of the image's own size is kept.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onspec.imaging.look import gray_of, levels_of, shrunk
from onspec.imaging.reading import Image


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What is kept of an image. Levels are shares of the range of its dtype, 0…1.

    Attributes:
        small: float16 (SIDE × SIDE,), zero mean and unit deviation; `None` for an image without any contrast.
        brightness: the mean level.
        contrast: from the level under which 5 % of all pixels lie to that under which 95 % do.
        black, white: share of pixels at either end of the range.
    """

    small: NDArray[np.float16] | None
    brightness: float
    contrast: float
    black: float
    white: float


def look_at(image: Image) -> Look:
    """The look of a decoded image, uint8 or uint16, gray or RGB."""
    gray = gray_of(image)
    levels, small = levels_of(gray), shrunk(gray)
    return Look(
        small=None if small is None else small.astype(np.float16),
        brightness=levels.brightness,
        contrast=levels.contrast,
        black=levels.black,
        white=levels.white,
    )
