"""Damaged images and changed recipes, one after another, in a process of their own."""

import random
import sys
import time
from pathlib import Path

from benchmarks.fuzz import attempts
from benchmarks.fuzz.archives import repack, rewrite
from benchmarks.fuzz.mutators import BYTES, Mutation
from benchmarks.fuzz.originals import Original, originals
from benchmarks.fuzz.tally import HEADER, Tally
from benchmarks.fuzz.worker import Worker

from onspec.recipe.reading import open_package

SECONDS = 5.0
"""Of processor time; a file that takes longer is a fault."""


def try_images(recipe: Path, count: int, seed: int, end: float, out: Path) -> int:
    """`count` files, as many of each format; the number of faults. `end` as `time.monotonic` counts."""
    worker = Worker(attempts.images, str(recipe), SECONDS)
    return _try(originals(open_package(recipe)), worker, count, seed, end, out)


def try_recipes(recipe: Path, count: int, seed: int, end: float, out: Path) -> int:
    """The same of recipes: bytes changed, the archive written anew, and members changed and packed anew."""
    data = recipe.read_bytes()
    told = tuple(Mutation(mutation.change, told=True) for mutation in BYTES)
    kinds = {
        "recipe, bytes": told,
        "recipe, archive": (Mutation(rewrite, told=True),),
        "recipe, packed": (Mutation(repack),),
    }
    worker = Worker(attempts.recipes, str(recipe), SECONDS)
    return _try({name: Original(data, data, kind) for name, kind in kinds.items()}, worker, count, seed, end, out)


def _try(files: dict[str, Original], worker: Worker, count: int, seed: int, end: float, out: Path) -> int:
    print(HEADER)
    total = Tally("all")
    for name, original in files.items():
        total.include(_try_one(name, original, worker, count // len(files), seed, end, out))
    print(total, flush=True)
    worker.close()
    return total.seen["fault"]


def _try_one(name: str, original: Original, worker: Worker, count: int, seed: int, end: float, out: Path) -> Tally:
    tally, chance = Tally(name), random.Random(f"{seed} {name}")
    for index in range(count):
        if time.monotonic() > end:
            break
        mutation = original.mutations[index % len(original.mutations)]
        damaged = mutation.change(original.data, original.other, chance)
        while damaged == original.data:
            damaged = BYTES[0].change(original.data, original.other, chance)
        start = time.perf_counter()
        outcome, memory = worker.attempt(damaged, original.data, mutation.told)
        tally.add(outcome, 1000 * (time.perf_counter() - start), memory)
        if outcome.startswith("fault"):
            _keep(out / f"{name.replace(' ', '-')}-{seed}-{index}", damaged, f"{mutation.change.__name__}: {outcome}")
    print(tally, flush=True)
    return tally


def _keep(path: Path, damaged: bytes, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damaged)
    print(f"{path.name} {what[:300]}", file=sys.stderr, flush=True)
