"""Files that say more pixels than a recipe takes end as ERROR before anything is unpacked."""

import struct
import time
import zlib
from collections.abc import Iterator

import pytest

from onspec.domain import UnexpectedImageError, Verdict
from onspec.recipe.package import Package
from onspec.runtime.inspector import Inspector

SIDE = 20_000


@pytest.fixture
def inspector(tiny_package: Package) -> Iterator[Inspector]:
    made = Inspector(tiny_package, "onnxruntime", threads=1)
    yield made
    made.close()


def bomb() -> bytes:
    """A right PNG of 400 MB in less than 2 MB."""
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes((1 + SIDE) * 100)) for _ in range(SIDE // 100)) + packer.flush()
    parts = ((b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def test_a_bomb_is_an_error_at_once(inspector: Inspector) -> None:
    data, begun = bomb(), time.process_time()
    result = inspector.inspect_bytes(data, "bomb.png")
    assert time.process_time() - begun < 0.3  # unpacking takes more than a second
    assert result.inspection.verdict == Verdict.ERROR
    assert isinstance(result.cause, UnexpectedImageError)
    assert result.inspection.error is not None
    assert result.inspection.error.startswith("bomb.png: 20000×20000 px; this recipe takes 64…128×48…96 px; ")
