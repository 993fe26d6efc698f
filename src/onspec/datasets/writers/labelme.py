"""labelme: `X.json` beside each image, in a folder a split. Open the folder in labelme and go on.

Boxes become rectangles, polygons stay polygons, pixels become polygons along their edges; a defect with holes becomes
a mask, which labelme has since 5.4. What belongs to one defect shares a `group_id`. An image that is known to be
defective, but not where, has the flag `defective`.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from onspec.datasets.writers.base import Entry, Job, Writer
from onspec.datasets.writers.marks import outlines_of, plain, words
from onspec.domain import DEFECT, Annotation, Box, Ellipse, MaskFile, Polygon
from onspec.imaging.writing import encode_image

_VERSION = "5.4.1"
"""The labelme whose form this is."""


def write(job: Job) -> None:
    """A JSON file an image, good ones without a shape."""
    for entry in job.entries:
        folder = f"{entry.sample.split}/" if entry.sample.split else ""
        job.place(entry, f"{folder}{entry.file}")
        shapes: list[dict[str, Any]] = []
        for annotation in entry.sample.annotations:
            found = list(_shapes(job, annotation, entry))
            group = len(shapes) if len(found) > 1 and not isinstance(annotation, MaskFile) else None
            shapes += [_shape(annotation.cls, group, *shape) for shape in found]
        unlocated = entry.sample.defective and not entry.sample.annotations
        if unlocated and entry.sample.cls not in (None, DEFECT):
            job.remarks.add(
                "image is flagged as defective without its class", "images are flagged as defective without their class"
            )
        content: dict[str, Any] = {
            "version": _VERSION,
            "flags": {"defective": True} if unlocated else {},
            "shapes": shapes,
        }
        content |= {"imagePath": entry.file, "imageData": None}
        content |= {"imageHeight": entry.size[1], "imageWidth": entry.size[0]}
        job.write(f"{folder}{entry.stem}.json", json.dumps(content, ensure_ascii=False, indent=2))


LABELME = Writer("labelme", unlocated=True, write=write)

_Shape = tuple[str, list[list[int | float]], str | None]
"""Type, points, mask."""


def _shapes(job: Job, annotation: Annotation, entry: Entry) -> Iterator[_Shape]:
    match annotation:
        case Box(x, y, width, height):
            yield "rectangle", _points([(x, y), (x + width, y + height)]), None
        case Polygon(rings):
            for ring in rings:
                yield "polygon", _points(ring), None
        case Ellipse(x, y, a, b) if a == b:
            yield "circle", _points([(x + 0.5, y + 0.5), (x + 0.5 + a, y + 0.5)]), None
        case _:
            yield from _traced(job, annotation, entry)


def _traced(job: Job, annotation: Annotation, entry: Entry) -> Iterator[_Shape]:
    one, many = words(annotation)
    job.remarks.add(f"{one} becomes polygons around its pixels", f"{many} become polygons around their pixels")
    for found, piece, (x, y) in outlines_of(entry, annotation):
        if not found.holes:
            yield "polygon", _points(found.ring), None
            continue
        job.remarks.add(
            "defect with holes becomes a mask, which needs labelme 5.4 or newer",
            "defects with holes become masks, which need labelme 5.4 or newer",
        )
        code = base64.b64encode(encode_image(piece)).decode("ascii")
        yield "mask", _points([(x, y), (x + piece.shape[1] - 1, y + piece.shape[0] - 1)]), code


def _points(points: Iterable[tuple[float, float]]) -> list[list[int | float]]:
    return [[plain(x), plain(y)] for x, y in points]


def _shape(
    label: str, group: int | None, kind: str, points: list[list[int | float]], mask: str | None
) -> dict[str, Any]:
    known: dict[str, Any] = {"label": label, "points": points, "group_id": group, "description": ""}
    return known | {"shape_type": kind, "flags": {}, "mask": mask}
