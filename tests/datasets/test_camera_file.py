"""`camera.yaml`: read into the data set, or refused with field, value and what is allowed."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.camera_file import ALLOWED, read_camera, refuse_other, write_camera
from onspec.datasets.layouts import load
from onspec.domain import DataError
from onspec.imaging.camera import AS_STORED, Camera

Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
DOCS = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")


@pytest.fixture
def files(picture: Callable[..., Pixels], mask: Callable[..., Pixels]) -> dict[str, "Pixels | str | bytes"]:
    """A set of two images, one of them defective."""
    return {"images/1.png": picture(1), "images/2.png": picture(2), "masks/2.png": mask()}


@pytest.mark.parametrize(
    ("text", "camera"),
    [
        ("bits: 12\n", Camera(bits=12)),
        ("# line camera 3\nbits: 10\nbayer: rggb\npage: 1\n", Camera(bits=10, bayer="RGGB", page=1)),
        ("bayer: null\nbits: null\n", AS_STORED),
        ("\ufeffpage: 0\n", Camera(page=0)),
    ],
)
@pytest.mark.parametrize("name", ["camera.yaml", "Camera.YML"])
def test_what_it_names(
    name: str, text: str, camera: Camera, build: Build, files: dict[str, "Pixels | str | bytes"]
) -> None:
    assert load(build({**files, name: text})).camera == camera


def test_without_one_images_are_as_stored(build: Build, files: dict[str, "Pixels | str | bytes"]) -> None:
    assert load(build(files)).camera == AS_STORED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bits: 17", "camera.yaml: bits is 17; allowed: a whole number from 8 to 16, or null"),
        ("bits: twelve", "camera.yaml: bits is 'twelve'; allowed: a whole number from 8 to 16"),
        ("bits: yes", "camera.yaml: bits is 'yes'; allowed: a whole number from 8 to 16"),
        ("bits: true", "camera.yaml: bits is True; allowed: a whole number from 8 to 16"),
        ("bayer: RGB", "camera.yaml: bayer is 'RGB'; allowed: RGGB, BGGR, GRBG, GBRG"),
        ("page: -1", "camera.yaml: page is -1; allowed: a whole number from 0, or null"),
        ("gain: 2", "camera.yaml: unknown field 'gain'; allowed: bits, bayer, page"),
        ("12", "camera.yaml: holds '12'; allowed: fields bits, bayer, page, as in bits: 12"),
        ("", "camera.yaml: holds 'None'; allowed: fields bits, bayer, page"),
        ("1: 2", "camera.yaml: unknown field"),
        ("bits: [", "camera.yaml: not valid YAML"),
        ("bits: 8\nbits: 12", "camera.yaml: not valid YAML"),
        (b"bits: \xff", "camera.yaml: the file is not UTF-8 text"),
    ],
)
def test_what_it_may_not_say(
    text: str | bytes, says: str, build: Build, files: dict[str, "Pixels | str | bytes"]
) -> None:
    root = build({**files, "camera.yaml": text})
    with pytest.raises(DataError) as caught:
        load(root)
    assert says in str(caught.value)
    assert str(root) in str(caught.value)


def test_one_that_would_be_passed_over_is_refused(build: Build, files: dict[str, "Pixels | str | bytes"]) -> None:
    with pytest.raises(DataError, match=r"images/camera\.yaml: one camera is named for a whole set.*move the file to"):
        load(build({**files, "images/camera.yaml": "bits: 12"}))


def test_two_of_them_are_refused(build: Build, files: dict[str, "Pixels | str | bytes"]) -> None:
    with pytest.raises(DataError, match=r"set: holds camera\.yaml and camera\.yml; keep one of them"):
        load(build({**files, "camera.yaml": "bits: 12", "camera.yml": "bits: 12"}))


def test_a_recipe_of_another_camera_is_refused() -> None:
    named = Camera(bits=12)
    refuse_other(named, Path("set"), named, "the recipe")
    refuse_other(AS_STORED, Path("set"), named, "the recipe")
    with pytest.raises(DataError) as caught:
        refuse_other(named, Path("set"), AS_STORED, "the recipe")
    assert str(caught.value) == (
        "set/camera.yaml: the set's camera has bits 12, the recipe nothing named (no bits, bayer or page); make them "
        "equal, or train anew"
    )


def test_a_copy_names_the_same_camera(tmp_path: Path) -> None:
    for camera in (Camera(bits=12), Camera(bits=9, bayer="GBRG", page=3)):
        write_camera(tmp_path, camera)
        assert read_camera(tmp_path / "camera.yaml") == camera
    write_camera(tmp_path / "plain", AS_STORED)
    assert not (tmp_path / "plain").exists()


@pytest.mark.parametrize("field", Camera.model_fields)
def test_every_field_is_said_and_documented(field: str) -> None:
    assert field in ALLOWED
    assert f"\n| `{field}` | " in DOCS
