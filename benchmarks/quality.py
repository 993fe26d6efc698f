"""Train and test on a folder of real images as a user would, and print the row of docs/results.md.

    python benchmarks/quality.py DATA --budget 5m [--seeds 0 1 2] [--keep DIR] [-- further options of onspec train]

Runs `onspec train` and `onspec evaluate --split test` as commands, one after the other, and prints one line a seed: the
figures that the set and its task define, and the wall time of training.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

Metrics = dict[str, Any]

COLUMNS: dict[str, Callable[[Metrics], Any]] = {
    "seed": lambda m: m["seed"],
    "training s": lambda m: f"{m['seconds']:.0f}",
    "test defective / good": lambda m: f"{m['images']['defective']} / {m['images']['good']}",
    "image AP": lambda m: m["image"]["average_precision"],
    "image AUROC": lambda m: m["image"]["auroc"],
    "false rejects at zero escapes": lambda m: m["image"]["false_rejects_at_zero_escapes"],
    "escapes / false rejects": lambda m: f"{m['image']['escapes']} / {m['image']['false_rejects']}",
    "Dice": lambda m: m["pixel"]["dice"],
    "IoU": lambda m: m["pixel"]["iou"],
    "boundary F1": lambda m: m["pixel"]["boundary_f1"],
    "box AP50": lambda m: m["detection"]["map_50"],
    "box AP50:95": lambda m: m["detection"]["map_50_95"],
    "F1 of defects": lambda m: m["detection"]["f1"],
    "accuracy": lambda m: m["classification"]["accuracy"],
    "macro F1": lambda m: m["classification"]["f1_macro"],
}
"""Heading → figure of metrics.json; a dash where the data or the task does not define it."""


def onspec(*arguments: str) -> None:
    """Run a command; its talk goes to stderr."""
    subprocess.run([sys.executable, "-m", "onspec.cli", *arguments], check=True, stdout=sys.stderr)


def measure(data: Path, folder: Path, budget: str, seed: int, options: list[str]) -> Metrics:
    """One seed: train, evaluate on the test split, read the metrics."""
    run = folder / f"seed{seed}"
    begun = time.monotonic()
    onspec("train", str(data), "--out", str(run), "--budget", budget, "--seed", str(seed), *options)
    seconds = time.monotonic() - begun
    onspec("evaluate", str(run), str(data), "--split", "test", "--out", str(run / "evaluation"))
    metrics: Metrics = json.loads((run / "evaluation" / "metrics.json").read_text())
    return metrics | {"seconds": seconds, "seed": seed}


def row(m: Metrics) -> str:
    """A table row of Markdown."""
    return "| " + " | ".join(_shown(figure(m)) for figure in COLUMNS.values()) + " |"


def _shown(value: object) -> str:
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def parted(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before `--`, and after it the further options of onspec train."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="20m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--keep", type=Path, help="folder for the runs; otherwise they are deleted")
    own, options = parted(sys.argv[1:])
    arguments = parser.parse_args(own)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        machine = f"{os.cpu_count()} CPUs, {platform.machine()}"
        print(f"{arguments.data.name}, --budget {arguments.budget}, {date.today()}, {machine}")
        print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
        for seed in arguments.seeds:
            print(row(measure(arguments.data, folder, arguments.budget, seed, options)), flush=True)


if __name__ == "__main__":
    main()
