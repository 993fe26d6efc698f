"""A window of a file holds what the whole image does, and costs no more than it must."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from onspec.domain import UnreadableImageError
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.reading import read_image
from onspec.imaging.windows import read_window, reads_rows
from onspec.imaging.writing import write_image

Pixels = NDArray[np.uint8 | np.uint16]
SIZES = {"gray": (61, 83), "colour": (61, 83, 3)}


def noise(colour: str, dtype: str) -> Pixels:
    top = int(np.iinfo(np.dtype(dtype)).max) + 1
    return np.random.default_rng(1).integers(0, top, SIZES[colour]).astype(dtype)


def tiled_tiff(path: Path, image: Pixels, side: int = 32, *, big_endian: bool = False, deflate: bool = False) -> None:
    """By the specification (TIFF 6.0, sections 2 and 15): tiles row by row, the last ones filled up."""
    order: Literal["<", ">"] = ">" if big_endian else "<"
    height, width, samples = (*image.shape, 1)[:3]
    padded = np.zeros((-(-height // side) * side, -(-width // side) * side, samples), image.dtype)
    padded[:height, :width] = image.reshape(height, width, samples)
    tiles = [
        padded[y : y + side, x : x + side].astype(image.dtype.newbyteorder(order)).tobytes()
        for y in range(0, padded.shape[0], side)
        for x in range(0, padded.shape[1], side)
    ]
    tiles = [zlib.compress(tile) for tile in tiles] if deflate else tiles
    data, offsets = b"", []
    for tile in tiles:
        offsets.append(8 + len(data))
        data += tile
    tags: list[tuple[int, list[int]]] = [
        (256, [width]), (257, [height]), (258, [8 * image.itemsize] * samples), (259, [8 if deflate else 1]),
        (262, [2 if samples == 3 else 1]), (277, [samples]), (322, [side]), (323, [side]), (324, offsets),
        (325, [len(tile) for tile in tiles]),
    ]  # fmt: skip
    at = 8 + len(data) + 2 + 12 * len(tags) + 4
    entries, rest = b"", b""
    for tag, values in tags:
        packed = struct.pack(f"{order}{len(values)}I", *values)
        place = packed if len(values) == 1 else struct.pack(f"{order}I", at + len(rest))
        rest += packed if len(values) > 1 else b""
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + place
    head = struct.pack(f"{order}2sHI", b"MM" if big_endian else b"II", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + rest)


def stripped(compression: int, rows: int | None = None) -> Callable[[Path, Pixels], None]:
    def write(path: Path, image: Pixels) -> None:
        options = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
        options += [] if rows is None else [cv2.IMWRITE_TIFF_ROWSPERSTRIP, rows]
        stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
        assert cv2.imwrite(str(path), stored, options)

    return write


def by_pillow(path: Path, image: Pixels) -> None:
    Pillow.fromarray(image).save(path)


def pnm(path: Path, image: Pixels) -> None:
    kind, top = ("P6" if image.ndim == 3 else "P5"), int(np.iinfo(image.dtype).max)
    head = f"{kind}\n{image.shape[1]} {image.shape[0]}\n{top}\n".encode()
    path.write_bytes(head + image.astype(image.dtype.newbyteorder(">")).tobytes())


def top_down_bmp(path: Path, image: Pixels) -> None:
    write_image(path, image[::-1])
    data = bytearray(path.read_bytes())
    struct.pack_into("<i", data, 22, -image.shape[0])
    path.write_bytes(data)


CHEAP: dict[str, tuple[str, Callable[[Path, Pixels], None], tuple[str, ...]]] = {
    "strips": (".tif", stripped(1, 8), ("uint8", "uint16")),
    "one strip": (".tif", stripped(1, 9999), ("uint8", "uint16")),
    "lzw": (".tif", stripped(5, 8), ("uint8", "uint16")),
    "deflate": (".tif", stripped(32946, 8), ("uint8", "uint16")),
    "tiles": (".tif", tiled_tiff, ("uint8", "uint16")),
    "tiles, most significant byte first": (".tif", lambda p, i: tiled_tiff(p, i, big_endian=True), ("uint16",)),
    "deflated tiles": (".tif", lambda p, i: tiled_tiff(p, i, deflate=True), ("uint8", "uint16")),
    "pnm": (".ppm", pnm, ("uint8", "uint16")),
    "bmp": (".bmp", by_pillow, ("uint8",)),
    "bmp from the top": (".bmp", top_down_bmp, ("uint8",)),
}
WHOLE: dict[str, tuple[str, Callable[[Path, Pixels], None], tuple[str, ...]]] = {
    "png": (".png", write_image, ("uint8", "uint16")),
    "jpeg": (".jpg", write_image, ("uint8",)),
}
KINDS = [
    (kind, dtype, colour) for kind, (_, _, dtypes) in {**CHEAP, **WHOLE}.items() for dtype in dtypes for colour in SIZES
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Path]:
    folder = tmp_path_factory.mktemp("windows")
    made = {}
    for n, (kind, dtype, colour) in enumerate(KINDS):
        suffix, write, _ = {**CHEAP, **WHOLE}[kind]
        made[kind, dtype, colour] = folder / f"{n}{suffix}"
        write(made[kind, dtype, colour], noise(colour, dtype))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
@given(st.data())
def test_a_window_is_cut_out_of_the_image(
    kind: tuple[str, str, str], files: dict[tuple[str, str, str], Path], data: st.DataObject
) -> None:
    path = files[kind]
    whole = read_image(path)
    if kind[0] != "jpeg":
        np.testing.assert_array_equal(whole, noise(kind[2], kind[1]))
    (y0, y1), (x0, x1) = (
        sorted(data.draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True)))
        for side in whole.shape[:2]
    )
    window = read_window(path, slice(y0, y1), slice(x0, x1))
    np.testing.assert_array_equal(window, whole[y0:y1, x0:x1])
    assert window.dtype == whole.dtype
    assert window.base is None
    assert reads_rows(path) is (kind[0] in CHEAP)


def test_a_camera_is_minded(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 4096, (40, 50)).astype(np.uint16)
    stripped(1, 8)(tmp_path / "a.tif", image)
    for camera in (Camera(bits=12), Camera(bits=12, bayer="RGGB")):
        whole = read_image(tmp_path / "a.tif", camera)
        np.testing.assert_array_equal(
            read_window(tmp_path / "a.tif", slice(5, 20), slice(3, 9), camera), whole[5:20, 3:9]
        )
        assert reads_rows(tmp_path / "a.tif", camera) is (camera.bayer is None)


def test_a_turned_picture_is_decoded_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Pillow.fromarray(noise("gray", "uint8")).save(path, tiffinfo={274: 6})
    assert not reads_rows(path)
    assert read_image(path).shape == (83, 61)
    np.testing.assert_array_equal(read_window(path, slice(3, 9), slice(2, 7)), read_image(path)[3:9, 2:7])


@pytest.mark.parametrize(("kind", "suffix"), [("strips", ".tif"), ("pnm", ".ppm"), ("bmp", ".bmp"), ("png", ".png")])
def test_what_is_cut_off_is_an_error_with_the_files_name(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    {**CHEAP, **WHOLE}[kind][1](path, noise("gray", "uint8"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableImageError, match=rf"a\{suffix}: truncated or corrupt"):
        read_window(path, slice(50, 61), slice(0, 9))


def test_a_file_that_is_not_there_or_empty(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    for name in ("a.tif", "b.tif"):
        assert not reads_rows(tmp_path / name)
        with pytest.raises(UnreadableImageError, match=rf"{name[0]}\.tif: "):
            read_window(tmp_path / name, slice(0, 1), slice(0, 1), AS_STORED)


@pytest.mark.parametrize("rows", [16, 99999])
def test_a_window_of_a_large_file_reads_little_of_it(rows: int, tmp_path: Path) -> None:
    """A file of 8 MB; the rows of the window have 1 MB."""
    path = tmp_path / "line.tif"
    image = np.tile(np.arange(251, dtype=np.uint8), (2000, 16))
    stripped(1, rows)(path, image)
    tracemalloc.start()
    window = read_window(path, slice(1000, 1256), slice(2000, 2256))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6
    np.testing.assert_array_equal(window, image[1000:1256, 2000:2256])
