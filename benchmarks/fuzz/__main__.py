"""Damaged files against the real readers: nothing may crash, hang or be taken for what it is not.

    python -m benchmarks.fuzz images|recipes RECIPE [--count N] [--seed S] [--minutes M] [--out FOLDER]

A fault is an exception that is not onspec's own, a dead process, over 5 s for a file, a PNG whose changed pixels are
read in spite of its checksums, or a changed recipe that opens. The file of each is kept in `--out`; then the exit
status is 1. Peak MB is that of the process, which may have 4 GiB.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.fuzz import attempts
from benchmarks.fuzz.archives import rewrite
from benchmarks.fuzz.mutators import MUTATORS
from benchmarks.fuzz.originals import originals
from benchmarks.fuzz.worker import Worker


def main() -> int:
    """Try, print the table; 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="benchmarks.fuzz")
    parser.add_argument("what", choices=("images", "recipes"))
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("fuzz-faults"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.what == "images":
        files, worker = originals(options.seed), Worker(attempts.images, str(options.recipe), 5.0)
        mutators = MUTATORS
    else:
        data = options.recipe.read_bytes()
        files, worker = {"recipe": (data, data)}, Worker(attempts.recipes, str(options.out), 5.0)
        mutators = (*MUTATORS, rewrite)
    chance, end, faults = random.Random(options.seed), time.monotonic() + 60 * options.minutes, 0
    print(f"{'format':18}{'files':>8}{'refused':>9}{'read':>7}{'faults':>8}{'slowest ms':>12}{'peak MB':>9}")
    for name, (first, second) in files.items():
        seen, slowest, peak = Counter[str](), 0.0, 0.0
        for index in range(options.count // len(files)):
            if time.monotonic() > end:
                break
            damaged = mutators[index % len(mutators)](first, second, chance)
            if damaged == first:
                continue
            start = time.perf_counter()
            outcome, memory = worker.attempt(damaged, first)
            slowest, peak = max(slowest, 1000 * (time.perf_counter() - start)), max(peak, memory)
            seen[outcome.split()[0].strip(":")] += 1
            if outcome.startswith("fault"):
                (options.out / f"{name.replace(' ', '-')}-{options.seed}-{index}").write_bytes(damaged)
                print(f"{name} {index} {mutators[index % len(mutators)].__name__}: {outcome[:200]}", file=sys.stderr)
        faults += seen["fault"]
        print(
            f"{name:18}{seen.total():8}{seen['refused']:9}{seen['read']:7}{seen['fault']:8}{slowest:12.1f}{peak:9.0f}",
            flush=True,
        )
    worker.close()
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
