"""How much a region of a score map weighs: the two ways in which pixels' scores become a region's, and an image's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import ScoreMap
from onspec.imaging.instances import Slices, extent_of, objects_of

_ROUNDING = 1e-6
"""What a mean of scores may differ from the scores themselves by rounding alone."""

EVIDENCE_FLOOR = 0.05
"""The score from which neighbouring pixels belong to one region where its evidence is summed up."""

_AREA = 1e-3
"""Share of the image that weighs 1 at a score of 0.5."""

_SUREST = 1.0 - 1e-6
"""The highest score that odds are reckoned of."""

_ROWS = 1024
"""Rows of a map that are worked on at a time."""

_TINY, _FAINTEST = 1e-300, 700.0
"""Nearest to 0 that a logarithm is taken of, and the logit of the faintest score."""


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """The regions of a map with their scores; all three have a place for label 0, which is what belongs to none.

    Attributes:
        labels: int32 (H, W).
        places: where each label lies, int32 (n, 4), see `instances.objects_of`.
        scores: float64 (n,).
    """

    labels: NDArray[np.int32]
    places: NDArray[np.int32]
    scores: NDArray[np.float64]

    def at(self, label: int) -> Slices:
        """The rows and columns that hold a label."""
        top, bottom, left, right = self.places[label].tolist()
        return slice(top, bottom), slice(left, right)


class Weighing(Protocol):
    """Region scores of a map. Raising any score of the map never lowers the image's."""

    def floor(self, lowest: float) -> float:
        """The score from which pixels belong to a region, given the lowest score that a verdict depends on."""
        ...

    def regions(
        self, total: ScoreMap, labels: NDArray[np.int32], count: int, at: Slices | None = None
    ) -> NDArray[np.float64]:
        """The score of each of `count` labels, float64 (count,); label 0 is what belongs to no region.

        Rows and columns `at` hold all of the others, where that is known; the rest is not looked at.
        """
        ...

    def image(self, total: ScoreMap, cores: ScoreMap | None) -> tuple[float, Weighed | None]:
        """The image's score in [0, 1], that of its highest region; and its regions from `floor`, which are the same for
        every threshold, where it took them to know the score."""
        ...


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest mean over a window of `window`×`window` px that lies in the region."""

    window: int

    def floor(self, lowest: float) -> float:
        """No pixel of a lower score can have a higher mean: see `peak_field`."""
        return lowest

    def regions(
        self, total: ScoreMap, labels: NDArray[np.int32], count: int, at: Slices | None = None
    ) -> NDArray[np.float64]:
        """The highest of `peak_field` in each label."""
        del at  # the field has to be made of the whole
        scores = np.zeros(count, np.float64)
        for rows, field in _peak_strips(total, self.window):
            inside = labels[rows] > 0
            np.maximum.at(scores, labels[rows][inside], field[inside])
        return scores

    def image(self, total: ScoreMap, cores: ScoreMap | None) -> tuple[float, None]:
        """The highest of `peak_field`."""
        del cores  # however regions are cut, one of them has the highest
        return max(float(field.max()) for _, field in _peak_strips(total, self.window)), None


@dataclass(frozen=True, slots=True)
class Evidence:
    """How sure and how large a region is, together: its pixels' odds, raised to `sharpness`, summed up.

    With the odds o = s / (1 − s) of a pixel's score, a region R in an image of A px weighs E = Σ_R o^r / (0.001·A) and
    scores E / (1 + E). A thousandth of the image at a score of 0.5 scores 0.5; a smaller region has to be surer, a
    larger one may be less sure: with a large r the surest pixels count most, with a small one the area. One window
    cannot do that: a small one ranks small defects well, a large one large ones. But for its unit, E is the power mean
    of odds of `imaging.pooling`, over a region instead of an image.
    """

    sharpness: float

    def floor(self, lowest: float) -> float:
        """Always the same, so that a region's extent depends on no threshold."""
        del lowest
        return EVIDENCE_FLOOR

    def regions(
        self, total: ScoreMap, labels: NDArray[np.int32], count: int, at: Slices | None = None
    ) -> NDArray[np.float64]:
        """The evidence of each label; 0 for label 0."""
        highest, sums = np.zeros(count, np.float64), np.zeros(count, np.float64)
        kept = list(_odds_strips(total, labels, at)) if len(labels) <= _ROWS else []  # a small map's are made once
        for found, odds in kept or _odds_strips(total, labels, at):
            np.maximum.at(highest, found, odds)
        for found, odds in kept or _odds_strips(total, labels, at):
            relative = (odds / np.maximum(highest, _TINY)[found]) ** self.sharpness
            sums += np.bincount(found, weights=relative, minlength=count)
        return self._evidence(highest, sums, total.values.size)

    def image(self, total: ScoreMap, cores: ScoreMap | None) -> tuple[float, Weighed | None]:
        """The evidence of the strongest region; where no pixel reaches the floor, that of the highest one alone."""
        highest = np.array([total.highest], np.float32)
        weighed = weigh(total, cores, EVIDENCE_FLOOR, self) if highest[0] >= EVIDENCE_FLOOR else None
        if weighed is not None:
            return float(weighed.scores.max()), weighed
        odds = _odds(highest)
        return float(self._evidence(odds, (odds > 0).astype(np.float64), total.values.size)[0]), None

    def _evidence(self, highest: NDArray[np.float64], sums: NDArray[np.float64], pixels: int) -> NDArray[np.float64]:
        """float64 (n,): of n regions, out of the highest odds of each and the sum of powers of its odds relative to
        that, so that no power overflows."""
        weight = self.sharpness * np.log(np.maximum(highest, _TINY)) + np.log(
            np.maximum(sums / (_AREA * pixels), _TINY)
        )
        return np.asarray(np.where(sums > 0, 1.0 / (1.0 + np.exp(-np.maximum(weight, -_FAINTEST))), 0.0), np.float64)


