"""`onspec quantize`: a recipe in lower precision, written only if it judges as its parent does."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
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
    from onspec.domain import Sample
    from onspec.imaging.preparation import Tensor
    from onspec.recipe.package import Golden, Package

SCORE_CHANGE = 0.05
"""What the score of a golden sample may change by."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """The lower precision on one engine against its parent on the reference.

    Attributes:
        changed: a sentence for each verdict that differs.
        average_precision, parent_average_precision: of the image's scores; `None` where it is not defined.
        golden_change: the largest change of a golden sample's score.
        ms, parent_ms: one inference on this engine, the least disturbed.
    """

    engine: str
    changed: tuple[str, ...]
    average_precision: float | None
    parent_average_precision: float | None
    golden_change: float
    ms: float
    parent_ms: float

    @property
    def faults(self) -> list[str]:
        """Why the recipe must not be written, in sentences; empty if nothing speaks against it."""
        faults = list(self.changed)
        fault = precision_fault(self.parent_average_precision, self.average_precision)
        if fault is not None:
            faults.append(fault)
        if math.isinf(self.golden_change):
            faults.append("a golden sample is judged otherwise, or cannot be judged")
        elif self.golden_change > SCORE_CHANGE:
            faults.append(f"a golden sample's score changes by {self.golden_change:.3f}; {SCORE_CHANGE:g} is allowed")
        return faults


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    data: Annotated[Path, typer.Argument(help="The labelled images that the recipe was trained on.")],
    out: Annotated[Path, typer.Option("--out", help="The recipe file to write, as PART-int8.onspec.")],
    to: Annotated[str, typer.Option("--to", help="int8, fp16 (for GPUs) or bf16 (for CPUs with AMX).")] = "int8",
    engine: Annotated[
        list[str] | None, typer.Option(help="Compare on this engine (may be repeated); else on all that run here.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Training images that ranges are taken from.")] = 64,
    layout: Annotated[str | None, typer.Option(help="Layout of the data; otherwise detected.")] = None,
    split_file: SplitFile = None,
    part_pattern: PartPattern = None,
    lot_from: LotFrom = None,
    sign: Annotated[Path | None, typer.Option(help="Sign with this Ed25519 private key, PEM.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
) -> int:
    """Write a recipe in lower precision, if it judges the held-out (val) images exactly as its parent does.

    On each engine, no verdict may change, the average precision may fall by 0.001 at most, and the golden samples must
    keep their verdicts. Exits 1, writing nothing and saying what changed, where that does not hold.

    Example: onspec quantize tile.onspec parts/ --out tile-int8.onspec
    """
    from onspec.cli.labelled import select
    from onspec.cli.progress import talk
    from onspec.datasets.layouts import load
    from onspec.domain import UsageError
    from onspec.recipe.reading import open_package, with_digest
    from onspec.recipe.writing import pack
    from onspec.runtime.precision import LOWERINGS, require_onnx

    if to not in LOWERINGS:
        raise UsageError(f"Unknown precision {to!r}; choose {', '.join(LOWERINGS)}")
    if out.exists() and not force:
        raise UsageError(f"{out} exists; choose another name, or overwrite it with --force")
    require_onnx()
    parent = open_package(recipe)
    if parent.recipe.provenance.quantized is not None:
        raise UsageError(f"{recipe} is of lower precision already; quantize its parent instead")
    if parent.recipe.hastened is not None:
        raise UsageError(f"{recipe} is hastened; quantize its parent, then hasten what comes out")
    dataset = load(data, layout, part_pattern, lot_from=lot_from, marked=marked_in(parent))
    held_out = select(dataset, parent, "val", split_file)
    learned = spread(select(dataset, parent, "train", split_file).samples, images) if to == "int8" else []
    talk(f"{to}: ranges from {len(learned)} train images, compared on {len(held_out.samples)} val images")
    lowered = LOWERINGS[to](parent.model, _inputs(parent, learned))
    child = with_digest(replace(parent, model=lowered, approval=None))  # what was tested and released is the parent
    outcomes = _compared(parent, child, held_out.samples, able(engines_to_compare(engine), engine, child))
    faults = [f"{outcome.engine}: {fault}" for outcome in outcomes for fault in outcome.faults]
    typer.echo(_as_json(outcomes, faults, out)) if as_json else _print(outcomes)
    for fault in faults[:_SHOWN]:
        talk(fault)
    if faults:
        more = f" ({len(faults) - _SHOWN} more)" if len(faults) > _SHOWN else ""
        talk(f"{out} was not written: {to} does not judge as {parent.recipe.name} does{more}; see docs/engines.md")
        return 1
    child = _finished(parent, child, to, len(learned), len(held_out.samples), outcomes)
    if not recipe.is_dir():
        child = as_next_version(child, parent, by="onspec quantize", note=f"{to} of the parent's network")
    pack(child, out, signing_key=sign)
    talk(f"{out}: {open_package(out).identity}, {to} of {parent.identity}")
    return 0


def _inputs(package: "Package", samples: "Sequence[Sample]") -> "Iterator[Tensor]":
    """What the network is given of each image; of one that is run in tiles, a tile by chance."""
    import numpy as np

    from onspec.imaging.preparation import prepare
    from onspec.imaging.reading import decode_image, read_bytes

    spec, rng = package.recipe.input, np.random.default_rng(0)
    for sample in samples:
        image = decode_image(read_bytes(sample.image), sample.name, spec.camera)
        prepared = prepare(image, spec, sample.name)
        spans = []
        for side in prepared.padded:
            length = min(side, spec.tile)
            start = int(rng.integers(0, (side - length) // spec.stride + 1)) * spec.stride
            spans.append(slice(start, start + length))
        yield np.ascontiguousarray(prepared.piece(*spans)[None])


def _compared(parent: "Package", child: "Package", samples: "Sequence[Sample]", names: list[str]) -> list[Outcome]:
    from onspec.runtime.choosing import first_piece, known_inputs, measure_times
    from onspec.runtime.engines import REFERENCE, open_engine
    from onspec.runtime.inspector import Inspector

    outcomes = []
    with closing(Inspector(parent, REFERENCE)) as inspector:
        before, known = judge_all_of(inspector, samples), golden_scores(inspector)
    for name in names:
        with closing(Inspector(child, name)) as inspector:
            now, change = judge_all_of(inspector, samples), _golden_change(known, golden_scores(inspector))
        with ExitStack() as stack:
            engines = {
                which: stack.enter_context(closing(open_engine(name, package.model)))
                for which, package in (("parent", parent), ("child", child))
            }
            ms = measure_times(engines, first_piece(known_inputs(parent)[0]))
        outcomes.append(
            Outcome(
                name, changes(before, now), now.average_precision, before.average_precision, change, ms["child"],
                ms["parent"],
            )
        )  # fmt: skip
    return outcomes


def _golden_change(before: "list[tuple[str, float | None]]", now: "list[tuple[str, float | None]]") -> float:
    """The largest change of a score; infinite where a verdict changes or there is no score."""
    change = 0.0
    for (verdict, score), (new_verdict, new_score) in zip(before, now, strict=True):
        if verdict != new_verdict or score is None or new_score is None:
            return math.inf
        change = max(change, abs(score - new_score))
    return change


def _finished(
    parent: "Package", child: "Package", to: str, calibrated: int, compared: int, outcomes: list[Outcome]
) -> "Package":
    """The child with its provenance, and with the parent's results as those that its golden samples must give."""
    from onspec.recipe.schema import QuantizedProvenance
    from onspec.runtime.engines import REFERENCE
    from onspec.runtime.golden import record_golden
    from onspec.runtime.inspector import Inspector

    with closing(Inspector(parent, REFERENCE)) as inspector:
        golden = tuple(_tolerant(sample, outcomes) for sample in record_golden(inspector, parent.golden))
    figures = {outcome.engine: outcome.average_precision for outcome in outcomes}
    made = QuantizedProvenance(
        precision=to, parent=parent.identity, calibration=calibrated, compared=compared,
        engines=tuple(figures), figures={"parent": outcomes[0].parent_average_precision, **figures},
    )  # fmt: skip
    provenance = parent.recipe.provenance.model_copy(update={"quantized": made})
    return replace(child, recipe=parent.recipe.model_copy(update={"provenance": provenance}), golden=golden)


