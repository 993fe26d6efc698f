"""Labelled images for `onspec evaluate` and `onspec threshold`: which ones, and what the recipe makes of them."""

import csv
import importlib.util
import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onspec.datasets.dataset import Dataset
    from onspec.datasets.split_file import FileSplit
    from onspec.domain import Inspection, Sample, Split
    from onspec.evaluation.evaluator import Evaluator
    from onspec.recipe.package import Package
    from onspec.runtime.inspector import Inspector, Result

SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True, slots=True)
class Selection:
    """The samples of a split, the assignment they come from, and the sentence that says who made that.

    `known` says that the recipe itself tells which images its network was trained and chosen on; `fingerprint` is of
    the whole set, and `changed` says how that differs from the set that the recipe was trained on, if it does.
    """

    samples: tuple["Sample", ...]
    assignment: dict[str, "Split"]
    rule: str
    known: bool
    fingerprint: str = ""
    changed: str = ""


def require_evaluate(what: str) -> None:
    """Refuse at once, not after minutes of judging.

    Raises:
        MissingExtraError: a package of the extra `evaluate` is not installed.
    """
    from onspec.domain import MissingExtraError

    if any(importlib.util.find_spec(name) is None for name in ("scipy", "matplotlib", "jinja2", "pycocotools")):
        raise MissingExtraError(what, "evaluate")


def select(dataset: "Dataset", package: "Package", split: str, split_file: Path | None = None) -> Selection:
    """The samples of one split, or of all.

    A split file wins; then the split that the recipe carries, images it does not know counting as test: its network
    never saw them. For other data it is the set's own split, else one made as training would make it.

    Raises:
        UsageError: no such split.
        DataError: the set's camera.yaml names another camera than the recipe has.
        SplitError: the split has no image, or the split file does not fit.
    """
    from onspec.cli.progress import talk
    from onspec.datasets.camera_file import refuse_other
    from onspec.domain import SplitError, UsageError

    if split not in SPLITS:
        raise UsageError(f"Unknown split {split!r}; choose {', '.join(SPLITS)}")
    refuse_other(dataset.camera, dataset.root, package.recipe.input.camera, "the recipe")
    chosen = _chosen(dataset, package, split, split_file)
    dataset = _as_told(dataset, chosen.told)
    samples = tuple(s for s in dataset.samples if split in ("all", chosen.assignment[s.name]))
    if not samples:
        there = sorted({str(value) for value in chosen.assignment.values()})
        raise SplitError(
            f"{dataset.root}: the {split} split has no image ({chosen.rule}); choose --split {', '.join(there)} or all"
        )
    told = dataset.parts_rule if dataset.parts_rule.startswith("parts") else f"parts {dataset.parts_rule}"
    digest = _digest(dataset, chosen.assignment)
    changed = _changed(dataset, package, digest) if chosen.known else ""
    if changed:
        talk(changed)
    return Selection(samples, chosen.assignment, f"{chosen.rule}; {told}", chosen.known, digest, changed)


def judge_all(
    inspector: "Inspector", selection: Selection, evaluator: "Evaluator"
) -> Iterator[tuple["Sample", "Inspection"]]:
    """Judge every sample and add it to the evaluator, as an error where it cannot be judged.

    A label that cannot be used still says whether the part is defective: the verdict counts, and nothing else.
    """
    from onspec.cli.progress import tracked

    paths = (sample.image for sample in selection.samples)
    with closing(inspector.inspect_files(paths)) as results:
        for sample, result in zip(selection.samples, tracked(results, len(selection.samples), "judging"), strict=True):
            _add(evaluator, sample, result)
            yield sample, result.inspection


def _add(evaluator: "Evaluator", sample: "Sample", result: "Result") -> None:
    from onspec.domain import Decision

    told = result.inspection
    if told.score is None or result.prediction is None:
        evaluator.add_error(sample.name, sample.part, sample.defective, told.error or "", ms=_ms(result))
        return
    label, fault = _label_or_fault(sample, result, evaluator.classes)
    decision = Decision(
        verdict=told.verdict, score=told.score, class_scores=told.class_scores, cls=told.cls, reasons=told.reasons,
        fired=told.fired, defects=told.defects,
    )  # fmt: skip
    evaluator.add(
        sample.name, sample.part, sample.defective, result.prediction, label.truth, decision=decision, ms=_ms(result),
        cls=label.cls, boxes=label.boxes, objects=label.objects, image=result.image, placement=result.placement,
        label_fault=fault,
    )  # fmt: skip


