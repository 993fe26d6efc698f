"""A data set that was read in one layout → written in another.

Nothing that was given is changed. The new set is written aside, read back, compared, and only then appears: never half
of it, and never one that says of a part what the old one did not say.
"""

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from onspec.datasets import split_file
from onspec.datasets.camera_file import write_camera
from onspec.datasets.dataset import Dataset
from onspec.datasets.labels import load_boxes
from onspec.datasets.layouts import LAYOUTS, detect, load
from onspec.datasets.splitting import leaks
from onspec.datasets.tree import list_tree
from onspec.datasets.writers import WRITERS, Entry, Job, Writer
from onspec.datasets.writers.names import flat_names
from onspec.domain import DataError, ImageError, LabelError, LayoutError, OnspecError, Polygon, Sample, UsageError
from onspec.imaging.header import Size, read_size


@dataclass(frozen=True)
class Conversion:
    """What came of a conversion.

    Attributes:
        layout, classes: of the new set, as it is read back.
        splits: good and defective images of each split that occurs.
        remarks: what the layout could not hold, in sentences with counts.
        left_out: images that were not written, by name, and why.
    """

    layout: str
    classes: tuple[str, ...]
    splits: dict[str, dict[str, int]]
    remarks: tuple[str, ...]
    left_out: dict[str, str]


