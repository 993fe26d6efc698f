"""How close `onspec inspect` comes to its engine: a folder against the bare engine, one image, and the start.

    python -m benchmarks.folder_speed RECIPE IMAGES [--engine E] [--count 1000] [--rounds 10] [--starts 5]

`folder`: images/s of judging files (read, decode, scale, infer, find regions, decide, make the JSON line) against those
of the same engine fed with one ready input by as many threads, on the same cores. They take turns in blocks of images,
so that a busy machine is busy for both: the median ratio and its quartiles are printed; 1 means that everything but
the network is hidden. With one lane (`--lanes 1`) a single inference uses all cores.

`stages`: where that time goes, µs, by running the steps of one image after the other in one thread.

`single`: what judging one file takes beyond the engine, ms, with a warm Inspector.

`start`: wall and CPU seconds of `onspec inspect RECIPE one.png` in a new process, and those of importing onnxruntime.
"""

import argparse
import itertools
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np

from onspec.decision.judge import judge
from onspec.imaging.look import look_at
from onspec.imaging.preparation import Tensor, interpret, prepare, run
from onspec.imaging.reading import decode_image, read_bytes, read_image
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package
from onspec.recipe.reference import picture_in
from onspec.runtime.choosing import choose, first_piece
from onspec.runtime.inspector import Inspector
from onspec.runtime.lanes import Plan, plan_lanes
from onspec.runtime.machine import usable_cores
from onspec.runtime.sources import find_sources


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("images", type=Path, help="a folder; its images are judged again and again")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--count", type=int, default=1000, help="images of all rounds together")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--lanes", type=int, help="inferences at a time; otherwise as onspec inspect does")
    parser.add_argument("--starts", type=int, default=5)
    given = parser.parse_args()
    package = open_package(given.recipe)
    engine = choose(package, measure=True).engine if given.engine == "auto" else given.engine
    plan = plan_lanes(engine, given.count, package.recipe.input)
    if given.lanes is not None:
        plan = Plan(given.lanes, max(1, usable_cores() // given.lanes))
    paths = [source.path for source in find_sources([str(given.images)])[0]]
    print(f"{date.today()}, {platform.machine()}, {usable_cores()} cores, {package.identity[:40]}…, engine {engine}")
    verdicts(package, engine, paths)
    folder(package, engine, plan, paths, given.count, given.rounds)
    stages(package, engine, paths)
    single(package, engine, paths)
    start(given.recipe, engine, paths[0], given.starts)


def verdicts(package: Package, engine: str, paths: Sequence[Path]) -> None:
    """Print what the images are: masks that lie beside them are no line's, and each of them is one huge defect."""
    with closing(Inspector(package, engine)) as inspector, closing(inspector.inspect_files(paths)) as results:
        counts = Counter(str(result.inspection.verdict) for result in results)
    print(f"{len(paths)} images: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))


def folder(package: Package, engine: str, plan: Plan, paths: Sequence[Path], count: int, rounds: int) -> None:
    """Print images/s of both, and their ratio."""
    block = max(1, count // rounds)
    files = itertools.cycle(paths)
    spec = package.recipe.input
    batch = first_piece(prepare(read_image(paths[0], spec.camera), spec))
    with closing(Inspector(package, engine, plan.threads, plan.lanes)) as inspector:

        def judged() -> None:
            with closing(inspector.inspect_files(itertools.islice(files, block))) as results:
                for result in results:
                    result.inspection.to_json()

        def bare() -> None:
            left = iter(range(block))
            lock = threading.Lock()

            def run() -> None:
                with inspector.lanes.free() as lane:
                    while True:
                        with lock:
                            if next(left, None) is None:
                                return
                        lane.infer(batch)

            threads = [threading.Thread(target=run) for _ in range(plan.lanes)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        times = np.array([(seconds(bare), cpu(judged)[0]) for _ in range(rounds + 1)])[1:]
        busy = np.array([(cpu(bare)[1], cpu(judged)[1]) for _ in range(2)]).mean(axis=0)
    low, middle, high = np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75))
    rates = block / np.median(times, axis=0)
    lanes = f"{plan.lanes} lane{'' if plan.lanes == 1 else 's'} of {plan.threads or 'all'} threads"
    spread = f"{middle:.3f} ({low:.3f}–{high:.3f})"
    print(f"folder, {lanes}: {rates[1]:.1f} images/s, bare engine {rates[0]:.1f}; ratio {spread}", end=", ")
    print(f"by CPU time {busy[0] / busy[1]:.3f}")


def stages(package: Package, engine: str, paths: Sequence[Path], rounds: int = 60) -> None:
    """Print the median time of each step; `input` makes the network's, `maps` makes score maps of what it gave, `look`
    is how the image looks as a whole. Deciding takes as long as there are defects, so it is told by verdict."""
    recipe, rows, deciding = package.recipe, [], defaultdict[str, list[float]](list)
    picture = picture_in(recipe.reference)
    with closing(Inspector(package, engine, 1)) as inspector, inspector.lanes.free() as lane:
        for path in itertools.islice(itertools.cycle(paths), rounds + 3):
            clock, inferring = [time.perf_counter()], [0.0]

            def infer(batch: Tensor, inferring: list[float] = inferring) -> Tensor:
                begun = time.perf_counter()
                output = lane.infer(batch)
                inferring[0] += time.perf_counter() - begun
                return output

            data = read_bytes(path)
            clock.append(time.perf_counter())
            image = decode_image(data, str(path), recipe.input.camera)
            clock.append(time.perf_counter())
            prepared = prepare(image, recipe.input)
            output = run(prepared, infer)
            clock.append(time.perf_counter())
            prediction = interpret(output, prepared, recipe.classes, recipe.task, recipe.separate)
            clock.append(time.perf_counter())
            look_at(image, picture)
            clock.append(time.perf_counter())
            decision = judge(
                prediction, recipe.thresholds, recipe.rules, recipe.pixel_size_mm, recipe.task, image=image
            )
            clock.append(time.perf_counter())
            read, decode, network, maps, look, decide = np.diff(clock)
            rows.append((read, decode, network - inferring[0], inferring[0], maps, look))
            deciding[f"decide {decision.verdict}"].append(decide)
    names = ("read", "decode", "input", "engine", "maps", "look")
    told = {**dict(zip(names, zip(*rows[3:], strict=True), strict=True)), **deciding}
    print("stages, µs: " + ", ".join(f"{name} {np.median(times) * 1e6:.0f}" for name, times in told.items()))


def single(package: Package, engine: str, paths: Sequence[Path], rounds: int = 40) -> None:
    """Print what one file takes beyond the engine on the same input, in turn."""
    spec = package.recipe.input
    rows = []
    with closing(Inspector(package, engine)) as inspector:
        for path in itertools.islice(itertools.cycle(paths), rounds + 3):
            batch = first_piece(prepare(read_image(path, spec.camera), spec))
            with inspector.lanes.free() as lane:
                lane.infer(batch)
                bare = seconds(lambda lane=lane, batch=batch: lane.infer(batch))  # type: ignore[misc]
            rows.append((bare, seconds(lambda path=path: inspector.inspect_file(path))))  # type: ignore[misc]
    table = np.array(rows[3:]) * 1e3
    low, middle, high = np.quantile(table[:, 1] - table[:, 0], (0.25, 0.5, 0.75))
    print(f"single: {np.median(table[:, 1]):.1f} ms, engine {np.median(table[:, 0]):.1f}; beyond it {middle:.1f} ms "
          f"({low:.1f}–{high:.1f})")  # fmt: skip


def start(recipe: Path, engine: str, path: Path, starts: int) -> None:
    """Print the time of a new process that judges one image, and what of that is the engine's import."""
    inspect = [sys.executable, "-m", "onspec.cli", "inspect", str(recipe), str(path), "--engine", engine]
    module = "openvino" if engine == "openvino" else "onnxruntime"
    for name, command in (("inspect", inspect), (f"import {module}", [sys.executable, "-c", f"import {module}"])):
        rows = [process(command) for _ in range(starts + 1)][1:]
        wall, busy = np.array(rows).T
        print(f"start, {name}: {np.median(wall):.2f} s (least {wall.min():.2f}), CPU {np.median(busy):.2f} s")


def process(command: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    variables = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    subprocess.run(command, check=True, capture_output=True, env=variables)
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def cpu(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU time of this process."""
    begun, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - busy


if __name__ == "__main__":
    main()
