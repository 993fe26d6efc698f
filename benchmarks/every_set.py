"""The rows of docs/results.md, one command: every real set, with its budget and options.

    python -m benchmarks.every_set DATA [--only NAME ...] [--seeds 0] [--keep DIR]

DATA holds the folders of the table below. Each row trains and evaluates as `benchmarks/quality.py` does; all of them
take about five hours on two cores.
"""

import argparse
import platform
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.quality import COLUMNS, measure, row


@dataclass(frozen=True)
class Row:
    """One run: its name, the folder in DATA, the time, and options of `onspec train`."""

    name: str
    folder: str
    budget: str
    options: tuple[str, ...] = ()


ROWS = (
    Row("dagm", "dagm2007/Class1", "3m"),
    Row("dagm-20m", "dagm2007/Class1", "20m"),
    Row("dagm-deck", "dagm2007/Class1", "20m", ("--plan", "deck")),
    Row("tile", "magnetic_tile", "20m"),
    Row("tile-60m", "magnetic_tile", "60m"),
    Row("tile-classes", "magnetic_tile", "20m", ("--classes", "each")),
    Row("tile-good-only", "magnetic_tile", "20m", ("--good-only",)),
    Row("deeppcb", "deeppcb", "20m"),
    Row("weld", "weld", "20m"),
    Row("membrane", "membrane", "20m"),
    Row("cells", "membrane", "20m", ("--marked", "bright")),
)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", choices=[r.name for r in ROWS], default=[r.name for r in ROWS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--keep", type=Path, help="folder for the runs; otherwise they are deleted")
    given = parser.parse_args()
    print(f"{date.today()}, {platform.machine()}")
    print(f"| run | budget | {' | '.join(COLUMNS)} |\n{'|---' * (len(COLUMNS) + 2)}|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for chosen in (r for r in ROWS if r.name in given.only):
            for seed in given.seeds:
                folder = (given.keep or Path(temporary)) / chosen.name
                metrics = measure(given.data / chosen.folder, folder, chosen.budget, seed, list(chosen.options))
                print(f"| {chosen.name} | {chosen.budget} {row(metrics)}", flush=True)


if __name__ == "__main__":
    main()
