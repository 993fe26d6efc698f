"""How far a run is, and how many steps it will have: planned by measured speed, planned again where that was wrong."""

import math
from dataclasses import asdict, dataclass
from typing import Any

WARM_UP = 0.05
"""Share of the run during which the learning rate rises."""

_SETTLED = 0.95
_TOLERANCE = (0.85, 1.2)


@dataclass(slots=True)
class Schedule:
    """Progress from 0 to 1 along `steps`, linear from the step at which it was last planned."""

    steps: int
    from_step: int = 0
    from_progress: float = 0.0

    def progress(self, step: int) -> float:
        """Share of the run that is done after `step` steps; it never falls, however often the run is planned anew."""
        share = (step - self.from_step) / max(1, self.steps - self.from_step)
        return self.from_progress + (1.0 - self.from_progress) * min(1.0, share)

    def fit(self, step: int, seconds_left: float, seconds_a_step: float) -> bool:
        """Plan anew if what fits the time differs from the plan by over 15 %; whether it did.

        A machine's speed at the start says little when other work comes or goes. Small differences are left alone,
        so that a quiet machine always follows its first plan and gives the same network for the same seed.
        """
        if self.progress(step) >= _SETTLED:
            return False
        fitting, planned = seconds_left / seconds_a_step, max(1, self.steps - step)
        if _TOLERANCE[0] <= fitting / planned <= _TOLERANCE[1]:
            return False
        self.from_progress, self.from_step = self.progress(step), step
        self.steps = step + two_digits(fitting)
        return True

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the checkpoint and for other processes."""
        return asdict(self)


class Pace:
    """Seconds a step, validations included, from some step on."""

    def __init__(self, now: float, step: int) -> None:
        self._since, self._from = now, step

    def known(self, now: float, step: int, deadline: float) -> bool:
        """Whether enough was seen: 20 steps and 5 % of the time."""
        return step - self._from >= 20 and now - self._since >= 0.05 * deadline

    def seconds_a_step(self, now: float, step: int) -> float:
        """The mean since then."""
        return (now - self._since) / (step - self._from)


def learning_rate(peak: float, progress: float) -> float:
    """Linear rise, then a half cosine to 1 % of the peak (Loshchilov & Hutter 2017)."""
    if progress < WARM_UP:
        return peak * max(progress / WARM_UP, 0.02)
    fallen = (progress - WARM_UP) / (1.0 - WARM_UP)
    return peak * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(fallen, 1.0))))


def two_digits(value: float) -> int:
    """Round down to two significant digits, at least 1: small differences in speed then give the same plan."""
    whole = max(1, int(value))
    unit = 10 ** max(0, len(str(whole)) - 2)
    return int(whole // unit * unit)
