"""One digest for a data set's images, labels and splits: the same digest, the same training material."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

from onspec.datasets.dataset import Dataset
from onspec.domain import Annotation, DataError, MaskFile, Sample, Split


def fingerprint(dataset: Dataset, assignment: Mapping[str, Split]) -> str:
    """`sha256:` and the digest over every sample's name, part, truth, split, image bytes and labels, sorted by name.

    Raises:
        DataError: a file of the set is gone or cannot be read.
    """
    with ThreadPoolExecutor(4) as threads:
        rows = list(threads.map(lambda s: _row(s, assignment[s.name]), dataset.samples))
    return "sha256:" + hashlib.sha256("".join(sorted(rows)).encode()).hexdigest()


def _row(sample: Sample, split: Split) -> str:
    labels = [_label(annotation) for annotation in sample.annotations]
    fields = (sample.name, sample.part, sample.truth, sample.cls or "", split, _digest(sample.image), *sorted(labels))
    return "\0".join(fields) + "\n"


def _label(annotation: Annotation) -> str:
    """What the label says, the content of its file included; where its file stands is no matter."""
    if isinstance(annotation, MaskFile):
        code = "" if annotation.code is None else f" {annotation.code}"
        return f"{annotation.cls} {annotation.inverted}{code} {_digest(annotation.path)}"
    values = (repr(getattr(annotation, field.name)) for field in fields(annotation) if field.name != "cls")
    return " ".join([annotation.cls, *values])


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the set with: onspec check DATA") from error
