"""A whole training run: data set in, RUN folder out. It never reads a test image."""

import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import cv2
from lightning_fabric import Fabric

from onspec import __version__
from onspec.datasets.camera_file import refuse_other
from onspec.datasets.dataset import Dataset
from onspec.datasets.fingerprint import fingerprint
from onspec.datasets.labels import is_located, load_boxes, load_mask
from onspec.datasets.split_summary import describe
from onspec.datasets.splitting import Way, assign, assign_good, read_split, write_split
from onspec.domain import DataError, Sample, Split, Task, UsageError
from onspec.evaluation.operating_point import Chooser
from onspec.imaging.camera import Camera
from onspec.imaging.preparation import predict
from onspec.imaging.reading import Image, read_bytes, read_image
from onspec.recipe.draft import write_draft
from onspec.recipe.golden_choice import Candidate, choose_golden
from onspec.recipe.reference import spread
from onspec.recipe.schema import DataProvenance, Provenance, Recipe
from onspec.training.allocator import keep_freed_memory
from onspec.training.checkpoint import NAME as CHECKPOINT
from onspec.training.export import to_onnx
from onspec.training.held_out import windows
from onspec.training.looks import measure
from onspec.training.loop import Budget, Outcome, Watcher, fit
from onspec.training.machine import open_machine, precision
from onspec.training.networks import parameters
from onspec.training.objectives import objective_of
from onspec.training.plan import Plan, Reasons, read_plan, write_plan
from onspec.training.planning import DECK, Wishes, deck_plan, make_plan
from onspec.training.pool import Labelled, load_pools
from onspec.training.sampling import CropSampler
from onspec.training.survey import survey
from onspec.training.synthetic import Synthesiser
from onspec.training.synthetic_parts import synthetic_copies
from onspec.training.validation import SHARPNESS, WINDOWS, torch_infer

_PIECE = 1024
"""px of a side of each that are taken."""

_PAINT_FROM = 64
"""About how many good images lend their texture to synthetic defects."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for.

    Attributes:
        budget_s: seconds for the whole command, reading and export included.
        steps: exactly so many steps instead of what fits the budget.
        wishes: what the plan shall not decide.
        plan_file: the plan to follow, or the name of a plan that onspec has: `deck`.
        split_by: how a split is computed where neither a file nor the set makes one.
        good_only: learn from good parts alone; defective ones are kept for the test.
        started: `time.monotonic()` when the command began.
    """

    run: Path
    budget_s: float
    seed: int = 0
    steps: int | None = None
    wishes: Wishes = field(default_factory=Wishes)
    plan_file: Path | None = None
    split_file: Path | None = None
    split_by: Way = "chance"
    good_only: bool = False
    resume: bool = False
    started: float = 0.0


Say = Callable[[str], None]
Parts = Mapping[Split, list[Sample]]


def train(dataset: Dataset, settings: Settings, *, say: Say, watch: Watcher) -> Recipe | None:
    """Train and write the run: plan.yaml, split.csv, curves, recipe.json, model.onnx, golden samples.

    Of several processes that train together, the first alone writes, talks and returns the recipe; the others `None`.

    Raises:
        DataError, ImageError, LabelError: data that cannot be trained on.
        UsageError: a run folder that is in use, a budget that is too small, an edited plan that is wrong.
    """
    run = settings.run
    keep_freed_memory()
    cv2.setNumThreads(1)  # crops are cut beside the network's own threads
    fabric = open_machine()
    if fabric.is_global_zero:
        _open_run(run, settings)
    fabric.barrier()
    assignment = _split(dataset, settings, fabric)
    parts = {s: [x for x in dataset.samples if assignment[x.name] is s] for s in (Split.TRAIN, Split.VAL)}
    given = settings.split_file is not None or any(s.split is not None for s in dataset.samples)
    _refuse_unbalanced(parts, given=given, good_only=_good_only(dataset, settings))
    plan, reasons = _plan(parts, dataset.camera, settings, fabric)
    refuse_other(dataset.camera, dataset.root, plan.input.camera, "the plan")
    if fabric.is_global_zero:
        path = run / "plan.yaml"
        if not (settings.resume and path.is_file() and read_plan(path) == plan):  # that has the reasons of the start
            write_plan(path, plan, reasons)
        for name, reason in reasons.items():
            say(f"plan: {name}: {reason}")
    train_pool, val_pool = _pools(parts, plan)
    if fabric.is_global_zero:
        say(f"data: {len(train_pool)} images to train on, {len(val_pool)} to validate on; {dataset.parts_rule}")
        say(f"split: {describe(dataset, assignment)}")
    synthesiser = _synthesiser(train_pool, plan)
    if synthesiser is not None and not any(item.sample.defective for item in val_pool):
        val_pool = [*val_pool, *synthetic_copies(val_pool, synthesiser.paint, plan.crop, settings.seed)]
    sampler = _sampler(train_pool, plan, synthesiser, settings.seed)
    deadline = settings.budget_s - _reserve(val_pool, train_pool, settings.budget_s, _passes(plan))
    budget = Budget(deadline, settings.steps, settings.started or time.monotonic())
    outcome = fit(
        run,
        plan,
        sampler,
        windows(val_pool, settings.seed),
        budget=budget,
        resume=settings.resume,
        watch=watch,
        fabric=fabric,
    )
    if not fabric.is_global_zero:
        return None
    say(f"trained {outcome.state.step} steps; keeping the network of step {outcome.state.kept_step}")
    chooser = _observed(outcome, plan, parts[Split.VAL])
    adjusted = chooser.logit_adjustments()
    if adjusted:
        outcome.network.adjust_logits([adjusted.get(cls, 0.0) for cls in plan.classes])
        told = ", ".join(f"{cls} {by:+.2f}" for cls, by in adjusted.items())
        say(f"classes: logits moved so that one threshold suits all: {told}")
        chooser = _observed(outcome, plan, parts[Split.VAL])
    recipe = _recipe(dataset, assignment, settings, plan, outcome, chooser, adjusted)
    looks = measure(parts, plan.input.camera)
    say(f"looks: {looks.told}")
    scores = zip(parts[Split.VAL], chooser.scores(recipe.thresholds), strict=True)
    good = [score.image for sample, score in scores if not sample.defective]
    recipe = recipe.model_copy(update={"reference": looks.reference(good)})
    doubt = chooser.doubt(recipe.thresholds)
    if doubt:
        say(f"warning: {doubt}")
    model = to_onnx(outcome.network, objective_of(plan), plan.input.channels, plan.input.stride)
    write_draft(run, recipe, model, _golden(parts[Split.VAL], chooser, recipe))
    return recipe


