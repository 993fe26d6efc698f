"""Generated data sets: textures whose defects change the statistics, not the mean gray, laid out as DAGM, COCO or
folders have it. A new layout costs a function here and a line in `LAYOUTS`.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from onspec.datasets.fields import SIZE
from onspec.datasets.flaws import outline
from onspec.datasets.painting import Generated, Visibility, kinds_of, label_mask, paint, paint_kinds
from onspec.datasets.textures import TEXTURES
from onspec.domain import Ellipse, Polygon, UsageError
from onspec.imaging.writing import write_image

SPLITS = ("Train", "Test")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked for."""

    textures: int
    good: int
    defective: int
    seed: int
    look: Visibility


@dataclass(frozen=True, slots=True)
class _Job:
    """An image to paint: the `number`-th of its texture, the `index`-th of its kind."""

    texture: int
    split: str
    number: int
    defective: bool
    index: int

    @property
    def stem(self) -> str:
        """A name that tells textures apart, and good images from defective ones not."""
        return f"{TEXTURES[self.texture].name}_{self.number:04d}"


def generate(
    out: Path,
    *,
    textures: int = 6,
    good: int = 60,
    defective: int = 40,
    seed: int = 0,
    contrast: float = 1.0,
    size: float = 1.0,
    layout: str = "dagm",
) -> None:
    """Write a data set, half of each kind to train and half to test; the same arguments give the same bytes.

    Args:
        textures: how many of `TEXTURES`, from the first.
        good: good images per texture.
        defective: defective images per texture.
        contrast: how far the statistics change in a defect, over 0 and up to 1.
        size: the scale of a defect's axes.
        layout: one of `LAYOUTS`. `dagm` has the texture's own defect once an image and a folder a texture; `coco` has
            one to three kinds an image, outlined; `folders` has one kind an image, a folder a kind.

    Raises:
        UsageError: `out` holds something already, or a number or name that cannot be.
    """
    if not 1 <= textures <= len(TEXTURES):
        raise UsageError(f"textures is {textures}; choose 1 … {len(TEXTURES)}")
    if good < 0 or defective < 0 or good + defective < 2:
        raise UsageError(f"got {good} good and {defective} defective images; ask for two or more in all, none negative")
    if layout not in LAYOUTS:
        raise UsageError(f"Unknown layout {layout!r}; choose {', '.join(LAYOUTS)}")
    plan = _Plan(textures, good, defective, seed, Visibility(contrast, size))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty; choose a folder that is new or empty")
    target = out.resolve()
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        LAYOUTS[layout](aside, plan)
        aside.replace(target)
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written ({error.strerror}); check the folder, its rights and space"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_dagm(root: Path, plan: _Plan) -> None:
    """`ClassN/{Train,Test}/NNNN.PNG` with `Label/NNNN_label.PNG` and `Label/Labels.txt`, as DAGM 2007 has it."""

    def write(job: _Job) -> None:
        made = _own(job, plan)
        folder = root / f"Class{job.texture + 1}" / job.split
        write_image(folder / f"{job.number:04d}.PNG", made.image)
        for label in made.labels:
            write_image(folder / "Label" / f"{job.number:04d}_label.PNG", label_mask(label) * np.uint8(255))

    for texture in range(plan.textures):
        jobs = list(_jobs(texture, plan))
        _in_threads(write, jobs)
        for split in SPLITS:
            folder = root / f"Class{texture + 1}" / split / "Label"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "Labels.txt").write_text(_list(j for j in jobs if j.split == split), "ascii", newline="\n")


def _write_coco(root: Path, plan: _Plan) -> None:
    """`{train,test}/TEXTURE_NNNN.png` with `_annotations.coco.json` beside the images: a box and a polygon a defect."""

    def write(job: _Job) -> tuple[Ellipse | Polygon, ...]:
        made = paint_kinds(job.texture, job.index, **_look(plan)) if job.defective else _own(job, plan)
        write_image(root / job.split.lower() / f"{job.stem}.png", made.image)
        return made.labels

    jobs = _all_jobs(plan)
    labels = _in_threads(write, jobs)
    for split in SPLITS:
        of_split = [(f"{j.stem}.png", found) for j, found in zip(jobs, labels, strict=True) if j.split == split]
        path = root / split.lower() / "_annotations.coco.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_coco(of_split, _classes(plan)), indent=1) + "\n", "utf-8", newline="\n")


