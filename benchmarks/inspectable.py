"""Which spoiled images the check before the verdict catches, and how many sound ones it stops; no network is needed.

    python -m benchmarks.inspectable DATA [--only NAME ...] [--images 100] [--seeds 5]

DATA holds the folders of the table below; a folder of your own is named with --folder. Of each set half of the parts,
by chance, set the limits as `onspec train` does, and the images of the other half are judged by them: as they are, for
false alarms, and spoiled. The last set is one real board as a fixture would hold it. Takes some minutes on one core.
"""

import argparse
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from onspec.datasets.layouts import load
from onspec.decision.inspectability import Gate
from onspec.domain import Decision, NotInspectableError, Verdict
from onspec.domain.look import Look, Reference
from onspec.evaluation.intervals import clopper_pearson
from onspec.imaging.look import look_at
from onspec.imaging.reading import Image, read_image
from onspec.recipe.reference import MOST, Seen, likened, picture_in, reference_of, see

SETS = {
    "dagm": "dagm2007/Class1",
    "tile": "magnetic_tile",
    "weld": "weld",
    "deeppcb": "deeppcb",
    "membrane": "membrane",
}

NONE = "nothing: false alarms"
ONCE = "of the first split, in which each image is judged once"

Spoil = Callable[[Image], Image]


def lit(factor: float) -> Spoil:
    """Exposed for longer or shorter."""

    def spoil(image: Image) -> Image:
        top = np.iinfo(image.dtype).max
        return np.asarray(np.clip(np.rint(image * np.float32(factor)), 0, top), image.dtype)

    return spoil


def blurred(sigma: float, noise: float = 0.0) -> Spoil:
    """Out of focus, by a Gaussian of so many px; `noise` of the sensor comes after the lens, in steps of 8 bits."""

    def spoil(image: Image) -> Image:
        soft = cv2.GaussianBlur(image, (0, 0), sigma)
        if not noise:
            return soft
        top = np.iinfo(image.dtype).max
        grain = np.random.default_rng(0).normal(0.0, noise * top / 255, image.shape)
        return np.asarray(np.clip(np.rint(soft + grain), 0, top), image.dtype)

    return spoil


