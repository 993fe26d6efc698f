"""A look at every file of a data set before a minute of training is spent on it."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from onspec.datasets.dataset import Dataset
from onspec.datasets.labels import is_located, load_mask
from onspec.datasets.mask_facts import MaskFacts, survey_masks
from onspec.datasets.parts import equal_files
from onspec.datasets.problem import Problem, Severity
from onspec.datasets.splitting import leaks, own_split
from onspec.domain import Ellipse, ImageError, LabelError, MaskFile, Sample
from onspec.imaging.preparation import holds_gray
from onspec.imaging.reading import read_image

FEW_PARTS = 20
"""Defective parts below which hardly anything can be said about escapes."""


class LabelReport(BaseModel):
    """What the labels look like. Shares are of the image's area, over located defective images; `None` without any."""

    model_config = ConfigDict(frozen=True)

    files: int
    ellipses: int
    encodings: dict[str, int]
    inverted: bool
    unlocated: int
    defects: int
    share_min: float | None
    share_median: float | None
    share_max: float | None


class CheckReport(BaseModel):
    """What `onspec check` found; `problems` by file name, errors first."""

    model_config = ConfigDict(frozen=True)

    layout: str
    images: dict[str, int]
    parts: dict[str, int]
    parts_rule: str
    splits: dict[str, dict[str, int]]
    sizes: dict[str, int]
    channels: dict[str, int]
    dtypes: dict[str, int]
    labels: LabelReport
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """How many problems are errors."""
        return sum(problem.severity == "error" for problem in self.problems)


@dataclass(frozen=True, slots=True)
class _Facts:
    size: tuple[int, int] | None
    channels: str = ""
    dtype: str = ""
    share: float | None = None
    defects: int = 0
    label_digest: str = ""
    problem: Problem | None = None


def check(dataset: Dataset) -> CheckReport:
    """Read every image and label once; whatever is wrong becomes a `Problem`, nothing is raised for a file."""
    with ThreadPoolExecutor(4) as threads:
        found = dict(zip(dataset.samples, threads.map(_facts, dataset.samples), strict=True))
    masks = [a.path for s in dataset.samples for a in s.annotations if isinstance(a, MaskFile)]
    encodings = Counter(f.encoding for f in survey_masks(masks).values() if isinstance(f, MaskFacts))
    shares = [facts.share for facts in found.values() if facts.share is not None]
    readable = [facts for facts in found.values() if facts.size is not None]
    problems = [*dataset.problems, *(f.problem for f in found.values() if f.problem is not None)]
    problems += [*_duplicates(found), *_crossings(dataset), *_amounts(dataset, readable)]
    defective_parts = {s.part for s in dataset.samples if s.defective}
    return CheckReport(
        layout=dataset.layout,
        images={"good": dataset.good, "defective": dataset.defective},
        parts={"all": len({s.part for s in dataset.samples}), "defective": len(defective_parts)},
        parts_rule=dataset.parts_rule,
        splits=_splits(dataset),
        sizes=_counted(f"{f.size[0]}×{f.size[1]}" for f in readable if f.size is not None),
        channels=_counted(f.channels for f in readable),
        dtypes=_counted(f.dtype for f in readable),
        labels=LabelReport(
            files=len(masks),
            ellipses=sum(isinstance(a, Ellipse) for s in dataset.samples for a in s.annotations),
            encodings=dict(encodings.most_common()),
            inverted=dataset.inverted,
            unlocated=sum(not is_located(s) for s in dataset.samples),
            defects=sum(f.defects for f in found.values()),
            share_min=min(shares, default=None),
            share_median=median(shares) if shares else None,
            share_max=max(shares, default=None),
        ),
        problems=tuple(sorted(problems, key=lambda p: (p.severity, p.code, p.file or ""))),
    )


