"""DAGM 2007, official: `ClassN/{Train,Test}/NNNN.PNG`, `Label/NNNN_label.PNG` and `Label/Labels.txt`."""

import re
from collections import defaultdict
from pathlib import PurePosixPath

import numpy as np

from onspec.datasets.labels import load_mask
from onspec.datasets.writers.base import Entry, Job, Writer
from onspec.datasets.writers.marks import words
from onspec.domain import DEFECT, MaskFile, Split
from onspec.imaging.writing import encode_image

_CLASS = re.compile(r"class\d+", re.IGNORECASE)
"""What DAGM calls a kind of surface; it has no classes of defects."""


def write(job: Job) -> None:
    """Images are numbered anew in each folder; what has no split trains."""
    folders: defaultdict[tuple[str, Split], list[Entry]] = defaultdict(list)
    for entry in job.entries:
        surface = next((p for p in PurePosixPath(entry.sample.name).parts if _CLASS.fullmatch(p)), "Class1")
        folders[surface, entry.sample.split or Split.TRAIN].append(entry)
    for (surface, split), entries in sorted(folders.items()):
        _write_folder(job, f"{surface}/{split.capitalize()}", split, entries)
    _remark(job)


DAGM = Writer("dagm", unlocated=False, write=write)


def _write_folder(job: Job, folder: str, split: Split, entries: list[Entry]) -> None:
    rows = ["1"]
    for number, entry in enumerate(entries, 1):
        suffix = PurePosixPath(entry.file).suffix
        image = f"{number:04d}{suffix.upper() if suffix.lower() == '.png' else suffix}"
        job.place(entry, f"{folder}/{image}", split)
        end = "0\t"
        if entry.sample.defective:
            end = f"{number:04d}_label.PNG"
            mask = np.asarray(load_mask(entry.sample, entry.size)[0] * 255, np.uint8)
            job.write(f"{folder}/Label/{end}", encode_image(mask))
        rows.append(f"{number:04d}\t{int(entry.sample.defective)}\t{image}\t0\t{end}")
    job.write(f"{folder}/Label/Labels.txt", "\n".join(rows) + "\n")


def _remark(job: Job) -> None:
    remarks = job.remarks
    remarks.add("image gets a number for its name", "images get numbers for their names", len(job.entries))
    named = [name for name in job.classes if name != DEFECT]
    remarks.add(
        f"class of defects is dropped: {', '.join(named)}",
        f"classes of defects are dropped: {', '.join(named)}",
        len(named),
    )
    for entry in job.entries:
        for annotation in entry.sample.annotations:
            if not isinstance(annotation, MaskFile):
                one, many = words(annotation)
                remarks.add(f"{one} is drawn into the label image", f"{many} are drawn into label images")
            elif annotation.numbered:
                remarks.add("label image loses its objects' numbers", "label images lose their objects' numbers")
        if entry.sample.split is None:
            remarks.add("image has no split and stands in Train", "images have no split and stand in Train")
        if entry.sample.split is Split.VAL:
            remarks.add(
                "image stands in Val, a folder that DAGM has not", "images stand in Val, a folder that DAGM has not"
            )
        if PurePosixPath(entry.file).suffix.lower() != ".png":
            remarks.add("image is no PNG, as DAGM's are", "images are no PNG, as DAGM's are")
