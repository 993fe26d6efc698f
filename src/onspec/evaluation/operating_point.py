"""The operating point: by least cost at the end of a training, or by a bound on the escape rate."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onspec.decision.thresholds import Thresholds
from onspec.domain import EvidenceError, ScoreMap
from onspec.evaluation.evidence import percent, rank_for
from onspec.evaluation.ranking import average_precision
from onspec.evaluation.results import ImageResult, by_part
from onspec.evaluation.score_bins import EDGES, histogram
from onspec.imaging.regions import image_score

Floats = NDArray[np.float64]
Truth = NDArray[np.uint8]

_PIXEL_RANGE = (0.01, 0.99)
"""Where the pixel threshold may lie: outside, a last bit of the network would move an outline."""

_NEAR_END = 1e-4
"""Scores nearer to 0 or 1 than this count as equally sure when the middle of a gap is sought."""


class Chooser:
    """Collects what the choice of thresholds needs from validation images, never their maps.

    Per image that is one score for each candidate window, and for a defective image its Dice at each threshold.
    """

    def __init__(self, windows: Sequence[int]) -> None:
        self._windows = tuple(windows)
        self._scores: list[list[float]] = []
        self._defective: list[bool] = []
        self._dice = np.zeros(len(EDGES))
        self._dice_images = 0

    def add(self, defective: bool, maps: Sequence[ScoreMap], truth: Truth | None) -> None:
        """Count one image; `truth` is uint8 (K, H, W) of 0/1, `None` where nobody knows which pixels are defective."""
        self._defective.append(defective)
        self._scores.append([max(image_score(m, window) for m in maps) for window in self._windows])
        if defective and truth is not None and truth.any():
            self._dice += _dice_by_threshold(maps, truth)
            self._dice_images += 1

    def choose(self, escape_cost: float = 20.0) -> Thresholds:
        """The pixel threshold of best mean Dice over defective images, the window of best average precision, and the
        image threshold of least cost, an escape being `escape_cost` times as dear as a false reject.

        What the images leave open is decided for the widest gap between good and defective scores, and the threshold
        is put in the middle of its gap on the logit scale, where it is least likely to be crossed.

        Raises:
            ValueError: no image was added.
        """
        if not self._defective:
            raise ValueError("Chooser needs at least one image; add validation images first")
        defective, scores = np.array(self._defective), np.array(self._scores, np.float64)
        pixel, dice = self._pixel()
        index = _best_window(defective, scores)
        image = least_cost_threshold(defective, scores[:, index], escape_cost)
        rejected = scores[:, index] >= image
        escapes, false_rejects = int((defective & ~rejected).sum()), int((~defective & rejected).sum())
        ap = average_precision(defective, scores[:, index])
        basis = (
            f"on {int((~defective).sum())} good and {int(defective.sum())} defective validation images: image by least "
            f"cost, an escape {escape_cost:g} times as dear as a false reject (escapes: {escapes}, false rejects: "
            f"{false_rejects}); window by best average precision ({_shown(ap, 4)}); pixel by best mean Dice "
            f"({_shown(dice, 3)})"
        )
        return Thresholds(image=image, pixel=pixel, window=self._windows[index], basis=basis)

    def _pixel(self) -> tuple[float, float | None]:
        if not self._dice_images:
            return 0.5, None
        lowest, highest = _PIXEL_RANGE
        allowed = np.arange(np.searchsorted(EDGES, lowest), np.searchsorted(EDGES, highest, "right"))
        mean = self._dice[allowed] / self._dice_images
        best = np.flatnonzero(mean >= mean.max() - 1e-9)
        run = max(np.split(best, np.flatnonzero(np.diff(best) > 1) + 1), key=len)  # the middle of the widest plateau
        return float(EDGES[allowed[run[len(run) // 2]]]), float(mean.max())


def _dice_by_threshold(maps: Sequence[ScoreMap], truth: Truth) -> Floats:
    """Dice over all classes at each of EDGES."""
    marked, hit = np.zeros(len(EDGES), np.int64), np.zeros(len(EDGES), np.int64)
    for score_map, plane in zip(maps, truth, strict=True):
        marked += histogram(score_map.values)
        hit += histogram(score_map.values[plane > 0])
    at_least = np.stack([marked, hit])[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.asarray(2.0 * at_least[1] / (at_least[0] + int(np.count_nonzero(truth))), np.float64)


def _best_window(defective: NDArray[np.bool_], scores: Floats) -> int:
    """The column of best average precision; equal ones differ by the gap between good and defective scores."""

    def merit(index: int) -> tuple[float, float]:
        column = scores[:, index]
        if not defective.any() or defective.all():
            return 0.0, 0.0
        ap = average_precision(defective, column) or 0.0
        gap = _logit(float(column[defective].min())) - _logit(float(column[~defective].max()))
        return round(ap, 6), round(gap, 6)

    return max(range(scores.shape[1]), key=lambda index: (*merit(index), -index))


def least_cost_threshold(defective: NDArray[np.bool_], score: Floats, escape_cost: float) -> float:
    """The threshold of least `escape_cost`·escapes + false rejects; of equal ones, the middle of the widest gap."""
    levels = np.unique(score)
    bad = np.searchsorted(np.sort(score[defective]), levels, "left")  # escapes with the threshold at each level
    good = int((~defective).sum()) - np.searchsorted(np.sort(score[~defective]), levels, "left")
    cost = np.append(escape_cost * bad + good, escape_cost * int(defective.sum()))  # the last: over all scores
    borders = np.concatenate([[0.0], levels, [1.0]])
    # A threshold of 0 would reject every part and one over 1 none; between 0 and 1 there is always a gap.
    edges = zip(cost, borders[:-1], borders[1:], strict=True)
    gaps = [(float(c), float(low), float(high)) for c, low, high in edges if low < high]
    least = min(gaps)[0]
    widest = max((gap for gap in gaps if gap[0] <= least + 1e-9), key=lambda gap: _logit(gap[2]) - _logit(gap[1]))
    return middle(widest[1], widest[2])


def middle(low: float, high: float) -> float:
    """A threshold t with low < t ≤ high, in the middle of the two on the logit scale, with as few digits as do.

    Raises:
        ValueError: low is not under high, or they do not lie in [0, 1].
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"needs 0 <= low < high <= 1; got {low} and {high}")
    exact = 1.0 / (1.0 + math.exp(-(_logit(low) + _logit(high)) / 2.0))
    if not low < exact <= high:  # both lie nearer to 0 or to 1 than _NEAR_END
        exact = low + (high - low) / 2.0
    for digits in range(3, 17):
        rounded = float(f"{exact:.{digits}g}")
        if low < rounded <= high and abs(rounded - exact) <= 0.25 * min(exact - low, high - exact):
            return rounded
    return exact


