"""COCO's object instances: one JSON file that lists images, categories and annotations, as most labelling tools write.

`annotations/instances_train2017.json` + `train2017/`, `images/` + `result.json` (Label Studio), `images/train/` +
`annotations/instances_train.json` (CVAT, Datumaro), `train/_annotations.coco.json` beside the images (Roboflow), or
any other place: names are looked up in the whole set. An image is good if it is listed and has no annotation; one that
is not listed was never looked at, and is not used. Every annotation is a defect, crowds (`iscrowd`) included, whatever
its category is called. A mask or polygons win over the box of the same annotation.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from onspec.datasets.draft import Drafts, new_drafts, no_area, not_listed, size_problems
from onspec.datasets.folder_names import SPLIT_FOLDERS, split_of
from onspec.datasets.image_index import ImageIndex, index_images, tidy
from onspec.datasets.json_file import Node, ends_of, read_json
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.problem import Problem
from onspec.datasets.tree import Tree
from onspec.domain import Annotation, Box, LayoutError, Polygon, RunLengths, Split
from onspec.imaging.run_strings import decode_string


def score(tree: Tree) -> float:
    """Certain where a JSON file has the lists that COCO has."""
    return 1.0 if next(_lists(tree), None) is not None else 0.0


def read(tree: Tree) -> Reading:
    """Read every file of instances; files of captions, and those of which no image is here, are passed over.

    Raises:
        LabelError: a file that is broken, lacks a field or contradicts itself, with file and field.
        LayoutError: no file holds instances of images that are here.
    """
    reader = _Reader(tree, index_images(tree.images))
    for file in _lists(tree):
        reader.read(file)
    if not reader.drafts:
        why = next((p.message for p in reader.problems), "none lists an image")
        raise LayoutError(f"{tree.root}: no COCO file with images that are here: {why}")
    samples = [draft.sample(tree, image, split_of(image.parts[:-1])) for image, draft in reader.drafts.items()]
    idle = [image for image in tree.images if image not in reader.drafts]
    problems = [*reader.problems, *size_problems(tree, reader.drafts), *not_listed(idle, "any COCO file")]
    return Reading(tuple(samples), tuple(problems))


COCO = Layout("coco", "a JSON file with images, annotations and categories, beside or above the images", score, read)


def _lists(tree: Tree) -> Iterator[PurePosixPath]:
    """JSON files that look like COCO; a JSON file named like the image beside it is that image's own label."""
    own = {(image.parent, image.stem) for image in tree.images}
    for file in tree.others:
        if file.suffix.lower() == ".json" and (file.parent, file.stem) not in own:
            ends = ends_of(tree.path(file), 1 << 20)
            if b'"images"' in ends and (b'"annotations"' in ends or b'"categories"' in ends):
                yield file


@dataclass
class _Reader:
    tree: Tree
    index: ImageIndex
    drafts: Drafts = field(default_factory=new_drafts)
    problems: list[Problem] = field(default_factory=list)

    def read(self, file: PurePosixPath) -> None:
        content = read_json(self.tree.path(file))
        if content.find("annotations") is None:
            self.problems.append(_unlabelled(file, content))
            return
        annotations = list(content["annotations"].items())
        if annotations and not _is_instance(annotations[0]):
            return
        categories = _categories(content["categories"]) if content.find("categories") or annotations else {}
        images = self._images(file, content["images"])
        for entry in annotations:
            image_id = entry["image_id"].key()
            if image_id not in images:
                raise entry["image_id"].wrong(f"is {image_id}, which no image has; export images and labels together")
            image, used = images[image_id]
            if used:
                self._add(image, entry, _class_of(entry, categories))

    def _images(self, file: PurePosixPath, images: Node) -> dict[str, tuple[PurePosixPath, bool]]:
        """By id: the image, and whether it is used. An absent one is kept, so that its absence is seen, unless all are
        absent, as where only one split of a set was downloaded."""
        hints = [re.sub(r"^instances_", "", file.stem.lower()), *_words(file)]
        entries: dict[str, tuple[PurePosixPath, Node, bool]] = {}
        named: dict[PurePosixPath, str] = {}
        for node in images.items():
            key, listed = node["id"].key(), node["file_name"].text()
            if key in entries:
                raise node["id"].wrong(f"is {key}, and so is that of {entries[key][1]['file_name'].text()}")
            found = self.index.find(listed, file, hints)
            image = found or tidy(listed)
            if not image.name:
                raise node["file_name"].wrong(f"is {listed!r}, which is no file's name")
            if named.setdefault(image, listed) != listed:
                raise node["file_name"].wrong(f"is {listed}, and {named[image]} stands for the same image {image}")
            entries[key] = (image, node, found is not None)
        used = any(here for _, _, here in entries.values())
        if entries and not used:
            self.problems.append(_elsewhere(file, len(entries)))
        for image, node, _ in entries.values() if used else ():
            draft = self.drafts[image]
            draft.put_in(_split_of(file), file, image)
            if (width := node.find("width")) and (height := node.find("height")):
                draft.size, draft.sized_by = (round(width.number()), round(height.number())), file
        return {key: (image, used) for key, (image, _, _) in entries.items()}

    def _add(self, image: PurePosixPath, entry: Node, cls: str) -> None:
        annotation = _annotation(entry, cls)
        if annotation is not None:
            self.drafts[image].annotations.append(annotation)
            return
        self.drafts[image].unlocated.append(cls)
        self.problems.append(
            no_area(image, f"{entry.file}: {entry.at}", "neither its segmentation nor its bbox is an area")
        )


