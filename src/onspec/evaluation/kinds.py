"""Which kinds of defects there are most of, and what became of them: the counts behind a Pareto chart."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from onspec.evaluation.defects import LabelledDefect, Outcome
from onspec.evaluation.metrics import KindFigures
from onspec.evaluation.results import ImageResult

_Span = tuple[float, float] | None
_Kind = tuple[str, _Span]


def kinds(results: Sequence[ImageResult], pixel_size_mm: float | None = None) -> tuple[KindFigures, ...]:
    """The kinds of labelled defects, the most frequent first; of equal ones the one with more area, then by name.

    Kinds are classes. Where all defects are of one class, they are sizes: from one power of 2 up to the next, of √area
    in px or, where the side of a pixel is known, in mm.
    """
    defects = labelled_defects(results)
    scale = 1.0 if pixel_size_mm is None else pixel_size_mm
    unit = "px" if pixel_size_mm is None else "mm"
    several = len({defect.cls for defect in defects}) > 1
    kind_of: Callable[[LabelledDefect], _Kind] = (
        (lambda d: (d.cls, None)) if several else (lambda d: _size(d, scale, unit))
    )
    groups: defaultdict[_Kind, list[LabelledDefect]] = defaultdict(list)
    for defect in defects:
        groups[kind_of(defect)].append(defect)
    ordered = sorted(groups.items(), key=lambda g: (-len(g[1]), -sum(d.area_px or 0.0 for d in g[1]), g[0][0]))
    rows, seen = [], 0
    for (name, span), group in ordered:
        seen += len(group)
        rows.append(_figures(name, span, group, scale, seen / len(defects)))
    return tuple(rows)


def labelled_defects(results: Sequence[ImageResult]) -> list[LabelledDefect]:
    """Those of all images of which it is known what is on them."""
    return [defect for result in results if result.compared is not None for defect in result.compared.defects]


def _size(defect: LabelledDefect, scale: float, unit: str) -> _Kind:
    if defect.area_px is None:
        return defect.cls, None
    size = math.sqrt(defect.area_px) * scale
    low = 2.0 ** math.floor(math.log2(size) + 1e-9)
    return f"{low:g} to {2 * low:g} {unit}", (low, 2 * low)


def _figures(
    name: str, span: _Span, group: Sequence[LabelledDefect], scale: float, cumulative_share: float
) -> KindFigures:
    areas = [defect.area_px for defect in group if defect.area_px is not None]
    count = {outcome: sum(defect.outcome is outcome for defect in group) for outcome in Outcome}
    return KindFigures(
        kind=name,
        size_from=None if span is None else span[0],
        size_to=None if span is None else span[1],
        defects=len(group),
        found=count[Outcome.FOUND],
        other_class=count[Outcome.OTHER_CLASS],
        missed=count[Outcome.MISSED],
        not_judged=count[Outcome.NOT_JUDGED],
        area=sum(areas) * scale**2 if len(areas) == len(group) else None,
        cumulative_share=cumulative_share,
    )