def _tolerant(sample: "Golden", outcomes: list[Outcome]) -> "Golden":
    """The parent's result, with room for twice the change that was seen on any engine."""
    assert sample.expected is not None
    change = 2.0 * max(outcome.golden_change for outcome in outcomes)
    tolerance = round(max(sample.expected.tolerance, change), 6)
    return replace(sample, expected=sample.expected.model_copy(update={"tolerance": tolerance}))


def _as_json(outcomes: list[Outcome], faults: list[str], out: Path) -> str:
    compared = [
        {key: value for key, value in asdict(outcome).items() if key != "golden_change" or not math.isinf(value)}
        for outcome in outcomes
    ]
    return json.dumps({"written": None if faults else str(out), "faults": faults, "engines": compared})


def _print(outcomes: list[Outcome]) -> None:
    from rich.console import Console
    from rich.table import Table

    from onspec.evaluation.wording import number

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("engine", "verdicts changed", "average precision", "ms", "speed"):
        table.add_column(heading)
    for one in outcomes:
        precision = f"{number(one.parent_average_precision)} → {number(one.average_precision)}"
        speed = f"×{one.parent_ms / one.ms:.2f}"
        table.add_row(one.engine, str(len(one.changed)), precision, f"{one.parent_ms:.1f} → {one.ms:.1f}", speed)
    Console(highlight=False, markup=False).print(table)
