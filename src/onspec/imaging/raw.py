"""What an image file holds, before it is developed into an image."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import UnreadableImageError

Pixels = NDArray[Any]
"""uint8 or uint16, (H, W) gray or (H, W, 3) RGB."""

MOST_PIXELS = 1 << 30
"""What OpenCV allows, too: a broken header must not take all memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """The pixels as they are stored.

    Attributes:
        bits: the depth that the file declares, if its type can hold more; `None` where values fill their type, or
            nobody but the camera's user knows.
        orientation: 1 … 8 as EXIF counts: how the pixels are to be turned.
    """

    pixels: Pixels
    bits: int | None = None
    orientation: int = 1


def damaged(name: str, fault: str) -> UnreadableImageError:
    """The error for a file that is not as it was written."""
    return UnreadableImageError(f"{name}: truncated or corrupt image ({fault}); copy it again from its source")


def refused(name: str, got: str, allowed: str, advice: str) -> UnreadableImageError:
    """The error for a file that is whole, but of a kind that is not judged."""
    return UnreadableImageError(f"{name}: {got}; allowed: {allowed}; {advice}")


def by_opencv(data: bytes, name: str) -> Pixels:
    """Decode with OpenCV to gray or RGB, alpha dropped, not turned by EXIF.

    Raises:
        UnreadableImageError: OpenCV cannot.
    """
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = opencv_decode(data, flags)
    if pixels is None:
        raise damaged(name, "its pixels cannot be decoded")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if pixels.ndim == 3 else pixels


def opencv_decode(data: bytes, flags: int) -> Pixels | None:
    """What OpenCV makes of a file; `None` for broken headers and for more pixels than it allows."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
