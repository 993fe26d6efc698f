"""How few defective images are enough: image AP on the test parts over the number of defective images to learn from.

    python benchmarks/few_labels.py DATA --budget 5m [--counts 5 10 25 all] [--seeds 0 1 2] [--plan FILE] [--keep DIR]

For each count, so many defective training images are kept (one a part while there are parts enough, chosen by the seed
alone), with all good ones; of them, validation gets its share. The test parts are always the same. To see what a choice
of the plan is worth, change it in the `plan.yaml` that a run left in DIR, and run again with it. Prints a row a run.
"""

import argparse
import json
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from onspec.cli.train import parse_duration
from onspec.datasets.dataset import Dataset
from onspec.datasets.layouts import load
from onspec.datasets.splitting import assign, write_split
from onspec.domain import Sample, Split
from onspec.training.run import Settings, train

_VAL_SHARE = 0.2


def thinned(dataset: Dataset, assignment: Mapping[str, Split], count: int | None, seed: int) -> Dataset:
    """The data set with `count` defective images outside of the test, all of them for `None`."""
    bad = [s for s in dataset.samples if s.defective and assignment[s.name] is not Split.TEST]
    kept = {s.name for s in (bad if count is None else _one_a_part(bad, seed)[:count])}
    dropped = {s.name for s in bad} - kept
    return replace(dataset, samples=tuple(s for s in dataset.samples if s.name not in dropped))


def _one_a_part(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """In random order, but the first image of every part before the second of any."""
    order = list(samples)
    random.Random(seed).shuffle(order)
    seen: dict[str, int] = {}
    ranked: list[tuple[int, int, Sample]] = []
    for sample in order:
        seen[sample.part] = seen.get(sample.part, 0) + 1
        ranked.append((seen[sample.part], len(ranked), sample))
    return [sample for _, _, sample in sorted(ranked, key=lambda r: r[:2])]


def split_for(dataset: Dataset, assignment: Mapping[str, Split], seed: int) -> dict[str, Split]:
    """The same test parts; of the other parts, each kind's share (one defective part at least) validates."""
    parts: dict[bool, list[str]] = {True: [], False: []}
    learned = [s for s in dataset.samples if assignment[s.name] is not Split.TEST]
    bad = {s.part for s in learned if s.defective}
    for part in sorted({s.part for s in learned}):
        parts[part in bad].append(part)
    held: set[str] = set()
    for names in parts.values():
        random.Random(seed).shuffle(names)
        held |= set(names[: max(1, round(_VAL_SHARE * len(names)))])
    return {
        s.name: assignment[s.name] if assignment[s.name] is Split.TEST else Split.VAL if s.part in held else Split.TRAIN
        for s in dataset.samples
    }


def measure(
    data: Path, folder: Path, count: int | None, budget: str, seed: int, plan: Path | None = None
) -> dict[str, Any]:
    """Train on the thinned set and evaluate on its test parts."""
    full = load(data)
    assignment = assign(full, seed=0)
    dataset = thinned(full, assignment, count, seed)
    run = folder / f"{'all' if count is None else count}-seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    split_file, test_file = folder / f"{run.name}.csv", folder / "test.csv"
    write_split(split_file, dataset, split_for(dataset, assignment, seed))
    write_split(test_file, full, assignment)
    begun = time.monotonic()
    settings = Settings(
        run=run, budget_s=parse_duration(budget), seed=seed, plan_file=plan, split_file=split_file, started=begun
    )
    train(dataset, settings, say=lambda text: print(text, file=sys.stderr), watch=lambda *_: None)
    seconds = time.monotonic() - begun
    command = ["evaluate", str(run), str(data), "--split-file", str(test_file), "--out", str(run / "evaluation")]
    subprocess.run([sys.executable, "-m", "onspec.cli", *command], check=True, stdout=sys.stderr)
    metrics: dict[str, Any] = json.loads((run / "evaluation" / "metrics.json").read_text())
    return metrics | {"seconds": seconds, "seed": seed, "count": "all" if count is None else count}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--counts", nargs="+", default=["5", "10", "15", "25", "50", "all"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--plan", type=Path, help="the plan to follow; otherwise each run makes its own")
    parser.add_argument("--keep", type=Path, help="folder for the runs; otherwise they are deleted")
    given = parser.parse_args()
    print(f"{given.data.name}, --budget {given.budget}, {date.today()}, {platform.machine()}")
    columns = ("defective images", "seed", "training s", "image AP", "false rejects at zero escapes", "Dice")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    with tempfile.TemporaryDirectory() as temporary:
        for count in given.counts:
            for seed in given.seeds:
                number = None if count == "all" else int(count)
                m = measure(given.data, given.keep or Path(temporary), number, given.budget, seed, given.plan)
                image, dice = m["image"], m["pixel"]["dice"]
                print(
                    f"| {m['count']} | {seed} | {m['seconds']:.0f} | {image['average_precision']:.4f} | "
                    f"{image['false_rejects_at_zero_escapes']} | {'–' if dice is None else f'{dice:.3f}'} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
