"""Small right files of every format, by name."""

import io
import struct

import cv2
import numpy as np
from PIL import Image


def originals(seed: int) -> dict[str, tuple[bytes, bytes]]:
    """Two files a format, of 64x48 px, with different content."""
    first, second = (_files(np.random.default_rng(seed + k)) for k in range(2))
    return {name: (first[name], second[name]) for name in first}


def _files(chance: np.random.Generator) -> dict[str, bytes]:
    gray = cv2.resize(chance.integers(0, 256, (6, 8), np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC)
    picture = Image.fromarray(gray)
    rgb = picture.convert("RGB")
    wide = gray.astype(np.uint16) * 257

    def pil(image: Image.Image, kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    def opencv(ending: str, pixels: np.ndarray) -> bytes:
        return bytes(cv2.imencode(ending, pixels)[1])

    return {
        "png 8": pil(picture, "PNG"),
        "png 16": opencv(".png", wide),
        "png palette": pil(rgb.quantize(16), "PNG"),
        "png alpha": pil(rgb.convert("RGBA"), "PNG"),
        "jpeg": pil(rgb, "JPEG"),
        "jpeg progressive": pil(rgb, "JPEG", progressive=True),
        "tiff": pil(picture, "TIFF"),
        "tiff lzw": pil(rgb, "TIFF", compression="tiff_lzw"),
        "tiff deflate": pil(rgb, "TIFF", compression="tiff_adobe_deflate"),
        "tiff packbits": pil(picture, "TIFF", compression="packbits"),
        "tiff pages": pil(picture, "TIFF", save_all=True, append_images=[picture]),
        "tiff tiled": _tiled(gray),
        "bigtiff": pil(picture, "TIFF", big_tiff=True),
        "bmp": pil(rgb, "BMP"),
        "jpeg 2000": opencv(".jp2", gray),
        "pgm": opencv(".pgm", wide),
        "ppm": pil(rgb, "PPM"),
    }


def _tiled(gray: np.ndarray) -> bytes:
    """A TIFF of 16x16 tiles, written by hand: header, tiles, their offsets and sizes, the directory."""
    tiles = [gray[y : y + 16, x : x + 16].tobytes() for y in range(0, 48, 16) for x in range(0, 64, 16)]
    offsets = struct.pack("<12I", *(8 + 256 * k for k in range(12)))
    lists = 8 + 256 * 12
    entries = (
        (256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1),
        (322, 3, 1, 16), (323, 3, 1, 16), (324, 4, 12, lists), (325, 4, 12, lists + 48),
    )  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return (
        struct.pack("<2sHI", b"II", 42, lists + 96)
        + b"".join(tiles)
        + offsets
        + struct.pack("<12I", *[256] * 12)
        + directory
    )
