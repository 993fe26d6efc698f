"""Train and test on each generated texture as a user would, and print a row a texture, and the mean and worst image AP.

    python -m benchmarks.textures --budget 5m [--textures 10] [--contrast 0.5] [--size 0.6] [-- options of onspec train]

Runs `onspec synth`, then `onspec train` and `onspec evaluate --split test` on one texture after the other.
"""

import argparse
import os
import platform
import sys
import tempfile
from datetime import date
from pathlib import Path

from benchmarks.quality import COLUMNS, measure, onspec, parted, row

from onspec.datasets.textures import TEXTURES


def main() -> None:
    """Parse, generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--textures", type=int, default=len(TEXTURES))
    parser.add_argument("--good", type=int, default=60)
    parser.add_argument("--defective", type=int, default=40)
    parser.add_argument("--contrast", type=float, default=1.0)
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="new folder for data and runs; otherwise they are deleted")
    own, options = parted(sys.argv[1:])
    arguments = parser.parse_args(own)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        asked = [f"--{name}={getattr(arguments, name)}" for name in ("textures", "good", "defective", "seed")]
        asked += [f"--contrast={arguments.contrast}", f"--size={arguments.size}"]
        onspec("synth", str(folder / "data"), *asked)
        machine = f"{os.cpu_count()} CPUs, {platform.machine()}"
        print(f"onspec synth {' '.join(asked)}; --budget {arguments.budget}, {date.today()}, {machine}")
        print(f"| texture | {' | '.join(COLUMNS)} |\n{'|---' * (len(COLUMNS) + 1)}|", flush=True)
        precisions: dict[str, float] = {}
        for number, texture in enumerate(TEXTURES[: arguments.textures], 1):
            name = f"Class{number}"
            metrics = measure(folder / "data" / name, folder / name, arguments.budget, arguments.seed, options)
            precisions[texture.name] = metrics["image"]["average_precision"]
            print(f"| {texture.name} {row(metrics)}", flush=True)
    worst = min(precisions, key=lambda name: precisions[name])
    print(f"image AP: mean {sum(precisions.values()) / len(precisions):.4f}, worst {precisions[worst]:.4f} ({worst})")


if __name__ == "__main__":
    main()
