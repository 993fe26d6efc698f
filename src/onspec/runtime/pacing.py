"""How much faster one recipe is than another on the same images."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from onspec.imaging.reading import Image
from onspec.runtime.inspector import Inspector

_ROUNDS = 3
_LARGE = 1 << 22
"""Pixels from which on the first of two runs is no different from the second."""


@dataclass(frozen=True, slots=True)
class Paces:
    """Of two recipes on some images: how many times as fast the second one is, and the ms of either on an image.

    Attributes:
        mixed: over all images, good and defective as they come.
        good: over good ones; `None` without any.
    """

    mixed: float
    good: float | None
    before_ms: float
    after_ms: float


def measure_paces(
    before: Inspector, after: Inspector, images: Sequence[Callable[[], Image]], defective: Sequence[bool]
) -> Paces:
    """Time both on each image in turn, the first to go alternating; the median over rounds of the ratio of their sums.

    Times are those of the prediction: preparing the image, the networks, and the maps in the image's pixels.

    Args:
        images: read each when they are called, outside of what is timed; a large set need not be in memory.
    """
    rounds: list[list[tuple[float, float]]] = []
    for turn in range(_ROUNDS):
        rounds.append([])
        for place, read in enumerate(images):
            image, order = read(), (before, after)
            taken = {id(i): _timed(i, image) for i in (order if (turn + place) % 2 else order[::-1])}
            rounds[-1].append((taken[id(before)], taken[id(after)]))
    good = [n for n, truth in enumerate(defective) if not truth]
    return Paces(
        _ratio(rounds, range(len(images))),
        _ratio(rounds, good) if good else None,
        *(median(sum(times[side] for times in one) / len(images) * 1e3 for one in rounds) for side in (0, 1)),
    )


def _timed(inspector: Inspector, image: Image) -> float:
    """Seconds; of a small image those of the second run, as threads of what ran before wait busily for a while."""
    if image.shape[0] * image.shape[1] < _LARGE:
        inspector.predict(image)
    start = time.perf_counter()
    inspector.predict(image)
    return time.perf_counter() - start


def _ratio(rounds: Sequence[Sequence[tuple[float, float]]], places: Sequence[int]) -> float:
    return median(sum(one[n][0] for n in places) / sum(one[n][1] for n in places) for one in rounds)
