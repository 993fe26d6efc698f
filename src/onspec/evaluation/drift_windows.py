"""Which images make a window: so many of them, so many hours, or a shift."""

import math
import re
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, groupby
from operator import itemgetter

from onspec.domain import UsageError
from onspec.domain.look import Reference
from onspec.evaluation.drift import Seen, Standard, WindowDrift, assess

BEFORE = 10
"""Windows before that say what is usual."""

Naming = Callable[[int, Seen], tuple[Hashable, str]]
"""Place and image → what all images of its window have in common, and what people call a window that begins with it."""


def by_count(images: int) -> Naming:
    """Windows of so many images, named by their time, or by their places where that is not known."""

    def name(at: int, seen: Seen) -> tuple[Hashable, str]:
        return at // images, f"from image {at + 1}" if math.isnan(seen.time) else _utc(seen.time, "%H:%M:%S")

    return name


def by_hours(hours: float) -> Naming:
    """Windows of so many hours, counted from midnight UTC of 1970."""
    if not 0 < hours < math.inf:
        raise UsageError(f"--per-hours must be over 0; got {hours:g}")
    span = hours * 3600
    return lambda _, seen: (seen.time // span, _utc(seen.time // span * span))


def by_shift(text: str) -> Naming:
    """Windows from each of these times of day to the next, in this machine's time zone: 06:00,14:00,22:00.

    Raises:
        UsageError: not such times.
    """
    starts = sorted(_time_of_day(part) for part in text.split(","))

    def name(_: int, seen: Seen) -> tuple[Hashable, str]:
        local = datetime.fromtimestamp(seen.time)
        begun = [start for start in starts if start <= local.time()]
        day: date = local.date() if begun else local.date() - timedelta(days=1)
        shift = f"{day} {max(begun or starts):%H:%M}"
        return shift, shift

    return name


def assess_windows(
    images: Iterable[Seen], naming: Naming, reference: Reference | None, passing: float, standard: Standard
) -> Iterator[tuple[str, WindowDrift]]:
    """Each window with its name, as soon as its last image is there. `images` come in order; as `drift.assess`."""
    before: deque[list[Seen]] = deque(maxlen=BEFORE)
    named = ((*naming(at, seen), seen) for at, seen in enumerate(images))
    for _, group in groupby(named, key=itemgetter(0)):
        found = list(group)
        name, window = found[0][1], [seen for _, _, seen in found]
        judged = assess(window, reference, list(chain.from_iterable(before)), passing, standard)
        yield name, judged
        before.append([seen.verdict_only for seen in window] if judged.drifted else window)


def _utc(seconds: float, clock: str = "%H:%M") -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d {clock}}Z"


def _time_of_day(text: str) -> time:
    match = re.fullmatch(r"\s*(\d{1,2}):(\d\d)\s*", text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise UsageError(f"--shift: {text!r} is no time of day; give when shifts begin, as 06:00,14:00,22:00")
    return time(int(match[1]), int(match[2]))