def _is_instance(entry: Node) -> bool:
    """Captions have no category, panoptic segments no box of their own."""
    return entry.find("caption") is None and entry.find("segments_info") is None


def _categories(categories: Node) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in categories.items():
        key, name = node["id"].key(), node["name"].text()
        if found.setdefault(key, name) != name:
            raise node["id"].wrong(f"is {key}, and so is that of {found[key]}; give each category its own")
    return found


def _class_of(entry: Node, categories: dict[str, str]) -> str:
    key = entry["category_id"].key()
    if key not in categories:
        known = ", ".join(f"{k} {name}" for k, name in categories.items()) or "none"
        raise entry["category_id"].wrong(f"is {key}, which no category has; known: {known}")
    return categories[key]


def _annotation(entry: Node, cls: str) -> Annotation | None:
    """A mask, else polygons, else a box; `None` where none of them is an area."""
    segmentation = entry.find("segmentation")
    if segmentation is not None and isinstance(segmentation.value, dict):
        runs = _runs(segmentation, cls)
        if any(runs.counts[1::2]):
            return runs
    elif segmentation is not None and segmentation.value:
        rings = _rings(segmentation)
        if rings:
            return Polygon(rings, cls)
    bbox = entry.find("bbox")
    if bbox is None or not bbox.value:
        return None
    x, y, width, height = bbox.numbers(4)
    return Box(x, y, width, height, cls) if width > 0 and height > 0 else None


def _runs(segmentation: Node, cls: str) -> RunLengths:
    height, width = (round(side) for side in segmentation["size"].numbers(2))
    counts = segmentation["counts"]
    try:
        runs = decode_string(counts.value) if isinstance(counts.value, str) else tuple(map(round, counts.numbers()))
        return RunLengths(runs, (width, height), cls)
    except ValueError as error:
        raise counts.wrong(f"cannot be run lengths ({error}); export the labels again") from error


def _rings(segmentation: Node) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Rings of three points or more; some tools write the only ring without a list around it."""
    first = segmentation.value[0] if isinstance(segmentation.value, list) else None
    rings = [segmentation] if isinstance(first, int | float) else list(segmentation.items())
    found = []
    for ring in rings:
        flat = ring.numbers()
        if len(flat) % 2:
            raise ring.wrong(f"has {len(flat)} numbers; x and y must alternate")
        points = tuple(zip(flat[0::2], flat[1::2], strict=True))
        if len(set(points)) >= 3:
            found.append(points)
    return tuple(found)


def _split_of(file: PurePosixPath) -> Split | None:
    """By the folders, else by a word of the name: `instances_train2017` trains."""
    words = (SPLIT_FOLDERS[word] for word in _words(file) if word in SPLIT_FOLDERS)
    return split_of(file.parts[:-1]) or next(words, None)


def _words(file: PurePosixPath) -> list[str]:
    return re.findall(r"[a-z]+", file.stem.lower())


def _unlabelled(file: PurePosixPath, content: Node) -> Problem:
    return Problem(
        severity="error",
        code="label-list",
        file=str(file),
        message=f"{content.file}: annotations is missing; it says of no image whether it is good, and is not used",
        suggestion="export the labels again, or remove the file",
    )


def _elsewhere(file: PurePosixPath, count: int) -> Problem:
    return Problem(
        severity="warning",
        code="label-list",
        file=str(file),
        message=f"{file} lists {count} images, and none of them is here; it is not used",
        suggestion="add its images, or remove the file",
    )
