"""Images that are far darker, brighter, flatter or richer in contrast than the rest of their set.

Robust on purpose: median and MAD, in powers of e, since light and exposure time multiply. What a whole group of images
has is no outlier but a second kind of light, and is said once.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onspec.datasets.look import Look
from onspec.datasets.problem import Problem, new_problem

_FEWEST = 10
"""Images below which nothing can be called usual."""

_FAR = 8.0
"""Robust deviations from the median; the tails of any ordinary set end before."""

_MANY = 0.05
"""Share of a set from which on images are no outliers but a kind of their own."""

_LEAST_SHARE = 0.1
"""Saturated pixels that stand out, as a share of all, where hardly any image of the set has some."""

_STEP = 1 / 255


@dataclass(frozen=True, slots=True)
class _Measure:
    """One figure of a look; `floor` is the least that counts as a usual deviation, in powers of e."""

    of: Callable[[Look], float]
    low: str
    high: str
    what: str
    floor: float


_MEASURES = (
    _Measure(lambda look: look.brightness, "darker", "brighter", "its mean level", 0.03),
    _Measure(lambda look: look.contrast, "flatter", "richer in contrast", "its contrast", 0.06),
)


def exposure_problems(looks: Mapping[str, Look]) -> Iterator[Problem]:
    """What stands out of a set, by image name."""
    if len(looks) < _FEWEST:
        return
    names, values = list(looks), list(looks.values())
    said: set[str] = set()
    for measure in _MEASURES:
        level = np.array([measure.of(look) for look in values])
        far = _deviation(np.log(level + _STEP), measure.floor)
        for side, word in ((far < -_FAR, measure.low), (far > _FAR, measure.high)):
            found = [names[n] for n in np.flatnonzero(side) if names[n] not in said]
            said.update(found)
            told = _Told(f"far {word} than the rest", f"{measure.what} is {{}} of the range")
            yield from _stand_out(found, told, dict(zip(names, level, strict=True)))
    for word, share in (("white", [look.white for look in values]), ("black", [look.black for look in values])):
        shares = np.array(share)
        limit = max(np.median(shares) + _FAR * _mad(shares), _LEAST_SHARE, 2 * np.percentile(shares, 95))
        found = [names[n] for n in np.flatnonzero(shares > limit) if names[n] not in said]
        said.update(found)
        told = _Told(f"cut off at full {word} far more than the rest", f"{{}} of its pixels are {word}")
        yield from _stand_out(found, told, dict(zip(names, shares, strict=True)))


@dataclass(frozen=True, slots=True)
class _Told:
    """In which way images stand out, and the sentence that gives the figure."""

    how: str
    figure: str


def _stand_out(found: Sequence[str], told: _Told, levels: Mapping[str, float]) -> Iterator[Problem]:
    low, high = (_percent(float(share)) for share in np.percentile(list(levels.values()), [5, 95]))
    typical = f"typical {'is ' + low if low == high else f'are {low} to {high}'}"
    if len(found) > max(3, _MANY * len(levels)):
        figure = told.figure.format(_percent(levels[found[0]]))
        text = f"{len(found)} of {len(levels)} images are {told.how}; of the first, {found[0]}, {figure}, {typical}"
        advice = "two kinds of light or two cameras? use one, or see that both have good and defective parts"
        yield new_problem("warning", "exposure", found, text, advice)
        return
    for name in found:
        text = f"{name} is {told.how}: {told.figure.format(_percent(levels[name]))}, {typical}"
        advice = "look at it: take it anew or leave it out, unless production has such images, too"
        yield new_problem("warning", "exposure", name, text, advice)


def _deviation(values: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    return np.asarray((values - np.median(values)) / max(_mad(values), floor), np.float64)


def _mad(values: NDArray[np.float64]) -> float:
    """The median distance from the median, as the standard deviation of a normal distribution that has it."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _percent(share: float) -> str:
    digits = 0 if share >= 0.1 or share == 0 else min(2, 1 - math.floor(math.log10(share * 100 + 1e-9)))
    return f"{100 * share:.{max(0, digits)}f} %"
