"""Arrays → image files, never half-written ones."""

import os
import threading
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import ScoreMap, UsageError
from onspec.imaging.reading import Image


def encode_image(image: Image, suffix: str = ".png", *, quality: int = 95) -> bytes:
    """Encode gray (H, W) or RGB (H, W, 3), uint8 or uint16, losslessly for `.png`; `quality` (0…100) is JPEG's.

    Raises:
        UsageError: no encoder for the suffix.
    """
    array = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    try:
        ok, data = cv2.imencode(suffix, array, _options(suffix, quality))
    except cv2.error as error:
        raise UsageError(f"cannot write images as {suffix!r}; use .png") from error
    if not ok:
        raise UsageError(f"cannot write {image.dtype} {image.shape} as {suffix!r}; use .png")
    return data.tobytes()


def _options(suffix: str, quality: int) -> list[int]:
    return [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix.lower() in (".jpg", ".jpeg") else []


def write_image(path: Path, image: Image) -> None:
    """Write an image in the format of its suffix; the folder is made."""
    write_bytes(path, encode_image(image, path.suffix))


def write_map(path: Path, score_map: ScoreMap) -> None:
    """Write scores as a 16-bit PNG, 0…65535 = 0…1, rounded to nearest."""
    values: NDArray[np.uint16] = np.rint(score_map.values * 65535.0).astype(np.uint16)
    write_image(path, values)


def write_bytes(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write aside, then rename: a reader sees the old file or the whole new one. The folder is made.

    Raises:
        UsageError: the place cannot be written to, or the disk is full; nothing half-written is left.
    """
    aside = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
                file.write(data)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}); check the folder, its rights and space"
        ) from error