def moved(across: float, down: float = 0.0, degrees: float = 0.0) -> Spoil:
    """The part shifted by shares of the sides and turned; what comes into view is as the border."""

    def spoil(image: Image) -> Image:
        height, width = image.shape[:2]
        way = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        way[:, 2] += (across * width, down * height)
        return cv2.warpAffine(image, way, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    return spoil


def shifted(across: float) -> Spoil:
    """By whole pixels, so that nothing is blurred by it."""

    def spoil(image: Image) -> Image:
        by = round(across * image.shape[1])
        return np.ascontiguousarray(image[:, np.clip(np.arange(image.shape[1]) - by, 0, None)])

    return spoil


def plain(level: float) -> Spoil:
    """Nothing to see: a lens cap, or no light, or far too much."""
    return lambda image: np.full_like(image, round(level * np.iinfo(image.dtype).max))


SPOILS: dict[str, Spoil] = {
    "light × 0.5": lit(0.5),
    "light × 0.7": lit(0.7),
    "light × 1.4": lit(1.4),
    "light × 2": lit(2.0),
    "blur σ 1": blurred(1),
    "blur σ 2": blurred(2),
    "blur σ 4": blurred(4),
    "blur σ 2, noise 1.5": blurred(2, 1.5),
    "blur σ 4, noise 1.5": blurred(4, 1.5),
    "shift 10 %": shifted(0.1),
    "shift 20 %": shifted(0.2),
    "turn 5°": moved(0, 0, 5),
    "turn 20°": moved(0, 0, 20),
    "upside down": lambda image: np.ascontiguousarray(image[::-1, ::-1]),
    "black": plain(0.0),
    "gray": plain(0.5),
}

_OK = Decision(verdict=Verdict.OK, score=0.0)


def passes(gate: Gate, look: Look) -> bool:
    """Whether a part that is judged OK stays OK."""
    try:
        return gate.judge(_OK, look, "image").verdict is Verdict.OK
    except NotInspectableError:
        return False


@dataclass(frozen=True)
class Shot:
    """An image of a part, read when it is needed."""

    part: str
    read: Callable[[], Image]


def shots_of(folder: Path) -> list[Shot]:
    """All images of a data set."""
    dataset = load(folder)
    return [Shot(s.part, partial(read_image, s.image, dataset.camera)) for s in dataset.samples][:MOST]


def in_fixture(folder: Path, count: int = 200) -> list[Shot]:
    """One real part as a camera would see it again and again: within 0.5 % and 0.5°, light ± 1 %, noise 1.5 of 255."""
    part = read_image(load(folder).samples[0].image)

    def read(seed: int) -> Image:
        rng = np.random.default_rng(seed)
        across, down, degrees = rng.uniform(-1, 1, 3) * (0.005, 0.005, 0.5)
        image = moved(across, down, degrees)(part) * rng.normal(1, 0.01) + rng.normal(0, 1.5, part.shape)
        return np.asarray(np.clip(np.rint(image), 0, 255), part.dtype)

    return [Shot(str(seed), partial(read, seed)) for seed in range(count)]


def halves(shots: Sequence[Shot], seed: int) -> tuple[list[int], list[int]]:
    """Places of images of one half of the parts, by chance, and of the other."""
    parts = sorted({shot.part for shot in shots})
    chosen = set(np.random.default_rng(seed).permutation(parts)[: len(parts) // 2].tolist())
    first = [n for n, shot in enumerate(shots) if shot.part in chosen]
    return first, [n for n, shot in enumerate(shots) if shot.part not in chosen]


def measure(shots: Sequence[Shot], images: int, seeds: Sequence[int]) -> tuple[Reference, dict[str, tuple[int, int]]]:
    """Of a set: the reference of the first split, and how many were stopped of how many, by what was done to them."""
    seen = [see(shot.read(), shot.part) for shot in shots]
    known: dict[int, Reference] = {}
    stopped = of = 0
    for seed in seeds:
        first, others = halves(shots, seed)
        known[seed] = _reference([seen[n] for n in first])
        gate, picture = Gate(known[seed], None), picture_in(known[seed])
        stopped += sum(not passes(gate, likened(seen[n], picture)) for n in others)
        of += len(others)
    gate, picture = Gate(known[seeds[0]], None), picture_in(known[seeds[0]])
    others = halves(shots, seeds[0])[1]
    once = sum(not passes(gate, likened(seen[n], picture)) for n in others)
    found = {NONE: (stopped, of), ONCE: (once, len(others))}
    some = others[:: max(1, len(others) // images)][:images]
    clean = [shots[n] for n in some if passes(gate, likened(seen[n], picture))]
    for name, spoil in SPOILS.items():
        found[name] = (sum(not passes(gate, look_at(spoil(shot.read()), picture)) for shot in clean), len(clean))
    return known[seeds[0]], found


def _reference(seen: Sequence[Seen]) -> Reference:
    reference = reference_of(seen)
    if reference is None:
        raise SystemExit("a set needs images of two parts at least")
    return reference


def cost_us(shape: tuple[int, ...], dtype: str, likened_too: bool) -> float:
    """Microseconds that a look takes, the least of 300: other programs only ever make it longer."""
    top = np.iinfo(dtype).max
    image = np.random.default_rng(0).integers(0, top, shape, dtype=dtype)
    picture = see(image).picture if likened_too else None
    best = float("inf")
    for _ in range(300):
        start = time.perf_counter()
        look_at(image, picture)
        best = min(best, time.perf_counter() - start)
    return best * 1e6


def lines(sets: dict[str, list[Shot]], images: int, seeds: Sequence[int]) -> Iterator[str]:
    """The tables, in Markdown."""
    results = {name: measure(shots, images, seeds) for name, shots in sets.items()}
    yield f"| done to it | {' | '.join(results)} |"
    yield "|---" * (len(results) + 1) + "|"
    for what in (NONE, *SPOILS):
        cells = (found[what] for _, found in results.values())
        yield f"| {what} | {' | '.join(f'{100 * k / max(1, n):.3g} % of {n}' for k, n in cells)} |"
    bounds = (clopper_pearson(*found[ONCE], 0.9)[1] for _, found in results.values())
    yield f"| false alarms at most (95 % sure, by the first split) | {' | '.join(f'{100 * b:.2g} %' for b in bounds)} |"
    yield f"| limits set by | {' | '.join(f'{reference.images} images' for reference, _ in results.values())} |"
    alike = ("no" if reference.picture is None else "yes" for reference, _ in results.values())
    yield f"| likeness is of use | {' | '.join(alike)} |"
    yield ""
    yield "| one image | without likeness | with likeness |"
    yield "|---|---|---|"
    for shape, dtype in (
        ((512, 512), "uint8"),
        ((512, 512), "uint16"),
        ((512, 512, 3), "uint8"),
        ((4096, 4096), "uint8"),
    ):
        one, other = (cost_us(shape, dtype, also) for also in (False, True))
        yield f"| {'×'.join(map(str, shape))} {dtype} | {one:.0f} µs | {other:.0f} µs |"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(SETS), default=list(SETS))
    parser.add_argument("--folder", type=Path, nargs="*", default=[], help="further sets, by their folders")
    parser.add_argument("--images", type=int, default=100, help="that are spoiled, of each set")
    parser.add_argument("--seeds", type=int, default=5, help="splits by chance, for false alarms")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{date.today()}, {platform.machine()}", flush=True)
    folders = {name: given.data / SETS[name] for name in given.only} | {f.name: f for f in given.folder}
    sets = {name: shots_of(folder) for name, folder in folders.items()}
    if "deeppcb" in given.only:
        sets["one board in a fixture"] = in_fixture(folders["deeppcb"])
    for line in lines(sets, given.images, list(range(given.seeds))):
        print(line, flush=True)


if __name__ == "__main__":
    main()
