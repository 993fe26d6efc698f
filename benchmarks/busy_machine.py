"""What a step of training takes where other programs run, by how long torch's threads wait busily for each other.

    python -m benchmarks.busy_machine DATA [--steps 60] [--rounds 3]

Trains on DATA alone, beside a program that keeps one core busy, and twice at once; with the spins that onspec sets, and
with those that GNU's OpenMP takes by itself. Both take turns; prints the rounds' median ms a step and their range. That
holds the validations between the steps, of which a short run has more.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median

SPINS = {"as onspec sets them": {}, "300,000, OpenMP's own": {"GOMP_SPINCOUNT": "300000"}}
"""Heading → what is added to the environment."""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{given.data.name}, {date.today()}, {platform.machine()}, {os.cpu_count()} CPUs; ms a step")
    print("| spins | alone | beside a busy program | two at once |\n|---|---|---|---|")
    figures: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(given.rounds):
        for name, spins in SPINS.items():
            alone, pair = (_train(given.data, given.steps, spins, runs) for runs in (1, 2))
            with _busy():
                beside = _train(given.data, given.steps, spins, 1)
            figures[name].append([alone, beside, pair])
            print(f"{name}: {alone:.0f}, {beside:.0f}, {pair:.0f}", file=sys.stderr, flush=True)
    for name, rounds in figures.items():
        cells = (f"{median(one):.0f} ({min(one):.0f}–{max(one):.0f})" for one in zip(*rounds, strict=True))
        print(f"| {name} | {' | '.join(cells)} |")


def _train(data: Path, steps: int, spins: Mapping[str, str], runs: int) -> float:
    """Mean ms a step from the tenth on, of so many runs at once."""
    environment = {**os.environ, **spins}
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / str(number) for number in range(runs)]
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "onspec.cli", "train", str(data), "--out", str(out), "--steps", str(steps)],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            for out in outs
        ]  # fmt: skip
        ended = [one.wait() for one in started]
        if any(ended):
            raise SystemExit(f"training on {data} failed; see: onspec train {data} --out RUN --steps {steps}")
        return sum(_step_ms(out / "curves.jsonl") for out in outs) / runs


def _step_ms(curves: Path) -> float:
    lines = [json.loads(line) for line in curves.read_text().splitlines()]
    told = [(line["step"], line["seconds"]) for line in lines if "loss" in line]
    (first, begun), (last, ended) = told[0], told[-1]
    return float((ended - begun) / (last - first) * 1e3)


@contextmanager
def _busy() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as program:
        try:
            yield
        finally:
            program.kill()


if __name__ == "__main__":
    main()
