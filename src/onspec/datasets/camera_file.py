"""`camera.yaml` beside the data: what the files themselves do not say of depth, colour filter and page."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from onspec.datasets.text_file import read_text
from onspec.datasets.tree import Tree
from onspec.domain import DataError
from onspec.imaging.camera import AS_STORED, Camera
from onspec.imaging.writing import write_bytes

NAMES = ("camera.yaml", "camera.yml")
"""In any case; in the set's own folder, as one camera took all of a set."""

ALLOWED = {
    "bits": "a whole number from 8 to 16, or null",
    "bayer": "RGGB, BGGR, GRBG, GBRG (the sensor's upper left 2×2 px, row by row) or null",
    "page": "a whole number from 0, or null",
}
"""The fields, and their values in words."""


def camera_of(tree: Tree) -> Camera:
    """What the set's `camera.yaml` names; nothing without one.

    Raises:
        DataError: it cannot be read, names what is not allowed, or lies where it would be passed over.
    """
    files = [file for file in tree.others if file.name.lower() in NAMES]
    below = [file for file in files if len(file.parts) > 1]
    if below:
        raise DataError(
            f"{tree.path(below[0])}: one camera is named for a whole set, in its own folder; move the file to "
            f"{tree.root}, and give the images of other cameras as sets of their own"
        )
    if len(files) > 1:
        raise DataError(f"{tree.root}: holds {files[0]} and {files[1]}; keep one of them")
    return read_camera(tree.path(files[0])) if files else AS_STORED


def read_camera(path: Path) -> Camera:
    """Read the file.

    Raises:
        DataError: it is not YAML, or a field or value is not allowed, named with what is.
    """
    try:
        content: Any = YAML(typ="safe", pure=True).load(read_text(path, "the file"))
    except YAMLError as error:
        raise DataError(f"{path}: not valid YAML ({getattr(error, 'problem', None) or error}); correct it") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds {str(content)[:60]!r}; allowed: fields {', '.join(ALLOWED)}, as in bits: 12")
    try:
        return Camera.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: {_sentence(error)}") from error


def write_camera(folder: Path, camera: Camera) -> None:
    """Write the file for images that are copied elsewhere; none where nothing is named."""
    named = [f"{field}: {value}\n" for field, value in camera if value is not None]
    if named:
        write_bytes(folder / NAMES[0], "".join(named).encode())


def refuse_other(named: Camera, root: Path, used: Camera, whose: str) -> None:
    """Images are read one way, or figures mean nothing.

    Raises:
        DataError: the set's `camera.yaml` names what `whose` (the recipe, the plan) does not have.
    """
    if named not in (AS_STORED, used):
        raise DataError(
            f"{root / NAMES[0]}: the set's camera has {named}, {whose} {used}; make them equal, or train anew"
        )


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    field = str(first["loc"][0])
    if field not in ALLOWED:
        return f"unknown field {field!r}; allowed: {', '.join(ALLOWED)}"
    return f"{field} is {first['input']!r}; allowed: {ALLOWED[field]}"
