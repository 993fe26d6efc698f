"""Judging test parts several times for `onspec acceptance`, and the facts that its protocol has to tell."""

import hashlib
import platform
import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onspec.cli.reference import ReferenceParts
    from onspec.domain import Inspection, Sample
    from onspec.evaluation.reference_part import ReferencePart
    from onspec.recipe.package import Package


@dataclass(slots=True)
class _Said:
    """All that was said of one image, in the order of the repeats."""

    sha256: str = ""
    inspections: list["Inspection"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Judged:
    """The test parts with their verdicts, the golden samples that failed, and the engine that ran."""

    parts: "tuple[ReferencePart, ...]"
    golden_failed: tuple[str, ...]
    engine: str
    orders: tuple[str, ...]


def judge_repeatedly(package: "Package", engine: str, reference: "ReferenceParts", repeats: int) -> Judged:
    """Judge every image `repeats` times, each time with the engine started anew and in another order.

    What an engine keeps from image to image, or from start to start, would show as a verdict that changes.

    Raises:
        EngineError, MissingExtraError: the engine cannot run.
    """
    from onspec.cli.progress import tracked
    from onspec.runtime.golden import run_golden
    from onspec.runtime.inspector import Inspector

    samples = [sample for part in reference.parts.values() for sample in part]
    said: defaultdict[str, _Said] = defaultdict(_Said)
    orders, failed, name = [], [], engine
    for repeat in range(repeats):
        order, words = _order(samples, repeat)
        orders.append(words)
        with closing(Inspector(package, engine)) as inspector:
            name = inspector.engine_name
            if repeat == 0:
                failed = [outcome.name for outcome in run_golden(inspector, package.golden) if not outcome.ok]
            with closing(inspector.inspect_files(sample.image for sample in order)) as results:
                bar = tracked(results, len(order), f"repeat {repeat + 1} of {repeats}")
                for sample, result in zip(order, bar, strict=True):
                    said[sample.name].inspections.append(result.inspection)
    for sample in samples:
        said[sample.name].sha256 = _sha256(sample.image)
    parts = tuple(_part(part, reference, said, package) for part in reference.parts)
    return Judged(parts, tuple(failed), name, tuple(orders))


def _order(samples: Sequence["Sample"], repeat: int) -> "tuple[list[Sample], str]":
    if repeat == 0:
        return list(samples), "by name"
    if repeat == 1:
        return list(reversed(samples)), "backwards"
    mixed = list(samples)
    random.Random(repeat).shuffle(mixed)
    return mixed, f"mixed (seed {repeat})"


def _part(
    part: str, reference: "ReferenceParts", said: "defaultdict[str, _Said]", package: "Package"
) -> "ReferencePart":
    from onspec.evaluation.classification import told
    from onspec.evaluation.reference_part import JudgedImage, ReferencePart

    images = []
    for sample in reference.parts[part]:
        everything = said[sample.name]
        first = everything.inspections[0]
        images.append(
            JudgedImage(
                image=sample.name,
                sha256=everything.sha256,
                verdicts=tuple(inspection.verdict for inspection in everything.inspections),
                scores=tuple(inspection.score for inspection in everything.inspections),
                told=None
                if first.score is None
                else told(first.score, first.class_scores, package.recipe.thresholds.image),
                reasons=first.reasons,
                error=next((i.error for i in everything.inspections if i.error is not None), None),
                ms=tuple(round(sum(inspection.ms.values()), 3) for inspection in everything.inspections),
            )
        )
    return ReferencePart(
        part=part, reference=reference.reference(part), cls=reference.class_of(part), images=tuple(images)
    )


def _sha256(path: Path) -> str:
    """Empty where the file cannot be read: its image ended as ERROR."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def machine() -> dict[str, str]:
    """What computes here."""
    from onspec.runtime.machine import processor, usable_cores

    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": str(usable_cores()),
    }


def versions(engine: str) -> dict[str, str]:
    """Of what decides a verdict beside onspec: libraries, and the packages of the engine."""
    from importlib.metadata import PackageNotFoundError, version

    from onspec.runtime.engines import ENGINES

    entry = ENGINES.get(engine)
    found = {"python": platform.python_version()}
    for name in ("numpy", "opencv-python-headless", *(() if entry is None else entry.packages)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
