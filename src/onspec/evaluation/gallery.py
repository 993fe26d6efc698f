"""Which images a report shows: what went wrong first, the worst of it first."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onspec.domain import Task, Verdict
from onspec.domain.verdict import GOOD
from onspec.evaluation.results import ImageResult


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are shown under one heading, with a sentence that says what they are."""

    title: str
    sentence: str
    results: tuple[ImageResult, ...]


@dataclass(frozen=True, slots=True)
class _Measure:
    """How well the defects of an image were located; of those under `below` the poorest are shown."""

    of: Callable[[ImageResult], float | None]
    worst: str
    poorest: str
    ordinary: str
    below: float = math.inf


_MEASURES = {
    Task.SEGMENT: _Measure(
        of=lambda r: r.dice,
        worst="Found, but poorly outlined",
        poorest="Defective images judged NG, those with the lowest Dice first.",
        ordinary="Defective images judged NG with a Dice around the median.",
    ),
    Task.DETECT: _Measure(
        of=lambda r: r.box_f1,
        worst="Found, but not all boxes right",
        poorest="Defective images judged NG, those with the lowest F1 of boxes first.",
        ordinary="Defective images judged NG with an F1 of boxes around the median.",
        below=1.0,
    ),
    Task.CLASSIFY: _Measure(
        of=lambda r: r.score,
        worst="",
        poorest="",
        ordinary="Defective images judged NG with a score around the median.",
        below=0.0,
    ),
}


def choose(
    results: Sequence[ImageResult], task: Task = Task.SEGMENT, most: int = 6, threshold: float | None = None
) -> list[Group]:
    """Escapes, false rejects, defects taken for another class, those that were located poorly, and some ordinary ones;
    `most` of each.

    Where nothing went wrong, those are shown that came nearest to it. Given the threshold, those follow that would
    change side first if it were another, and are not shown yet.
    """
    judged = [(r.score, r.name, r) for r in results if r.score is not None]
    defective = [r for *_, r in sorted((e for e in judged if e[2].defective), key=lambda e: e[:2])]
    good = [r for *_, r in sorted((e for e in judged if not e[2].defective), key=lambda e: (-e[0], e[1]))]
    found = [r for r in defective if r.verdict is Verdict.NG]
    escapes = [r for r in defective if r.verdict is Verdict.OK]
    rejects = [r for r in good if r.verdict is Verdict.NG]
    groups = [
        _wrong("Escapes", "defective image", "was judged OK", "scored lowest", escapes, defective, most),
        _wrong("False rejects", "good image", "was judged NG", "scored highest", rejects, good, most),
        _confused(defective, most),
        *_finds(found, _MEASURES[task], most),
    ]
    shown = {r.name for group in groups for r in group.results}
    if threshold is not None:
        groups.append(_nearest([r for r in defective + good if r.name not in shown], threshold, most))
    return [group for group in groups if group.results]


def _nearest(others: Sequence[ImageResult], threshold: float, most: int) -> Group:
    """Those whose score is next to the threshold, half of them over it and half under it, by falling score."""
    ranked = sorted((r.score or 0.0, r.name, r) for r in others)
    over = [r for score, _, r in ranked if score >= threshold][: most // 2]
    under = [r for score, _, r in ranked if score < threshold][-(most // 2) :]
    return Group(
        "Next to the threshold",
        "Of the other images, those that would change side first if the threshold were another.",
        tuple(reversed(under + over)),
    )


def _wrong(
    title: str, kind: str, verdict: str, nearest: str, wrong: Sequence[ImageResult], of_kind: Sequence[ImageResult],
    most: int,
) -> Group:  # fmt: skip
    if not wrong:
        return Group(f"{title}: none", f"No {kind} {verdict}. These {nearest}.", tuple(of_kind[: most // 2]))
    shown = "all of them" if len(wrong) <= most else f"the worst {most}"
    were = (
        f"1 {kind} {verdict}."
        if len(wrong) == 1
        else f"{len(wrong)} {kind}s {verdict.replace('was', 'were')}; {shown}."
    )
    return Group(f"{title}: {len(wrong)}", were, tuple(wrong[:most]))


def _confused(defective: Sequence[ImageResult], most: int) -> Group:
    """Images that were seen to be defective, but by a class that is not labelled on them."""
    other = [r for r in defective if r.present is not None and r.cls != GOOD and r.cls not in r.present]
    other.sort(key=lambda r: (-(r.score or 0.0), r.name))
    were = "1 defective image was" if len(other) == 1 else f"{len(other)} defective images were"
    shown = "" if len(other) == 1 else "; the surest first"
    return Group(f"Wrong class: {len(other)}", f"{were} taken for another class{shown}.", tuple(other[:most]))


def _finds(found: Sequence[ImageResult], measure: _Measure, most: int) -> list[Group]:
    known = [(value, r.name, r) for r in found if (value := measure.of(r)) is not None]
    ranked = sorted(known, key=lambda e: e[:2])
    poor = [r for value, _, r in ranked[:most] if value < measure.below]
    middle = max(0, (len(ranked) - most) // 2)
    typical = tuple(r for *_, r in ranked[middle : middle + most] if r not in poor)
    return [Group(measure.worst, measure.poorest, tuple(poor)), Group("Typical finds", measure.ordinary, typical)]
