"""What the service keeps of a recipe to see drift: a window of its parts, those before, and what was said of them."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, Field

from onspec.domain import UsageError
from onspec.evaluation.drift import LEAST_IMAGES, MEASURES, Seen, Standard, State, WindowDrift
from onspec.evaluation.drift_words import sentences, summary
from onspec.service.webhook import Address

_PER_WINDOW = 4
"""Comparisons while as many parts are judged as a window has."""
_BEFORE = 10
"""Windows before that say what is usual."""


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """How the service watches for drift.

    Attributes:
        window: judged images that are compared at a time.
        rate: of windows without any change, the share in which an alarm may be raised.
        webhook: where alarms and their ends are posted; `None` posts nothing.
        station: name in posts; the receiver may hear of several.
    """

    window: int = 500
    rate: float = 1e-3
    webhook: Address | None = None
    station: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.window < 2 * LEAST_IMAGES:
            raise UsageError(f"a window to watch for drift needs at least {2 * LEAST_IMAGES} images; got {self.window}")
        Standard(rate=self.rate)

    @property
    def standard(self) -> Standard:
        """For one comparison: several are made while a window fills anew."""
        return Standard(rate=self.rate / _PER_WINDOW)

    @property
    def step(self) -> int:
        """Parts from one comparison to the next."""
        return max(LEAST_IMAGES, self.window // _PER_WINDOW)


@dataclass(slots=True)
class Alarm:
    """Something that has changed: since when, and how often it was not seen of late."""

    since: str
    clear: int = 0


@dataclass(slots=True)
class Watched:
    """One version of a recipe: its window, the verdicts before it, and what was said of them last."""

    window: deque[Seen]
    before: deque[Seen]
    fresh: int = 0
    alarms: dict[str, Alarm] = field(default_factory=dict)
    last: WindowDrift | None = None

    @classmethod
    def of(cls, size: int) -> "Watched":
        """Of so many parts, empty."""
        return cls(deque(maxlen=size), deque(maxlen=_BEFORE * size))

    def take(self, seen: Seen) -> None:
        """The oldest goes to those before."""
        if len(self.window) == self.window.maxlen:
            oldest = self.window[0]
            drifted = not self.alarms.keys().isdisjoint(MEASURES)
            self.before.append(oldest.verdict_only if drifted else oldest)
        self.window.append(seen)
        self.fresh += 1

    def info(self, identity: str) -> "DriftInfo":
        """For people and programs."""
        last, state, said = self.last, "not yet", f"not yet: {len(self.window)} images"
        if self.alarms:
            state, said = "alarm", f"alarm: {', '.join(self.alarms)}"
        elif last is not None:
            state, said = "ok" if last.state == "alarm" else last.state, summary(last)
        return DriftInfo.model_validate({
            "recipe": identity, "state": state, "summary": said,
            "alarms": [{"measure": name, "since": alarm.since} for name, alarm in self.alarms.items()],
            "sentences": () if last is None else sentences(last), "images": len(self.window), "window": last,
        })  # fmt: skip


class AlarmInfo(BaseModel):
    """What has changed."""

    measure: str = Field(description="of the images, `scores`, or a verdict whose share changed")
    since: datetime


class DriftInfo(BaseModel):
    """Whether what a recipe sees still looks as it did in training."""

    recipe: str = Field(description="NAME@sha256:HEX")
    state: State
    summary: str
    alarms: tuple[AlarmInfo, ...] = Field(description="stay until a whole window of new parts was clear of them")
    sentences: tuple[str, ...] = Field(description="of the last comparison: what changed and where to look")
    images: int = Field(description="judged images in the window now")
    window: WindowDrift | None = Field(description="the last comparison")
