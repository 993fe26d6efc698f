"""One digest for a data set's images, labels and splits: the same digest, the same training material."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

from onspec.datasets.dataset import Dataset
from onspec.domain import Annotation, DataError, MaskFile, Sample, Split
from onspec.imaging.camera import AS_STORED


def fingerprint(dataset: Dataset, assignment: Mapping[str, Split]) -> str:
    """`sha256:` and the digest over every sample's name, part, lot, time, truth, split, image bytes and labels, sorted
    by name, and the camera if one is named.

    Raises:
        DataError: a file of the set is gone or cannot be read.
    """
    with ThreadPoolExecutor(4) as threads:
        rows = list(threads.map(lambda s: _row(s, assignment[s.name]), dataset.samples))
    if dataset.camera != AS_STORED:
        rows.append(f"camera\0{dataset.camera}\n")
    return "sha256:" + hashlib.sha256("".join(sorted(rows)).encode()).hexdigest()


def difference(learned: str, listed: Collection[str], digest: str, names: Collection[str]) -> str:
    """In what a set differs from the one that a recipe learned from, as a sentence; empty where it does not.

    Args:
        learned, listed: fingerprint and image names of the set that was learned from.
        digest, names: those of the set at hand. Where folders differ, images are the same by the names of their files.
    """
    if learned == digest:
        return ""
    new, gone = _without(names, listed), _without(listed, names)
    found = [f"{_images(new)} new ({new[0]})"] if new else []
    found += [f"{_images(gone)} missing ({gone[0]})"] if gone else []
    if found:
        what = " and ".join(found)
        return f"the data are not those that the recipe was trained on: {what}; the rest may have changed, too"
    return (
        "the data are not those that the recipe was trained on: images are the same by name, but since then a file, a "
        "label, a part or a lot has changed"
    )


def _without(names: Collection[str], others: Collection[str]) -> list[str]:
    known = {*others, *(name.rsplit("/", 1)[-1] for name in others)}
    return sorted(name for name in names if name not in known and name.rsplit("/", 1)[-1] not in known)


def _images(names: Sequence[str]) -> str:
    return "1 image is" if len(names) == 1 else f"{len(names)} images are"


def _row(sample: Sample, split: Split) -> str:
    labels = [_label(annotation) for annotation in sample.annotations]
    known = [f"{what}={told}" for what, told in (("lot", sample.lot), ("time", sample.time)) if told is not None]
    whole = (sample.name, sample.part, sample.truth, sample.cls or "", split)
    fields = (*whole, _digest(sample.image), *sorted(labels), *known)
    return "\0".join(fields) + "\n"


def _label(annotation: Annotation) -> str:
    """What the label says, the content of its file included; where its file stands is no matter."""
    if isinstance(annotation, MaskFile):
        code = "" if annotation.code is None else f" {annotation.code}"
        code = " numbered" if annotation.numbered else code
        return f"{annotation.cls} {annotation.inverted}{code} {_digest(annotation.path)}"
    values = (repr(getattr(annotation, field.name)) for field in fields(annotation) if field.name != "cls")
    return " ".join([annotation.cls, *values])


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the set with: onspec check DATA") from error
