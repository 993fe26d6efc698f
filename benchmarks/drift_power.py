"""How often drift is called out where there is none, and how soon where there is, on real and generated images.

    python benchmarks/drift_power.py DATA [--windows 1000] [--runs 30] [--most 400] [--only tiles DAGM]

DATA holds folders of real images. Each set is split anew at random for every window: one half is the training that a
recipe would know, the other comes down the line. Without a change every alarm is false. Then all parts are changed, as
by a lamp, a lens or a mount: the share of windows with an alarm, how many changed parts came until the first one where
the service compares four times a window, and which measure is called out most often. Scores are left out; they need a
trained recipe.
"""

import argparse
import math
import os
import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.datasets.synth import generate
from onspec.domain.look import Reference
from onspec.evaluation.drift import FIGURES, Seen, Standard, assess
from onspec.imaging.reading import Image, is_image, read_image
from onspec.recipe.reference import Seen as Measured
from onspec.recipe.reference import likened, picture_in, reference_of, see

KINDS = {
    "tiles": "magnetic_tile/MT_Free/Imgs/*.jpg",
    "DAGM": "dagm2007/Class1/T*/*.PNG",
    "boards": "deeppcb/**/*_test.jpg",
    "welds": "weld/images/*.jpg",
}
"""Name → which images of DATA."""
TEXTURES_, GENERATED = 2, 400
LARGEST = 200
"""Images of a window at most; half of the set where it is small."""
RATE, LOOSE = 1e-3, 0.05
STEPS = 4
"""Comparisons a window, as the service makes them."""
AHEAD = 2
"""Windows of changed parts, within which the first alarm must come to count."""

Change = Callable[[Image], Image]


def darker(image: Image, factor: float) -> Image:
    """Less light; what was overexposed is so still, as at a sensor."""
    return np.where(image == np.iinfo(image.dtype).max, image, scaled(image, factor))


def scaled(image: Image, factor: float, about: float = 0.0) -> Image:
    """Levels farther from a level, or nearer to it; cut off at the range of the dtype."""
    top = np.iinfo(image.dtype).max
    levels = (image.astype(np.float32) - about * top) * factor + about * top
    return np.asarray(np.clip(levels.round(), 0, top), image.dtype)


def blurred(image: Image, sigma: float) -> Image:
    """As by a lens out of focus."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), image.dtype)


def shifted(image: Image, share: float) -> Image:
    """To the right by a share of the width, in whole px, which blurs nothing; the border is mirrored."""
    by = round(share * image.shape[1])
    return np.asarray(cv2.copyMakeBorder(image, 0, 0, by, 0, cv2.BORDER_REFLECT_101)[:, :-by], image.dtype)


def turned(image: Image, degrees: float) -> Image:
    """About the centre; the border is mirrored into view."""
    height, width = image.shape[:2]
    way = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    fine, border = cv2.INTER_LANCZOS4, cv2.BORDER_REFLECT_101
    return np.asarray(cv2.warpAffine(image, way, (width, height), flags=fine, borderMode=border), image.dtype)


def redder(image: Image, factor: float) -> Image:
    """The first of three channels."""
    red = image.copy()
    red[..., 0] = scaled(image[..., 0], factor)
    return red


CHANGES: dict[str, Change] = {
    **{f"darker × {factor}": partial(darker, factor=factor) for factor in (0.98, 0.95, 0.9)},
    **{f"gain × {factor}": partial(scaled, factor=factor, about=0.5) for factor in (0.9, 1.1)},
    **{f"blur σ {sigma} px": partial(blurred, sigma=sigma) for sigma in (0.5, 1.0, 2.0)},
    **{f"shifted {share} %": partial(shifted, share=share / 100) for share in (1, 2, 5)},
    **{f"turned {degrees:g}°": partial(turned, degrees=degrees) for degrees in (1.0, 2.0, 5.0)},
    "red × 1.05": partial(redder, factor=1.05),
}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--most", type=int, default=400, help="images of a set")
    parser.add_argument("--only", nargs="*", help="beginnings of names of sets")
    arguments = parser.parse_args()
    print(f"{arguments.windows} windows without change, {arguments.runs} runs with; {date.today()}, ", end="")
    print(f"{os.cpu_count()} CPUs, {platform.machine()}\n")
    sets = {kind: images_of(arguments.data, pattern, arguments.most) for kind, pattern in KINDS.items()}
    sets |= generated() | {"generated part": [part(np.random.default_rng(n)) for n in range(GENERATED)]}
    sets = {
        kind: images for kind, images in sets.items() if not arguments.only or kind.startswith(tuple(arguments.only))
    }
    print("| images | of them training | a window | measures | false alarms, stated 1 in 1,000 | stated 1 in 20 |")
    print("|---|---|---|---|---|---|")
    usual = {kind: measured(images) for kind, images in sets.items() if len(images) >= 60}
    for kind, plain in usual.items():
        print(f"| {kind} | {false_alarms(plain, arguments.windows)} |", flush=True)
    print(f"\n| change | {' | '.join(usual)} |\n{'|---' * (len(usual) + 1)}|")
    rng = np.random.default_rng(1)
    splits = {kind: [split(plain, rng) for _ in range(arguments.runs)] for kind, plain in usual.items()}
    for name, change in CHANGES.items():
        cells = []
        for kind, plain in usual.items():
            gray = name.startswith("red") and sets[kind][0].ndim == 2
            changed = [] if gray else measured([change(image) for image in sets[kind]])
            cells.append("–" if gray else detected(plain, changed, splits[kind]))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def images_of(data: Path, pattern: str, most: int) -> list[Image]:
    """Of a real set, evenly spread over it."""
    paths = sorted(path for path in data.glob(pattern) if is_image(path))
    return [read_image(path) for path in paths[:: -(-len(paths) // most) if paths else 1]]


def generated() -> dict[str, list[Image]]:
    """Good images of the first textures of `onspec synth`."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "data", textures=TEXTURES_, good=GENERATED, defective=2)
        classes = sorted(path for path in (Path(folder) / "data").iterdir() if path.is_dir())
        return {
            f"generated {path.name}": [read_image(file) for file in sorted(path.glob("T*/*.PNG"))] for path in classes
        }


