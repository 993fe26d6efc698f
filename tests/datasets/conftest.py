"""Small data sets on disk."""

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Write images and texts, given by relative path, into a new folder."""

    def write(files: Mapping[str, Pixels | str | bytes]) -> Path:
        root = tmp_path / "set"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_text(content)
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_bytes(cv2.imencode(path.suffix.lower(), content)[1].tobytes())
        return root

    return write


@pytest.fixture
def picture() -> Callable[..., Pixels]:
    """A gray image of 40×30 px, of another content for every number."""

    def make(number: int = 0, shape: tuple[int, ...] = (30, 40)) -> Pixels:
        return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)

    return make


@pytest.fixture
def mask() -> Callable[..., Pixels]:
    """A mask of 40×30 px with a rectangle of 8×6 px at (10, 5)."""

    def make(value: int = 255, ground: int = 0, shape: tuple[int, ...] = (30, 40)) -> Pixels:
        pixels = np.full(shape, ground, np.uint8)
        pixels[5:11, 10:18] = value
        return pixels

    return make


@pytest.fixture
def sound(picture: Callable[..., Pixels], mask: Callable[..., Pixels]) -> dict[str, Pixels | str | bytes]:
    """20 good and 20 defective images, nothing wrong."""
    files: dict[str, Pixels | str | bytes] = {f"images/{n:02d}.png": picture(n) for n in range(40)}
    return files | {f"masks/{n:02d}.png": mask() for n in range(20)}


@pytest.fixture
def paletted() -> Callable[[Pixels, Sequence[tuple[int, int, int]]], bytes]:
    """Indices (H, W) and RGB colours → a PNG of colour type 3, by the specification."""

    def make(indices: Pixels, colours: Sequence[tuple[int, int, int]]) -> bytes:
        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        header = struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], 8, 3, 0, 0, 0)
        rows = zlib.compress(b"".join(b"\x00" + row.tobytes() for row in indices))
        palette = b"".join(bytes(colour) for colour in colours)
        chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", rows), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in chunks)

    return make
