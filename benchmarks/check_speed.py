"""How long `onspec check` takes, and how much memory, on a generated set of noisy gray images with masks.

    python benchmarks/check_speed.py [--images 20000] [--side 512] [--textures 200] [--defective 0.05] [--keep DIR]

Each texture is written many times with another corner, so that no two files are equal and generating takes minutes, not
hours; every file is decoded all the same. `--out` of the command is measured, too: the page draws a few hundred images.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_CORNER = 16


def main() -> None:
    """Parse, generate, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=512, help="px")
    parser.add_argument("--textures", type=int, default=200, help="that differ in more than a corner")
    parser.add_argument("--defective", type=float, default=0.05, help="share of the images that have a mask")
    parser.add_argument("--keep", type=Path, help="folder for the images; otherwise they are deleted")
    given = parser.parse_args()
    print(f"onspec check, {date.today()}, {os.cpu_count()} CPUs, {platform.machine()}")
    with tempfile.TemporaryDirectory() as temporary:
        root = given.keep or Path(temporary) / "set"
        if not root.is_dir():
            generate(root, given.images, given.side, given.textures, given.defective)
        print("| command | images | seconds | CPU seconds | peak MB | exit |\n|---|---|---|---|---|---|", flush=True)
        for options in ([], ["--out", str(Path(temporary) / "page")]):
            name = "check" if not options else "check --out"
            print(f"| {name} | {len(list((root / 'images').iterdir()))} | {measure(root, options)} |", flush=True)


def generate(root: Path, images: int, side: int, textures: int, defective: float) -> None:
    """Write the images, and masks for a share of them, spread evenly."""
    folders = [root / "images", root / "masks"]
    for folder in folders:
        folder.mkdir(parents=True)
    every = max(1, round(1 / defective))

    def write(number: int) -> None:
        surface = texture(number, side)
        rng = np.random.default_rng([1, number])
        for n in range(number, images, textures):
            surface[:_CORNER, :_CORNER] = rng.integers(0, 256, (_CORNER, _CORNER))
            cv2.imwrite(str(folders[0] / f"{n:06d}.png"), surface, [cv2.IMWRITE_PNG_COMPRESSION, 1])
            if (n // textures + number) % every == 0:
                mask = np.zeros((side, side), np.uint8)
                x, y = rng.integers(side // 8, side // 2, 2)
                mask[y : y + side // 16, x : x + side // 8] = 255
                cv2.imwrite(str(folders[1] / f"{n:06d}.png"), mask)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(write, range(textures)))


def texture(number: int, side: int) -> NDArray[np.uint8]:
    """A cloudy, noisy surface, uint8 (side, side)."""
    rng = np.random.default_rng([0, number])
    coarse = cv2.resize(rng.standard_normal((side // 8, side // 8), np.float32), (side, side))
    return np.asarray(np.clip(128 + 18 * coarse + 6 * rng.standard_normal((side, side)), 0, 255), np.uint8)


def measure(root: Path, options: list[str]) -> str:
    """Run the command in a process of its own; seconds, CPU seconds, peak memory and exit code as cells."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    command = [sys.executable, "-m", "onspec.cli", "check", str(root), *options]
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    seconds = time.monotonic() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{seconds:.1f} | {cpu:.1f} | {after.ru_maxrss / 1024:.0f} | {code}"


if __name__ == "__main__":
    main()
