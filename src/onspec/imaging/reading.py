"""Image files and bytes → arrays. Nothing else in onspec decodes an image."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import UnreadableImageError

Image = NDArray[Any]
"""uint8 or uint16, (H, W) gray or (H, W, 3) RGB."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".jp2", ".pgm", ".ppm")
"""File name endings that are taken for images, in any case."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_MEANING = "uint8 or uint16, gray or RGB"


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
        raise UnreadableImageError(f"{path}: cannot be read ({error.strerror}); check the file's rights") from error
    if not data:
        raise UnreadableImageError(f"{path}: the image file is empty (0 bytes); copy it again from its source")
    return data


def read_image(path: Path) -> Image:
    """Decode an image file: uint8 or uint16, (H, W) or (H, W, 3) RGB, EXIF orientation applied, alpha dropped.

    Raises:
        UnreadableImageError: absent, truncated, corrupt, of an unknown format or a pixel type that is not 8 or 16 bit.
    """
    return decode_image(read_bytes(path), str(path))


def decode_image(data: bytes, name: str) -> Image:
    """Decode the bytes of an image file; `name` stands in the error. Otherwise as `read_image`."""
    _refuse_truncated(data, name)
    image = _decode(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if image is None:
        raise UnreadableImageError(
            f"{name}: not an image that can be decoded (corrupt, of an unknown format, or larger than allowed); "
            f"formats: {', '.join(s[1:] for s in SUFFIXES)}"
        )
    if image.dtype not in (np.uint8, np.uint16):
        raise UnreadableImageError(f"{name}: pixels are {image.dtype}; allowed: {_MEANING}; save it with 8 or 16 bit")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def decode_raw(data: bytes) -> Image | None:
    """Decode with every channel kept (BGR or BGRA order), or `None`: for label images, whose values are a code."""
    return _decode(data, cv2.IMREAD_UNCHANGED)


def _decode(data: bytes, flags: int) -> Image | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # what OpenCV throws for broken headers and for more pixels than it allows
        return None


def _refuse_truncated(data: bytes, name: str) -> None:
    """OpenCV fills the missing rest of a PNG or JPEG with gray and says nothing; the rest may pass for a good part."""
    if data.startswith(_PNG):
        fault = _png_fault(data)
    elif data.startswith(_JPEG):
        fault = None if b"\xff\xd9" in data[-1024:] else "the end marker is missing"
    else:
        fault = None
    if fault:
        raise UnreadableImageError(f"{name}: truncated or corrupt image ({fault}); copy it again from its source")


def _png_fault(data: bytes) -> str | None:
    """Walk the chunks (PNG specification, 5.3): each carries its length and a CRC; the last is IEND."""
    at = len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        kind = data[at + 4 : at + 8]
        if zlib.crc32(data[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return f"checksum of chunk {kind.decode('ascii', 'replace')} is wrong"
        if kind == b"IEND":
            return None
        at = end
    return "it ends before its last chunk"
