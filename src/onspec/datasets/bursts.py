"""Bursts: the views of one part follow each other under a running counter, as in `exp1_num_1810`, `exp2_num_1836` …

Whether a set has bursts shows in its statistics: sorted by counter, the next view is one higher far more often than by
chance. Frames then join the burst that they continue; bursts of neighbouring parts may interleave.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from onspec.datasets.belonging import Belonging
from onspec.datasets.views import Named, take_apart

_FEWEST = 12
"""Names below which counters and views show nothing."""

_MOST_VIEWS = 32


@dataclass(slots=True)
class _Burst:
    part: str
    last: Named
    views: set[int] = field(default_factory=set)


def group(names: Sequence[str]) -> tuple[dict[str, str], str] | None:
    """Name → part for names of bursts, and the rule; `None` where the set shows no bursts."""
    by_shape: defaultdict[str, list[Named]] = defaultdict(list)
    for named in map(take_apart, names):
        if named is not None and len(named.others) == 1:
            by_shape[named.shape].append(named)
    parts: dict[str, str] = {}
    for frames in by_shape.values():
        frames.sort(key=lambda n: (n.others[0], n.view, n.name))
        if _has_bursts(frames):
            parts.update(_follow(frames, _gap_limit(frames)))
    if not parts:
        return None
    sizes = Counter(Counter(parts.values()).values())
    most = sizes.most_common(1)[0][0]
    rule = (
        f"views follow each other under a running counter, and each such burst is one part "
        f"({len(set(parts.values()))} parts, mostly of {most} views)"
    )
    return parts, rule


def _has_bursts(frames: Sequence[Named]) -> bool:
    """Whether the next view is one higher far more often than in a shuffled order: by three standard deviations.

    A shuffled order has the step v → v+1 with probability p = Σ p(v)·p(v+1), so its share in n steps deviates by
    √(p·(1-p)/n).
    """
    views = [frame.view for frame in frames]
    kinds = set(views)
    if len(frames) < _FEWEST or not 2 <= len(kinds) <= _MOST_VIEWS:
        return False
    share = {view: views.count(view) / len(views) for view in kinds}
    chance = sum(p * share.get(view + 1, 0.0) for view, p in share.items())
    steps = len(views) - 1
    rate = sum(b == a + 1 for a, b in itertools.pairwise(views)) / steps
    return rate >= max(0.4, chance + 3 * math.sqrt(chance * (1 - chance) / steps))


def _gap_limit(frames: Sequence[Named]) -> float:
    """How far the counter may run within a burst: four times what 95 % of the single steps stay below."""
    gaps = [b.others[0] - a.others[0] for a, b in itertools.pairwise(frames) if b.view == a.view + 1]
    return 4 * float(np.percentile(gaps, 95))


def _follow(frames: Sequence[Named], limit: float) -> dict[str, str]:
    """Give each frame to the burst that it continues; where several would do, they become one part."""
    parts: dict[str, str] = {}
    merged = Belonging[str]()
    running: list[_Burst] = []
    before: _Burst | None = None
    for frame in frames:
        running = [b for b in running if b is before or frame.others[0] - b.last.others[0] <= limit]
        fitting = _fitting(frame, running, limit)
        if fitting:
            burst = fitting[-1]
            merged.join(b.part for b in fitting)
        else:
            burst = _Burst(frame.name, frame)
            if before is not None and _continues(frame, before.last, limit):
                merged.join([before.part, burst.part])
        running = [b for b in running if b is not burst] + [burst]
        burst.last = frame
        burst.views.add(frame.view)
        before = burst
        parts[frame.name] = burst.part
    return {name: merged.first(part) for name, part in parts.items()}


def _fitting(frame: Named, running: Sequence[_Burst], limit: float) -> list[_Burst]:
    """Bursts that lack this view: those one view below; else any below; else near ones, since a burst may wrap."""
    lacking = [b for b in running if frame.view not in b.views]
    below = [b for b in lacking if b.last.view < frame.view]
    next_below = [b for b in below if b.last.view == frame.view - 1]
    near = [b for b in lacking if frame.others[0] - b.last.others[0] <= limit]
    return next_below or below or near


def _continues(frame: Named, last: Named, limit: float) -> bool:
    return last.view == frame.view - 1 and frame.others[0] - last.others[0] <= limit
