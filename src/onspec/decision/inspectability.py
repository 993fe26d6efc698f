"""Whether an image shows a part as those of the training did: light, focus and place, before the verdict counts.

An image that does not is never OK: what the network says of it was never tried. NG and REVIEW stay what they are.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from onspec.decision.inspectable import MEASURES, Bounds, Inspectable
from onspec.domain import Decision, NotInspectableError, Verdict
from onspec.domain.fired import Fired, Ground, Relation
from onspec.domain.look import STEPS, Look, Quantiles, Reference

NAME: Final = "not inspectable"
"""What reasons begin with, and what is named as the rule that fired; no rule of a plant can be called so."""

STEP: Final = 1 / 256
"""A gray step of 8 bits, as a share of the range."""

_INNER: Final = STEPS // 16
"""The inner spread lies between the quantiles 1/16 and 15/16."""

_WIDER: Final = 0.5
_FEW: Final = 8.0
"""Limits lie beyond all of training by so many inner spreads: half of one, and more the fewer images there were."""

_PLAIN_STEPS: Final = 4.0
"""Gray steps of contrast that training must have had, at least, for an image without any to show nothing."""


@dataclass(frozen=True, slots=True)
class _Space:
    """Where a measure is widened: light multiplies, so that it is in powers of e; shares and logs simply add.

    `floor` is the least widening, `step` what keeps the logarithm of 0 finite; no `upper` where more is only better.
    """

    floor: float
    step: float | None = None
    upper: bool = True

    def to(self, value: float) -> float:
        """Into it."""
        return value if self.step is None else math.log(value + self.step)

    def back(self, value: float) -> float:
        """Out of it."""
        return value if self.step is None else math.exp(value) - self.step


_SPACES: Final = {
    "brightness": _Space(0.1, STEP),
    "contrast": _Space(0.15, STEP),
    "black": _Space(0.02),
    "white": _Space(0.02),
    "sharpness": _Space(0.1, 1e-3),
    "tint": _Space(0.05),
    "likeness": _Space(0.05, upper=False),
}


@dataclass(frozen=True, slots=True)
class Limit:
    """What a measure may be, ends included, and whose word that is; `seen` is what training showed, least and most."""

    measure: str
    low: float | None = None
    high: float | None = None
    low_own: bool = False
    high_own: bool = False
    seen: tuple[float, float] | None = None

    def __str__(self) -> str:
        """`sharpness 0.17 to 0.52 (training 0.21 to 0.44)`."""
        return f"{self.measure} {self.span}"

    @property
    def span(self) -> str:
        """`0.17 to 0.52 (training 0.21 to 0.44)`."""
        low, high = (None if side is None else f"{side:.3g}" for side in (self.low, self.high))
        span = f"at most {high}" if low is None else f"from {low}" if high is None else f"{low} to {high}"
        own = "set by the rules" if self.low_own or self.high_own else ""
        return f"{span} ({', '.join(filter(None, (self.trained, own)))})"

    @property
    def trained(self) -> str:
        """`training 0.21 to 0.44`; empty where that is not known."""
        return "" if self.seen is None else f"training {_span(*self.seen)}"

    def broken_by(self, look: Look) -> "Outside | None":
        """How an image lies outside, if it does. What a look does not have, as a gray image's tint, breaks nothing."""
        value = getattr(look, self.measure)
        if value is None:
            return None
        if self.low is not None and value < self.low:
            return Outside(self, value, "<", self.low)
        if self.high is not None and value > self.high:
            return Outside(self, value, ">", self.high)
        return None


@dataclass(frozen=True, slots=True)
class Outside:
    """A measure of an image that lies outside its limit."""

    of: Limit
    value: float
    relation: Relation
    limit: float

    def __str__(self) -> str:
        """`blurred: sharpness 0.08, training 0.21 to 0.44`."""
        own = self.of.low_own if self.relation == "<" else self.of.high_own
        told = f"allowed {'from' if self.relation == '<' else 'up to'} {self.limit:.3g}" if own else ""
        against = ", ".join(filter(None, (told, self.of.trained)))
        return f"{self.word}: {self.of.measure} {self.value:.3g}, {against}"

    @property
    def word(self) -> str:
        """What it means, as `blurred`."""
        measure = MEASURES[self.of.measure]
        return measure.low if self.relation == "<" else measure.high

    @property
    def ground(self) -> Ground:
        """For machines."""
        return Ground(measure=self.of.measure, figure=self.value, relation=self.relation, limit=self.limit)


