"""Small right files of every format, cut from a recipe's good samples."""

import io
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from benchmarks.fuzz import jpeg2000_files, jpeg_files, plain_files, png_files, tiff_files
from benchmarks.fuzz.mutators import BYTES, Mutation
from numpy.typing import NDArray
from PIL import Image

from onspec.imaging.preparation import holds_gray
from onspec.imaging.reading import decode_image
from onspec.recipe.package import Package

WIDTH, HEIGHT = 64, 48

Gray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Original:
    """A format: a right file, another one, and how the first is damaged."""

    data: bytes
    other: bytes
    mutations: tuple[Mutation, ...]


def originals(package: Package) -> dict[str, Original]:
    """By the name of the format. Two files each, of two places of the recipe's good samples."""
    first, second = (_files(gray) for gray in _pictures(package))
    return {name: Original(first[name], second[name], _MUTATIONS[name]) for name in first}


def _pictures(package: Package) -> tuple[Gray, Gray]:
    """Two pictures of WIDTH × HEIGHT px from the first sample that is known to be good.

    Raises:
        SystemExit: there is none that is large enough and gray.
    """
    for golden in package.golden:
        image = decode_image(golden.data, golden.name, package.recipe.input.camera)
        known = golden.expected is not None and golden.expected.verdict == "OK"
        if known and image.dtype == np.uint8 and holds_gray(image) and image.shape[0] >= HEIGHT + 8:
            gray = image if image.ndim == 2 else image[..., 1]
            return gray[:HEIGHT, :WIDTH].copy(), gray[8 : 8 + HEIGHT, -WIDTH:].copy()
    raise SystemExit("the recipe has no gray 8-bit golden sample that is OK; name another RECIPE")


def _files(gray: Gray) -> dict[str, bytes]:
    picture = Image.fromarray(gray)
    rgb = picture.convert("RGB")
    wide = gray.astype(np.uint16) * 257

    return {
        "png 8": _pil(picture, "PNG"),
        "png 16": _opencv(".png", wide),
        "png palette": _pil(rgb.quantize(16), "PNG"),
        "png alpha": _pil(rgb.convert("RGBA"), "PNG"),
        "png interlaced": _interlaced(gray),
        "jpeg": _pil(rgb, "JPEG"),
        "jpeg gray": _pil(picture, "JPEG"),
        "jpeg progressive": _pil(rgb, "JPEG", progressive=True),
        "tiff": _pil(picture, "TIFF"),
        "tiff 16": _opencv(".tiff", wide),
        "tiff lzw": _pil(rgb, "TIFF", compression="tiff_lzw"),
        "tiff deflate": _pil(rgb, "TIFF", compression="tiff_adobe_deflate"),
        "tiff packbits": _pil(picture, "TIFF", compression="packbits"),
        "tiff pages": _pil(picture, "TIFF", save_all=True, append_images=[picture]),
        "tiff tiled": _tiled(gray),
        "bigtiff": _pil(picture, "TIFF", big_tiff=True),
        "bmp": _pil(rgb, "BMP"),
        "bmp palette": _pil(picture, "BMP"),
        "jpeg 2000": _opencv(".jp2", gray),
        "pgm": _opencv(".pgm", wide),
        "pgm text": b"P2 %d %d 255\n" % (WIDTH, HEIGHT) + b" ".join(b"%d" % value for value in gray.ravel().tolist()),
        "ppm": _pil(rgb, "PPM"),
    }


def _pil(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _opencv(ending: str, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    return bytes(cv2.imencode(ending, pixels)[1])


def _interlaced(gray: Gray) -> bytes:
    """A PNG in seven passes (PNG specification, 8.2), no filter."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = [b"\0" + row.tobytes() for x, y, right, down in passes for row in gray[y::down, x::right]]
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 1)
    return png_files.file_of([(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")])


def _tiled(gray: Gray) -> bytes:
    """A TIFF of 16x16 tiles, written by hand: header, tiles, their offsets and sizes, the directory."""
    tiles = [gray[y : y + 16, x : x + 16].tobytes() for y in range(0, HEIGHT, 16) for x in range(0, WIDTH, 16)]
    offsets = struct.pack("<12I", *(8 + 256 * k for k in range(12)))
    lists = 8 + 256 * 12
    entries = (
        (256, 3, 1, WIDTH), (257, 3, 1, HEIGHT), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1),
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


_MUTATIONS: dict[str, tuple[Mutation, ...]] = {
    **dict.fromkeys(("png 8", "png 16", "png palette", "png alpha", "png interlaced"), png_files.MUTATIONS),
    **dict.fromkeys(("jpeg", "jpeg gray", "jpeg progressive"), (*BYTES, *jpeg_files.MUTATIONS)),
    **dict.fromkeys(
        ("tiff", "tiff 16", "tiff lzw", "tiff packbits", "tiff pages", "tiff tiled", "bigtiff"),
        (*BYTES, *tiff_files.MUTATIONS),
    ),
    "tiff deflate": (*BYTES, *tiff_files.CHECKED),
    "bmp": (*BYTES, *plain_files.BMP),
    "bmp palette": (*BYTES, *plain_files.BMP_PALETTE),
    "jpeg 2000": (*BYTES, *jpeg2000_files.MUTATIONS),
    **dict.fromkeys(("pgm", "ppm"), (*BYTES, *plain_files.PNM)),
    "pgm text": (*BYTES, *plain_files.PNM_TEXT),
}