def _open_run(run: Path, settings: Settings) -> None:
    if (run / CHECKPOINT).exists() and not settings.resume:
        raise UsageError(f"{run} already holds a run; go on with --resume, or choose another --out")
    if run.exists() and not run.is_dir():
        raise UsageError(f"{run} is a file; --out takes a folder")
    run.mkdir(parents=True, exist_ok=True)


def _good_only(dataset: Dataset, settings: Settings) -> bool:
    return settings.good_only or dataset.defective == 0


def _split(dataset: Dataset, settings: Settings, fabric: Fabric) -> dict[str, Split]:
    """A resumed run keeps its split; a new one writes it down before anything is read."""
    path = settings.run / "split.csv"
    if settings.resume and path.is_file():
        return read_split(path, dataset)
    make = assign_good if _good_only(dataset, settings) else assign
    assignment = make(dataset, seed=settings.seed, split_file=settings.split_file, by=settings.split_by)
    if fabric.is_global_zero:
        write_split(path, dataset, assignment)
    return assignment


def _refuse_unbalanced(parts: Parts, *, given: bool, good_only: bool) -> None:
    """`given`: a file or the set itself says the split, or some of it."""
    for split, samples in parts.items():
        if not samples:
            advice = "correct it, or leave the split to onspec" if given else "there are too few parts; add some"
            raise DataError(f"the {split} split has no image: {advice}")
        if not good_only and not any(s.defective for s in samples):
            raise DataError(
                f"the {split} split has no defective image, so nothing can be learned or judged; add defective parts, "
                "or learn from good parts alone with --good-only"
            )


def _plan(parts: Parts, camera: Camera, settings: Settings, fabric: Fabric) -> tuple[Plan, Reasons]:
    """The plan that is given, or was begun with, or else is made from the data.

    Raises:
        UsageError: an option asks for something else than a plan that is given.
    """
    file, mine = settings.plan_file, settings.run / "plan.yaml"
    if file is not None and (file.is_file() or str(file) != DECK):
        return _agreed(read_plan(file), settings.wishes, str(file)), {"task": f"from {file.name}"}
    if settings.resume and mine.is_file():
        return _agreed(read_plan(mine), settings.wishes, str(mine)), {"task": "as the run was started"}
    facts = survey(parts[Split.TRAIN] + parts[Split.VAL], camera)
    if file is not None:
        plan, reasons = deck_plan(facts, camera)
        return _agreed(plan, settings.wishes, "the deck's plan"), reasons
    return make_plan(facts, replace(settings.wishes, on_gpu=fabric.device.type != "cpu", camera=camera))


def _agreed(plan: Plan, wishes: Wishes, source: str) -> Plan:
    several = "one" if len(plan.classes) == 1 else "each"
    for option, asked, told in (
        ("task", wishes.task, plan.task),
        ("network", wishes.network, plan.network),
        ("classes", "one" if wishes.classes == "one" else None, several),  # `each` of one class is one
    ):
        if asked is not None and asked != told:
            raise UsageError(f"--{option} {asked}, but {source} says {told}; leave the option out, or change the plan")
    return plan


def _pools(parts: Parts, plan: Plan) -> tuple[list[Labelled], list[Labelled]]:
    learned = [s for s in parts[Split.TRAIN] if s.defective or not plan.defective_only]
    return load_pools(learned, parts[Split.VAL], plan)


