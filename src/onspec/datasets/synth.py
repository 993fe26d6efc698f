"""Generated data in the official DAGM 2007 layout: textures whose defects change the statistics, not the mean gray."""

import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.datasets.textures import SIZE, TEXTURES, Field, Texture
from onspec.domain import Ellipse, UsageError
from onspec.imaging.masks import Mask
from onspec.imaging.shapes import draw_ellipse
from onspec.imaging.writing import write_image

_MEAN, _DEVIATION = 128.0, 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """One image, uint8 (512, 512), and its coarse label; `None` for a good part."""

    image: NDArray[np.uint8]
    label: Ellipse | None


@dataclass(frozen=True, slots=True)
class _Job:
    folder: Path
    number: int
    texture: int
    defective: bool
    index: int


def generate(out: Path, *, textures: int = 6, good: int = 60, defective: int = 40, seed: int = 0) -> None:
    """Write `out/ClassN/{Train,Test}`, half of each kind to either; the same seed gives the same bytes.

    Args:
        textures: how many of `TEXTURES`, a class folder each.
        good: good images per texture.
        defective: defective images per texture.

    Raises:
        UsageError: `out` holds something already, or a number that cannot be.
    """
    if not 1 <= textures <= len(TEXTURES):
        raise UsageError(f"textures is {textures}; choose 1 … {len(TEXTURES)}")
    if good < 0 or defective < 0 or good + defective < 2:
        raise UsageError(f"got {good} good and {defective} defective images; ask for two or more in all, none negative")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty; choose a folder that is new or empty")
    target = out.resolve()
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _write_classes(aside, textures, good, defective, seed)
        aside.replace(target)
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written ({error.strerror}); check the folder, its rights and space"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def paint(texture: int, index: int, *, defective: bool, seed: int = 0) -> Generated:
    """The `index`-th good or defective image of a texture; depends on nothing else, so counts change no image."""
    rng = np.random.default_rng([seed, texture, int(defective), index])
    spot, label = _spot(rng) if defective else (np.zeros((SIZE, SIZE), np.float32), None)
    field = _even_mean(TEXTURES[texture].paint(rng, spot), spot)
    return Generated(_to_gray(field, rng), label)


def _write_classes(root: Path, textures: int, good: int, defective: int, seed: int) -> None:
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as threads:
        for texture in range(textures):
            jobs = list(_jobs(root / f"Class{texture + 1}", texture, good, defective, seed))
            list(threads.map(lambda job: _write(job, seed), jobs))
            for split in ("Train", "Test"):
                _write_list(root / f"Class{texture + 1}" / split, jobs)


def _jobs(folder: Path, texture: int, good: int, defective: int, seed: int) -> Iterator[_Job]:
    """Every other image of each kind trains; numbers run on from Train to Test and mix the two kinds."""
    number = 0
    for first, split in enumerate(("Train", "Test")):
        kinds = [(False, i) for i in range(first, good, 2)] + [(True, i) for i in range(first, defective, 2)]
        order = np.random.default_rng([seed, texture, 2, first]).permutation(len(kinds))
        for place in order:
            number += 1
            yield _Job(folder / split, number, texture, *kinds[place])


def _write(job: _Job, seed: int) -> None:
    made = paint(job.texture, job.index, defective=job.defective, seed=seed)
    write_image(job.folder / f"{job.number:04d}.PNG", made.image)
    if made.label is not None:
        write_image(job.folder / "Label" / f"{job.number:04d}_label.PNG", label_mask(made.label) * np.uint8(255))


def label_mask(label: Ellipse) -> Mask:
    """The coarse label as uint8 (512, 512) of 0/1."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    draw_ellipse(mask, (label.x, label.y), (label.a, label.b), label.angle_deg)
    return mask


def _write_list(folder: Path, jobs: list[_Job]) -> None:
    """Labels.txt as DAGM has it."""
    rows = ["1"]
    for job in jobs:
        if job.folder == folder:
            number = f"{job.number:04d}"
            end = f"1\t{number}.PNG\t0\t{number}_label.PNG" if job.defective else f"0\t{number}.PNG\t0\t0\t"
            rows.append(f"{number}\t{end}")
    (folder / "Label").mkdir(parents=True, exist_ok=True)
    (folder / "Label" / "Labels.txt").write_text("\n".join(rows) + "\n", "ascii", newline="\n")


def _spot(rng: Generator) -> tuple[Field, Ellipse]:
    """An uneven, elongated spot with a soft border, and the somewhat larger ellipse that a person draws around it."""
    a = rng.uniform(36, 72)
    b = a * rng.uniform(0.4, 0.65)
    angle = rng.uniform(0, 180)
    slack = rng.uniform(1.1, 1.3)
    margin = a * slack + 4
    x, y = rng.uniform(margin, SIZE - margin, 2)
    turn = math.radians(angle)
    dy, dx = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) - np.array([y, x], np.float32)[:, None, None]
    along = (dx * math.cos(turn) + dy * math.sin(turn)) / a
    across = (dy * math.cos(turn) - dx * math.sin(turn)) / b
    coarse = rng.standard_normal((18, 18), np.float32)
    uneven = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    radius = np.hypot(along, across) * (1 + 0.08 * uneven)
    ramp = np.clip((1.05 - radius) / 0.3, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32), Ellipse(x, y, a * slack, b * slack, angle)


def _even_mean(field: Field, spot: Field) -> Field:
    """Unit deviation, zero mean, and the spot's mean that of the whole, so that brightness tells nothing."""
    field = (field - field.mean()) / field.std()
    weight = float(spot.sum())
    if weight == 0:
        return np.asarray(field, np.float32)
    excess = float((field * spot).sum()) / weight
    return np.asarray(field - spot * (excess * weight / float((spot * spot).sum())), np.float32)


def _to_gray(field: Field, rng: Generator) -> NDArray[np.uint8]:
    """To 8 bit around middle gray, with the uneven light of a real station (a slope of a few gray levels)."""
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
    slope = rng.normal(0, 3, 2).astype(np.float32)
    gray = _MEAN + _DEVIATION * field + slope[0] * ramp[None, :] + slope[1] * ramp[:, None]
    return np.asarray(np.clip(np.rint(gray), 0, 255), np.uint8)


__all__ = ["Generated", "Texture", "generate", "label_mask", "paint"]
