"""The same figures at every other threshold: what a report's slider looks up, and where costs are least."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.evaluation.gaps import middle
from onspec.evaluation.least_cost import Costs
from onspec.evaluation.reject_scores import NEVER
from onspec.evaluation.results import ImageResult

MOST_STEPS = 400
"""Thresholds that are kept; of more distinct scores, those between good and defective ones go first."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Unit:
    """An image or a part, and up to which thresholds it is NG, and not OK; see `reject_scores.RejectScores`."""

    name: str
    defective: bool
    ng: float
    not_ok: float


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Images or parts at each step, the threshold rising: int64 (n,).

    With the image threshold at step i and the review threshold at step j ≤ i, `escapes[j]` defective and `passed[j]`
    good ones are OK, `caught[i]` and `false_rejects[i]` are NG, and the others are REVIEW.
    """

    good: int
    defective: int
    escapes: Counts
    passed: Counts
    caught: Counts
    false_rejects: Counts


@dataclass(frozen=True, slots=True, eq=False)
class WhatIf:
    """Counts at each step.

    Attributes:
        thresholds: rising; between two of them something changes side.
        image, review: the steps of the recipe's own thresholds; both the same without a review band.
        parts: `None` where every part has one image.
        left_out: parts of which an image could not be judged.
        borders: for each threshold the score at which its counts end, in one with it; 1 for the last.
    """

    thresholds: tuple[float, ...]
    image: int
    review: int
    images: Tally
    parts: Tally | None
    left_out: int = 0
    borders: tuple[float, ...] = ()

    @property
    def counted(self) -> Tally:
        """Parts where they have several images, else images: what costs are reckoned of."""
        return self.images if self.parts is None else self.parts


def image_units(results: Iterable[ImageResult]) -> list[Unit]:
    """The judged images."""
    return [Unit(r.name, r.defective, r.rejects.ng, r.rejects.not_ok) for r in results if r.rejects is not None]


def part_units(results: Iterable[ImageResult]) -> list[Unit]:
    """The parts of which all images were judged: a part is rejected as long as any of its images is."""
    groups: dict[str, list[ImageResult]] = {}
    for result in results:
        groups.setdefault(result.part, []).append(result)
    return [
        Unit(
            part,
            any(r.defective for r in group),
            max(r.rejects.ng for r in group if r.rejects),
            max(r.rejects.not_ok for r in group if r.rejects),
        )
        for part, group in groups.items()
        if all(r.rejects is not None for r in group)
    ]


def what_if(results: Sequence[ImageResult], thresholds: Thresholds) -> WhatIf | None:
    """Counts at the thresholds that matter; `None` where no image was judged."""
    units = image_units(results)
    if not units:
        return None
    review = thresholds.image if thresholds.review is None else thresholds.review
    steps = _steps(units, thresholds.image, review)
    parts = {r.part for r in results}
    whole = part_units(results) if len(parts) < len(results) else None
    return WhatIf(
        thresholds=tuple(steps.tolist()),
        image=int(np.searchsorted(steps, thresholds.image)),
        review=int(np.searchsorted(steps, review)),
        images=tally(units, steps),
        parts=None if whole is None else tally(whole, steps),
        left_out=0 if whole is None else len(parts) - len(whole),
        borders=_borders(units, steps),
    )


def tally(units: Sequence[Unit], steps: NDArray[np.float64]) -> Tally:
    """Counts at each of the thresholds, float64 (n,)."""
    defective = np.array([u.defective for u in units], bool)
    ng, not_ok = (np.array([getattr(u, key) for u in units], np.float64) for key in ("ng", "not_ok"))
    return Tally(
        good=int((~defective).sum()),
        defective=int(defective.sum()),
        escapes=_under(not_ok[defective], steps),
        passed=_under(not_ok[~defective], steps),
        caught=int(defective.sum()) - _under(ng[defective], steps),
        false_rejects=int((~defective).sum()) - _under(ng[~defective], steps),
    )


def expected_costs(counted: Tally, costs: Costs) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """What escapes and what false rejects cost a part at each step, and the defective share of all parts.

    `None` where there are no good or no defective ones: one of the two rates is not known then.
    """
    if not counted.good or not counted.defective:
        return None
    here = counted.defective / (counted.defective + counted.good)
    share = here if costs.defect_share is None else costs.defect_share
    of_escapes = share * costs.escape * counted.escapes / counted.defective
    of_rejects = (1.0 - share) * costs.false_reject * counted.false_rejects / counted.good
    return of_escapes, of_rejects, share


def least(total: NDArray[np.float64], own: int) -> int:
    """The step of least cost; of equal ones the recipe's own, else the middle one."""
    best = np.flatnonzero(total <= total.min() + 1e-12)
    return own if own in best else int(best[len(best) // 2])


def _under(scores: NDArray[np.float64], steps: NDArray[np.float64]) -> Counts:
    return np.searchsorted(np.sort(scores), steps, "left").astype(np.int64)


def _steps(units: Sequence[Unit], image: float, review: float) -> NDArray[np.float64]:
    """A threshold between every two scores that follow each other, the recipe's own in place of their gaps'."""
    levels = np.unique([level for u in units for level in (u.ng, u.not_ok) if level > 0])
    levels = _thinned(levels, units)
    borders = np.unique(np.concatenate([[0.0], levels, [1.0]]))
    between = [middle(float(low), float(high)) for low, high in pairwise(borders)]
    own = {image, review}
    held = {int(np.searchsorted(borders, value, "left")) for value in own}
    return np.unique([t for number, t in enumerate(between, 1) if number not in held] + sorted(own))


def _borders(units: Sequence[Unit], steps: NDArray[np.float64]) -> tuple[float, ...]:
    levels = np.unique([1.0, *(level for u in units for level in (u.ng, u.not_ok) if level > 0)])
    return tuple(levels[np.searchsorted(levels, steps, "left")].tolist())


def _thinned(levels: NDArray[np.float64], units: Sequence[Unit]) -> NDArray[np.float64]:
    """At most `MOST_STEPS`: those at which an error begins or ends, then the others evenly by rank."""
    if len(levels) <= MOST_STEPS:
        return levels
    bad = [u.not_ok for u in units if u.defective and u.not_ok != NEVER]
    good = [u.ng for u in units if not u.defective and u.ng != NEVER]
    low, high = min(bad, default=math.inf), max(good, default=-math.inf)
    inner = levels[(levels >= min(low, high)) & (levels <= max(low, high))]
    inner = inner[_evenly(len(inner), MOST_STEPS * 3 // 4)]
    return np.union1d(inner, levels[_evenly(len(levels), MOST_STEPS - len(inner))])


def _evenly(n: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.rint(np.linspace(0, max(0, n - 1), min(n, most))).astype(np.int64))
