"""A folder a class, for classification: `SPLIT/good/`, `SPLIT/scratch/` …; where a defect is, is dropped."""

from onspec.datasets.writers.base import Job, Writer
from onspec.datasets.writers.names import as_folder, class_of
from onspec.domain import DEFECT


def write(job: Job) -> None:
    """An image with several classes goes to the one of most of its annotations."""
    for entry in job.entries:
        sample = entry.sample
        cls = class_of(sample)
        folder = "good" if cls is None else as_folder(cls)
        if folder is None:
            job.remarks.add(
                f"image loses its class {cls!r}, which no folder can be called",
                f"images lose their class {cls!r}, which no folder can be called",
            )
        if sample.annotations:
            job.remarks.add("image loses the place of its defects", "images lose the place of their defects")
        if len({annotation.cls for annotation in sample.annotations}) > 1:
            job.remarks.add(
                "image with several classes keeps the most frequent",
                "images with several classes keep the most frequent",
            )
        top = f"{sample.split}/" if sample.split else ""
        job.place(entry, f"{top}{folder or DEFECT}/{entry.file}")


FOLDERS = Writer("folders", unlocated=True, write=write)
