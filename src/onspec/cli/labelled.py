"""Labelled images for `onspec evaluate` and `onspec threshold`: which ones, and what the recipe makes of them."""

import csv
import importlib.util
import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onspec.datasets.dataset import Dataset
    from onspec.domain import Inspection, Sample, Split
    from onspec.evaluation.evaluator import Evaluator
    from onspec.recipe.package import Package
    from onspec.runtime.inspector import Inspector, Result

SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True, slots=True)
class Selection:
    """The samples of a split, the assignment they come from, and the sentence that says where that comes from.

    `known` says that the recipe itself tells which images its network was trained and chosen on.
    """

    samples: tuple["Sample", ...]
    assignment: dict[str, "Split"]
    rule: str
    known: bool


def require_evaluate(what: str) -> None:
    """Refuse at once, not after minutes of judging.

    Raises:
        MissingExtraError: a package of the extra `evaluate` is not installed.
    """
    from onspec.domain import MissingExtraError

    if any(importlib.util.find_spec(name) is None for name in ("scipy", "matplotlib", "jinja2")):
        raise MissingExtraError(what, "evaluate")


def select(dataset: "Dataset", package: "Package", split: str, split_file: Path | None = None) -> Selection:
    """The samples of one split, or of all.

    A split file wins; then the split that the recipe carries, images it does not know counting as test: its network
    never saw them. For other data it is the set's own split, else one made as training would make it.

    Raises:
        UsageError: no such split.
        SplitError: the split has no image, or the split file does not fit.
    """
    from onspec.domain import SplitError, UsageError

    if split not in SPLITS:
        raise UsageError(f"Unknown split {split!r}; choose {', '.join(SPLITS)}")
    assignment, rule, known = _assignment(dataset, package, split, split_file)
    samples = tuple(s for s in dataset.samples if split in ("all", assignment[s.name]))
    if not samples:
        there = sorted({str(value) for value in assignment.values()})
        raise SplitError(
            f"{dataset.root}: the {split} split has no image ({rule}); choose --split {', '.join(there)} or all"
        )
    return Selection(samples, assignment, rule, known)


def judge_all(
    inspector: "Inspector", selection: Selection, evaluator: "Evaluator"
) -> Iterator[tuple["Sample", "Inspection"]]:
    """Judge every sample and add it to the evaluator; one that cannot be judged or compared is added as an error."""
    from onspec.domain import LabelError

    paths = (sample.image for sample in selection.samples)
    with closing(inspector.inspect_files(paths)) as results:
        for sample, result in zip(selection.samples, _with_bar(results, len(selection.samples)), strict=True):
            try:
                _add(evaluator, sample, result)
            except LabelError as error:
                evaluator.add_error(sample.name, sample.part, sample.defective, str(error), ms=_ms(result))
            yield sample, result.inspection


def _add(evaluator: "Evaluator", sample: "Sample", result: "Result") -> None:
    from onspec.domain import Decision

    told = result.inspection
    if told.score is None:
        evaluator.add_error(sample.name, sample.part, sample.defective, told.error or "", ms=_ms(result))
        return
    truth = truth_of(sample, result, evaluator.classes)
    decision = Decision(verdict=told.verdict, score=told.score, reasons=told.reasons, defects=told.defects)
    evaluator.add(
        sample.name, sample.part, sample.defective, result.maps, truth, decision=decision, ms=_ms(result)
    )  # fmt: skip


def _ms(result: "Result") -> float:
    return round(sum(result.inspection.ms.values()), 3)


def truth_of(sample: "Sample", result: "Result", classes: tuple[str, ...]) -> "NDArray[np.uint8] | None":
    """The label as uint8 (K, H, W) of 0/1, or `None` where nobody knows where the defect is.

    Raises:
        LabelError: the label cannot be used.
    """
    from onspec.datasets.labels import is_located, load_mask

    if not is_located(sample) or result.image is None:
        return None
    return load_mask(sample, (result.image.shape[1], result.image.shape[0]), classes)


def _assignment(
    dataset: "Dataset", package: "Package", split: str, split_file: Path | None
) -> tuple[dict[str, "Split"], str, bool]:
    from onspec.datasets.splitting import assign, read_split
    from onspec.domain import Split

    if split_file is not None:
        return read_split(split_file, dataset), f"split by {split_file}", False
    carried = _carried(dataset, package)
    if carried is not None:
        return carried
    own = {s.name: s.split for s in dataset.samples if s.split is not None}
    if len(own) == len(dataset.samples):
        return own, "the data set's own split; the recipe was not made from these images", False
    if split == "all":
        return dict.fromkeys((s.name for s in dataset.samples), Split.TEST), "all images of the set", False
    seed = package.recipe.provenance.training.get("seed", 0)
    rule = "the recipe does not say how these images were split, so they were split anew; --split all takes all of them"
    return assign(dataset, seed=seed if isinstance(seed, int) else 0), rule, False


def _carried(dataset: "Dataset", package: "Package") -> tuple[dict[str, "Split"], str, bool] | None:
    """The split of the recipe, if it knows any image of the set."""
    from onspec.datasets.splitting import read_split
    from onspec.domain import SplitError

    if package.split_csv is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "split.csv"
        path.write_bytes(package.split_csv)
        try:
            return read_split(path, dataset), "as the recipe's network was trained", True
        except SplitError:
            listed = _listed(package.split_csv)
    known = {s.name: listed[s.name] for s in dataset.samples if s.name in listed}
    if not known:
        return None
    assignment = _extended(dataset, known)
    new = len(dataset.samples) - len(known)
    rule = f"as the recipe's network was trained; {new} images that it does not know go with their part, else to test"
    return assignment, rule, True


def _listed(split_csv: bytes) -> dict[str, "Split"]:
    from onspec.domain import Split

    rows = csv.DictReader(io.StringIO(split_csv.decode("utf-8-sig", "replace")))
    return {row["image"]: Split(row["split"]) for row in rows if row.get("image") and row.get("split") in set(Split)}


def _extended(dataset: "Dataset", known: Mapping[str, "Split"]) -> dict[str, "Split"]:
    from onspec.domain import Split

    of_part = {s.part: known[s.name] for s in dataset.samples if s.name in known}
    return {s.name: known.get(s.name, of_part.get(s.part, Split.TEST)) for s in dataset.samples}


def _with_bar(results: "Iterator[Result]", total: int) -> "Iterator[Result]":
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, "judging", total, console=console, disable=not console.is_terminal)
