"""Stored pixels → an image: once, right after decoding. Training and production both come through here."""

import cv2
import numpy as np

from onspec.domain import UnreadableImageError
from onspec.imaging.camera import Bayer, Camera
from onspec.imaging.raw import Pixels, Raw, refused

_DEMOSAICING = {
    "RGGB": cv2.COLOR_BayerRGGB2RGB_EA,
    "BGGR": cv2.COLOR_BayerBGGR2RGB_EA,
    "GRBG": cv2.COLOR_BayerGRBG2RGB_EA,
    "GBRG": cv2.COLOR_BayerGBRG2RGB_EA,
}
"""The sensor's pattern → OpenCV's code, green along edges. OpenCV's older two-letter names begin one pixel further in:
its BayerBG is the sensor's RGGB."""

_TURNS = {
    2: (cv2.ROTATE_180, 0),
    3: (cv2.ROTATE_180, None),
    4: (None, 0),
    5: (cv2.ROTATE_90_CLOCKWISE, 1),
    6: (cv2.ROTATE_90_CLOCKWISE, None),
    7: (cv2.ROTATE_90_CLOCKWISE, 0),
    8: (cv2.ROTATE_90_COUNTERCLOCKWISE, None),
}
"""EXIF orientation → OpenCV's rotation, then the axis to mirror (0 upside down, 1 left to right)."""


def develop(raw: Raw, camera: Camera, name: str) -> Pixels:
    """Values to the full range of their type, a mosaic to RGB, then upright: uint8 or uint16, (H, W) or (H, W, 3).

    Raises:
        UnreadableImageError: values, depth or colour that are not what the camera was said to give.
    """
    pixels = _full_range(raw.pixels, _depth(raw, camera, name), name)
    if camera.bayer is not None:
        pixels = demosaic(pixels, camera.bayer, name)
    return upright(pixels, raw.orientation)


def widen(pixels: Pixels, bits: int) -> Pixels:
    """Values of `bits` (9 … 16) → the same as shares of 65535: v · 65535 / (2**bits - 1), at most 1 off.

    The upper bits are repeated below the lowest one, so that v can be had back by a shift.
    """
    return np.asarray((pixels << np.uint16(16 - bits)) | (pixels >> np.uint16(2 * bits - 16)), np.uint16)


def demosaic(mosaic: Pixels, bayer: Bayer, name: str) -> Pixels:
    """A Bayer mosaic (H, W) → (H, W, 3) RGB of the same type.

    Raises:
        UnreadableImageError: colour already, or smaller than 3 px.
    """
    if mosaic.ndim != 2:
        raise refused(
            name, f"a colour image, where a {bayer} mosaic was named", "gray files", "take bayer out of camera.yaml"
        )
    if min(mosaic.shape) < 3:
        height, width = mosaic.shape
        raise refused(name, f"a mosaic of {width}×{height} px", "3×3 px and more", "check the camera's format")
    return cv2.demosaicing(mosaic, _DEMOSAICING[bayer])


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turned and mirrored as EXIF says; an orientation outside 1 … 8 says nothing."""
    turn, axis = _TURNS.get(orientation, (None, None))
    if turn is not None:
        pixels = cv2.rotate(pixels, turn)
    return pixels if axis is None else cv2.flip(pixels, axis)


def _depth(raw: Raw, camera: Camera, name: str) -> int:
    """The depth that the file declares, or else the one that was named, or else that of the type."""
    holds = 8 * raw.pixels.dtype.itemsize
    if camera.bits is None:
        return raw.bits or holds
    if raw.bits not in (None, camera.bits) or camera.bits > holds:
        raise refused(
            name, f"a file of {raw.bits or holds} bits", f"{camera.bits} bits, as named", "correct bits in camera.yaml"
        )
    return camera.bits


def _full_range(pixels: Pixels, bits: int, name: str) -> Pixels:
    """Values never decide their own scaling; one that cannot be is refused, not clipped."""
    if bits == 8 * pixels.dtype.itemsize:
        return pixels
    top, found = 2**bits - 1, int(pixels.max())
    if found > top:
        raise UnreadableImageError(
            f"{name}: holds the value {found}; of {bits} bits the largest is {top}; correct bits in camera.yaml or the "
            "camera's pixel format (leave bits out if it moves its values up to fill 16 bits)"
        )
    return pixels.astype(np.uint8) if bits == 8 else widen(pixels, bits)
