"""Small data sets on disk."""

from collections.abc import Callable, Mapping
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