class Gate:
    """Which images count as inspectable: by what training showed, and by what the rules say of it.

    Without either, every image does.
    """

    def __init__(self, reference: Reference | None, own: Inspectable | None) -> None:
        self.outside = "review" if own is None else own.outside
        limits = (_limit(name, reference, None if own is None else own.of(name)) for name in MEASURES)
        self.limits = tuple(limit for limit in limits if limit is not None)
        self.looks = reference is not None or bool(self.limits)
        contrast = next((limit for limit in self.limits if limit.measure == "contrast"), None)
        least = 0.0 if contrast is None or contrast.seen is None else contrast.seen[0]
        freed = contrast is not None and contrast.low_own and contrast.low == 0
        self._needs_contrast = least >= _PLAIN_STEPS * STEP and not freed
        self._least = least

    @property
    def decides(self) -> bool:
        """Whether a verdict may depend on how an image looks."""
        return self._needs_contrast or (bool(self.limits) and self.outside != "accept")

    def judge(self, decision: Decision, look: Look | None, name: str) -> Decision:
        """The decision on an image that looks so.

        Raises:
            NotInspectableError: it shows nothing, or lies outside and the rules say that it is an ERROR.
        """
        if look is None:
            return decision
        if self._needs_contrast and look.contrast < 1.5 * STEP:
            raise NotInspectableError(
                f"{name}: {NAME}: the image shows nothing: contrast {look.contrast:.3g}, training from "
                f"{self._least:.3g}; check light, lens cap and camera"
            )
        found = () if self.outside == "accept" else tuple(self.broken(look))
        if not found:
            return decision
        reasons = tuple(f"{NAME}: {outside}" for outside in found)
        if self.outside == "error":
            raise NotInspectableError(f"{name}: {'; '.join(reasons)}; check light, lens and the part's place")
        fired = Fired(rule=NAME, outcome="REVIEW", grounds=tuple(outside.ground for outside in found))
        verdict = Verdict.REVIEW if decision.verdict is Verdict.OK else decision.verdict
        told = {"verdict": verdict, "reasons": (*decision.reasons, *reasons), "fired": (*decision.fired, fired)}
        return decision.model_copy(update=told)

    def read(self, look: Look) -> Iterator[str]:
        """Every limit that the look has a figure for, in words, and whether it holds."""
        for limit in self.limits:
            value = getattr(look, limit.measure)
            if value is not None:
                found = limit.broken_by(look)
                yield f"{limit.measure} {value:.3g}: {'yes' if found is None else found.word}, allowed {limit.span}"

    def broken(self, look: Look) -> Iterator[Outside]:
        """Every measure that lies outside."""
        yield from (found for limit in self.limits if (found := limit.broken_by(look)) is not None)


def trained_limit(measure: str, quantiles: Quantiles, images: int) -> tuple[float | None, float | None]:
    """Beyond all that training showed: least and most.

    A side beyond which no image could lie has none, nor has one that tells of no fault, as being very like the others.
    """
    space, sides = _SPACES[measure], MEASURES[measure]
    low, inner_low, inner_high, high = (space.to(quantiles[at]) for at in (0, _INNER, STEPS - _INNER, STEPS))
    wider = max(space.floor, (inner_high - inner_low) * (_WIDER + _FEW / images))
    least, most = _trimmed(space.back(low - wider)), _trimmed(space.back(high + wider))
    return least if least > sides.least else None, most if space.upper and most < sides.most else None


def _limit(measure: str, reference: Reference | None, own: Bounds | None) -> Limit | None:
    quantiles = None if reference is None else reference.looks.get(measure)
    low = high = seen = None
    if reference is not None and quantiles is not None:
        low, high = trained_limit(measure, quantiles, reference.images)
        seen = (quantiles[0], quantiles[-1])
    least, most = (None, None) if own is None else (own.min, own.max)
    low, high = low if least is None else least, high if most is None else most
    if low is None and high is None:
        return None
    return Limit(measure, low, high, least is not None, most is not None, seen)


def _trimmed(value: float) -> float:
    return float(f"{value:.4g}")


def _span(low: float, high: float) -> str:
    one, other = f"{low:.3g}", f"{high:.3g}"
    return one if one == other else f"{one} to {other}"
