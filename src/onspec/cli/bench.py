"""`onspec bench`: engines side by side on this machine."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.imaging.preparation import Prepared
    from onspec.recipe.package import Package
    from onspec.runtime.comparing import Case, Measured, Rounds

_MOST_IMAGES = 32
"""More say little more about engines and make the check long."""


def command(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (.onspec), or the folder of a run.")],
    engine: Annotated[
        list[str] | None, typer.Option(help="An engine; may be repeated. Otherwise all that run.")
    ] = None,
    precision: Annotated[list[str] | None, typer.Option(help="int8, fp16 or bf16; may be repeated.")] = None,
    batch: Annotated[str, typer.Option(metavar="N,…", help="Images at a time.")] = "1",
    threads: Annotated[str, typer.Option(metavar="N,…", help="CPU threads of an inference. Otherwise all cores.")] = "",
    images: Annotated[Path | None, typer.Option(help="Images to compare verdicts on, not the golden samples.")] = None,
    rounds: Annotated[int, typer.Option(min=3, help="How often each is timed; in turn, so that noise is shared.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not a table.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write a picture here: PNG, SVG or PDF.")] = None,
) -> int:
    """Compare engines on this machine: time, images a second, memory, share of what the machine can do, verdicts.

    Every engine is compared with ONNX Runtime and the network as it is packed. Exits 1 when one of them judges an image
    otherwise, or one that was asked for does not run.

    Example: onspec bench tile.onspec --batch 1,4 --threads 1,2 --out bench.png
    """
    from onspec.cli.bench_picture import draw, require_drawable
    from onspec.cli.progress import talk
    from onspec.recipe.reading import open_package
    from onspec.runtime.comparing import compare_engines

    if out is not None:
        require_drawable(out)
    cases = _cases(engine, precision or [], _numbers(batch, "--batch"), _numbers(threads, "--threads"))
    package = open_package(recipe)
    rows = compare_engines(package, cases, _inputs(package, images), rounds, talk)
    typer.echo(json.dumps(_report(package, rows)) if as_json else table(rows))
    if package.recipe.hastened is not None:
        talk("the recipe is hastened: these are times of the fine network on a whole image; see docs/speed.md")
    if out is not None:
        draw(rows, package.identity, out)
    return int(any(row.fault or (row.agreement and row.agreement.same < row.agreement.images) for row in rows))


def _cases(
    engines: Sequence[str] | None, precisions: Sequence[str], batches: Sequence[int], threads: Sequence[int]
) -> "list[Case]":
    """Every combination, the network as packed first."""
    from onspec.domain import UsageError
    from onspec.runtime.choosing import candidates
    from onspec.runtime.comparing import PACKED, Case
    from onspec.runtime.engines import entry_of
    from onspec.runtime.precision import LOWERINGS

    for name in precisions:
        if name not in LOWERINGS:
            raise UsageError(f"Unknown precision {name!r}; choose {', '.join(LOWERINGS)}")
    for name in engines or ():
        entry_of(name)
    names = dict.fromkeys(engines or candidates())
    return [
        Case(*chosen) for chosen in product(names, dict.fromkeys([PACKED, *precisions]), batches, threads or (None,))
    ]


def _numbers(text: str, option: str) -> list[int]:
    from onspec.domain import UsageError

    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = [0]
    if any(number < 1 for number in numbers):
        raise UsageError(f"{option} takes numbers from 1 on with commas between, as 1,4; got {text!r}")
    return list(dict.fromkeys(numbers))


def _inputs(package: "Package", folder: Path | None) -> "list[Prepared]":
    """The golden samples, or images of a folder, evenly taken."""
    from onspec.imaging.preparation import prepare
    from onspec.imaging.reading import read_image
    from onspec.runtime.choosing import known_inputs
    from onspec.runtime.sources import find_sources

    if folder is None:
        return known_inputs(package)
    found, _ = find_sources([str(folder)])
    chosen = found[:: -(-len(found) // _MOST_IMAGES)]
    spec = package.recipe.input
    return [prepare(read_image(source.path, spec.camera), spec, str(source.path)) for source in chosen]


def table(rows: "Sequence[Measured]") -> str:
    """For a terminal; what did not run is said below."""
    running = [row for row in rows if row.fault is None]
    lines = []
    if running:
        head = ("engine", "precision", "batch", "threads", "p50 ms", "p95", "p99", "images/s", "against the first")
        cells = [
            (*head, "MB", "GFLOP/s", "of ceiling", "same verdict", "scores differ"),
            *(_cells(r, running[0]) for r in running),
        ]
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        lines += [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        ceilings = {row.case.threads: float(_median(row.ceiling)) for row in running}
        said = ", ".join(f"{rate / 1e9:.0f} GFLOP/s with {_threads(threads)}" for threads, rate in ceilings.items())
        lines += ["", f"ceiling: products of float32 matrices reach {said}"]
        lines.append(f"operations: {running[0].operations / running[0].case.batch / 1e9:.2f} GFLOP an image")
    lines += [f"{row.case}: {row.fault}" for row in rows if row.fault is not None]
    return "\n".join(lines)


def _cells(row: "Measured", first: "Measured") -> tuple[str, ...]:
    low, middle, high = row.ratio(first)
    assert row.agreement is not None
    return (
        row.case.engine, row.case.precision, str(row.case.batch), str(row.case.threads or "all"),
        *(f"{row.latency(p):.1f}" for p in (50, 95, 99)), f"{row.images_a_second:.1f}",
        f"×{middle:.2f} ({low:.2f}–{high:.2f})", "–" if row.mb is None else f"{row.mb:.0f}",
        f"{row.operations / row.latency(50) / 1e6:.0f}", f"{row.share[1]:.0%}",
        f"{row.agreement.same} of {row.agreement.images}", f"{row.agreement.largest:.1e}",
    )  # fmt: skip


def _threads(threads: int | None) -> str:
    return "all threads" if threads is None else f"{threads} thread{'' if threads == 1 else 's'}"


def _median(values: "Rounds") -> float:
    import numpy as np

    return float(np.median(values))


def _report(package: "Package", rows: "Sequence[Measured]") -> dict[str, object]:
    """What --json prints; times in ms, rates in operations a second."""
    running = [row for row in rows if row.fault is None]
    return {"recipe": package.identity, "rows": [_entry(row, running) for row in rows]}


def _entry(row: "Measured", running: "Sequence[Measured]") -> dict[str, object]:
    case = row.case
    entry: dict[str, object] = {
        "engine": case.engine, "precision": case.precision, "batch": case.batch, "threads": case.threads,
        "error": row.fault,
    }  # fmt: skip
    if row.fault is not None or row.agreement is None:
        return entry
    return entry | {
        "ms": {f"p{percent}": row.latency(percent) for percent in (50, 95, 99)},
        "rounds": len(row.ms),
        "images_per_s": row.images_a_second,
        "ratio_to_first": dict(zip(("low", "median", "high"), row.ratio(running[0]), strict=True)),
        "memory_mb": row.mb,
        "operations_per_image": row.operations / case.batch,
        "ceiling_per_s": _median(row.ceiling),
        "share_of_ceiling": dict(zip(("low", "median", "high"), row.share, strict=True)),
        "verdicts": {"images": row.agreement.images, "same": row.agreement.same},
        "largest_difference": row.agreement.largest,
    }
