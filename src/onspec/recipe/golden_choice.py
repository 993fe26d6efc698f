"""Which images make good golden samples: each is there for a reason, and they stay few and small.

A golden sample shall show at once that something is wrong: the clear cases that the model is another one or sees
another image, the ones next to a threshold that scores have moved, one of each class that classes are confused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from onspec.decision.thresholds import Thresholds
from onspec.domain import Verdict
from onspec.recipe.package import TOLERANCE

MOST = 20
"""Samples in all."""

MOST_BYTES = 32 << 20
"""Of all samples together; the two clearest ones are taken whatever their size."""

_MARGIN = 5 * TOLERANCE
"""A score nearer to a threshold than this could change sides on another engine, which would be no fault."""

_ALWAYS = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that was judged.

    Attributes:
        name: of the image, with its suffix; unique.
        cls: of which class its defects are, where one is known.
        class_scores: class → the image's score for it.
        size: of its file, bytes.
        verdict: with the rules, where they were asked.
    """

    name: str
    part: str
    defective: bool
    score: float
    size: int
    cls: str | None = None
    class_scores: Mapping[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None


Wish = tuple[str, list[Candidate]]
"""What a sample is there for, and who could be it, the best first."""


def choose_golden(
    candidates: Sequence[Candidate], thresholds: Thresholds, *, most: int = MOST, most_bytes: int = MOST_BYTES
) -> list[tuple[str, Candidate]]:
    """Samples with the name under which each is stored (`clear-good.png`), what matters most first.

    No part is there twice, and of equal candidates the first by name is taken, so that the choice is always the same.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.name)
    chosen: dict[str, Candidate] = {}
    parts: set[str] = set()
    total = 0
    for wish, able in _wishes(ordered, thresholds, chosen):
        free = (c for c in able if c.part not in parts)
        best = next((c for c in free if len(chosen) < _ALWAYS or total + c.size <= most_bytes), None)
        if best is None or len(chosen) >= most:
            continue
        chosen[_file_name(wish, best, chosen)] = best
        parts.add(best.part)
        total += best.size
    return list(chosen.items())


def _wishes(candidates: list[Candidate], thresholds: Thresholds, chosen: Mapping[str, Candidate]) -> Iterator[Wish]:
    """In the order of their worth; asked one by one, so that the last ones see what was `chosen`."""
    good = [c for c in candidates if not c.defective]
    bad = [c for c in candidates if c.defective]
    yield "clear-good", sorted(good, key=lambda c: c.score)
    yield "clear-defect", _highest(bad)
    for name, limit in (("threshold", thresholds.image), ("review", thresholds.review)):
        if limit is not None:
            under = [c for c in candidates if c.score < limit - _MARGIN]
            over = [c for c in candidates if c.score >= limit + _MARGIN]
            yield f"under-{name}", sorted(under, key=lambda c: -c.score)
            yield f"over-{name}", sorted(over, key=lambda c: c.score)
    for cls in _classes(bad):
        if not any(_class_of(c) == cls for c in chosen.values() if c.defective):
            yield f"clear-{cls}", _highest((c for c in bad if _class_of(c) == cls), cls)
    for verdict in sorted({c.verdict for c in candidates if c.verdict is not None}):
        if not any(c.verdict is verdict for c in chosen.values()):
            yield f"judged-{verdict.lower()}", [c for c in candidates if c.verdict is verdict]
    yield "typical-good", _from_the_middle(good)
    yield "typical-defect", _from_the_middle(bad)


def _highest(candidates: Iterable[Candidate], cls: str | None = None) -> list[Candidate]:
    """By the score, or that for a class."""
    return sorted(candidates, key=lambda c: -(c.score if cls is None else c.class_scores.get(cls, c.score)))


def _classes(bad: Sequence[Candidate]) -> list[str]:
    return sorted({cls for cls in map(_class_of, bad) if cls is not None})


def _class_of(candidate: Candidate) -> str | None:
    """The class that is known, else the likeliest; `None` where there is but one."""
    if len(candidate.class_scores) < 2:
        return None
    scores = candidate.class_scores
    return candidate.cls or min(scores, key=lambda cls: (-scores[cls], cls))


def _from_the_middle(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those with the scores around the median first."""
    ranked = sorted(candidates, key=lambda c: c.score)
    places = sorted(range(len(ranked)), key=lambda i: (abs(2 * i - len(ranked) + 1), i))
    return [ranked[i] for i in places]


def _file_name(wish: str, candidate: Candidate, taken: Mapping[str, Candidate]) -> str:
    """A name that a recipe can store; classes may be called anything."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", wish)[:100]
    suffix = re.search(r"\.[A-Za-z0-9]{1,10}$", candidate.name)
    ending = suffix.group().lower() if suffix else ""
    name, number = f"{stem}{ending}", 2
    while name in taken:
        name, number = f"{stem}-{number}{ending}", number + 1
    return name
