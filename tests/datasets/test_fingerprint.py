"""What changes a fingerprint, and what does not."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.fingerprint import fingerprint
from onspec.datasets.layouts import load
from onspec.datasets.splitting import assign
from onspec.domain import DataError, Split
from onspec.imaging.writing import write_image

Pixels = NDArray[np.uint8]
Build = Callable[[Mapping[str, "Pixels | str | bytes"]], Path]
Make = Callable[..., Pixels]


@pytest.fixture
def root(build: Build, picture: Make, mask: Make) -> Path:
    files = {f"images/{n}.png": picture(n) for n in range(8)}
    return build(files | {f"masks/{n}.png": mask() for n in range(5)})


def test_it_is_a_sha256_and_does_not_depend_on_where_the_set_lies(root: Path) -> None:
    data = load(root)
    digest = fingerprint(data, assign(data))
    assert digest.startswith("sha256:")
    assert len(digest) == 7 + 64
    moved = load(root.rename(root.with_name("moved")))
    assert fingerprint(moved, assign(moved)) == digest


@pytest.mark.parametrize("change", ["image", "label", "split", "name", "removed label"])
def test_every_change_shows(change: str, root: Path, picture: Make, mask: Make) -> None:
    data = load(root)
    before, assignment = fingerprint(data, assign(data)), assign(data)
    match change:
        case "image":
            write_image(root / "images/0.png", picture(99))
        case "label":
            write_image(root / "masks/0.png", mask()[::-1].copy())
        case "name":
            (root / "images/7.png").rename(root / "images/8.png")
            assignment["images/8.png"] = assignment["images/7.png"]
        case "removed label":
            (root / "masks/0.png").unlink()
        case "split":
            other = Split.TEST if assignment["images/0.png"] is Split.TRAIN else Split.TRAIN
            assignment["images/0.png"] = other
    assert fingerprint(load(root), assignment) != before


def test_a_file_that_went_away_is_named(root: Path) -> None:
    data = load(root)
    (root / "images/3.png").unlink()
    with pytest.raises(DataError, match=r"3\.png: cannot be read"):
        fingerprint(data, assign(data))
