"""The layouts of data sets on disk. A new one costs a file here, a line in `LAYOUTS` and a test."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from onspec.datasets import origins, parts
from onspec.datasets import split_file as split_files
from onspec.datasets.camera_file import camera_of
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
from onspec.datasets.problem import Problem, new_problem
from onspec.datasets.splitting import leaks
from onspec.datasets.tree import Marked, Tree, list_tree
from onspec.domain import LayoutError, Sample, Split

LAYOUTS: dict[str, Layout] = {
    layout.name: layout for layout in (DAGM, DEEPPCB, KOLEKTOR, MASKS, COCO, VOC, YOLO, LABELME, CSV, FOLDERS)
}
"""Name → layout; of two that are equally sure, the first is taken."""

_ANEW = "the set's own splits are not used, as copies of one image stand in two of them"

__all__ = ["LAYOUTS", "Layout", "Reading", "detect", "load"]


def load(
    root: Path,
    layout: str | None = None,
    part_pattern: str | None = None,
    *,
    lot_from: str | None = None,
    time_from: str | None = None,
    split_file: Path | None = None,
    marked: Marked | None = None,
) -> Dataset:
    """Read a data set; without `layout` it is detected. `split.csv` in `root` assigns splits, parts, lots and times.

    Args:
        part_pattern: regular expression on a sample's name; its group 1 names the part.
        lot_from, time_from: where lots and times are said, see `origins`.
        split_file: taken in place of `split.csv`.
        marked: how masks of one class draw it; otherwise told by their look, for all of the set.

    Raises:
        LayoutError: no such folder, an unknown layout, or one that the folder does not have.
        UsageError: a pattern or another source of parts, lots or times that cannot be right.
        DataError, LabelError, SplitError: a set whose labels, split.csv or camera.yaml cannot be read.
    """
    tree = list_tree(root, marked)
    camera = camera_of(tree)
    chosen = detect(tree) if layout is None else _named(tree, layout)
    reading = chosen.read(tree)
    found = sorted(reading.samples, key=lambda sample: sample.name)
    listed = split_files.FileSplit({})
    beside = root / split_files.NAME
    if split_file is not None or beside.is_file():
        listed = split_files.read(split_file or beside, [sample.name for sample in found])
    telling = parts.tell_apart(found, listed.parts, part_pattern, own=reading.parts)
    own, anew = ({}, ()) if listed.splits else _own_splits(found, telling.originals)
    lots = origins.tell_lots(found, tree, listed.lots, lot_from)
    times = origins.tell_times(found, tree, listed.times, time_from)
    samples = tuple(
        replace(
            sample,
            part=telling.parts[sample.name],
            split=listed.splits.get(sample.name, own.get(sample.name)),
            lot=lots.values.get(sample.name),
            time=times.values.get(sample.name),
        )
        for sample in found
    )
    return Dataset(
        root=root,
        layout=chosen.name,
        samples=samples,
        parts_rule="; ".join((telling.rule, *_lots_rule(lots, len(samples)), *([_ANEW] if anew else []))),
        parts_known=telling.known,
        inverted=reading.inverted,
        marked=marked,
        problems=reading.problems + anew,
        camera=camera,
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


def _own_splits(
    samples: Sequence[Sample], originals: Mapping[str, str]
) -> tuple[Mapping[str, Split], tuple[Problem, ...]]:
    """The splits that the set itself assigns, by name; none, and why, if changed copies of one image stand in two."""
    own = {sample.name: sample.split for sample in samples if sample.split is not None}
    placed = [sample for sample in samples if sample.name in own]
    crossing = leaks(placed, own, originals) if originals else {}
    if not crossing:
        return own, ()
    first, second = next(iter(crossing.values()))
    such = "1 such image" if len(crossing) == 1 else f"{len(crossing)} such images"
    text = f"{_ANEW}: {such}, as {first} in {own[first]} and {second} in {own[second]}"
    advice = "training splits the set anew, by part; split.csv with a column part says otherwise"
    return {}, (new_problem("warning", "split-of-copies", (first, second), text, advice),)


def _lots_rule(lots: origins.Origin, images: int) -> tuple[str, ...]:
    if not lots.values:
        return ()
    alone = images - len(lots.values)
    rest = f" ({alone} images are of no known lot)" if alone else ""
    return (f"{len(set(lots.values.values()))} lots {lots.rule}{rest}",)


def _named(tree: Tree, name: str) -> Layout:
    if name not in LAYOUTS:
        raise LayoutError(f"Unknown layout {name!r}; choose {', '.join(LAYOUTS)}")
    if LAYOUTS[name].score(tree) <= 0:
        raise LayoutError(
            f"{tree.root}: not laid out as {name} ({LAYOUTS[name].shape}); leave --layout out to detect it"
        )
    return LAYOUTS[name]
