"""Drift: whether a window of judged images still looks and scores as the images did that the recipe was made of.

Each figure of an image (`domain.look`) and the score of parts judged OK are compared with their quantiles in the
recipe, and the shares of verdicts with those of the windows before. An alarm needs both: a change that chance makes in
no more than a stated share of windows, over all figures together, and one that is large enough to matter.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from onspec.domain import Inspection, UsageError, Verdict
from onspec.domain.look import STEPS, Look, Reference
from onspec.evaluation.drift_chance import Values, as_rare, distance, holm, independent, kolmogorov

FIGURES: Final = tuple(Look.model_fields)
SCORES: Final = "scores"
MEASURES: Final = (*FIGURES, SCORES)
RATES: Final = (Verdict.NG, Verdict.REVIEW, Verdict.ERROR)

LEAST_IMAGES: Final = 30
"""A window of fewer is not judged."""
LEAST_INDEPENDENT: Final = 10
"""Nor one whose images are worth fewer independent ones: how many they are worth is then itself a guess."""
_BINS = 8
_NOTABLE = 0.05
"""Share of images outside the training that is worth a word where nothing else can be said."""
_SHOWN = (0.05, 0.5, 0.95)
_TRIFLES: Final[Mapping[str, tuple[float, float]]] = {
    "brightness": (1 / 255, 0.0),
    "contrast": (1 / 255, 0.0),
    "black": (0.002, 0.0),
    "white": (0.002, 0.0),
    "sharpness": (0.0, 0.02),
    "tint": (0.01, 0.0),
    "likeness": (0.005, 0.0),
    SCORES: (0.01, 0.0),
}
"""Measure → what it may change without mattering, however narrow it was in training: absolute, and of its median."""
_TIMES, _POINTS = 2.0, 0.05
"""A verdict's share matters from a change by this factor, or by this much."""

State = Literal["ok", "alarm", "not yet", "no reference"]
Sense = Literal["up", "down", "spread"]


class Seen(NamedTuple):
    """What of a judged image counts here; small, since windows of it are kept and passed between processes.

    Attributes:
        time: seconds since 1970; NaN where nobody knows.
        look: the figures of `Look` in their order; `None` for an image that was not looked at.
    """

    time: float
    verdict: str
    score: float | None
    look: tuple[float | None, ...] | None

    @classmethod
    def of(cls, inspection: Inspection, time: float) -> "Seen":
        """From what was said of the image."""
        look = None if inspection.look is None else tuple(getattr(inspection.look, name) for name in FIGURES)
        return cls(time, inspection.verdict.value, inspection.score, look)

    @property
    def verdict_only(self) -> "Seen":
        """As part of the past of later windows, if it drifted itself: what it looked like is not what is usual."""
        return self._replace(score=None, look=None)


@dataclass(frozen=True, slots=True)
class Standard:
    """When a change is an alarm.

    Attributes:
        rate: share of windows without any change in which chance may raise an alarm, over all measures.
        least_psi: what the population stability index must be over what chance alone gives it.
    """

    rate: float = 1e-3
    least_psi: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 0 < self.rate < 1:
            raise UsageError(f"the rate of false alarms must be between 0 and 1; got {self.rate:g}")
        if not self.least_psi >= 0:
            raise UsageError(f"the least PSI must be at least 0; got {self.least_psi:g}")


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True)


class MeasureDrift(_Figures):
    """One measure of a window against the training."""

    measure: str
    images: int = Field(description="with a value in this window")
    independent: int = Field(description="how many independent images these are worth")
    psi: float = Field(description="population stability index over bins of equal share in the training")
    psi_expected: float = Field(description="what it is on average without any change")
    distance: float = Field(description="Kolmogorov's D, 0…1")
    p: float = Field(description="chance of such a distance without any change")
    p_adjusted: float = Field(description="the same among all measures and shares of the window (Holm)")
    low: float = Field(description="value under which 5 % of the window lie")
    median: float
    high: float = Field(description="value under which 95 % of the window lie")
    training_low: float
    training_median: float
    training_high: float
    moved: float = Field(description="the most that an eighth, quarter … of its values lies elsewhere than in training")
    trifle: float = Field(description="so much of that does not matter")
    outside: float = Field(description="share under the least or over the greatest value of the training")
    sense: Sense
    alarm: bool


class RateDrift(_Figures):
    """How often a verdict was given, against the windows before."""

    verdict: Verdict
    count: int
    of: int
    before: int
    of_before: int
    p: float
    p_adjusted: float
    alarm: bool

    @property
    def share(self) -> float:
        """In this window."""
        return self.count / self.of

    @property
    def share_before(self) -> float:
        """In those before."""
        return self.before / self.of_before