def _ms(result: "Result") -> float:
    return round(sum(result.inspection.ms.values()), 3)


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of an image's defects; `None` where nobody knows.

    Attributes:
        truth: uint8 (K, H, W) of 0/1.
        boxes: float32 (n, 4) of x, y, width, height in px, and int64 (n,) class indices.
        cls: the class of a label that is about the whole image.
        objects: int32 (H, W) of 0 and a number a defect; only for a recipe that tells touching ones apart.
    """

    truth: "NDArray[np.uint8] | None" = None
    boxes: "tuple[NDArray[np.float32], NDArray[np.int64]] | None" = None
    cls: str | None = None
    objects: "NDArray[np.int32] | None" = None


def label_of(sample: "Sample", result: "Result", classes: tuple[str, ...]) -> Label:
    """The label as masks, as boxes, as the image's class, and as single objects where the result has those.

    Raises:
        LabelError: the label cannot be used.
    """
    from onspec.datasets.labels import class_index, is_located, load_boxes, load_instances, load_mask

    cls = sample.cls if sample.defective else None
    if cls is not None:
        cls = classes[class_index(cls, classes, sample.name)]
    if not is_located(sample) or result.image is None:
        return Label(cls=cls)
    size = (result.image.shape[1], result.image.shape[0])
    apart = result.prediction is not None and result.prediction.cores is not None
    objects = load_instances(sample, size) if apart else None
    return Label(load_mask(sample, size, classes), load_boxes(sample, size, classes), cls, objects)


def _label_or_fault(sample: "Sample", result: "Result", classes: tuple[str, ...]) -> tuple[Label, str | None]:
    """The label; where it cannot be used an empty one, and why."""
    from onspec.domain import LabelError

    try:
        return label_of(sample, result, classes), None
    except LabelError as error:
        return Label(), str(error)


def redrawn(inspector: "Inspector", sample: "Sample") -> bytes | None:
    """JPEG of an image with its label and the answer, read and judged again; `None` where it cannot be judged.

    It has no label where that cannot be used: a borderline part's may be of a class that the recipe does not have.
    """
    from onspec.evaluation.pictures import Shown, draw

    again, recipe = inspector.inspect_file(sample.image), inspector.recipe
    if again.image is None or again.prediction is None:
        return None
    label, _ = _label_or_fault(sample, again, recipe.classes)
    return draw(
        Shown(again.image, again.prediction, recipe.thresholds, recipe.task, label.truth, label.boxes, label.objects)
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Who is in which split by what rule, and the parts, lots and times that the file which says so tells."""

    assignment: dict[str, "Split"]
    rule: str
    known: bool = False
    told: "FileSplit | None" = None


def _chosen(dataset: "Dataset", package: "Package", split: str, split_file: Path | None) -> _Chosen:
    from onspec.datasets.splitting import assign, read_split
    from onspec.domain import Split

    if split_file is not None:
        assignment = read_split(split_file, dataset)
        return _Chosen(assignment, f"split by {split_file}", told=_told(split_file, dataset))
    carried = _carried(dataset, package)
    if carried is not None:
        return carried
    own = {s.name: s.split for s in dataset.samples if s.split is not None}
    if len(own) == len(dataset.samples):
        return _Chosen(own, "the data set's own split, which is not the recipe's")
    if split == "all" or not dataset.defective:
        rule = "all images of the set" if split == "all" else "all images of the set, as the recipe knows none of them"
        return _Chosen(dict.fromkeys((s.name for s in dataset.samples), Split.TEST), rule)
    seed = package.recipe.provenance.training.get("seed", 0)
    rule = "split anew, as the recipe knows none of these images; --split all takes every one"
    return _Chosen(assign(dataset, seed=seed if isinstance(seed, int) else 0), rule)


def _carried(dataset: "Dataset", package: "Package") -> _Chosen | None:
    """The split of the recipe, if it knows any image of the set."""
    from onspec.datasets.splitting import read_split
    from onspec.domain import SplitError

    if package.split_csv is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.csv"
        path.write_bytes(package.split_csv)
        try:
            assignment = read_split(path, dataset)
            return _Chosen(assignment, "split as for training", True, _told(path, dataset))
        except SplitError:
            listed = _listed(package.split_csv)
    known = {s.name: listed[s.name] for s in dataset.samples if s.name in listed}
    if not known:
        return None
    new = len(dataset.samples) - len(known)
    rule = f"split as for training; {new} images that were not there then go with their part or lot, else to test"
    lots_then = b"lot" in package.split_csv.split(b"\n", 1)[0]
    if lots_then and any(s.lot is None for s in dataset.samples if s.name not in known):
        rule += ", but their lots are not known here: give --lot-from as for training"
    return _Chosen(_extended(dataset, known), rule, True)


def _told(path: Path, dataset: "Dataset") -> "FileSplit":
    from onspec.datasets.split_file import read

    return read(path, [s.name for s in dataset.samples])


def _as_told(dataset: "Dataset", told: "FileSplit | None") -> "Dataset":
    """The set with the parts, lots and times of a split file where it does not know its own."""
    if told is None:
        return dataset
    parts = {} if dataset.parts_known else told.parts
    samples = (
        replace(
            s, part=parts.get(s.name, s.part), lot=s.lot or told.lots.get(s.name), time=s.time or told.times.get(s.name)
        )
        for s in dataset.samples
    )
    return replace(dataset, samples=tuple(samples))


def _digest(dataset: "Dataset", assignment: Mapping[str, "Split"]) -> str:
    from onspec.datasets.fingerprint import fingerprint
    from onspec.domain import DataError

    try:
        return fingerprint(dataset, assignment)
    except DataError as error:  # an image that cannot be read is a row of the results, no reason to stop
        return f"not known: {error}"


def _changed(dataset: "Dataset", package: "Package", digest: str) -> str:
    """How the set differs from the one that the recipe was trained on; empty where it does not, or is not known."""
    from onspec.datasets.fingerprint import difference

    learned = package.recipe.provenance.data
    if learned is None or package.split_csv is None:
        return ""
    names = [sample.name for sample in dataset.samples]
    return difference(learned.fingerprint, _listed(package.split_csv).keys(), digest, names)


def _listed(split_csv: bytes) -> dict[str, "Split"]:
    from onspec.domain import Split

    rows = csv.DictReader(io.StringIO(split_csv.decode("utf-8-sig", "replace")))
    return {row["image"]: Split(row["split"]) for row in rows if row.get("image") and row.get("split") in set(Split)}


def _extended(dataset: "Dataset", known: Mapping[str, "Split"]) -> dict[str, "Split"]:
    from onspec.domain import Split

    of_part = {s.part: known[s.name] for s in dataset.samples if s.name in known}
    of_lot = {s.lot: known[s.name] for s in dataset.samples if s.name in known and s.lot is not None}
    new = {s.name: of_part.get(s.part, of_lot.get(s.lot or "", Split.TEST)) for s in dataset.samples}
    return new | dict(known)
