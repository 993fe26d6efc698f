"""COCO: `annotations/instances_SPLIT.json` + `images/SPLIT/`; images without a split are `default`, as CVAT has it.

Boxes and polygons stay what they are. All other labels become compressed run lengths, which lose nothing; of a label
image, each object that it numbers becomes an annotation of its own, or else each connected defect.
"""

import json
from collections import defaultdict
from typing import Any

import numpy as np

from onspec.datasets.writers.base import Entry, Job, Writer
from onspec.datasets.writers.marks import mask_of, objects_of, plain
from onspec.domain import Annotation, Box, Ellipse, MaskFile, Polygon, RunLengths
from onspec.imaging.masks import Mask
from onspec.imaging.outlines import pieces, placed
from onspec.imaging.run_strings import encode_string
from onspec.imaging.shapes import encode_runs


def write(job: Job) -> None:
    """A file a split, images of each in a folder of its own."""
    categories = [{"id": n, "name": name, "supercategory": ""} for n, name in enumerate(job.classes, 1)]
    ids = {str(c["name"]): c["id"] for c in categories}
    by_split: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in job.entries:
        by_split[entry.sample.split or "default"].append(entry)
    for split, entries in by_split.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for entry in entries:
            job.place(entry, f"images/{split}/{entry.file}")
            width, height = entry.size
            images.append({"id": len(images) + 1, "file_name": entry.file, "width": width, "height": height})
            for annotation in entry.sample.annotations:
                for shape in _shapes(job, entry, annotation):
                    known = {"id": len(annotations) + 1, "image_id": len(images), "category_id": ids[annotation.cls]}
                    annotations.append(known | shape | {"iscrowd": 0})
        content = {"images": images, "annotations": annotations, "categories": categories}
        job.write(f"annotations/instances_{split}.json", json.dumps(content, ensure_ascii=False))


COCO = Writer("coco", unlocated=False, write=write)


def _shapes(job: Job, entry: Entry, annotation: Annotation) -> list[dict[str, Any]]:
    match annotation:
        case Box(x, y, width, height):
            bbox = [plain(v) for v in (x, y, width, height)]
            return [{"bbox": bbox, "segmentation": [], "area": plain(width * height)}]
        case Polygon():
            return [_polygon(annotation)]
        case MaskFile(numbered=True):
            return [_runs(mask) for mask in objects_of(entry, annotation)]
        case MaskFile():
            cut = pieces(mask_of(entry, annotation))
            return [_runs(placed(piece, at, entry.size)) for piece, at in cut]
        case Ellipse() | RunLengths():
            if isinstance(annotation, Ellipse):
                job.remarks.add("ellipse becomes the pixels it covers", "ellipses become the pixels they cover")
            return [_runs(mask_of(entry, annotation))]


def _polygon(polygon: Polygon) -> dict[str, Any]:
    points = np.array([point for ring in polygon.rings for point in ring])
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return {
        "bbox": [plain(v) for v in (left, top, right - left, bottom - top)],
        "segmentation": [[plain(v) for point in ring for v in point] for ring in polygon.rings],
        "area": plain(sum(map(_area, polygon.rings))),
    }


def _area(ring: tuple[tuple[float, float], ...]) -> float:
    x, y = np.array(ring).T
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


def _runs(mask: Mask) -> dict[str, Any]:
    ys, xs = np.nonzero(mask)
    left, top = int(xs.min()), int(ys.min())
    counts = encode_string(encode_runs(mask))
    return {
        "bbox": [left, top, int(xs.max()) + 1 - left, int(ys.max()) + 1 - top],
        "segmentation": {"size": list(mask.shape), "counts": counts},
        "area": len(xs),
    }