def _write_folders(root: Path, plan: _Plan) -> None:
    """`{train,test}/{good,KIND…}/TEXTURE_NNNN.png`, the kinds in turn."""

    def write(job: _Job) -> None:
        kinds = kinds_of(job.texture)
        kind = kinds[job.index // 2 % len(kinds)]  # of every split, each kind as often
        made = paint_kinds(job.texture, job.index, [kind], **_look(plan)) if job.defective else _own(job, plan)
        write_image(root / job.split.lower() / (kind if job.defective else "good") / f"{job.stem}.png", made.image)

    _in_threads(write, _all_jobs(plan))


LAYOUTS: dict[str, Callable[[Path, _Plan], None]] = {
    "dagm": _write_dagm,
    "coco": _write_coco,
    "folders": _write_folders,
}
"""What `--layout` takes → how it is written."""


def _jobs(texture: int, plan: _Plan) -> Iterator[_Job]:
    """Every other image of each kind trains; numbers run on from Train to Test and mix the two kinds."""
    number = 0
    for first, split in enumerate(SPLITS):
        kinds = [(False, i) for i in range(first, plan.good, 2)] + [(True, i) for i in range(first, plan.defective, 2)]
        order = np.random.default_rng([plan.seed, texture, 2, first]).permutation(len(kinds))
        for place in order:
            number += 1
            yield _Job(texture, split, number, *kinds[place])


def _all_jobs(plan: _Plan) -> list[_Job]:
    return [job for texture in range(plan.textures) for job in _jobs(texture, plan)]


def _own(job: _Job, plan: _Plan) -> Generated:
    return paint(job.texture, job.index, defective=job.defective, **_look(plan))


def _look(plan: _Plan) -> dict[str, Any]:
    return {"seed": plan.seed, "contrast": plan.look.contrast, "size": plan.look.size}


def _in_threads(write: Callable[[_Job], _T], jobs: Iterable[_Job]) -> list[_T]:
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1))) as threads:
        return list(threads.map(write, jobs))


def _list(jobs: Iterable[_Job]) -> str:
    """Labels.txt as DAGM has it."""
    rows = ["1"]
    for job in jobs:
        number = f"{job.number:04d}"
        end = f"1\t{number}.PNG\t0\t{number}_label.PNG" if job.defective else f"0\t{number}.PNG\t0\t0\t"
        rows.append(f"{number}\t{end}")
    return "\n".join(rows) + "\n"


def _classes(plan: _Plan) -> tuple[str, ...]:
    """All kinds of defects in the set, in order of the textures."""
    return tuple(dict.fromkeys(kind for texture in range(plan.textures) for kind in kinds_of(texture)))


def _coco(images: list[tuple[str, tuple[Ellipse | Polygon, ...]]], classes: tuple[str, ...]) -> dict[str, Any]:
    """The data format of cocodataset.org, "Object Detection"; ids count from 1."""
    annotations: list[dict[str, Any]] = []
    for image, (_, labels) in enumerate(images, 1):
        for label in labels:
            ring = np.round(np.array(outline(label)), 2)
            (left, top), (right, bottom) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": classes.index(label.cls) + 1,
                    "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                    "area": round(_area(ring), 2),
                    "segmentation": [ring.ravel().tolist()],
                    "iscrowd": 0,
                }
            )
    return {
        "images": [
            {"id": n, "file_name": name, "width": SIZE, "height": SIZE} for n, (name, _) in enumerate(images, 1)
        ],
        "annotations": annotations,
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes, 1)],
    }


def _area(ring: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Px², by the shoelace formula."""
    x, y = ring.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


__all__ = ["LAYOUTS", "Generated", "generate", "kinds_of", "label_mask", "paint", "paint_kinds"]