class WindowDrift(_Figures):
    """What a window of judged images says of drift."""

    state: State
    since: datetime | None = Field(None, description="of its first image")
    until: datetime | None = Field(None, description="of its last image")
    images: int
    verdicts: dict[str, int]
    false_alarm_rate: float = Field(description="stated share of windows with a false alarm")
    measures: tuple[MeasureDrift, ...] = ()
    rates: tuple[RateDrift, ...] = ()
    lacking: dict[str, str] = Field(default_factory=dict, description="measure → why it cannot be judged")

    @property
    def drifted(self) -> bool:
        """Whether images or scores have changed; shares of verdicts aside."""
        return any(m.alarm for m in self.measures)

    @property
    def alarms(self) -> tuple[str, ...]:
        """Names of what changed: measures, and verdicts whose share did."""
        return tuple(m.measure for m in self.measures if m.alarm) + tuple(r.verdict for r in self.rates if r.alarm)


def assess(
    window: Sequence[Seen],
    reference: Reference | None,
    past: Sequence[Seen] = (),
    passing: float = 1.0,
    standard: Standard | None = None,
) -> WindowDrift:
    """Judge a window, in the order in which the images came.

    Args:
        past: images of some windows before: what share a verdict usually has, and what goes to and fro more slowly than
            a window. Of those that drifted themselves the `verdict_only`.
        passing: scores from here on are no longer OK by themselves, see `Thresholds.lowest`.
    """
    wanted = standard or Standard()
    verdicts = Counter(seen.verdict for seen in window)
    lacking: dict[str, str] = {}
    found = [] if reference is None else _measures(window, past, reference, passing, lacking)
    rates = _rates(window, verdicts, past)
    adjusted = holm([m.p for m in found] + [r.p for r in rates])
    measures = tuple(_called(m, p, wanted) for m, p in zip(found, adjusted, strict=False))
    shares = tuple(_called_rate(r, p, wanted) for r, p in zip(rates, adjusted[len(found) :], strict=True))
    alarm = any(m.alarm for m in measures) or any(r.alarm for r in shares)
    state: State = "no reference" if reference is None else "ok" if measures else "not yet"
    return WindowDrift(
        state="alarm" if alarm else state,
        since=_at(window[0].time) if window else None,
        until=_at(window[-1].time) if window else None,
        images=len(window), verdicts=dict(verdicts), false_alarm_rate=wanted.rate, measures=measures, rates=shares,
        lacking=lacking,
    )  # fmt: skip


def values_of(window: Iterable[Seen], measure: str) -> Values:
    """Of the images that have one. For `scores` those judged OK: what the training knows are scores of good parts, and
    how many defective ones come is the process' affair, which must not look like a change of the camera."""
    if measure == SCORES:
        given = [seen.score for seen in window if seen.verdict == Verdict.OK]
    else:
        at = FIGURES.index(measure)
        given = [None if seen.look is None else seen.look[at] for seen in window]
    return np.array([value for value in given if value is not None], np.float64)


def _at(seconds: float) -> datetime | None:
    return None if math.isnan(seconds) else datetime.fromtimestamp(seconds, UTC)


def _measures(
    window: Sequence[Seen], past: Sequence[Seen], reference: Reference, passing: float, lacking: dict[str, str]
) -> list[MeasureDrift]:
    """Those that can be judged; the others go into `lacking`."""
    found = []
    for measure in MEASURES:
        quantiles = reference.scores if measure == SCORES else reference.looks.get(measure)
        images = reference.scored if measure == SCORES else reference.images
        if quantiles is None:
            continue
        values, known = values_of(window, measure), np.array(quantiles)
        worth = independent(values, values_of(past, measure))
        if (lack := _lack(len(values), worth, images, _outside(values, known))) is not None:
            lacking[measure] = lack
            continue
        # Parts that are not OK are left out here and were not there: so much of the distance says nothing.
        left_out = float(np.mean(known[1:] >= passing)) if measure == SCORES else 0.0
        found.append(_compared(measure, values, worth, known, images, left_out))
    return found


def _outside(values: Values, known: Values) -> float:
    return float(np.mean((values < known[0]) | (values > known[-1]))) if len(values) else 0.0


def _lack(count: int, worth: int, images: int, outside: float) -> str | None:
    """Why a measure cannot be judged."""
    if images < LEAST_INDEPENDENT:
        return f"the recipe knows it of {images} images; {LEAST_INDEPENDENT} are needed"
    if count < LEAST_IMAGES:
        return f"{count} images have it; {LEAST_IMAGES} are needed"
    if worth < LEAST_INDEPENDENT:
        beyond = f"; {outside:.0%} of them lie outside all that training showed" if outside > _NOTABLE else ""
        return (
            f"{count} images in a row are so alike that they are worth {worth} independent ones, and "
            f"{LEAST_INDEPENDENT} are needed: take longer windows if they change to and fro (about "
            f"{LEAST_INDEPENDENT * count // worth} images), shorter ones if they changed once{beyond}"
        )
    return None


