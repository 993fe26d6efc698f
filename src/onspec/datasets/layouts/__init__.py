"""The layouts of data sets on disk. A new one costs a file here, a line in `LAYOUTS` and a test."""

from dataclasses import replace
from pathlib import Path

from onspec.datasets import parts, split_file
from onspec.datasets.dataset import Dataset
from onspec.datasets.layouts.base import Layout, Reading
from onspec.datasets.layouts.coco import COCO
from onspec.datasets.layouts.csv import CSV
from onspec.datasets.layouts.dagm import DAGM
from onspec.datasets.layouts.deeppcb import DEEPPCB
from onspec.datasets.layouts.folders import FOLDERS
from onspec.datasets.layouts.kolektor import KOLEKTOR
from onspec.datasets.layouts.labelme import LABELME
from onspec.datasets.layouts.masks import MASKS
from onspec.datasets.layouts.voc import VOC
from onspec.datasets.layouts.yolo import YOLO
from onspec.datasets.tree import Tree, list_tree
from onspec.domain import LayoutError

LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (DAGM, DEEPPCB, KOLEKTOR, MASKS, COCO, VOC, YOLO, LABELME, CSV, FOLDERS)
}
"""Name → layout; of two that are equally sure, the first is taken."""

__all__ = ["LAYOUTS", "Layout", "Reading", "detect", "load"]


def load(root: Path, layout: str | None = None, part_pattern: str | None = None) -> Dataset:
    """Read a data set; without `layout` it is detected. A `split.csv` in `root` assigns splits and parts.

    Args:
        part_pattern: regular expression on a sample's name; its group 1 names the part.

    Raises:
        LayoutError: no such folder, an unknown layout, or one that the folder does not have.
        DataError, LabelError, SplitError: a set whose labels or split.csv cannot be read.
    """
    tree = list_tree(root)
    chosen = detect(tree) if layout is None else _named(tree, layout)
    reading = chosen.read(tree)
    listed = split_file.FileSplit({}, {})
    if (root / split_file.NAME).is_file():
        listed = split_file.read(root / split_file.NAME, [sample.name for sample in reading.samples])
    telling = parts.tell_apart(reading.samples, listed.parts, part_pattern, own=reading.parts)
    samples = tuple(
        replace(sample, part=telling.parts[sample.name], split=listed.splits.get(sample.name, sample.split))
        for sample in reading.samples
    )
    return Dataset(
        root=root,
        layout=chosen.name,
        samples=samples,
        parts_rule=telling.rule,
        parts_known=telling.known,
        inverted=reading.inverted,
        problems=reading.problems,
    )


def detect(tree: Tree) -> Layout:
    """The layout that is surest of itself.

    Raises:
        LayoutError: none knows the folder; names what each expects.
    """
    scores = {layout.name: layout.score(tree) for layout in LAYOUTS.values()}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] <= 0:
        shapes = "; ".join(f"{layout.name}: {layout.shape}" for layout in LAYOUTS.values())
        raise LayoutError(f"{tree.root}: no known layout ({len(tree.images)} images, no labels found); known: {shapes}")
    return LAYOUTS[best]


def _named(tree: Tree, name: str) -> Layout:
    if name not in LAYOUTS:
        raise LayoutError(f"Unknown layout {name!r}; choose {', '.join(LAYOUTS)}")
    if LAYOUTS[name].score(tree) <= 0:
        raise LayoutError(
            f"{tree.root}: not laid out as {name} ({LAYOUTS[name].shape}); leave --layout out to detect it"
        )
    return LAYOUTS[name]
