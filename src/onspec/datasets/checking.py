"""A look at every file of a data set before a minute of training is spent on it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict

from onspec.datasets.amounts import EscapeBound, amount_problems, escape_bound
from onspec.datasets.class_spelling import spelling_problems
from onspec.datasets.dataset import Dataset
from onspec.datasets.duplicates import duplicate_problems
from onspec.datasets.exposure import exposure_problems
from onspec.datasets.label_faults import mask_problems, unlabelled_problems
from onspec.datasets.labels import Located, is_located, locating
from onspec.datasets.mask_facts import MaskFacts, survey_masks
from onspec.datasets.problem import Problem, Severity, new_problem
from onspec.datasets.sample_facts import SampleFacts, facts_of
from onspec.datasets.splitting import leaks, lot_leaks, own_split
from onspec.domain import DEFECT, Box, Ellipse, MaskFile, Polygon, RunLengths, Sample

_THREADS = 4
"""Decoding leaves Python alone, so that threads share the cores."""


class LabelReport(BaseModel):
    """What the labels look like. Shares are of the image's area, over located defective images; `None` without any.

    `files`, `ellipses`, `boxes`, `polygons` and `runs` count labels of each kind; `located` is how most defects are.
    """

    model_config = ConfigDict(frozen=True)

    located: Located
    files: int
    ellipses: int
    boxes: int
    polygons: int
    runs: int
    encodings: dict[str, int]
    inverted: bool
    unlocated: int
    defects: int
    share_min: float | None
    share_median: float | None
    share_max: float | None


class ClassReport(BaseModel):
    """One class of defects: images that show it, and how many of its defects are marked in them."""

    model_config = ConfigDict(frozen=True)

    images: int
    defects: int


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
    classes: dict[str, ClassReport]
    labels: LabelReport
    escapes: EscapeBound
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """How many problems are errors."""
        return sum(problem.severity == "error" for problem in self.problems)


def check(dataset: Dataset, watch: Callable[[int], None] = lambda _: None) -> CheckReport:
    """Read every image and label once; whatever is wrong becomes a `Problem`, nothing is raised for a file.

    `watch` is told how many images are done.
    """
    found = _read(dataset, watch)
    readable = [facts for facts in found.values() if facts.size is not None]
    masks = _survey(dataset)
    problems = [*dataset.problems, *(problem for facts in found.values() for problem in facts.problems)]
    problems += [
        *duplicate_problems(found, dataset.camera),
        *_crossings(dataset),
        *amount_problems(dataset),
        *_unnamed(dataset),
    ]
    problems += [*spelling_problems(dataset.samples), *mask_problems(dataset, masks), *unlabelled_problems(dataset)]
    problems += [*exposure_problems({s.name: f.look for s, f in found.items() if f.look}), *_depths(readable)]
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
        classes=_classes(found),
        labels=_labels(dataset, masks, [facts for facts in found.values() if facts.share is not None]),
        escapes=escape_bound(dataset),
        problems=tuple(sorted(problems, key=lambda p: (p.severity, p.code, p.file or ""))),
    )


def _read(dataset: Dataset, watch: Callable[[int], None]) -> dict[Sample, SampleFacts]:
    samples, found = dataset.samples, dict[Sample, SampleFacts]()
    with ThreadPoolExecutor(_THREADS) as threads:
        for sample, facts in zip(samples, threads.map(partial(facts_of, camera=dataset.camera), samples), strict=True):
            found[sample] = facts
            watch(len(found))
    return found


def _survey(dataset: Dataset) -> dict[Path, MaskFacts]:
    """The label images that can be read, each once."""
    paths = list(dict.fromkeys(a.path for s in dataset.samples for a in s.annotations if isinstance(a, MaskFile)))
    return {path: facts for path, facts in survey_masks(paths).items() if isinstance(facts, MaskFacts)}


def _labels(dataset: Dataset, masks: Mapping[Path, MaskFacts], marked: Sequence[SampleFacts]) -> LabelReport:
    kinds = Counter(type(a) for s in dataset.samples for a in s.annotations)
    files = {a.path for s in dataset.samples for a in s.annotations if isinstance(a, MaskFile)}
    named = ("numbered objects" if dataset.numbered else facts.encoding for facts in masks.values())
    shares = [facts.share for facts in marked if facts.share is not None]
    return LabelReport(
        located=locating(dataset.samples),
        files=len(files),
        ellipses=kinds[Ellipse],
        boxes=kinds[Box],
        polygons=kinds[Polygon],
        runs=kinds[RunLengths],
        encodings=dict(Counter(named).most_common()),
        inverted=dataset.inverted,
        unlocated=sum(not is_located(s) for s in dataset.samples),
        defects=sum(sum(facts.defects.values()) for facts in marked),
        share_min=min(shares, default=None),
        share_median=median(shares) if shares else None,
        share_max=max(shares, default=None),
    )


def _classes(found: Mapping[Sample, SampleFacts]) -> dict[str, ClassReport]:
    """By class, the most frequent first; a defective image that names none counts as `defect`."""
    images: Counter[str] = Counter()
    defects: Counter[str] = Counter()
    for sample, facts in found.items():
        if sample.defective:
            images.update(sample.classes)
            defects.update(facts.defects)
    return {cls: ClassReport(images=count, defects=defects[cls]) for cls, count in images.most_common()}


def _unnamed(dataset: Dataset) -> Iterator[Problem]:
    named = [cls for cls in dataset.classes if cls != DEFECT]
    without = [s for s in dataset.samples if DEFECT in s.classes]
    if named and without:
        text = (
            f"{len(without)} defective images name no class, others {', '.join(named)}; the first is {without[0].name}"
        )
        yield new_problem(
            "warning", "class-unnamed", without[0].name, text, "name their class, or train with --classes one"
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
        yield new_problem(severity, "part-in-splits", first, text, advice)
    for lot, (first, second) in lot_leaks(placed, own).items():
        text = f"lot {lot} stands in two splits: {first} in {own[first]}, {second} in {own[second]}"
        advice = "keep a lot in one split, or figures come out too good for parts of other days"
        yield new_problem("error", "lot-in-splits", first, text, advice)
    if len(own) == len(dataset.samples) and dataset.defective and not own_split(dataset):
        text = "the set's own training split holds good parts only, so training splits the whole set anew, by part"
        yield new_problem("warning", "split-of-good", None, text, "write a split.csv to decide otherwise")


def _depths(readable: Sequence[SampleFacts]) -> Iterator[Problem]:
    dtypes = sorted({facts.dtype for facts in readable})
    if len(dtypes) > 1:
        text = f"images of different depth: {', '.join(dtypes)}"
        yield new_problem("error", "mixed-depth", None, text, "convert them to one depth")


def _splits(dataset: Dataset) -> dict[str, dict[str, int]]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in dataset.samples:
        counts[sample.split or "not assigned"][sample.truth] += 1
    order = ["train", "val", "test", "not assigned"]
    return {str(k): {"good": counts[k]["good"], "defective": counts[k]["defective"]} for k in order if k in counts}


def _counted(values: Iterator[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


__all__ = ["CheckReport", "ClassReport", "LabelReport", "check"]