def part(rng: np.random.Generator) -> Image:
    """A plate with holes in a mount, 320×240 px: within about 1 px of its place, under light that varies by 1 %."""
    image = np.full((240, 320), 40.0, np.float32)
    place = rng.normal(0, 0.5, 2)

    def at(x: float, y: float) -> tuple[int, int]:
        return round((x + place[0]) * 16), round((y + place[1]) * 16)

    cv2.rectangle(image, at(60, 50), at(260, 190), 150, -1, cv2.LINE_AA, 4)
    for x, y, radius in ((90, 80, 12), (230, 80, 12), (90, 160, 12), (230, 160, 12), (160, 120, 30)):
        cv2.circle(image, at(x, y), radius * 16, 60, -1, cv2.LINE_AA, 4)
    grained = cv2.GaussianBlur(image, (0, 0), 0.8) * rng.normal(1, 0.01) + rng.normal(0, 2, image.shape)
    return np.asarray(np.clip(grained.round(), 0, 255), np.uint8)


def measured(images: Sequence[Image]) -> list[Measured]:
    """Their looks and pictures."""
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(see, images))


def half(count: int) -> int:
    """Images of a window."""
    return min(LARGEST, count // 2)


def split(plain: Sequence[Measured], rng: np.random.Generator) -> tuple[Reference, NDArray[np.int64]]:
    """What a recipe would know of one half, and which are the other."""
    order = rng.permutation(len(plain))
    known = reference_of([plain[at] for at in order[half(len(plain)) :]])
    assert known is not None
    return known, order[: half(len(plain))]


def seen(measured_: Measured, known: Reference) -> Seen:
    """As the line sees it."""
    look = likened(measured_, picture_in(known))
    return Seen(math.nan, "OK", None, tuple(getattr(look, name) for name in FIGURES))


def false_alarms(plain: Sequence[Measured], windows: int) -> str:
    """Counted at both rates."""
    rng, counts, measures = np.random.default_rng(0), [0, 0], 0
    for _ in range(windows):
        known, others = split(plain, rng)
        window = [seen(plain[at], known) for at in others]
        for place, rate in enumerate((RATE, LOOSE)):
            found = assess(window, known, standard=Standard(rate=rate))
            counts[place] += found.state == "alarm"
        measures = max(measures, len(found.measures))
    size = half(len(plain))
    return f"{len(plain) - size} | {size} | {measures} | {counts[0]} of {windows} | {counts[1]} of {windows}"


def detected(
    plain: Sequence[Measured], changed: Sequence[Measured], splits: Sequence[tuple[Reference, NDArray[np.int64]]]
) -> str:
    """Share of windows with an alarm, median of changed parts until the first, and what is called out most often."""
    rng, called, whole, delays = np.random.default_rng(1), Counter[str](), 0, []
    for known, others in splits:
        usual, new = ([seen(of[at], known) for at in others] for of in (plain, changed))
        found = assess(new, known, standard=Standard(rate=RATE))
        whole += found.state == "alarm"
        called.update(found.alarms)
        delays.append(delay(usual, new, known, len(others), rng))
    median = sorted(delays)[len(delays) // 2]
    soon = f", {median:.0f} parts" if math.isfinite(median) else ""
    return f"{whole / len(splits):.0%}{soon}{''.join(f', {name}' for name, _ in called.most_common(1))}"


def delay(usual: list[Seen], new: list[Seen], known: Reference, size: int, rng: np.random.Generator) -> float:
    """Changed parts until the first alarm, as the service compares; infinite where none comes in two windows."""
    line = [usual[at] for at in rng.integers(0, size, 5 * size)]
    line += [new[at] for at in np.concatenate([rng.permutation(size) for _ in range(AHEAD)])]
    step = max(1, size // STEPS)
    for come in range(step, AHEAD * size + 1, step):
        end = 5 * size + come
        window, past = line[end - size : end], line[end - 5 * size : end - size]
        if assess(window, known, past, standard=Standard(rate=RATE / STEPS)).state == "alarm":
            return come
    return math.inf


if __name__ == "__main__":
    main()
