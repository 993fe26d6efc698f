"""What is done with a damaged file, and what of it counts as a fault."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
from benchmarks.fuzz.worker import Attempt

from onspec.domain import OnspecError, Verdict
from onspec.imaging.camera import Camera
from onspec.imaging.masks import decode_label
from onspec.imaging.reading import decode_image
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector

_SECOND_PAGE = Camera(page=1)

_PNG = b"\x89PNG\r\n\x1a\n"


def images(recipe: str) -> Attempt:
    """Judge, and read as a label. Faults: another exception; a PNG whose pixels changed in spite of its checksums."""
    inspector = Inspector(open_package(Path(recipe)), threads=1)

    def attempt(data: bytes, original: bytes) -> str:
        with contextlib.suppress(OnspecError):
            decode_label(data, "damaged")
        verdict = inspector.inspect_bytes(data, "damaged").inspection.verdict
        with contextlib.suppress(OnspecError):
            decode_image(data, "damaged", _SECOND_PAGE)
        try:
            pixels = decode_image(data, "damaged")
        except OnspecError:
            return "refused" if verdict == Verdict.ERROR else f"fault: {verdict} for an image that is refused"
        if data.startswith(_PNG) and not np.array_equal(pixels, decode_image(original, "original")):
            return "fault: a PNG with changed pixels was read"
        return "read"

    return attempt


def recipes(folder: str) -> Attempt:
    """Open. Faults: it opens although a byte changed, or another exception than the domain's."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "changed.onspec"

    def attempt(data: bytes, original: bytes) -> str:
        path.write_bytes(data)
        try:
            open_package(path)
        except OnspecError:
            return "refused"
        finally:
            path.unlink()
        return "read" if data == original else "fault: a changed recipe was opened"

    return attempt