def _compared(measure: str, values: Values, worth: int, known: Values, images: int, left_out: float) -> MeasureDrift:
    d = max(0.0, distance(values, known, images) - left_out)
    psi, bins = stability(values, known, images)
    low, median, high = (float(v) for v in np.quantile(values, _SHOWN))
    usual = [float(v) for v in np.interp(_SHOWN, np.linspace(0, 1, len(known)), known)]
    change, least = median - usual[1], trifle(measure, known)
    return MeasureDrift(
        measure=measure, images=len(values), independent=worth,
        psi=psi, psi_expected=(bins - 1) * (1 / worth + 1 / images),
        distance=d, p=kolmogorov(d, worth, images), p_adjusted=1.0,
        low=low, median=median, high=high,
        training_low=usual[0], training_median=usual[1], training_high=usual[2],
        moved=moved(values, known), trifle=least,
        outside=_outside(values, known),
        sense="spread" if abs(change) <= least else "up" if change > 0 else "down",
        alarm=False,
    )  # fmt: skip


def stability(values: Values, quantiles: Values, images: int) -> tuple[float, int]:
    """Population stability index, and its bins: eight of equal share in the training, fewer where that has ties.

    Σ (a - e) ln(a / e) over the bins' shares a in the window and e in the training, each counted half an image more so
    that an empty bin has a logarithm. Without any change (n + m) / (nm) times chi-squared with bins - 1 degrees of
    freedom (Yurdakul, Statistical properties of population stability index, 2018).
    """
    edges = np.unique(quantiles[_BINS:-1:_BINS])
    under = np.searchsorted(quantiles, edges, side="right") - 1
    expected = np.diff(np.concatenate([[0.0], under / (len(quantiles) - 1), [1.0]]))
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    bins = len(counts)
    e = (expected * images + 0.5) / (images + bins / 2)
    a = (counts + 0.5) / (len(values) + bins / 2)
    return float(np.sum((a - e) * np.log(a / e))), bins


def moved(values: Values, quantiles: Values) -> float:
    """The most that an eighth, quarter … of the values lies elsewhere, in the measure's own unit."""
    at = np.arange(1, _BINS) / _BINS
    return float(np.max(np.abs(np.quantile(values, at) - quantiles[:: STEPS // _BINS][1:-1])))


def trifle(measure: str, quantiles: Values) -> float:
    """What the measure may change without mattering, in its own unit."""
    absolute, relative = _TRIFLES[measure]
    return absolute + relative * abs(float(quantiles[len(quantiles) // 2]))


def _called(found: MeasureDrift, p: float, wanted: Standard) -> MeasureDrift:
    """With its p among all, and whether it is an alarm."""
    matters = found.moved > found.trifle and found.psi - found.psi_expected >= wanted.least_psi
    return found.model_copy(update={"p_adjusted": p, "alarm": p <= wanted.rate and matters})


def _rates(window: Sequence[Seen], verdicts: Mapping[str, int], past: Sequence[Seen]) -> list[RateDrift]:
    """Shares of verdicts, tested on as many parts as the window is worth: defects come in rows, too."""
    of, of_before = len(window), len(past)
    if of < LEAST_IMAGES or of_before < LEAST_IMAGES:
        return []
    rates, before = [], Counter(seen.verdict for seen in past)
    for verdict in RATES:
        count, then = verdicts.get(verdict, 0), before[verdict]
        given = [[float(seen.verdict == verdict) for seen in images] for images in (window, past)]
        worth = independent(*given) / of
        more = count * of_before > then * of
        p = as_rare(
            _thinned(count, worth, up=not more), _thinned(of, worth),
            _thinned(then, worth, up=more), _thinned(of_before, worth),
        )  # fmt: skip
        found = RateDrift(
            verdict=verdict, count=count, of=of, before=then, of_before=of_before, p=p, p_adjusted=1.0, alarm=False
        )
        rates.append(found)
    return rates


def _thinned(count: int, share: float, up: bool = True) -> int:
    """Rounded so that both shares come nearer to each other: rounding makes no alarm."""
    return math.ceil(count * share) if up else math.floor(count * share)


def _called_rate(found: RateDrift, p: float, wanted: Standard) -> RateDrift:
    now, then = found.share, found.share_before
    matters = abs(now - then) >= _POINTS or max(now, then) >= _TIMES * min(now, then)
    return found.model_copy(update={"p_adjusted": p, "alarm": p <= wanted.rate and matters})
