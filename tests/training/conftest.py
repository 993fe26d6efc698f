"""Data sets small enough to learn in seconds: fine noise, with a patch in it that has a coarser grain or is paler."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.domain import DEFECT, Box, MaskFile, Sample, Task
from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import write_image
from onspec.training.augmentation import Augmentation
from onspec.training.loop import Budget, Outcome, Watcher, fit
from onspec.training.machine import Precision
from onspec.training.networks import NETWORKS
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, load_pool
from onspec.training.sampling import CropSampler

SIDE = 96
COARSE, PALE = "coarse", "pale"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from more, and on a busy machine threads that wait for each other lose much."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Part:
    """One generated part: its image, its mask, and what kind of patch is where (x, y, width, height in px)."""

    image: Path
    mask: Path
    kind: str | None
    box: tuple[int, int, int, int]


Labels = Literal["masks", "boxes", "classes"]
Pools = tuple[list[Labelled], list[Labelled]]


def _grain(rng: Generator, scale: int) -> NDArray[np.float32]:
    noise = rng.standard_normal((SIDE // scale + 2, SIDE // scale + 2)).astype(np.float32)
    grown = cv2.resize(noise, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)[:SIDE, :SIDE]
    return np.asarray((grown - grown.mean()) / grown.std(), np.float32)


def _picture(rng: Generator, kind: str | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A coarse patch has the mean and contrast of its surroundings; a pale one has their grain."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if kind is not None:
        x, y = (int(v) for v in rng.integers(24, SIDE - 24, 2))
        cv2.ellipse(mask, (x, y), (14, 9), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    coarse, fine = _grain(rng, 6), _grain(rng, 1)
    values = np.where(mask > 0, coarse if kind == COARSE else fine + 3, fine)
    return np.clip(128 + 30 * values, 0, 255).astype(np.uint8), mask


def _write_parts(folder: Path, kinds: Sequence[str | None], seed: int = 0) -> list[Part]:
    parts = []
    for i, kind in enumerate(kinds):
        image, mask = _picture(np.random.default_rng([seed, i]), kind)
        part = Part(folder / f"images/p{i:03d}.png", folder / f"masks/p{i:03d}.png", kind, cv2.boundingRect(mask))  # type: ignore[arg-type]
        write_image(part.image, image)
        write_image(part.mask, mask * 255)
        parts.append(part)
    return parts


@pytest.fixture(scope="session")
def write_parts() -> Callable[..., list[Part]]:
    """Writes `images/` and `masks/` into a folder: (folder, kinds, seed) → parts."""
    return _write_parts


@pytest.fixture(scope="session")
def write_grain_set() -> Callable[..., Path]:
    """The same with coarse patches: (folder, good, defective, seed) → folder."""

    def write(folder: Path, good: int = 16, defective: int = 16, seed: int = 0) -> Path:
        _write_parts(folder, [None] * good + [COARSE] * defective, seed)
        return folder

    return write


@pytest.fixture(scope="session")
def write_coco_set() -> Callable[..., Path]:
    """A set in the layout `coco` with boxes: (folder, kinds, seed) → folder."""

    def write(folder: Path, kinds: Sequence[str | None], seed: int = 0) -> Path:
        parts = _write_parts(folder, kinds, seed)
        named = sorted({k for k in kinds if k})
        content = {
            "images": [{"id": i, "file_name": p.image.name} for i, p in enumerate(parts)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(named)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": named.index(p.kind), "bbox": p.box}
                for i, p in enumerate(parts)
                if p.kind
            ],
        }
        for part in parts:
            part.mask.unlink()
        (folder / "masks").rmdir()
        (folder / "instances.json").write_text(json.dumps(content))
        return folder

    return write


@pytest.fixture(scope="session")
def write_class_set() -> Callable[..., Path]:
    """A set in the layout `folders`: (folder, kinds, seed) → folder."""

    def write(folder: Path, kinds: Sequence[str | None], seed: int = 0) -> Path:
        for i, kind in enumerate(kinds):
            image, _ = _picture(np.random.default_rng([seed, i]), kind)
            write_image(folder / (kind or "good") / f"p{i:03d}.png", image)
        return folder

    return write


@pytest.fixture(scope="session")
def make_samples() -> Callable[..., list[Sample]]:
    """Parts → samples, labelled by `masks`, `boxes` or `classes` of whole images; (parts, how, named)."""

    def sample(part: Part, how: Labels, named: bool) -> Sample:
        name, path, stem = part.image.name, part.image, part.image.stem
        if part.kind is None:
            return Sample(name, path, stem, defective=False)
        cls = part.kind if named else DEFECT
        if how == "classes":
            return Sample(name, path, stem, defective=True, cls=cls)
        label = MaskFile(part.mask, cls) if how == "masks" else Box(*part.box, cls)
        return Sample(name, path, stem, defective=True, annotations=(label,))

    return lambda parts, how="masks", named=False: [sample(part, how, named) for part in parts]


@pytest.fixture(scope="session")
def grain_set(tmp_path_factory: pytest.TempPathFactory, write_grain_set: Callable[..., Path]) -> Path:
    """16 good and 16 defective parts in the layout `masks`."""
    return write_grain_set(tmp_path_factory.mktemp("grain"))


@pytest.fixture(scope="session")
def grain_samples(grain_set: Path, make_samples: Callable[..., list[Sample]]) -> list[Sample]:
    """The same as samples, good ones first."""
    images = sorted((grain_set / "images").iterdir())
    kinds = [None] * 16 + [COARSE] * 16
    return make_samples(
        [Part(p, grain_set / "masks" / p.name, k, (0, 0, 1, 1)) for p, k in zip(images, kinds, strict=True)]
    )


@pytest.fixture(scope="session")
def kind_parts(tmp_path_factory: pytest.TempPathFactory) -> list[Part]:
    """12 good parts, 12 with a coarse and 12 with a pale patch, in turn."""
    return _write_parts(tmp_path_factory.mktemp("kinds"), [None, COARSE, PALE] * 12, seed=1)


@pytest.fixture(scope="session")
def plan_for() -> Callable[..., Plan]:
    """A plan of few small crops without arbitrary rotation: (task, classes, network, **changes) → plan."""

    def plan(
        task: Task = Task.SEGMENT, classes: tuple[str, ...] = (DEFECT,), network: str = "unet-lite", **changes: object
    ) -> Plan:
        side, entry = Extent(min=SIDE, max=SIDE), NETWORKS[network]
        chosen = {
            "crop": 96 if task is Task.CLASSIFY else 64,
            "batch": 4,
            "ema": 0.9,
            "optimiser": entry.optimiser,
            "augmentation": Augmentation(rotation_deg=0, zoom=0),
        }
        return Plan(
            task=task,
            classes=classes,
            network=network,
            input=InputSpec(width=side, height=side, stride=entry.stride, cell=entry.cells[task]),
            **(chosen | changes),
        )

    return plan


@pytest.fixture(scope="session")
def small_plan(plan_for: Callable[..., Plan]) -> Plan:
    """To segment coarse patches: seconds of training."""
    return plan_for()


@pytest.fixture(scope="session")
def pools_of() -> Callable[..., Pools]:
    """(samples, plan, every) → training and validation images; every fourth is held out."""

    def pools(samples: Sequence[Sample], plan: Plan, every: int = 4) -> Pools:
        pool = load_pool(samples, plan)
        return [p for i, p in enumerate(pool) if i % every], pool[::every]

    return pools


@pytest.fixture(scope="session")
def pools(grain_samples: list[Sample], small_plan: Plan, pools_of: Callable[..., Pools]) -> Pools:
    """Training and validation images of the grain set."""
    return pools_of(grain_samples, small_plan)


def never(progress: float, loss: float, quality: float, seconds_left: float) -> None:
    """Watch without interfering."""


@pytest.fixture(scope="session")
def run_fit() -> Callable[..., Outcome]:
    """Trains on one CPU, in float32 unless said, so that every machine does the same: (run, plan, pools, **options)."""

    def run(
        run: Path, plan: Plan, pools: Pools, *, steps: int | None = 48, seconds: float = 600, resume: bool = False,
        watch: Watcher = never, seed: int = 0, precision: Precision = "32-true",
    ) -> Outcome:  # fmt: skip
        run.mkdir(exist_ok=True)
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        sampler, budget = CropSampler(pools[0], plan, seed=seed), Budget(seconds, steps, time.monotonic())
        return fit(run, plan, sampler, pools[1], budget=budget, resume=resume, watch=watch, fabric=fabric)

    return run


@pytest.fixture(scope="session")
def unlocated() -> Callable[[Sample], Sample]:
    """A sample of which it is only known that it is defective."""
    return lambda sample: replace(sample, annotations=())
