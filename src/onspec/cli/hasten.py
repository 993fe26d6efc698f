"""`onspec hasten`: a coarse network before a recipe's own, written only if it judges as before, and faster."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onspec.cli.alike import (
    able,
    as_next_version,
    changes,
    engines_to_compare,
    golden_scores,
    judge_all_of,
    precision_fault,
    spread,
)
from onspec.cli.data_options import marked_in
from onspec.cli.split_options import LotFrom, PartPattern, SplitFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from onspec.cli.coarse import Made
    from onspec.domain import Sample
    from onspec.imaging.reading import Image
    from onspec.recipe.package import Package

LEAST_GAIN = 1.15
"""How many times as fast it must be, on all held-out images and on the good ones."""

_SHOWN = 5
_TIMED = 32
"""Held-out images that are timed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The hastened recipe on one engine against its parent.

    Attributes:
        changed: a sentence for each verdict that differs, golden samples included.
        average_precision, parent_average_precision: of the image's scores; `None` where it is not defined.
        mixed, good: how many times as fast it is, on all held-out images and on the good ones (`None` without any).
        ms, parent_ms: an image, networks and preparation.
    """

    engine: str
    changed: tuple[str, ...]
    average_precision: float | None
    parent_average_precision: float | None
    mixed: float
    good: float | None
    ms: float
    parent_ms: float

    @property
    def faults(self) -> list[str]:
        """Why the recipe must not be written, in sentences; empty if nothing speaks against it."""
        fault = precision_fault(self.parent_average_precision, self.average_precision)
        slow = [
            f"it is ×{gain:.2f} as fast on {which}; ×{LEAST_GAIN:g} is the least that pays"
            for gain, which in ((self.mixed, "the held-out images"), (self.good, "the good ones of them"))
            if gain is not None and gain < LEAST_GAIN
        ]
        return [*self.changed, *([] if fault is None else [fault]), *slow]


@dataclass(frozen=True, slots=True)
class Work:
    """Share of the fine network's work on an image that is left: over held-out images, and over the good ones."""

    mixed: float
    good: float | None


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    data: Annotated[Path, typer.Argument(help="The images that the recipe was trained on, in their layout.")],
    out: Annotated[Path, typer.Option("--out", help="The recipe file to write, as PART-fast.onspec.")],
    budget: Annotated[str, typer.Option(help="Most time for the coarse network's training, as 5m or 90s.")] = "5m",
    steps: Annotated[int, typer.Option(min=1, help="Steps of its training; fewer where the budget ends.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random in it.")] = 0,
    images: Annotated[int, typer.Option(min=2, help="Training images that it learns from, at most.")] = 256,
    engine: Annotated[
        list[str] | None, typer.Option(help="Compare on this engine (may be repeated); else on all that run here.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    split_file: SplitFile = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    sign: Annotated[Path | None, typer.Option(help="Sign with this Ed25519 private key, PEM.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Write a recipe that looks closely only where a small, coarse network sees something, if it judges as before.

    The coarse network learns from the recipe's own maps of the training images, without labels. On the held-out (val)
    images, on each engine, no verdict may change, the average precision may fall by 0.001 at most, the golden samples
    must keep their verdicts, and it must be at least 1.15 times as fast. Exits 1, writing nothing and saying what is
    wrong, where that does not hold.

    Example: onspec hasten tile.onspec parts/ --out tile-fast.onspec
    """
    from onspec.cli.coarse import make_coarse
    from onspec.cli.labelled import select
    from onspec.cli.progress import talk
    from onspec.cli.train import parse_duration
    from onspec.datasets.layouts import load
    from onspec.domain import UsageError
    from onspec.recipe.reading import open_package
    from onspec.recipe.writing import pack

    if out.exists() and not force:
        raise UsageError(f"{out} exists; choose another name, or overwrite it with --force")
    parent = open_package(recipe)
    _refuse_unfit(parent, recipe)
    names, seconds = engines_to_compare(engine), parse_duration(budget)
    dataset = load(data, layout, part_pattern, lot_from=lot_from, marked=marked_in(parent))
    held_out = select(dataset, parent, "val", split_file).samples
    learned = spread(select(dataset, parent, "train", split_file).samples, images)
    talk(f"coarse network: learns from {len(learned)} train images, compared on {len(held_out)} val images")
    made = make_coarse(parent, learned, steps=steps, seconds=seconds, seed=seed)
    outcomes, work = _compared(parent, made.package, held_out, able(names, engine, made.package))
    faults = [f"{outcome.engine}: {fault}" for outcome in outcomes for fault in outcome.faults]
    typer.echo(_as_json(outcomes, work, made, faults, out)) if as_json else _print(outcomes)
    talk(
        f"the fine network's work on the held-out images: {work.mixed:.0%} of before, on good ones {_share(work.good)}"
    )
    for fault in faults[:_SHOWN]:
        talk(fault)
    if faults:
        more = f" ({len(faults) - _SHOWN} more)" if len(faults) > _SHOWN else ""
        talk(f"{out} was not written: it would not be {parent.recipe.name} made faster{more}; see docs/speed.md")
        return 1
    child = _finished(parent, made, outcomes, work, len(held_out))
    if not recipe.is_dir():
        child = as_next_version(
            child, parent, by="onspec hasten", note="a coarse network says where the parent's network looks"
        )
    pack(child, out, signing_key=sign)
    talk(f"{out}: {open_package(out).identity}, hastened from {parent.identity}")
    return 0


def _refuse_unfit(parent: "Package", recipe: Path) -> None:
    """What cannot be hastened, before minutes of work.

    Raises:
        UsageError: with the sentence.
        MissingExtraError: without the extra `train`.
    """
    from importlib.util import find_spec

    from onspec.domain import MissingExtraError, Task, UsageError
    from onspec.imaging.blocks import BLOCK

    told = parent.recipe
    if told.hastened is not None:
        raise UsageError(f"{recipe} is hastened already; hasten its parent instead")
    if told.task is not Task.SEGMENT:
        raise UsageError(f"{recipe} is of task {told.task}; only recipes of task segment can be hastened")
    if BLOCK % told.input.stride:
        raise UsageError(f"{recipe}: its network has stride {told.input.stride}; allowed: a part of {BLOCK}")
    if find_spec("torch") is None or find_spec("onnx") is None:
        raise MissingExtraError("Training a coarse network", "train")


def _compared(
    parent: "Package", child: "Package", samples: "Sequence[Sample]", names: list[str]
) -> "tuple[list[Outcome], Work]":
    from onspec.runtime.engines import REFERENCE
    from onspec.runtime.inspector import Inspector
    from onspec.runtime.pacing import measure_paces

    timed = samples[:: -(-len(samples) // _TIMED)]
    images = [_reader(sample, parent) for sample in timed]
    outcomes = []
    with closing(Inspector(parent, REFERENCE)) as inspector:
        before, known = judge_all_of(inspector, samples), golden_scores(inspector)
    for name in names:
        with closing(Inspector(parent, name)) as slow, closing(Inspector(child, name)) as fast:
            now = judge_all_of(fast, samples)
            changed = (*changes(before, now), *_golden_changes(parent, known, golden_scores(fast)))
            paces = measure_paces(slow, fast, images, [sample.defective for sample in timed])
        outcomes.append(
            Outcome(
                name, changed, now.average_precision, before.average_precision, paces.mixed, paces.good,
                paces.after_ms, paces.before_ms,
            )
        )  # fmt: skip
    return outcomes, _work(child, samples)


def _reader(sample: "Sample", package: "Package") -> "Callable[[], Image]":
    from onspec.imaging.reading import decode_image, read_bytes

    return lambda: decode_image(read_bytes(sample.image), sample.name, package.recipe.input.camera)


def _golden_changes(
    package: "Package", before: "list[tuple[str, float | None]]", now: "list[tuple[str, float | None]]"
) -> list[str]:
    return [
        f"golden sample {golden.name} is judged {after}, was {verdict}"
        for golden, (verdict, _), (after, _) in zip(package.golden, before, now, strict=True)
        if after != verdict or verdict == "ERROR"
    ]


def _work(child: "Package", samples: "Sequence[Sample]") -> Work:
    """Share of the fine network's work that is left."""
    from onspec.imaging.preparation import prepare
    from onspec.runtime.coarse import Coarse
    from onspec.runtime.hastened import work_left

    shares = []
    with closing(Coarse(child)) as coarse:
        for sample in samples:
            prepared = prepare(_reader(sample, child)(), child.recipe.input, sample.name)
            shares.append(work_left(coarse.looks_at(prepared), prepared.padded, coarse.block, prepared.spec))
    good = [share for share, sample in zip(shares, samples, strict=True) if not sample.defective]
    return Work(sum(shares) / len(shares), sum(good) / len(good) if good else None)


def _finished(parent: "Package", made: "Made", outcomes: list[Outcome], work: Work, compared: int) -> "Package":
    """The child with its provenance, and with its own results as those that its golden samples must give.

    What the parent scored good parts is dropped from how the training looked: a part that is passed over scores 0.
    """
    from onspec.recipe.hastening import HastenedProvenance
    from onspec.recipe.reading import with_digest
    from onspec.runtime.engines import REFERENCE
    from onspec.runtime.golden import record_golden
    from onspec.runtime.inspector import Inspector

    figures = {outcome.engine: outcome.average_precision for outcome in outcomes}
    told = HastenedProvenance(
        parent=parent.identity, learned=made.learned, steps=made.steps, seed=made.seed, compared=compared,
        work=round(work.mixed, 6), engines=tuple(figures),
        figures={"parent": outcomes[0].parent_average_precision, **figures},
        speed={outcome.engine: round(outcome.mixed, 3) for outcome in outcomes},
    )  # fmt: skip
    recipe = made.package.recipe
    provenance = recipe.provenance.model_copy(update={"hastened": told})
    reference = recipe.reference
    if reference is not None:
        reference = reference.model_copy(update={"scored": 0, "scores": None})
    recipe = recipe.model_copy(update={"provenance": provenance, "reference": reference})
    child = with_digest(replace(made.package, recipe=recipe))
    with closing(Inspector(child, REFERENCE)) as inspector:
        return replace(child, golden=record_golden(inspector, child.golden))


def _as_json(outcomes: list[Outcome], work: Work, made: "Made", faults: list[str], out: Path) -> str:
    return json.dumps(
        {
            "written": None if faults else str(out),
            "faults": faults,
            "engines": [asdict(outcome) for outcome in outcomes],
            "work": asdict(work),
            "training": {"images": made.learned, "steps": made.steps, "seed": made.seed, "limit": made.limit},
        }
    )


def _print(outcomes: list[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table

    from onspec.evaluation.wording import number

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("engine", "verdicts changed", "average precision", "ms", "speed", "on good ones"):
        table.add_column(heading)
    for one in outcomes:
        precision = f"{number(one.parent_average_precision)} → {number(one.average_precision)}"
        good = "–" if one.good is None else f"×{one.good:.2f}"
        table.add_row(
            one.engine, str(len(one.changed)), precision, f"{one.parent_ms:.1f} → {one.ms:.1f}", f"×{one.mixed:.2f}",
            good,
        )  # fmt: skip
    Console(highlight=False, markup=False).print(table)


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
