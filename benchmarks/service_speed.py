"""How fast the service answers, against its own engine: load from another process on loopback, bounded in time.

    python benchmarks/service_speed.py [--recipe PART.onspec --images DIR] [--overload 60] [--soak 3600] [--workers N]

Without a recipe a small network with made weights stands in for one: what is measured is the service, not the model.
`--soak` runs at 80 % of the measured throughput and needs its time; everything else takes about two minutes.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import onnx
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


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, help="for the rows about an engine; with --images")
    parser.add_argument("--images", type=Path, help="folder of images that the recipe takes")
    parser.add_argument("--seconds", type=float, default=10, help="of each row")
    parser.add_argument("--overload", type=float, default=20, help="seconds at twice the throughput")
    parser.add_argument("--soak", type=float, default=0, help="seconds at 80 %% of the throughput")
    parser.add_argument("--workers", type=int, default=1, help="of the server in the row with the identity")
    given = parser.parse_args()
    print(f"onspec serve, {date.today()}, {os.cpu_count()} CPUs, {platform.machine()}, load {os.getloadavg()[0]:.1f}\n")
    print("| what | measured | target |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipe, images = (given.recipe, read_images(given.images)) if given.recipe else make_part(folder)
        engine_rows(recipe, images, given)
        identity_row(folder, given)


def engine_rows(recipe: Path, images: list[bytes], given: argparse.Namespace) -> None:
    """The rows about a recipe whose engine is the bottleneck."""
    bare_ms, bare_rate = bare(recipe, images, given.seconds)
    with serving(recipe) as server:
        one = load(server.url, images, clients=1, seconds=given.seconds)
        eight = load(server.url, images, clients=8, seconds=given.seconds)
        _, again_rate = bare(recipe, images, given.seconds / 2)
    rate = eight.rate / max(bare_rate, again_rate)
    row("8 clients, of the bare engine's throughput", f"{rate:.2f} ({eight.rate:.1f} of {bare_rate:.1f}/s)", "≥ 0.90")
    over = float(np.median(one.over_ms))
    size = sum(map(len, images)) / len(images) / 1e3
    row(f"one client, p50 over the engine's, {size:.0f} KB", f"{over:.1f} ms ({one.at(50):.1f} ms)", "≤ 3 ms")
    deadline_ms = max(200.0, 10 * bare_ms)
    with serving(recipe, "--deadline-ms", str(deadline_ms)) as server:
        before = server.memory_mb()
        flood = load(server.url, images, clients=64, seconds=given.overload, rate=2 * eight.rate)
        after = server.memory_mb()
    told = ", ".join(f"{count}× {status}" for status, count in sorted(flood.statuses.items()))
    bound = f"≤ {2 * deadline_ms:.0f} ms"
    row(f"2× overload for {given.overload:.0f} s, p99 of the accepted", f"{flood.at(99):.0f} ms ({told})", bound)
    row("its memory, before → after", f"{before:.0f} → {after:.0f} MB", "flat")
    row("its wrong answers", str(flood.wrong), "0")
    if given.soak:
        soak(recipe, images, given.soak, 0.8 * eight.rate)


def soak(recipe: Path, images: list[bytes], seconds: float, rate: float) -> None:
    """80 % load for long; memory is compared from the end of the first tenth on."""
    with serving(recipe) as server:
        load(server.url, images, clients=8, seconds=seconds / 10, rate=rate)
        before = server.memory_mb()
        rest = load(server.url, images, clients=8, seconds=seconds * 0.9, rate=rate)
        growth = server.memory_mb() / before - 1
    row(f"soak for {seconds:.0f} s, memory growth", f"{100 * growth:.1f} %", "< 2 %")
    row("its answers that are no verdict, or a wrong one", f"{rest.refused + rest.wrong}", "0")


def identity_row(folder: Path, given: argparse.Namespace) -> None:
    """An empty network on 64×64 px: what the service itself costs."""
    recipe, images = make_identity(folder)
    bare_ms, _ = bare(recipe, images, 2)
    with serving(recipe, "--workers", str(given.workers)) as server:
        load(server.url, images, clients=16, seconds=1)
        before = server.cpu_s()
        many = load(server.url, images, clients=16, seconds=given.seconds)
        cpu_ms = 1e3 * (server.cpu_s() - before) / max(1, len(many.times_ms))
    what = f"identity on 64×64 PNG, 16 clients, {given.workers} worker{'s' * (given.workers > 1)}"
    row(
        what,
        f"{many.rate:.0f} req/s (p99 {many.at(99):.1f} ms; CPU {cpu_ms:.2f} ms each, the engine {bare_ms:.2f} ms)",
        "≥ 1,500",
    )
    print(f"\n{GRE}")


def row(what: str, measured: str, target: str) -> None:
    """One line of the table."""
    print(f"| {what} | {measured} | {target} |", flush=True)


def bare(recipe: Path, images: list[bytes], seconds: float) -> tuple[float, float]:
    """Median ms of one image, and images/s, of the engine alone in a process of its own, as the server has it."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import service_speed; service_speed.bare_process(*sys.argv[2:])"
    )
    with tempfile.TemporaryDirectory() as folder:
        for number, image in enumerate(images):
            (Path(folder) / f"{number:04d}").write_bytes(image)
        arguments = [str(Path(__file__).parent), str(recipe), folder, str(seconds)]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    median, rate = json.loads(done.stdout.splitlines()[-1])
    return float(median), float(rate)