def _logit(score: float) -> float:
    p = min(max(score, _NEAR_END), 1.0 - _NEAR_END)
    return math.log(p / (1.0 - p))


@dataclass(frozen=True, slots=True)
class Bounded:
    """A threshold whose escape rate is bounded, and what it costs on the same parts.

    Attributes:
        image: the image threshold.
        parts: defective parts that were counted.
        rank: the threshold lies at or under the score of the `rank`-th lowest of them.
        escapes, false_rejects, good: parts at this threshold.
    """

    image: float
    max_escape_rate: float
    confidence: float
    parts: int
    rank: int
    escapes: int
    false_rejects: int
    good: int

    @property
    def claim(self) -> str:
        """What is claimed, as a sentence's beginning."""
        rate, confidence = percent(self.max_escape_rate), percent(self.confidence)
        return f"at most {rate} of defective parts escape, with {confidence} confidence"


def bounded(results: Iterable[ImageResult], max_escape_rate: float, confidence: float) -> Bounded:
    """The threshold with the fewest false rejects of those of which the parts prove that at most `max_escape_rate` of
    all defective parts score under them; of equal ones that with the fewest escapes.

    Parts are counted, not images: several images of one part are no independent evidence.

    Raises:
        EvidenceError: the defective parts are too few for the claim, or too many of them score 0.
        UsageError: a claim that no data could support.
    """
    good, bad = part_scores(results)
    rank = rank_for(len(bad), max_escape_rate, confidence)
    limit = float(bad[rank - 1])
    if limit <= 0.0:
        raise EvidenceError(
            f"The data cannot support an escape rate of at most {percent(max_escape_rate)} with "
            f"{percent(confidence)} confidence: {int((bad <= 0).sum())} of {len(bad)} defective parts score 0, as a "
            "surface without any sign of a defect does, so the threshold would reject every part; check their labels, "
            "or train again with them"
        )
    image = middle(*_gap_under(limit, good, bad))
    return Bounded(
        image=image,
        max_escape_rate=max_escape_rate,
        confidence=confidence,
        parts=len(bad),
        rank=rank,
        escapes=int((bad < image).sum()),
        false_rejects=int((good >= image).sum()),
        good=len(good),
    )


def _gap_under(limit: float, good: Floats, bad: Floats) -> tuple[float, float]:
    """The gap in which a threshold of at most `limit` has the fewest false rejects, and then the fewest escapes.

    It begins at the highest good score under the limit, and ends at the defective score that follows: a higher
    threshold would let defective parts go and spare no good one. Without good parts it ends at the limit.
    """
    if len(good) == 0:
        return float(bad[bad < limit].max(initial=0.0)), limit
    low = float(good[good < limit].max(initial=0.0))
    return low, float(bad[bad > low].min())


def part_scores(results: Iterable[ImageResult]) -> tuple[Floats, Floats]:
    """Scores of the good and of the defective parts, rising.

    A part of which an image could not be judged is left out, whatever its other images say: to keep it only where they
    reject it would prefer high scores.
    """
    results = list(results)
    incomplete = {result.part for result in results if result.score is None}
    parts = [part for part in by_part(results) if part.part not in incomplete]
    good, bad = ([part.score or 0.0 for part in parts if part.defective is kind] for kind in (False, True))
    return np.sort(np.array(good, np.float64)), np.sort(np.array(bad, np.float64))


def _shown(figure: float | None, decimals: int) -> str:
    return "not defined" if figure is None else f"{figure:.{decimals}f}"
