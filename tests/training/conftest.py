"""A data set small enough to learn in seconds: noise with a patch of coarser grain of the same mean and contrast."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.domain import MaskFile, Sample
from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import write_image
from onspec.training.augmentation import Augmentation
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, load_pool

SIDE = 96


def _grain(rng: Generator, scale: int) -> NDArray[np.float32]:
    noise = rng.standard_normal((SIDE // scale + 2, SIDE // scale + 2)).astype(np.float32)
    grown = cv2.resize(noise, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)[:SIDE, :SIDE]
    return np.asarray((grown - grown.mean()) / grown.std(), np.float32)


def _part(rng: Generator, defective: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if defective:
        x, y = (int(v) for v in rng.integers(24, SIDE - 24, 2))
        cv2.ellipse(mask, (x, y), (14, 9), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    values = np.where(mask > 0, _grain(rng, 6), _grain(rng, 1))
    return np.clip(128 + 30 * values, 0, 255).astype(np.uint8), mask


@pytest.fixture(scope="session")
def write_grain_set() -> Callable[..., Path]:
    """Writes `images/` and `masks/` into a folder: (folder, good, defective) → folder."""

    def write(folder: Path, good: int = 16, defective: int = 16, seed: int = 0) -> Path:
        for i in range(good + defective):
            rng = np.random.default_rng([seed, i])
            image, mask = _part(rng, i >= good)
            write_image(folder / "images" / f"part{i:03d}.png", image)
            write_image(folder / "masks" / f"part{i:03d}.png", mask * 255)
        return folder

    return write


@pytest.fixture(scope="session")
def grain_set(tmp_path_factory: pytest.TempPathFactory, write_grain_set: Callable[..., Path]) -> Path:
    """16 good and 16 defective parts in the layout `masks`."""
    return write_grain_set(tmp_path_factory.mktemp("grain"))


@pytest.fixture(scope="session")
def grain_samples(grain_set: Path) -> list[Sample]:
    """The same as samples, good ones first."""
    samples = []
    for path in sorted((grain_set / "images").iterdir()):
        defective = int(path.stem[4:]) >= 16
        labels = (MaskFile(grain_set / "masks" / path.name),) if defective else ()
        samples.append(Sample(f"images/{path.name}", path, path.stem, defective, labels))
    return samples


@pytest.fixture(scope="session")
def small_plan() -> Plan:
    """Few small crops and no arbitrary rotation: seconds of training."""
    side = Extent(min=SIDE, max=SIDE)
    return Plan(
        input=InputSpec(width=side, height=side, stride=32),
        crop=64,
        batch=4,
        ema=0.9,
        augmentation=Augmentation(rotation_deg=0, zoom=0),
    )


@pytest.fixture(scope="session")
def pools(grain_samples: list[Sample], small_plan: Plan) -> tuple[list[Labelled], list[Labelled]]:
    """Training and validation images: every fourth part is held out."""
    pool = load_pool(grain_samples, small_plan.input, small_plan.classes)
    return [p for i, p in enumerate(pool) if i % 4], pool[::4]
