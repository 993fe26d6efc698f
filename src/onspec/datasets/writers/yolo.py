"""YOLO: `images/SPLIT/` + `labels/SPLIT/`, a text file of boxes and polygons an image, and `data.yaml`.

Good images have an empty file. Pixels become polygons along the edges of the pixels, so that filling them gives the
same pixels again; where a defect has holes, the polygon goes to each hole and back on the same way.
"""

import json
from collections.abc import Iterator

from onspec.datasets.writers.base import Entry, Job, Writer
from onspec.datasets.writers.marks import boxes_of, outlines_of, words
from onspec.domain import Annotation, Box, Polygon, Split


def write(job: Job) -> None:
    """A text file an image; images without a split stand in `images/` itself."""
    codes = {name: code for code, name in enumerate(job.classes)}
    for entry in job.entries:
        folder = f"{entry.sample.split}/" if entry.sample.split else ""
        job.place(entry, f"images/{folder}{entry.file}")
        lines = [
            " ".join([str(codes[annotation.cls]), *(f"{value:.10g}" for value in shares)])
            for annotation in entry.sample.annotations
            for shares in _shares(job, entry, annotation)
        ]
        job.write(f"labels/{folder}{entry.stem}.txt", "".join(f"{line}\n" for line in lines))
    job.write("data.yaml", _config(job))


YOLO = Writer("yolo", unlocated=False, write=write)


def _shares(job: Job, entry: Entry, annotation: Annotation) -> Iterator[list[float]]:
    width, height = entry.size
    if isinstance(annotation, Box):
        for box in boxes_of(entry, annotation):
            middle = ((box.x + box.width / 2) / width, (box.y + box.height / 2) / height)
            yield [*middle, box.width / width, box.height / height]
        return
    for ring in _rings(job, entry, annotation):
        yield [share for x, y in ring for share in (_cut(x / width), _cut(y / height))]


def _rings(job: Job, entry: Entry, annotation: Annotation) -> Iterator[tuple[tuple[float, float], ...]]:
    if isinstance(annotation, Polygon):
        if len(annotation.rings) > 1:
            job.remarks.add(
                "polygon of several rings becomes a line a ring", "polygons of several rings become a line a ring"
            )
        yield from annotation.rings
        return
    one, many = words(annotation)
    job.remarks.add(f"{one} becomes polygons around its pixels", f"{many} become polygons around their pixels")
    for found, _, _ in outlines_of(entry, annotation):
        if found.holes:
            job.remarks.add(
                "polygon is cut to the holes in it, as YOLO has no holes",
                "polygons are cut to the holes in them, as YOLO has no holes",
            )
        yield found.in_one()


def _cut(share: float) -> float:
    """Polygons may lie partly outside the image, YOLO's may not."""
    return min(1.0, max(0.0, share))


def _config(job: Job) -> str:
    """Without a split, `train` alone: what to validate on is the user's to say."""
    there = {entry.sample.split for entry in job.entries}
    folders = [f"{split}: images/{split}" for split in Split if split in there] or ["train: images"]
    names = [f"  {code}: {json.dumps(name, ensure_ascii=False)}" for code, name in enumerate(job.classes)]
    return "\n".join([*folders, "names:", *names]) + "\n"
