"""What is done with a damaged file, and what of it counts as a fault."""

import contextlib
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmarks.fuzz.worker import Attempt

from onspec.domain import OnspecError, Verdict
from onspec.imaging import tiff
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.header import Size, size_in
from onspec.imaging.masks import decode_label
from onspec.imaging.preparation import Extent
from onspec.imaging.reading import Image, decode_image
from onspec.imaging.windows import read_window
from onspec.recipe.package import Golden, Package
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector

_FIRST_PAGE, _SECOND_PAGE = Camera(page=0), Camera(page=1)
_ROWS = slice(3, 21)

LARGEST = 512
"""Sides that the recipe takes here at most, px: whatever is said to be larger has to be refused."""


def widened(package: Package, dtype: str) -> Package:
    """The recipe for the small files here: sides from 1 to LARGEST px, and this pixel type."""
    side = Extent(min=1, max=LARGEST)
    spec = package.recipe.input.model_copy(update={"width": side, "height": side, "dtype": dtype})
    return replace(package, recipe=package.recipe.model_copy(update={"input": spec}))


def images(recipe: str) -> Attempt:
    """Judge, and read as a label, as another page, in part, and the size alone.

    Faults: an exception that is not onspec's; a verdict without pixels; pixels other than the original's where the
    format tells the damage; rows that are not those of the whole; a size that is not that of the pixels.
    """
    package = open_package(Path(recipe))
    inspectors = {dtype: Inspector(widened(package, dtype), "onnxruntime", threads=1) for dtype in ("uint8", "uint16")}
    path = Path(tempfile.mkdtemp()) / "damaged"

    def attempt(data: bytes, original: bytes, told: bool) -> str:
        whole = decode_image(original, "original", _FIRST_PAGE if original.startswith(tiff.MAGICS) else AS_STORED)
        size = size_in(io.BytesIO(data))
        result = inspectors[str(whole.dtype)].inspect_bytes(data, "damaged")
        path.write_bytes(data)
        rows = _read_otherwise(data, path, size)
        if result.cause is not None and not isinstance(result.cause, OnspecError):
            return f"fault: {result.inspection.error}"
        if result.image is None:
            return "refused" if result.inspection.verdict == Verdict.ERROR else "fault: a verdict without pixels"
        return _fault(result.image, whole, size, rows, told) or _outcome(result.image, whole, result.inspection.verdict)

    return attempt


def _read_otherwise(data: bytes, path: Path, size: Size | None) -> Image | None:
    """What training and the tools for data sets do with a file; the rows that they get."""
    rows = None
    if size is not None and size[0] * size[1] > LARGEST**2:
        return None  # gigabytes are nothing that a user of these would wonder at
    with contextlib.suppress(OnspecError):
        decode_label(data, "damaged")
    with contextlib.suppress(OnspecError):
        decode_image(data, "damaged", _SECOND_PAGE)
    if size is not None and size[1] >= _ROWS.stop:
        with contextlib.suppress(OnspecError):
            rows = read_window(path, _ROWS, slice(0, None))
    return rows


def _fault(image: Image, whole: Image, size: Size | None, rows: Image | None, told: bool) -> str | None:
    if told and not np.array_equal(image, whole):
        return "fault: other pixels were read, although the format tells the damage"
    if size is not None and size != image.shape[1::-1]:
        return f"fault: the size is said to be {size}, and {image.shape[1::-1]} px were read"
    if rows is not None and not np.array_equal(rows, image[_ROWS]):
        return "fault: rows alone are other than those of the whole"
    return None


def _outcome(image: Image, whole: Image, verdict: Verdict) -> str:
    if verdict == Verdict.ERROR:
        return "refused"
    if np.array_equal(image, whole):
        return "same"
    return "OK" if verdict == Verdict.OK else "other"


def recipes(recipe: str) -> Attempt:
    """Open, and judge with what opens. Faults: a file that is changed otherwise than by packing it anew opens (`told`),
    or another exception than the domain's."""
    golden = open_package(Path(recipe)).golden[0]
    path = Path(tempfile.mkdtemp()) / "changed.onspec"

    def attempt(data: bytes, _: bytes, told: bool) -> str:
        path.write_bytes(data)
        try:
            package = open_package(path)
        except OnspecError:
            return "refused"
        if told:
            return "fault: a changed recipe was opened"
        return _judged(package, golden)

    return attempt


def _judged(package: Package, golden: Golden) -> str:
    """A recipe that somebody packed: it has to judge or to say what is wrong with it."""
    try:
        inspector = Inspector(package, "onnxruntime", threads=1)
    except OnspecError:
        return "refused"
    result = inspector.inspect_bytes(golden.data, golden.name)
    inspector.close()
    if result.cause is not None and not isinstance(result.cause, OnspecError):
        return f"fault: {result.inspection.error}"
    if result.inspection.verdict == Verdict.ERROR:
        return "refused"
    return "OK" if result.inspection.verdict == Verdict.OK else "other"
