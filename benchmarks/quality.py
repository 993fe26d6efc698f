"""Train and test on a folder of real images as a user would, and print the row of docs/results.md.

    python benchmarks/quality.py DATA --budget 5m [--seeds 0 1 2] [--keep DIR] [-- further options of onspec train]

Runs `onspec train` and `onspec evaluate --split test` as commands, one after the other, and prints one line a seed:
image AP, false rejects at zero escapes, escapes and false rejects at the run's own threshold, Dice and IoU over
defective images, and the wall time of training.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

COLUMNS = (
    "seed",
    "training s",
    "test defective / good",
    "image AP",
    "false rejects at zero escapes",
    "escapes / false rejects",
    "Dice",
    "IoU",
)


def onspec(*arguments: str) -> None:
    """Run a command; its talk goes to stderr."""
    subprocess.run([sys.executable, "-m", "onspec.cli", *arguments], check=True, stdout=sys.stderr)


def measure(data: Path, folder: Path, budget: str, seed: int, options: list[str]) -> dict[str, Any]:
    """One seed: train, evaluate on the test split, read the metrics."""
    run = folder / f"seed{seed}"
    begun = time.monotonic()
    onspec("train", str(data), "--out", str(run), "--budget", budget, "--seed", str(seed), *options)
    seconds = time.monotonic() - begun
    onspec("evaluate", str(run), str(data), "--split", "test", "--out", str(run / "evaluation"))
    metrics: dict[str, Any] = json.loads((run / "evaluation" / "metrics.json").read_text())
    return metrics | {"seconds": seconds, "seed": seed}


def row(m: dict[str, Any]) -> str:
    """A table row of Markdown."""
    image, pixel = m["image"], m["pixel"]
    images = m["images"]
    figures = [
        str(m["seed"]),
        f"{m['seconds']:.0f}",
        f"{images['defective']} / {images['good']}",
        f"{image['average_precision']:.4f}",
        str(image["false_rejects_at_zero_escapes"]),
        f"{image['escapes']} / {image['false_rejects']}",
        f"{pixel['dice']:.3f}",
        f"{pixel['iou']:.3f}",
    ]
    return "| " + " | ".join(figures) + " |"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="20m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--keep", type=Path, help="folder for the runs; otherwise they are deleted")
    arguments, options = parser.parse_known_args()
    options = [o for o in options if o != "--"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        machine = f"{os.cpu_count()} CPUs, {platform.machine()}"
        print(f"{arguments.data.name}, --budget {arguments.budget}, {date.today()}, {machine}")
        print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
        for seed in arguments.seeds:
            print(row(measure(arguments.data, folder, arguments.budget, seed, options)), flush=True)


if __name__ == "__main__":
    main()
