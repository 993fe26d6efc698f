"""The talk's network in what a user would run instead, side by side on this machine's CPU, on the same weights.

    python -m benchmarks.peers [--recipe RUN_OR_RECIPE] [--threads 2] [--size 512] [--rounds 12] [--only NAME ...]

Every peer runs in a process of its own and is timed only if its scores agree with ONNX Runtime's to 1e-4. They take
turns, so that a busy machine is busy for all; a ratio is taken within a round, and its median and quartiles are
printed: over 1 the peer takes longer than the first row. `single` is the time of one image, `folder` that of an image
among many. Without a recipe of `unet-deck` the weights are random: they cost the same.

The first run makes a virtual environment with TensorFlow (some 2 GB, kept in onspec's cache).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from benchmarks.peers.worker import ROOT
from numpy.typing import NDArray

from onspec.runtime.cache import cache_root

TOLERANCE = 1e-4
_MANY = 8


@dataclass(frozen=True)
class Row:
    """A peer: its module, what the table calls it, and the packages of its own environment (`None`: this one)."""

    module: str
    title: str
    packages: tuple[str, ...] | None = None


_KERAS = ("tensorflow-cpu>=2.16", "numpy")
ROWS = (
    Row("onnxruntime_plain", "ONNX Runtime"),
    Row("openvino_plain", "OpenVINO"),
    Row("torch_eager", "PyTorch"),
    Row("torch_compiled", "PyTorch, compiled"),
    Row("keras_function", "Keras, tf.function", _KERAS),
    Row("keras_predict", "Keras, predict", _KERAS),
    Row("onspec_onnxruntime", "onspec, onnxruntime"),
    Row("onspec_openvino", "onspec, openvino"),
    Row("onspec_folder", "onspec, as for folders"),
)
"""The first is what the others are compared with."""


@dataclass
class Peer:
    """A worker and what it took, a figure a round; leave as a context manager, which ends it."""

    row: Row
    process: "subprocess.Popen[str]"
    single: list[float] = field(default_factory=list)
    folder: list[float] = field(default_factory=list)
    mb: float = 0.0
    apart: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def ask(self, **command: object) -> dict[str, Any]:
        """Send a command (none: wait for what it says of itself) and return the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if command:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"it ended with exit code {self.process.wait()}"}


def start(row: Row, folder: Path, threads: int) -> Peer:
    """A worker in its environment."""
    python = sys.executable if row.packages is None else str(environment(row.packages))
    command = [python, "-m", "benchmarks.peers.worker", row.module, str(folder), str(threads)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )  # fmt: skip
    return Peer(row, process)


def environment(packages: Sequence[str]) -> Path:
    """The Python of a virtual environment with these packages, made if it is not there yet."""
    folder = cache_root() / "peers"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"making {folder} with {', '.join(packages)} …", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-input", *packages], check=True, stdout=sys.stderr)
        (folder / "complete").touch()
    return python


def write_network(folder: Path, recipe: Path | None, size: int) -> None:
    """`model.onnx`, `weights.npz` taken out of it, and `images.npy`.

    Raises:
        SystemExit: the recipe is not of the talk's network.
    """
    import onnx
    from onnx import numpy_helper

    model = _random_network() if recipe is None else _packed_network(recipe)
    (folder / "model.onnx").write_bytes(model)
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(model).graph.initializer}
    weights = {name.removeprefix("network."): values for name, values in stored.items() if name.startswith("network.")}
    if "up.3.2.weight" not in weights or "head.weight" not in weights:
        raise SystemExit("the recipe's network is not unet-deck; train one with: onspec train DATA --plan deck")
    np.savez(folder / "weights.npz", allow_pickle=False, **weights)
    noise = np.random.default_rng(0).uniform(-1, 1, (4, 1, 1, size, size)).astype(np.float32)
    np.save(folder / "images.npy", noise)


def _random_network() -> bytes:
    """The talk's network, its weights such that values neither fade nor grow from layer to layer (He et al. 2015)."""
    import torch

    from onspec.training.export import to_onnx
    from onspec.training.networks import NETWORKS
    from onspec.training.objectives.segmentation import Segmentation

    torch.manual_seed(0)
    network = NETWORKS["unet-deck"].make(1, 1, 1)
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
    return to_onnx(network, Segmentation(1), 1, NETWORKS["unet-deck"].stride)


def _packed_network(recipe: Path) -> bytes:
    from onspec.recipe.reading import open_package

    return open_package(recipe).model


def ready(peers: Sequence[Peer], folder: Path) -> list[Peer]:
    """Those that start and agree with the first; of the others it is printed what is the matter."""
    expected: NDArray[np.float32] | None = None
    fit = []
    for peer in peers:
        fault = peer.ask().get("error")
        if fault is None:
            peer.mb = peer.ask(do="check", to=str(folder / "scores.npy"))["mb"]
            scores = np.load(folder / "scores.npy")
            if expected is None:
                expected = scores
                if float(scores.std()) < 0.01:
                    print("the scores hardly differ from pixel to pixel: agreement says little")
            peer.apart = float(np.abs(scores - expected).max())
            fault = None if peer.apart < TOLERANCE else f"its scores differ by {peer.apart:.2g}; {TOLERANCE} is allowed"
        if fault is None:
            fit.append(peer)
        else:
            print(f"{peer.row.title} is left out: {fault}", flush=True)
    return fit


def measure(peers: Sequence[Peer], rounds: int) -> None:
    """Rounds in which each peer takes its turn, every time in another order."""
    order = np.random.default_rng(0)
    for _ in range(rounds):
        for place in order.permutation(len(peers)):
            peer = peers[place]
            peer.single.append(float(np.median([peer.ask(do="time", images=1)["ms"] for _ in range(3)])))
            peer.folder.append(peer.ask(do="time", images=_MANY)["ms"])


def table(peers: Sequence[Peer]) -> str:
    """A row a peer; ratios to the first one's time, round by round."""
    first = peers[0]
    lines = [
        f"| | single, ms | time against {first.row.title} | folder, ms an image | time against it | images/s | MB "
        "| largest difference of a score |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for peer in peers:
        cells = [peer.row.title]
        for own, other in ((peer.single, first.single), (peer.folder, first.folder)):
            low, middle, high = np.quantile(np.divide(own, other), (0.25, 0.5, 0.75))
            cells += [f"{np.median(own):.1f}", f"{middle:.2f} ({low:.2f}–{high:.2f})"]
        cells += [f"{1e3 / np.median(peer.folder):.1f}", f"{peer.mb:.0f}", f"{peer.apart:.1e}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Parse, start, compare, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, help="a run or recipe of --plan deck, whose weights to use")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=512, help="px")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", nargs="+", choices=[r.module for r in ROWS], default=[r.module for r in ROWS])
    given = parser.parse_args()
    print(f"{date.today()}, {platform.machine()}, {given.threads} threads, {given.size}×{given.size} px, float32")
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        write_network(folder, given.recipe, given.size)
        chosen = [row for row in ROWS if row.module in given.only]
        peers = [stack.enter_context(start(row, folder, given.threads)) for row in chosen]
        fit = ready(peers, folder)
        if fit:
            measure(fit, given.rounds)
            print(table(fit))


if __name__ == "__main__":
    main()
