"""Whether one recipe judges as another one does: what stands before a recipe that is made of its parent."""

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onspec.domain import Sample
    from onspec.recipe.package import Package
    from onspec.runtime.inspector import Inspector

AP_LOSS = 0.001
"""What the image's average precision may fall by."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a recipe made of the held-out images on one engine: their verdicts by name, and the average precision."""

    verdicts: dict[str, str]
    average_precision: float | None


def as_next_version(child: "Package", parent: "Package", *, by: str, note: str) -> "Package":
    """The child as the version after its parent, made now."""
    from datetime import UTC, datetime

    from onspec.recipe.lineage import next_version
    from onspec.recipe.reading import with_digest

    return next_version(
        with_digest(child), parent, at=datetime.now(UTC).isoformat(timespec="seconds"), by=by, note=note
    )


def engines_to_compare(asked: list[str] | None) -> list[str]:
    """The engines to compare on.

    Raises:
        OnspecError: one that was asked for does not run here.
    """
    from onspec.runtime.choosing import candidates
    from onspec.runtime.engines import obstacle

    for name in asked or ():
        fault = obstacle(name)
        if fault is not None:
            raise fault
    return list(dict.fromkeys(asked)) if asked else candidates()


def able(names: "Sequence[str]", asked: list[str] | None, package: "Package") -> list[str]:
    """Those of `engines_to_compare` that can run this recipe: a GPU's library may not have its precision.

    Others are told and left out.

    Raises:
        OnspecError: one that was asked for, or the reference, cannot.
    """
    from onspec.cli.progress import talk
    from onspec.domain import OnspecError
    from onspec.runtime.engines import REFERENCE
    from onspec.runtime.inspector import Inspector

    found = []
    for name in names:
        try:
            Inspector(package, name).close()
        except OnspecError as error:
            if asked or name == REFERENCE:
                raise
            talk(f"{name} is left out: {error}")
        else:
            found.append(name)
    return found


def spread(samples: "Sequence[Sample]", count: int) -> "list[Sample]":
    """So many of the samples, evenly over good and over defective ones."""
    chosen: list[Sample] = []
    for defective in (False, True):
        group = [sample for sample in samples if sample.defective is defective]
        step = max(1, len(group) * 2 // count)
        chosen += group[::step][: max(1, count // 2)]
    return chosen


def judge_all_of(inspector: "Inspector", samples: "Sequence[Sample]") -> Judged:
    """Verdicts and average precision of all samples; one that cannot be judged has no score."""
    import numpy as np

    from onspec.evaluation.ranking import average_precision

    verdicts, truth, scores = {}, [], []
    with closing(inspector.inspect_files(sample.image for sample in samples)) as results:
        for sample, result in zip(samples, results, strict=True):
            verdicts[sample.name] = str(result.inspection.verdict)
            if result.inspection.score is not None:
                truth.append(sample.defective)
                scores.append(result.inspection.score)
    return Judged(verdicts, average_precision(np.array(truth, bool), np.array(scores, np.float64)))


def changes(before: Judged, now: Judged) -> tuple[str, ...]:
    """What speaks against it, an image: a verdict that differs, or none, which shows nothing."""
    return tuple(
        f"{name} is judged {now.verdicts[name]}, was {verdict}"
        for name, verdict in before.verdicts.items()
        if now.verdicts[name] != verdict or verdict == "ERROR"
    )


def precision_fault(before: float | None, now: float | None) -> str | None:
    """What speaks against an average precision; `None` if nothing does, or the parent's is not defined."""
    if before is None or (now is not None and now >= before - AP_LOSS):
        return None
    shown = "not defined" if now is None else f"{now:.4f}"
    return f"average precision {shown}, was {before:.4f}; it may fall by {AP_LOSS:g}"


def golden_scores(inspector: "Inspector") -> list[tuple[str, float | None]]:
    """Verdict and score of each golden sample."""
    from onspec.runtime.golden import run_golden

    told = [outcome.inspection for outcome in run_golden(inspector, inspector.package.golden)]
    return [(str(one.verdict), one.score) for one in told]
