"""How fast the service answers, against its own engine: load from another process on loopback, bounded in time.

    python -m benchmarks.service_speed [--recipe PART.onspec --images DIR] [--only engine overload identity soak]
        [--overload 60] [--warm-up 20] [--soak 3600] [--workers N] [--server-cpus 0] [--clients-cpus 1]

Without a recipe a small network with made weights stands in for one: what is measured is the service, not the model.
The soak records every verdict, runs at 80 % of the throughput that it measured before, and needs its time; everything
else takes about two minutes. With `--server-cpus` the server has only these cores, and an engine thread a core.
"""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
from benchmarks.service_load import Asking, Load, load, loading
from onnx import TensorProto, helper, numpy_helper

from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import encode_image
from onspec.recipe.package import Golden, Package
from onspec.recipe.reading import open_package, with_digest
from onspec.recipe.schema import Provenance, Recipe
from onspec.recipe.writing import pack
from onspec.runtime.golden import record_golden
from onspec.runtime.inspector import Inspector

GRE = "GRE: 1,985 req/s of Caffe's AlexNet on 4 GPUs; 34,440 req/s for an empty kernel in Go"


ROWS = ("engine", "overload", "identity", "soak")

_LOOK_S = 10.0
"""So long memory is watched for one figure."""

_WARM_UP = 0.05
"""Share of a soak after which memory should grow no more."""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, help="for the rows about an engine; with --images")
    parser.add_argument("--images", type=Path, help="folder of images that the recipe takes")
    parser.add_argument("--only", nargs="+", choices=ROWS, help="what is measured; all but the soak, if not given")
    parser.add_argument("--seconds", type=float, default=10, help="of each row")
    parser.add_argument("--overload", type=float, default=20, help="seconds at twice the throughput, after a warm-up")
    parser.add_argument("--warm-up", type=float, default=20, help="seconds of the same before memory is looked at")
    parser.add_argument("--soak", type=float, default=0, help="seconds at 80 %% of the throughput")
    parser.add_argument("--workers", type=int, default=1, help="of the server in the row with the identity")
    parser.add_argument("--server-cpus", type=int, nargs="+", help="cores of the server; all, if not given")
    parser.add_argument("--clients-cpus", type=int, nargs="+", help="cores of the clients; all, if not given")
    given = parser.parse_args()
    only = given.only or (*ROWS[:3], *(ROWS[3:] if given.soak else ()))
    print(f"onspec serve, {date.today()}, {os.cpu_count()} CPUs, {platform.machine()}, load {os.getloadavg()[0]:.1f}\n")
    print("| what | measured | target |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipe, images = (given.recipe, read_images(given.images)) if given.recipe else make_part(folder)
        for name, measure in (("engine", engine_rows), ("overload", overload_rows), ("soak", soak_rows)):
            if name in only:
                measure(recipe, images, given)
        if "identity" in only:
            identity_row(folder, given)


def engine_rows(recipe: Path, images: list[bytes], given: argparse.Namespace) -> None:
    """Throughput and latency of a recipe whose engine is the bottleneck."""
    _, bare_rate = bare(recipe, images, given)
    with serving(recipe, given) as server:
        one = load(Asking(server.url, images, 1, given.seconds))
        eight = load(Asking(server.url, images, 8, given.seconds))
        _, again_rate = bare(recipe, images, given)
    rate = eight.rate / max(bare_rate, again_rate)
    row("8 clients, of the bare engine's throughput", f"{rate:.2f} ({eight.rate:.1f} of {bare_rate:.1f}/s)", "≥ 0.90")
    over = float(np.median(one.over_ms))
    size = sum(map(len, images)) / len(images) / 1e3
    row(f"one client, p50 over the engine's, {size:.0f} KB", f"{over:.1f} ms ({one.at(50):.1f} ms)", "≤ 3 ms")


def overload_rows(recipe: Path, images: list[bytes], given: argparse.Namespace) -> None:
    """Twice the load that can be judged: what is accepted is in time, and memory stays as it is."""
    shares = (0.1, 0.5, 1.0)
    bare_ms, rate = bare(recipe, images, given)
    deadline_ms, twice = max(200.0, 10 * bare_ms), 2 * rate
    with serving(recipe, given, "--deadline-ms", str(deadline_ms)) as server:
        load(Asking(server.url, images, 64, given.warm_up, twice))  # every buffer was needed once
        with loading(Asking(server.url, images, 64, given.overload, twice)) as pipe:
            memory = list(server.memory_over(given.overload, shares))
            flood: Load = pipe.recv()
    row(
        f"2× overload, {twice:.1f}/s for {given.overload:.0f} s, p99 of the accepted",
        f"{flood.at(99):.0f} ms ({flood.told})",
        f"≤ {2 * deadline_ms:.0f} ms",
    )
    row(f"its memory, after a warm-up of {given.warm_up:.0f} s, {_at(shares)}", _growth(memory), "flat: < 2 % more")
    row("its wrong answers, and connections that broke", f"{flood.wrong}, {flood.broken}", "0, 0")


def soak_rows(recipe: Path, images: list[bytes], given: argparse.Namespace) -> None:
    """80 % load for long, every verdict recorded: memory, and whether each answer has its record."""
    shares = (_WARM_UP, 0.25, 0.5, 0.75, 1.0)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "records.db"
        with serving(recipe, given, "--db", str(database)) as server:
            most = load(Asking(server.url, images, 8, given.seconds)).rate
            before = _recorded(database)
            asking = Asking(server.url, images, 8, given.soak, 0.8 * most, told_apart=True)
            with loading(asking) as pipe:
                memory = []
                for share, mb in zip(shares, server.memory_over(given.soak, shares), strict=True):
                    memory.append(mb)
                    print(f"soak: {100 * share:.0f} %, {mb:.1f} MB", file=sys.stderr, flush=True)
                seen: Load = pipe.recv()
        lost, double, unanswered = _compare(database, seen)
    what = f"soak for {given.soak:.0f} s at {0.8 * most:.1f} of {most:.1f} verdicts/s"
    row(f"{what}, memory {_at(shares)}", _growth(memory), "< 2 % more")
    row("its answers (p99)", f"{seen.told} ({seen.at(99):.0f} ms)", "–")
    row("its wrong answers, and connections that broke", f"{seen.wrong}, {seen.broken}", "0, 0")
    row(f"its {len(seen.answered)} verdicts: without a record, with two", f"{lost}, {double}", "0, 0")
    row(f"records of parts whose verdict nobody got ({before} were there before)", f"{unanswered}", "–")


def _at(shares: Sequence[float]) -> str:
    return f"at {', '.join(f'{share:.0%}' for share in shares)} of the time"


def _growth(memory: Sequence[float]) -> str:
    return f"{' → '.join(f'{mb:.1f}' for mb in memory)} MB ({100 * (memory[-1] / memory[0] - 1):+.1f} %)"


def _recorded(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM records").fetchone()[0])


def _compare(database: Path, seen: Load) -> tuple[int, int, int]:
    """Parts answered without a record, parts with more than one, and records of parts that were not answered."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT part_id, count(*) FROM records WHERE part_id IS NOT NULL GROUP BY part_id")
        recorded = {int(part): count for part, count in rows}
    answered = set(seen.answered)
    return len(answered - set(recorded)), sum(count > 1 for count in recorded.values()), len(set(recorded) - answered)


def identity_row(folder: Path, given: argparse.Namespace) -> None:
    """An empty network on 64×64 px: what the service itself costs."""
    recipe, images = make_identity(folder)
    bare_ms, _ = bare(recipe, images, given)
    with serving(recipe, given, "--workers", str(given.workers)) as server:
        load(Asking(server.url, images, 16, 1))
        before = server.cpu_s()
        with on_cpus(given.clients_cpus):
            many = load(Asking(server.url, images, 16, given.seconds))
        cpu_ms = 1e3 * (server.cpu_s() - before) / max(1, len(many.times_ms))
    what = f"identity on 64×64 PNG, 16 clients, {given.workers} worker{'s' * (given.workers > 1)}"
    cost = f"CPU {cpu_ms:.2f} ms each, the client's {many.cpu_ms:.2f} ms, the engine {bare_ms:.2f} ms"
    row(what, f"{many.rate:.0f} req/s (p99 {many.at(99):.1f} ms; {cost})", "≥ 1,500")
    print(f"\n{GRE}")


@contextmanager
def on_cpus(cpus: Sequence[int] | None) -> Iterator[None]:
    """Processes that are started within get only these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def row(what: str, measured: str, target: str) -> None:
    """One line of the table."""
    print(f"| {what} | {measured} | {target} |", flush=True)


def bare(recipe: Path, images: list[bytes], given: argparse.Namespace) -> tuple[float, float]:
    """Median ms of one image, and images/s, of the engine alone in a process of its own, as the server has it."""
    code = "import sys; from benchmarks import service_speed; service_speed.bare_process(*sys.argv[1:])"
    with tempfile.TemporaryDirectory() as folder, on_cpus(given.server_cpus):
        for number, image in enumerate(images):
            (Path(folder) / f"{number:04d}").write_bytes(image)
        threads = str(len(given.server_cpus or ()))
        arguments = [str(recipe), folder, str(given.seconds / 2), threads]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=environment
        )
    median, rate = json.loads(done.stdout.splitlines()[-1])
    return float(median), float(rate)


def bare_process(recipe: str, folder: str, seconds: str, threads: str) -> None:
    """In that process; 0 threads leave their number to the engine."""
    inspector = Inspector(open_package(Path(recipe)), threads=int(threads) or None)
    images = read_images(Path(folder))
    for image in images[:3]:
        inspector.inspect_bytes(image, "image")
    times: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < float(seconds):
        begun = time.perf_counter()
        inspector.inspect_bytes(images[len(times) % len(images)], "image")
        times.append(time.perf_counter() - begun)
    print(json.dumps([1e3 * float(np.median(times)), len(times) / sum(times)]))


@dataclass
class Server:
    """A running `onspec serve`."""

    process: subprocess.Popen[str]
    url: str

    def memory_mb(self) -> float:
        """Resident memory of the process and its children, MB."""
        files = [Path(f"/proc/{pid}/status").read_text() for pid in self._pids()]
        lines = [next(line for line in file.splitlines() if line.startswith("VmRSS")) for file in files]
        return sum(int(line.split()[1]) for line in lines) / 1e3

    def memory_over(self, seconds: float, shares: Sequence[float]) -> Iterator[float]:
        """`memory_mb` when these shares of the time that begins now are over: the median of what it was shortly before,
        for at any one moment it depends on how many images are just coming in."""
        begun = time.monotonic()
        for share in shares:
            seen: list[float] = []
            until = begun + share * seconds
            time.sleep(max(0.0, until - min(_LOOK_S, 0.1 * seconds) - time.monotonic()))
            while not seen or time.monotonic() < until:
                seen.append(self.memory_mb())
                time.sleep(0.1)
            yield float(np.median(seen))

    def cpu_s(self) -> float:
        """CPU time of the process and the children it has now, s."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids()]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")

    def _pids(self) -> list[int]:
        """The process, and its children if it has any."""
        own = self.process.pid
        return [own, *map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())]


@contextmanager
def serving(recipe: Path, given: argparse.Namespace, *options: str) -> Iterator[Server]:
    """`onspec serve` in a process of its own, ready."""
    threads = ("--threads", str(len(given.server_cpus))) if given.server_cpus else ()
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "onspec.cli", "serve", str(recipe), "--port", "0", *threads, *options]
        with on_cpus(given.server_cpus):
            process = subprocess.Popen(command, stderr=log, text=True)
        try:
            yield Server(process, _until_ready(process, log.fileno()))
        finally:
            process.terminate()
            process.wait(60)


def _until_ready(process: subprocess.Popen[str], log: int) -> str:
    for _ in range(600):
        words = os.pread(log, 500, 0).decode("utf-8", "replace").split()
        url = next((word for word in words if word.startswith("http://")), None)
        if url is not None:
            try:
                if httpx.get(f"{url}/v2/health/ready").status_code == 200:
                    return url
            except httpx.TransportError:
                pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"the server did not start: {os.pread(log, 2000, 0).decode()}")


def read_images(folder: Path) -> list[bytes]:
    """Up to 50 files."""
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()][:50]


def make_identity(folder: Path) -> tuple[Path, list[bytes]]:
    """A recipe whose network gives its input, and dark noise for it."""
    node = helper.make_node("Abs", ["image"], ["scores"])
    images = noise(64, most=127, count=16)
    return make_recipe(folder / "identity.onspec", [node], [], 64, images), images


def make_part(folder: Path) -> tuple[Path, list[bytes]]:
    """A recipe with a small convolutional network on 512×512 px, some 10 ms, and noise of 200 KB."""
    rng, nodes, weights, source, channels = np.random.default_rng(0), [], [], "image", 1
    for number, width in enumerate((8, 8, 8, 1)):
        weight = rng.normal(0, 0.05, (width, channels, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"weight{number}"))
        nodes.append(helper.make_node("Conv", [source, f"weight{number}"], [f"conv{number}"], pads=[1, 1, 1, 1]))
        kind, name = ("Sigmoid", "scores") if width == 1 else ("Relu", f"relu{number}")
        nodes.append(helper.make_node(kind, [f"conv{number}"], [name]))
        source, channels = name, width
    images = noise(512, most=100, count=8)
    return make_recipe(folder / "part.onspec", nodes, weights, 512, images), images


def noise(side: int, most: int, count: int) -> list[bytes]:
    """PNG files of gray noise."""
    rng = np.random.default_rng(1)
    return [encode_image(rng.integers(64, most, (side, side), dtype=np.uint8)) for _ in range(count)]


def make_recipe(path: Path, nodes: list[Any], weights: list[Any], side: int, images: list[bytes]) -> Path:
    """A packed recipe of this graph."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 1, "h", "w"]) for n in ("image", "scores")]
    graph = helper.make_graph(nodes, path.stem, [ends[0]], [ends[1]], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    extent = Extent(min=side, max=side)
    recipe = Recipe(
        name=path.stem,
        input=InputSpec(width=extent, height=extent, stride=16, tile=1024, halo=32),
        provenance=Provenance(created="2026-01-01T00:00:00Z", onspec="0.1.0"),
    )
    package = with_digest(Package(recipe=recipe, model=model.SerializeToString(), golden=(Golden("a.png", images[0]),)))
    inspector = Inspector(package)
    pack(replace(package, golden=record_golden(inspector, package.golden)), path)
    inspector.close()
    return path


if __name__ == "__main__":
    main()