def _facts(sample: Sample) -> _Facts:
    try:
        image = read_image(sample.image)
    except ImageError as error:
        code = "unreadable" if sample.image.exists() else "missing"
        advice = (
            "copy it again from its source" if code == "unreadable" else "restore the file, or its line in the list"
        )
        return _Facts(None, problem=_problem("error", code, sample.name, str(error), advice))
    height, width = image.shape[:2]
    kind = "gray" if image.ndim == 2 else "colour that holds gray" if holds_gray(image) else "colour"
    about = ((width, height), kind, str(image.dtype))
    if not sample.annotations:
        return _Facts(*about, label_digest=sample.truth)
    try:
        mask = load_mask(sample, (width, height))[0]
    except LabelError as error:
        absent = any(isinstance(a, MaskFile) and not a.path.exists() for a in sample.annotations)
        code = "label-missing" if absent else "label"
        return _Facts(
            *about, problem=_problem("error", code, sample.name, str(error), "correct the label, or label anew")
        )
    if not mask.any():
        text = f"{sample.name} is defective, but its label marks nothing"
        problem = _problem("error", "label-empty", sample.name, text, "label it, or move the image to the good ones")
        return _Facts(*about, problem=problem)
    share = cv2.countNonZero(mask) / mask.size
    defects = cv2.connectedComponents(mask, connectivity=8)[0] - 1
    return _Facts(*about, share, defects, hashlib.sha256(np.packbits(mask).tobytes()).hexdigest())


def _duplicates(found: Mapping[Sample, _Facts]) -> Iterator[Problem]:
    by_path = {sample.image: sample for sample, facts in found.items() if facts.size is not None}
    for group in equal_files(list(by_path)):
        samples = sorted((by_path[path] for path in group), key=lambda s: s.name)
        first, names = samples[0].name, ", ".join(s.name for s in samples[1:])
        if len({found[s].label_digest for s in samples}) > 1:
            text = f"{first} is the same file as {names}, but their labels differ"
            yield _problem("error", "duplicate-labels", first, text, "keep the one with the right label")
        else:
            text = f"{first} is the same file as {names}"
            yield _problem("warning", "duplicate", first, text, "keep one; copies only weigh it more")
        if len({s.split for s in samples}) > 1:
            text = f"{first} stands in {samples[0].split} and, as {names}, in another split"
            yield _problem(
                "error", "duplicate-in-splits", first, text, "keep it in one split, or figures come out too good"
            )


def _crossings(dataset: Dataset) -> Iterator[Problem]:
    own = {s.name: s.split for s in dataset.samples if s.split is not None}
    placed = [s for s in dataset.samples if s.name in own]
    severity: Severity = "error" if dataset.parts_known else "warning"
    for part, (first, second) in leaks(placed, own).items():
        sure = "" if dataset.parts_known else "probably "
        text = f"part {part} stands {sure}in two splits: {first} in {own[first]}, {second} in {own[second]}"
        advice = (
            "keep a part in one split; a column part in split.csv or --part-pattern says which images show one part"
        )
        yield _problem(severity, "part-in-splits", first, text, advice)
    if len(own) == len(dataset.samples) and dataset.defective and not own_split(dataset):
        text = "the set's own training split holds good parts only, so training splits the whole set anew, by part"
        yield _problem("warning", "split-of-good", None, text, "write a split.csv to decide otherwise")


def _amounts(dataset: Dataset, readable: Sequence[_Facts]) -> Iterator[Problem]:
    parts = {s.part for s in dataset.samples if s.defective}
    if not parts:
        yield _problem("error", "no-defective", None, "no image is defective", "add defective parts, labelled")
    elif len(parts) < FEW_PARTS:
        text = f"only {len(parts)} defective parts: hardly anything can be said about escapes"
        yield _problem("warning", "few-defective", None, text, f"collect {FEW_PARTS} or more defective parts")
    if dataset.good == 0:
        text = "no image is good, so false rejects cannot be measured"
        yield _problem("warning", "no-good", None, text, "add images of good parts; they need no label")
    dtypes = sorted({facts.dtype for facts in readable})
    if len(dtypes) > 1:
        text = f"images of different depth: {', '.join(dtypes)}"
        yield _problem("error", "mixed-depth", None, text, "convert them to one depth")


def _splits(dataset: Dataset) -> dict[str, dict[str, int]]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in dataset.samples:
        counts[sample.split or "not assigned"][sample.truth] += 1
    order = ["train", "val", "test", "not assigned"]
    return {str(k): {"good": counts[k]["good"], "defective": counts[k]["defective"]} for k in order if k in counts}


def _counted(values: Iterator[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _problem(severity: Severity, code: str, file: str | None, message: str, suggestion: str) -> Problem:
    return Problem(severity=severity, code=code, file=file, message=message, suggestion=suggestion)


__all__ = ["CheckReport", "LabelReport", "check"]
