"""A recipe with its known results, loaded, and images for it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from onspec.imaging.writing import encode_image
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector


@pytest.fixture
def tiny(tiny_recipe_path: Path) -> Iterator[Inspector]:
    """The tiny recipe on ONNX Runtime."""
    inspector = Inspector(open_package(tiny_recipe_path), threads=1)
    yield inspector
    inspector.close()


@pytest.fixture
def other(tiny: Inspector) -> Iterator[Inspector]:
    """The same under another name."""
    package: Package = replace(tiny.package, recipe=tiny.recipe.model_copy(update={"name": "other"}), digest="ab" * 32)
    inspector = Inspector(package, threads=1)
    yield inspector
    inspector.close()


@pytest.fixture
def good(make_part: Callable[..., NDArray[Any]]) -> bytes:
    """The PNG of a good part."""
    return encode_image(make_part())


@pytest.fixture
def defective(make_part: Callable[..., NDArray[Any]]) -> bytes:
    """The PNG of a part with a spot."""
    return encode_image(make_part((30, 20, 10, 6)))
