"""How many times as fast recipes judge the same test images as a first one, and how well.

    python -m benchmarks.recipe_paces DATA FIRST.onspec OTHER.onspec [...] [--engine openvino] [--images 64]

Every recipe takes turns with the first one on each image, on one engine and all cores, one image at a time: preparing
it, the network or networks, and the maps in its pixels. Images are of the test part that the first recipe carries,
spread over good and defective ones; all of them are judged for the average precision. Good ones are what a line sees.
"""

import argparse
import platform
from contextlib import closing
from datetime import date
from functools import partial
from pathlib import Path

from onspec.cli.alike import judge_all_of, spread
from onspec.cli.labelled import select
from onspec.datasets.layouts import load
from onspec.imaging.reading import read_image
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector
from onspec.runtime.machine import usable_cores
from onspec.runtime.pacing import measure_paces


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("first", type=Path, help="a recipe file, or the folder of a run")
    parser.add_argument("others", type=Path, nargs="+")
    parser.add_argument("--engine", default="openvino")
    parser.add_argument("--images", type=int, default=64, help="how many images are timed, half of them good")
    given = parser.parse_args()
    first = open_package(given.first)
    samples = select(load(given.data), first, "test").samples
    timed = spread(samples, given.images)
    images = [partial(read_image, sample.image, first.recipe.input.camera) for sample in timed]
    print(f"{date.today()}, {platform.machine()}, {usable_cores()} cores, {given.engine}, {len(timed)} images timed")
    print("| recipe | ms, and the first's | image AP | × the first, on all of these | × the first, on good ones |")
    print("|---" * 5 + "|")
    with closing(Inspector(first, given.engine)) as base:
        print(f"| {given.first.name} | | {_shown(judge_all_of(base, samples).average_precision)} | 1 | 1 |")
        for path in given.others:
            with closing(Inspector(open_package(path), given.engine)) as other:
                paces = measure_paces(base, other, images, [sample.defective for sample in timed])
                precision = _shown(judge_all_of(other, samples).average_precision)
                times = f"{paces.after_ms:.1f}, {paces.before_ms:.1f}"
                print(
                    f"| {path.name} | {times} | {precision} | {paces.mixed:.2f} | {_shown(paces.good, 2)} |", flush=True
                )


def _shown(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