def bare_process(recipe: str, folder: str, seconds: str) -> None:
    """In that process."""
    inspector = Inspector(open_package(Path(recipe)))
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
class Load:
    """What a load saw: ms of the accepted, and what of them was not the engine's; statuses; changed verdicts."""

    seconds: float
    times_ms: list[float] = field(default_factory=list)
    over_ms: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    wrong: int = 0

    @property
    def rate(self) -> float:
        """Verdicts per second."""
        return len(self.times_ms) / self.seconds

    @property
    def refused(self) -> int:
        """Answers without a verdict."""
        return sum(count for status, count in self.statuses.items() if status != 200)

    def at(self, percent: float) -> float:
        """A percentile of the accepted requests' times, ms."""
        return float(np.percentile(self.times_ms, percent)) if self.times_ms else float("nan")


def load(url: str, images: Sequence[bytes], *, clients: int, seconds: float, rate: float | None = None) -> Load:
    """Load from another process; `rate` is requests per second of all clients, otherwise they ask without pause."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_load_process, args=(theirs, url, list(images), clients, seconds, rate))
    process.start()
    result: Load = ours.recv()
    process.join()
    return result


def _load_process(
    pipe: "Connection[Load, None]",
    url: str,
    images: list[bytes],
    clients: int,
    seconds: float,
    rate: float | None,
) -> None:
    pipe.send(asyncio.run(_load(url, images, clients, seconds, rate)))


async def _load(url: str, images: list[bytes], clients: int, seconds: float, rate: float | None) -> Load:
    address = urlsplit(url)
    requests = [
        b"POST /api/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(image), image)
        for image in images
    ]
    found, start = Load(seconds), time.perf_counter()
    known: dict[int, bytes] = {}

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        pause = 0.0 if rate is None else clients / rate
        due = start + pause * number / clients
        turn = number
        while (now := time.perf_counter()) < start + seconds:
            if pause and due > now:
                await asyncio.sleep(due - now)
            due = max(due + pause, time.perf_counter() - 10 * pause)
            begun = time.perf_counter()
            writer.write(requests[turn % len(requests)])
            status, body = await _answer(reader)
            found.statuses[status] = found.statuses.get(status, 0) + 1
            if status == 200:
                found.times_ms.append(1e3 * (time.perf_counter() - begun))
                found.over_ms.append(found.times_ms[-1] - sum(json.loads(body)["ms"].values()) if clients == 1 else 0.0)
                verdict = body[body.index(b'"verdict"') :][:20]
                found.wrong += known.setdefault(turn % len(requests), verdict) != verdict
            turn += clients
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    return replace(found, seconds=time.perf_counter() - start)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
    return int(head[9:12]), await reader.readexactly(length)


@dataclass
class Server:
    """A running `onspec serve`."""

    process: subprocess.Popen[str]
    url: str

    def memory_mb(self) -> float:
        """Resident memory of the process, MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1e3

    def cpu_s(self) -> float:
        """CPU time of the process and the children it has now, s."""
        pids = [
            self.process.pid,
            *map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()),
        ]
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(recipe: Path, *options: str) -> Iterator[Server]:
    """`onspec serve` in a process of its own, ready."""
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "onspec.cli", "serve", str(recipe), "--port", "0", *options]
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
