"""Run `onspec demo` with three seeds, other parts and another network each, and print a row for each.

python benchmarks/demo_seeds.py [--seeds 0 1 2]
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


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    print(f"onspec demo, {date.today()}, {os.cpu_count()} CPUs, {platform.machine()}")
    print("| seed | image AP | Dice | escapes | false rejects | seconds |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            out = Path(folder) / str(seed)
            begun = time.monotonic()
            command = [sys.executable, "-m", "onspec.cli", "demo", "--out", str(out), "--seed", str(seed)]
            subprocess.run(command, check=True, stdout=sys.stderr)
            metrics = json.loads((out / "report" / "metrics.json").read_text())
            image, images = metrics["image"], metrics["images"]
            print(
                f"| {seed} | {image['average_precision']:.4f} | {metrics['pixel']['dice']:.3f} "
                f"| {image['escapes']} of {images['defective']} | {image['false_rejects']} of {images['good']} "
                f"| {time.monotonic() - begun:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
