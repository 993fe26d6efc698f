"""A whole training run: data set in, RUN folder out. It never reads a test image."""

import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import cv2

from onspec import __version__
from onspec.datasets.dataset import Dataset
from onspec.datasets.fingerprint import fingerprint
from onspec.datasets.splitting import assign, read_split, write_split
from onspec.domain import DataError, Sample, Split, UsageError
from onspec.evaluation.operating_point import Chooser
from onspec.imaging.reading import read_bytes
from onspec.recipe.draft import write_draft
from onspec.recipe.schema import DataProvenance, Provenance, Recipe
from onspec.training.allocator import keep_freed_memory
from onspec.training.checkpoint import NAME as CHECKPOINT
from onspec.training.export import to_onnx
from onspec.training.loop import Budget, Outcome, Watcher, fit
from onspec.training.networks import parameters
from onspec.training.plan import Plan, Reasons, make_plan, read_plan, write_plan
from onspec.training.pool import load_pool
from onspec.training.survey import survey
from onspec.training.validation import original_maps, torch_infer

WINDOWS = (1, 3, 5, 9, 15, 25)
"""Sides in original px among which the averaging window of the image score is chosen on validation parts."""

_GOLDEN_EACH = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for.

    Attributes:
        budget_s: seconds for the whole command, reading and export included.
        steps: exactly so many steps instead of what fits the budget.
        started: `time.monotonic()` when the command began.
    """

    run: Path
    budget_s: float
    seed: int = 0
    steps: int | None = None
    network: str | None = None
    plan_file: Path | None = None
    split_file: Path | None = None
    resume: bool = False
    started: float = 0.0


Say = Callable[[str], None]


def train(dataset: Dataset, settings: Settings, *, say: Say, watch: Watcher) -> Recipe:
    """Train and write the run: plan.yaml, split.csv, curves, recipe.json, model.onnx, golden samples.

    Raises:
        DataError, ImageError, LabelError: data that cannot be trained on.
        UsageError: a run folder that is in use, a budget that is too small, an edited plan that is wrong.
    """
    run = settings.run
    _open_run(run, settings)
    keep_freed_memory()
    cv2.setNumThreads(1)  # crops are cut beside the network's own threads
    assignment = _split(dataset, settings)
    parts = {s: [x for x in dataset.samples if assignment[x.name] is s] for s in (Split.TRAIN, Split.VAL)}
    _refuse_unbalanced(parts)
    plan, reasons = _plan(parts, settings)
    write_plan(run / "plan.yaml", plan, reasons)
    for field, reason in reasons.items():
        say(f"plan: {field}: {reason}")
    train_pool = load_pool(parts[Split.TRAIN], plan.input, plan.classes)
    val_pool = load_pool(parts[Split.VAL], plan.input, plan.classes)
    say(f"data: {len(train_pool)} images to train on, {len(val_pool)} to validate on; {dataset.parts_rule}")
    budget = Budget(settings.budget_s - _reserve(len(val_pool), settings.budget_s), settings.steps)
    outcome = fit(
        run,
        plan,
        train_pool,
        val_pool,
        budget=budget,
        seed=settings.seed,
        started=settings.started or time.monotonic(),
        resume=settings.resume,
        watch=watch,
    )
    say(f"trained {outcome.state.step} steps; the best network is of step {outcome.state.best_step}")
    recipe = _recipe(dataset, assignment, settings, plan, outcome, _observed(outcome, plan, parts[Split.VAL]))
    write_draft(
        run, recipe, to_onnx(outcome.network, plan.input.channels, plan.input.stride), _golden(parts[Split.VAL])
    )
    return recipe


def _open_run(run: Path, settings: Settings) -> None:
    if (run / CHECKPOINT).exists() and not settings.resume:
        raise UsageError(f"{run} already holds a run; go on with --resume, or choose another --out")
    if run.exists() and not run.is_dir():
        raise UsageError(f"{run} is a file; --out takes a folder")
    run.mkdir(parents=True, exist_ok=True)


def _split(dataset: Dataset, settings: Settings) -> dict[str, Split]:
    """A resumed run keeps its split; a new one writes it down before anything is read."""
    path = settings.run / "split.csv"
    if settings.resume and path.is_file():
        return read_split(path, dataset)
    assignment = assign(dataset, seed=settings.seed, split_file=settings.split_file)
    write_split(path, dataset, assignment)
    return assignment


def _refuse_unbalanced(parts: dict[Split, list[Sample]]) -> None:
    for split, samples in parts.items():
        if not samples:
            raise DataError(f"the {split} split has no image; correct split.csv, or leave the split to onspec")
        if not any(s.defective for s in samples):
            raise DataError(
                f"the {split} split has no defective image, so nothing can be learned or judged; add defective parts"
            )


def _plan(parts: dict[Split, list[Sample]], settings: Settings) -> tuple[Plan, Reasons]:
    if settings.plan_file is not None:
        return read_plan(settings.plan_file), {"task": f"from {settings.plan_file.name}"}
    if settings.resume and (settings.run / "plan.yaml").is_file():
        return read_plan(settings.run / "plan.yaml"), {"task": "as the run was started"}
    return make_plan(survey(parts[Split.TRAIN] + parts[Split.VAL], ("defect",)), settings.network)


def _reserve(val_images: int, budget_s: float) -> float:
    """Seconds kept for choosing the operating point and the export, at most a quarter of the budget."""
    return min(0.25 * budget_s, 5.0 + 0.15 * val_images)


def _observed(outcome: Outcome, plan: Plan, samples: Sequence[Sample]) -> Chooser:
    """What the operating point is chosen from: validation maps in original pixels, made as production makes them."""
    chooser = Chooser(WINDOWS)
    original_maps(samples, plan.input, plan.classes, torch_infer(outcome.network), chooser.add)
    return chooser


def _recipe(
    dataset: Dataset,
    assignment: dict[str, Split],
    settings: Settings,
    plan: Plan,
    outcome: Outcome,
    chooser: Chooser,
) -> Recipe:
    images = Counter(f"{assignment[s.name]}_{s.truth}" for s in dataset.samples)
    parts = Counter(split for split, _ in {(assignment[s.name], s.part) for s in dataset.samples})
    state = outcome.state
    return Recipe(
        name=_name(dataset.root),
        task=plan.task,
        classes=plan.classes,
        input=plan.input,
        thresholds=chooser.choose(),
        provenance=Provenance(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            onspec=__version__,
            data=DataProvenance(
                name=dataset.root.name,
                layout=dataset.layout,
                fingerprint=fingerprint(dataset, assignment),
                images=dict(sorted(images.items())),
                parts={str(k): v for k, v in sorted(parts.items())},
            ),
            training={
                "network": plan.network,
                "parameters": parameters(outcome.network),
                "budget_s": settings.budget_s,
                "seed": settings.seed,
                "steps": state.step,
                "best_step": state.best_step,
                "plan": plan.model_dump(mode="json"),
            },
            metrics={"val_dice": outcome.validation.dice, "val_ap": outcome.validation.ap},
            versions={
                "python": platform.python_version(),
                **{
                    name: version(name)
                    for name in ("torch", "lightning-fabric", "onnx", "numpy", "opencv-python-headless")
                },
            },
        ),
    )


def _name(root: Path) -> str:
    """A recipe's name out of a folder's: letters, digits, dot, dash, underscore."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in root.resolve().name)
    return kept.strip(".-_")[:100] or "recipe"


def _golden(samples: Sequence[Sample]) -> list[tuple[str, bytes]]:
    """A few held-out images of either truth, as files, spread over the split."""
    chosen = []
    for defective in (False, True):
        of_kind = [s for s in samples if s.defective is defective]
        for i in range(min(_GOLDEN_EACH, len(of_kind))):
            sample = of_kind[i * len(of_kind) // _GOLDEN_EACH]
            chosen.append((f"{sample.truth}-{i + 1}{sample.image.suffix.lower()}", read_bytes(sample.image)))
    return chosen