def convert(
    dataset: Dataset, out: Path, to: str, *, link: bool = False, tell: Callable[[int], None] = lambda _: None
) -> Conversion:
    """Write a data set to `out` in the layout `to`.

    Args:
        link: hard links instead of copies of the images, where the disk allows it; then whoever changes an image in
            one set changes it in the other.
        tell: called with the count of images written so far.

    Raises:
        UsageError: no such layout to write, `out` is not empty, lies in the data set, or cannot be written to.
        DataError: no image can be written, or the layout cannot hold this set.
    """
    refuse(dataset.root, out, to)
    writer = WRITERS[to]
    entries, left_out = _prepare(dataset, writer)
    if not entries:
        raise DataError(f"{dataset.root}: no image can be written as {to}: {next(iter(left_out.values()))}")
    target = out.resolve()
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    job = Job(aside, entries, link, tell=tell)
    try:
        aside.mkdir(parents=True)
        writer.write(job)
        _write_parts(job, dataset)
        write_camera(aside, dataset.camera)
        written = _read_back(job, writer, out)
        aside.replace(target)
    except OSError as error:
        raise UsageError(
            f"{out}: cannot be written ({error.strerror or error}); check the folder, its rights and space"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Conversion(written.layout, written.classes, _counted(written.samples), job.remarks.sentences(), left_out)


def refuse(root: Path, out: Path, to: str) -> None:
    """Raise UsageError for a layout that nobody writes, and for a place where nothing may be written."""
    if to not in WRITERS:
        raise UsageError(f"Unknown layout {to!r} to write; choose {', '.join(WRITERS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty; choose a folder that is new or empty")
    if out.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{out} lies in the data set {root}, and would be read as a part of it; choose another folder")


def _prepare(dataset: Dataset, writer: Writer) -> tuple[tuple[Entry, ...], dict[str, str]]:
    """The images that can be written, and why the others cannot."""
    sizes: dict[str, Size] = {}
    left_out: dict[str, str] = {}
    for sample in dataset.samples:
        try:
            sizes[sample.name] = read_size(sample.image, dataset.camera)
            if sample.annotations:
                _refuse_unusable(sample, sizes[sample.name])
            elif sample.defective and not writer.unlocated:
                left_out[sample.name] = f"it is defective, nobody knows where, and {writer.name} cannot say that"
        except (ImageError, LabelError) as error:
            left_out[sample.name] = str(error)
    kept = [sample for sample in dataset.samples if sample.name not in left_out]
    files = flat_names(kept)
    return tuple(Entry(sample, files[sample.name], sizes[sample.name]) for sample in kept), left_out


def _refuse_unusable(sample: Sample, size: Size) -> None:
    """Raise LabelError for labels that cannot be read, lie outside the image or mark nothing.

    A polygon within the image need not be drawn to see that.
    """
    doubtful = tuple(a for a in sample.annotations if not (isinstance(a, Polygon) and _lies_within(a, size)))
    if not doubtful:
        return
    boxes, _ = load_boxes(replace(sample, annotations=doubtful), size)
    if not len(boxes) and len(doubtful) == len(sample.annotations):
        raise LabelError(f"{sample.name} is defective, but its label marks nothing")


def _lies_within(polygon: Polygon, size: Size) -> bool:
    corners = [max(axis) for ring in polygon.rings for axis in zip(*ring, strict=True)]
    middles = [sum(axis) / len(axis) for ring in polygon.rings for axis in zip(*ring, strict=True)]
    lowest = min(value for ring in polygon.rings for point in ring for value in point)
    sides = size * len(polygon.rings)
    return lowest >= 0 and all(c <= s and m < s for c, m, s in zip(corners, middles, sides, strict=True))


def _write_parts(job: Job, dataset: Dataset) -> None:
    """A `split.csv` where names might not tell which images show one part. It has to assign every image to a split."""
    samples = [replace(e.sample, name=job.written[e.sample.name][0]) for e in job.entries]
    splits = dict(job.written.values())
    if len({sample.part for sample in samples}) == len(samples) and not dataset.parts_known:
        return
    assignment = {name: split for name, split in splits.items() if split is not None}
    if len(assignment) == len(samples) and not leaks(samples, assignment):
        split_file.write(job.root / split_file.NAME, samples, assignment)


def _read_back(job: Job, writer: Writer, out: Path) -> Dataset:
    """Read what was written, and compare every image's truth and split with what they were.

    Raises:
        DataError: it cannot be read, or differs.
    """
    try:
        found = load(job.root, writer.name)
        detected = detect(list_tree(job.root)).name
    except LayoutError as error:
        raise DataError(
            f"{out}: not written, as it could not be read again as {writer.name} ({LAYOUTS[writer.name].shape}); write "
            "another layout"
        ) from error
    except OnspecError as error:
        why = str(error).replace(str(job.root), str(out))
        raise DataError(f"{out}: not written, as {writer.name} cannot hold this set: {why}") from error
    wanted = {job.written[e.sample.name][0]: e.sample for e in job.entries}
    splits = dict(job.written.values())
    read = {sample.name: sample for sample in found.samples}
    for name, sample in wanted.items():
        if name not in read or read[name].defective is not sample.defective or read[name].split is not splits[name]:
            got = "not" if name not in read else f"as {read[name].truth}, split {read[name].split or 'none'}"
            raise DataError(
                f"{out}: not written, as {name} ({sample.truth}, split {splits[name] or 'none'}) would be read {got}; "
                "write another layout"
            )
    if len(read) > len(wanted):
        surplus = min(read.keys() - wanted.keys())
        raise DataError(f"{out}: not written, as {surplus} would be read as an image; write another layout")
    if detected != writer.name:
        job.remarks.notes.append(f"it looks like {detected}; to read it again, give --layout {writer.name}")
    old = _grouped((name, sample.part) for name, sample in wanted.items())
    if old != _grouped((name, sample.part) for name, sample in read.items()):
        job.remarks.notes.append(
            "which images show one part is guessed otherwise from the new names; give --part-pattern, or a split.csv"
        )
    return found


def _grouped(parts: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """The images of each part."""
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name, part in parts:
        groups[part].add(name)
    return {frozenset(group) for group in groups.values()}


def _counted(samples: Iterable[Sample]) -> dict[str, dict[str, int]]:
    """Good and defective images of each split that occurs."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        counts[sample.split or "not assigned"][sample.truth] += 1
    return {split: {"good": c["good"], "defective": c["defective"]} for split, c in sorted(counts.items())}