def weigh(total: ScoreMap, cores: ScoreMap | None, floor: float, weighing: Weighing) -> Weighed | None:
    """The regions of pixels that score at least `floor`; `None` where there are none: no labels need memory then."""
    wide = total.values >= floor
    at = extent_of(wide)
    if at is None:
        return None
    labels, places = objects_of(wide, cores, at)
    return Weighed(labels, places, weighing.regions(total, labels, len(places), at))


def _odds_strips(
    total: ScoreMap, labels: NDArray[np.int32], at: Slices | None
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float64]]]:
    """Labels and odds of the pixels of regions, some rows at a time: a large map has no room for all at once.

    The rows are those of the whole map whatever `at` is, so that sums are rounded alike.
    """
    wanted, columns = (slice(0, len(labels)), slice(None)) if at is None else at
    for top in range(wanted.start // _ROWS * _ROWS, wanted.stop, _ROWS):
        rows = slice(max(top, wanted.start), min(top + _ROWS, wanted.stop))
        found = labels[rows, columns]
        inside = found > 0
        yield found[inside], _odds(total.values[rows, columns][inside])


def _odds(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    sure = np.minimum(scores.astype(np.float64), _SUREST)
    return np.asarray(sure / (1.0 - sure), np.float64)


def peak_field(score_map: ScoreMap, window: int) -> NDArray[np.float32]:
    """Per pixel, the mean score of the `window`×`window` px around it, but no more than the pixel's own score.

    A defect is an area, not one pixel over a threshold: averaging keeps single hot pixels from rejecting a part. The
    bound by the pixel's own score ties each value to a pixel that belongs to the defect, so that an image's score is
    the score of one of its regions. Raising any score of the map lowers no value of the field: more defect never
    makes a part look better. Beyond the border the map is mirrored about its outermost pixels, which count once: a hot
    pixel in a corner is no better than one in the middle. `window` is odd; 1 leaves the map as it is.
    """
    return _peak_field(score_map.values, window)


def _peak_strips(score_map: ScoreMap, window: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """`peak_field` some rows at a time, so that a large map is not there twice."""
    values, reach = score_map.values, window // 2
    for top in range(0, len(values), max(_ROWS, window)):
        rows = slice(top, min(len(values), top + max(_ROWS, window)))
        above = min(top, reach)
        field = _peak_field(values[top - above : rows.stop + reach], window)
        yield rows, field[above : above + rows.stop - top]


def _peak_field(values: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    if window <= 1:
        return values
    mean = np.asarray(cv2.blur(values, (window, window), borderType=cv2.BORDER_REFLECT_101), np.float32)
    mean += np.float32(_ROUNDING)  # on a plateau the mean is the plateau
    return np.minimum(mean, values, out=mean)
