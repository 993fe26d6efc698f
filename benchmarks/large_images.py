"""What line-scan frames cost: peak memory and time of a few training steps and of inspection, as a user would run them.

    python benchmarks/large_images.py [--width 16384] [--height 4096] [--frames 8] [--steps 30] [--suffix .tif .png]

Generates frames of a grainy surface, every second one with small defects, and prints a row for each command. Peak
memory is the resident set of the command's process, Python and libraries included.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_DEFECTS = 6
"""Of a defective frame."""


def frame(width: int, height: int, seed: int, *, defective: bool) -> tuple[Pixels, Pixels]:
    """A frame and its mask, uint8 (H, W): dark and bright spots of 8 to 30 px on grain."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width), np.uint8)
    image = cv2.addWeighted(cv2.GaussianBlur(noise, (0, 0), 1.2), 0.5, np.full_like(noise, 64), 1.0, 0.0)
    mask = np.zeros_like(image)
    for _ in range(_DEFECTS if defective else 0):
        x, y = int(rng.integers(40, width - 40)), int(rng.integers(40, height - 40))
        cv2.ellipse(mask, (x, y), (int(rng.integers(4, 16)), int(rng.integers(4, 16))), 0, 0, 360, 255, cv2.FILLED)
    image[mask > 0] = np.clip(image[mask > 0] + rng.choice([-45, 45]), 0, 255)
    return np.asarray(image, np.uint8), np.asarray(mask, np.uint8)


def write_set(root: Path, suffix: str, arguments: argparse.Namespace) -> None:
    """`images/` and `masks/`; a TIFF is not compressed."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if suffix == ".tif" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    for n in range(arguments.frames):
        image, mask = frame(arguments.width, arguments.height, n, defective=n % 2 == 1)
        cv2.imwrite(str(root / "images" / f"{n}{suffix}"), image, options)
        if mask.any():
            cv2.imwrite(str(root / "masks" / f"{n}.png"), mask)


def measured(*words: str) -> tuple[float, int]:
    """Seconds and peak MiB of an onspec command; its words go to stderr."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "onspec.cli", *words], stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"onspec {' '.join(words)} exited {process.returncode}")
    return time.monotonic() - started, usage.ru_maxrss // 1024


def rows(folder: Path, suffix: str, arguments: argparse.Namespace) -> Iterator[tuple[str, float, int]]:
    """What was run, seconds, peak MiB; each as soon as it is known."""
    data, run = folder / f"data{suffix}", folder / f"run{suffix}"
    write_set(data, suffix, arguments)
    commands: Sequence[tuple[str, ...]] = (
        ("train", str(data), "--out", str(run), "--budget", "30m", "--steps", str(arguments.steps)),
        ("inspect", str(run), str(data / "images" / f"1{suffix}")),
        ("inspect", str(run), str(data / "images")),
    )
    names = (f"train, {arguments.steps} steps", "inspect, 1 frame", f"inspect, {arguments.frames} frames")
    for name, command in zip(names, commands, strict=True):
        yield (f"{name}, {suffix}", *measured(*command))


def main() -> None:
    """Parse, generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=16384)
    parser.add_argument("--height", type=int, default=4096)
    parser.add_argument("--frames", type=int, default=8, help="each 64 MiB at the default size")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--suffix", nargs="+", default=[".tif", ".png"])
    arguments = parser.parse_args()
    size = f"{arguments.width}×{arguments.height} px, {arguments.width * arguments.height / 2**20:.0f} MiB"
    print(f"{arguments.frames} frames of {size} each, {date.today()}, {os.cpu_count()} CPUs, {platform.machine()}")
    print("| command | s | peak MiB |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in arguments.suffix:
            for name, seconds, peak in rows(Path(folder), suffix, arguments):
                print(f"| {name} | {seconds:.0f} | {peak} |", flush=True)


if __name__ == "__main__":
    main()