def _synthesiser(pool: Sequence[Labelled], plan: Plan) -> Synthesiser | None:
    """What draws synthetic defects, out of the texture of good images, where the plan wants any."""
    good = [item for item in pool if not item.sample.defective]
    if not plan.synthetic_share or not good:
        return None
    return Synthesiser([_middle(item) for item in good[:: max(1, len(good) // _PAINT_FROM)]])


def _middle(item: Labelled) -> Image:
    """The middle of an image: as much texture as painting needs, however large the image is."""
    starts = [max(0, (side - _PIECE) // 2) for side in item.size]
    columns, rows = (slice(at, min(at + _PIECE, side)) for at, side in zip(starts, item.size, strict=True))
    return item.part(rows, columns).image


def _sampler(pool: Sequence[Labelled], plan: Plan, synthesiser: Synthesiser | None, seed: int) -> CropSampler:
    """Where all defects are synthetic, good surface is disguised, too, or it would be told by being untouched."""
    if synthesiser is None:
        return CropSampler(pool, plan, seed=seed)
    disguise = synthesiser.harmless if plan.synthetic_share == 1.0 else None
    return CropSampler(pool, plan, seed=seed, paint=synthesiser.paint, disguise=disguise)


def _passes(plan: Plan) -> int:
    """How often the validation images are predicted at the end: again after the logits of classes were adjusted."""
    return 2 if plan.task is Task.DETECT and len(plan.classes) > 1 else 1


def _reserve(pool: Sequence[Labelled], learned: Sequence[Labelled], budget_s: float, passes: int) -> float:
    """Seconds kept for choosing the operating point, a last look at the images and the export, at most a quarter of the
    budget."""
    seen = _megapixels([*pool, *(learned[at] for at in spread(len(learned)))])
    return min(0.25 * budget_s, 5.0 + passes * (0.05 * len(pool) + 0.4 * _megapixels(pool)) + 0.02 * seen)


def _megapixels(pool: Sequence[Labelled]) -> float:
    return sum(item.size[0] * item.size[1] for item in pool) / 1e6


def _observed(outcome: Outcome, plan: Plan, samples: Sequence[Sample]) -> Chooser:
    """What the operating point is chosen from: validation images in original pixels, predicted as production does."""
    chooser = Chooser(WINDOWS, plan.task, sharpness=SHARPNESS.get(plan.task))
    infer = torch_infer(outcome.network, objective_of(plan))
    for sample in samples:
        image = read_image(sample.image, plan.input.camera)
        size = (image.shape[1], image.shape[0])
        truth = boxes = None
        if is_located(sample) and plan.task is not Task.CLASSIFY:
            truth = load_mask(sample, size, plan.classes)
            boxes = load_boxes(sample, size, plan.classes) if plan.task is Task.DETECT else None
        prediction = predict(image, plan.input, plan.classes, plan.task, plan.separate, infer)
        cls = sample.cls if sample.cls in plan.classes else None  # of a kind that has no located defect, maybe
        chooser.add(sample.defective, prediction, truth, boxes=boxes, cls=cls)
    return chooser


def _recipe(
    dataset: Dataset,
    assignment: Mapping[str, Split],
    settings: Settings,
    plan: Plan,
    outcome: Outcome,
    chooser: Chooser,
    adjusted: Mapping[str, float],
) -> Recipe:
    images = Counter(f"{assignment[s.name]}_{s.truth}" for s in dataset.samples)
    parts = Counter(split for split, _ in {(assignment[s.name], s.part) for s in dataset.samples})
    state = outcome.state
    return Recipe(
        name=_name(dataset.root),
        task=plan.task,
        classes=plan.classes,
        separate=plan.separate,
        input=plan.input,
        thresholds=chooser.choose(),
        provenance=Provenance(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            onspec=__version__,
            data=DataProvenance(
                name=dataset.root.name,
                layout=dataset.layout,
                marked=dataset.marked or ("numbers" if dataset.numbered else None),
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
                "kept_step": state.kept_step,
                "precision": precision(),
                "logit_adjustments": dict(adjusted),
                "plan": plan.model_dump(mode="json"),
            },
            metrics={f"val_{name}": value for name, value in outcome.validation.figures.items()},
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


def _golden(samples: Sequence[Sample], chooser: Chooser, recipe: Recipe) -> list[tuple[str, bytes]]:
    """Held-out images that show at once that something is wrong, as files; see `golden_choice`."""
    candidates = [
        Candidate(
            sample.name,
            sample.part,
            sample.defective,
            scores.image,
            sample.image.stat().st_size,
            sample.cls or next(iter(sorted({a.cls for a in sample.annotations})), None),
            scores.classes,
        )
        for sample, scores in zip(samples, chooser.scores(recipe.thresholds), strict=True)
    ]
    files = {sample.name: sample.image for sample in samples}
    return [(name, read_bytes(files[it.name])) for name, it in choose_golden(candidates, recipe.thresholds)]
