"""Image files and bytes → arrays. Nothing else in onspec decodes an image."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from onspec.domain import UnreadableImageError
from onspec.imaging import bmp, jpeg, jpeg2000, netpbm, png, tiff
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.developing import develop
from onspec.imaging.raw import Raw, opencv_decode, refused
from onspec.imaging.tiff_pixels import read_tiff

Image = NDArray[Any]
"""uint8 or uint16, (H, W) gray or (H, W, 3) RGB; values fill the range of their type."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".jp2", ".pgm", ".ppm")
"""File name endings that are taken for images, in any case."""

_READERS: dict[bytes, Callable[[bytes, str], Raw]] = {
    png.MAGIC: png.read_png,
    jpeg.MAGIC: jpeg.read_jpeg,
    bmp.MAGIC: bmp.read_bmp,
    **dict.fromkeys(jpeg2000.MAGICS, jpeg2000.read_jpeg2000),
    **dict.fromkeys(netpbm.MAGICS, netpbm.read_netpbm),
}
"""First bytes of a file of one image → what reads it. TIFF alone has pages."""

_ADVICE = {errno.ENAMETOOLONG: "shorten the names of its folders", errno.EISDIR: "name a file in it"}
"""What to do about an error of the file system; otherwise the rights are to blame, or the network."""


def is_image(path: Path) -> bool:
    """Whether the file's name says that it is an image; hidden files are not."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_bytes(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        UnreadableImageError: the file is absent, a folder, empty, or may not be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UnreadableImageError(f"{path}: no such image file; check the name and the folder") from None
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "check the file's rights, and its drive or network")
        raise UnreadableImageError(f"{path}: cannot be read ({error.strerror}); {advice}") from error
    except ValueError as error:  # a name that no file can have
        raise UnreadableImageError(f"{str(path)!r}: cannot be read ({error}); check the name") from error
    if not data:
        raise UnreadableImageError(f"{path}: the image file is empty (0 bytes); copy it again from its source")
    return data


def read_image(path: Path, camera: Camera = AS_STORED) -> Image:
    """Decode an image file: uint8 or uint16, (H, W) or (H, W, 3) RGB, EXIF orientation applied, alpha dropped.

    Values fill the range of their type: what a file or the `camera` declares as 12 bits is widened to 16, and a Bayer
    mosaic that the camera names becomes RGB.

    Raises:
        UnreadableImageError: absent, truncated, corrupt, of an unknown format or a pixel type that is not 8 to 16 bit,
            one of several pages of which none is named, or not what the camera was said to give.
    """
    return decode_image(read_bytes(path), str(path), camera)


def decode_image(data: bytes, name: str, camera: Camera = AS_STORED) -> Image:
    """Decode the bytes of an image file; `name` stands in the error. Otherwise as `read_image`."""
    if data.startswith(tiff.MAGICS):
        return develop(read_tiff(data, name, camera.page), camera, name)
    read = next((read for magic, read in _READERS.items() if data.startswith(magic)), None)
    if read is None:
        raise UnreadableImageError(
            f"{name}: not an image that can be decoded (corrupt, or of an unknown format); "
            f"formats: {', '.join(s[1:] for s in SUFFIXES)}"
        )
    if camera.page:
        raise refused(name, f"no page {camera.page}", "a TIFF of so many pages", "take page out of camera.yaml")
    return develop(read(data, name), camera, name)


def decode_raw(data: bytes) -> Image | None:
    """Decode with every channel kept (BGR or BGRA order), or `None`: for label images, whose values are a code."""
    if data.startswith(png.MAGIC) and not png.is_whole(data):
        return None
    return opencv_decode(data, cv2.IMREAD_UNCHANGED)
