"""Each labelled defect of an image and what became of it, and each report where nothing is labelled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from onspec.decision.tasks import TASKS, image_scores
from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, ScoredBox, Task
from onspec.domain.verdict import GOOD
from onspec.evaluation.boxes import LEAST_IOU, Boxes, around, assigned, found
from onspec.evaluation.labelled_regions import LabelledRegions, Located
from onspec.imaging.boxes import box_region, iou
from onspec.imaging.regions import Region

ZoneMasks = Mapping[str, NDArray[np.bool_]]
"""Zone → bool (H, W)."""


class Outcome(StrEnum):
    """What became of a labelled defect at the operating point."""

    FOUND = "found"
    OTHER_CLASS = "other class"
    MISSED = "missed"
    NOT_JUDGED = "not judged"
    """It lies wholly in zones that the rules ignore."""


@dataclass(frozen=True, slots=True)
class LabelledDefect:
    """One labelled defect and the zones it touches; `area_px` is `None` where the label does not say where it is."""

    cls: str
    outcome: Outcome
    area_px: float | None
    zones: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FalseReport:
    """A reported defect that touches no labelled one, of whatever class."""

    cls: str
    area_px: int
    zones: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Compared:
    """An image's labelled defects, and its reports beside them."""

    defects: tuple[LabelledDefect, ...] = ()
    false_reports: tuple[FalseReport, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One judged image and its label.

    Attributes:
        labelled: the labelled regions of each class, `None` where nobody knows which pixels are defective; `boxes`
            likewise.
        cls, told: the class of the whole image and the one it was told to be; `None` where not known.
        zones, ignored: the masks of the rules' zones that judge, and of those that are ignored.
    """

    prediction: Prediction
    thresholds: Thresholds
    task: Task
    classes: Sequence[str]
    labelled: Located | None = None
    boxes: Boxes | None = None
    cls: str | None = None
    told: str | None = None
    zones: ZoneMasks = field(default_factory=dict)
    ignored: ZoneMasks = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a mask of another size than the map's."""
        shape = self.prediction.maps[0].values.shape
        for name, mask in {**self.zones, **self.ignored}.items():
            if mask.shape != shape or mask.dtype != np.bool_:
                raise ValueError(f"the mask of zone {name} must be bool {shape}; got {mask.dtype} {mask.shape}")

    def reports(self) -> list[Region]:
        """The regions that reject the image at its thresholds, but for those that lie wholly in ignored zones."""
        scores = image_scores(self.prediction, self.thresholds, self.task)
        regions = TASKS[self.task].find(self.prediction, self.thresholds, scores)
        certain = [r for r in regions if r.defect.score >= self.thresholds.image]
        return [r for r in certain if not self._unjudged(_at(r), r.mask > 0)]

    def placed(self, at: tuple[slice, slice], inside: NDArray[np.bool_]) -> tuple[frozenset[str], bool]:
        """The zones that pixels touch, and whether all of them are ignored.

        Args:
            at: rows and columns of the window that holds them.
            inside: bool (h, w): which of the window's pixels they are.
        """
        every = {**self.zones, **self.ignored}
        touched = frozenset(name for name, mask in every.items() if (mask[at] & inside).any())
        return touched, self._unjudged(at, inside)

    def _unjudged(self, at: tuple[slice, slice], inside: NDArray[np.bool_]) -> bool:
        if not self.ignored:
            return False
        ignored = np.logical_or.reduce([mask[at] for mask in self.ignored.values()])
        return not bool((inside & ~ignored).any())


def compare(seen: Seen) -> Compared | None:
    """What became of each labelled defect; `None` where nobody knows what is on the image."""
    return _COMPARISONS[seen.task](seen)


def _regions(seen: Seen) -> Compared | None:
    """A labelled region is found by a report of its class, by the rule of `LabelledRegions`."""
    if seen.labelled is None:
        return None
    reports = seen.reports()
    defects: list[LabelledDefect] = []
    for cls, labelled in zip(seen.classes, seen.labelled, strict=True):
        by: dict[int, set[str]] = {number: set() for number in labelled.numbers}
        for report in reports:
            for number in labelled.found_by(report):
                by[number].add(report.defect.cls)
        defects += [_labelled(seen, cls, labelled, number, told) for number, told in by.items()]
    beside = [r for r in reports if not any(labelled.touched_by(r) for labelled in seen.labelled)]
    return Compared(tuple(defects), _false(seen, beside))


def _labelled(seen: Seen, cls: str, labelled: LabelledRegions, number: int, told: set[str]) -> LabelledDefect:
    at = labelled.at(number)
    zones, unjudged = seen.placed(at, labelled.labels[at] == number)
    return LabelledDefect(cls, _outcome(cls in told, bool(told), unjudged), float(labelled.areas[number]), zones)


def _outcome(right: bool, reported: bool, unjudged: bool) -> Outcome:
    if unjudged:
        return Outcome.NOT_JUDGED
    return Outcome.FOUND if right else Outcome.OTHER_CLASS if reported else Outcome.MISSED


def _boxes(seen: Seen) -> Compared | None:
    """A labelled box is found by the report that takes it, see `boxes.assigned`."""
    if seen.boxes is None:
        return None
    reports, truth = seen.reports(), seen.boxes
    told = around((r.defect for r in reports), seen.classes)
    exact = [b for b in seen.prediction.boxes if b.score >= seen.thresholds.image]  # not rounded to whole pixels
    taken = set(assigned(_judged(exact, reports, seen), truth).tolist()) - {-1}
    overlaps = iou(truth.xywh, told.xywh)
    defects = [
        _labelled_box(seen, index, index in taken, bool((overlaps[index] >= LEAST_IOU).any()))
        for index in range(len(truth))
    ]
    ordered = sorted(reports, key=lambda r: -r.defect.score)
    beside = [r for r, over in zip(ordered, overlaps.T, strict=True) if not (over > 0).any()]
    return Compared(tuple(defects), _false(seen, beside))


def _judged(boxes: Sequence[ScoredBox], reports: Sequence[Region], seen: Seen) -> Boxes:
    """The boxes of the reports, as the detector drew them."""
    kept = {(r.defect.cls, r.defect.score, r.defect.bbox) for r in reports}
    size = seen.prediction.size
    return found([b for b in boxes if (b.cls, b.score, box_region(b, size).defect.bbox) in kept], seen.classes)


def _labelled_box(seen: Seen, index: int, right: bool, overlapped: bool) -> LabelledDefect:
    assert seen.boxes is not None
    x, y, w, h = (float(value) for value in seen.boxes.xywh[index])
    region = box_region(ScoredBox(seen.classes[int(seen.boxes.classes[index])], 1.0, x, y, w, h), seen.prediction.size)
    zones, unjudged = seen.placed(_at(region), region.mask > 0)
    return LabelledDefect(region.defect.cls, _outcome(right, overlapped, unjudged), w * h, zones)


def _image(seen: Seen) -> Compared | None:
    """To classify, the image itself is the defect: found if it was told to be what it is."""
    if seen.cls is None or seen.told is None:
        return None
    if seen.cls == GOOD:
        rejected = seen.told != GOOD
        return Compared(false_reports=_false(seen, seen.reports()[:1]) if rejected else ())
    area, zones, unjudged = None, frozenset[str](), False
    if seen.labelled is not None and any(labelled.numbers for labelled in seen.labelled):
        marked = np.logical_or.reduce([labelled.labels > 0 for labelled in seen.labelled], axis=0)
        area = float(np.count_nonzero(marked))
        zones, unjudged = seen.placed((slice(None), slice(None)), marked)
    return Compared(
        (LabelledDefect(seen.cls, _outcome(seen.told == seen.cls, seen.told != GOOD, unjudged), area, zones),)
    )


_COMPARISONS: dict[Task, Callable[[Seen], Compared | None]] = {
    Task.SEGMENT: _regions,
    Task.DETECT: _boxes,
    Task.CLASSIFY: _image,
}
"""Task → how its defects are told found."""


def _false(seen: Seen, regions: Sequence[Region]) -> tuple[FalseReport, ...]:
    def each() -> Iterator[FalseReport]:
        for region in regions:
            zones, _ = seen.placed(_at(region), region.mask > 0)
            yield FalseReport(region.defect.cls, region.defect.area_px, zones)

    return tuple(each())


def _at(region: Region) -> tuple[slice, slice]:
    x, y, w, h = region.defect.bbox
    return slice(y, y + h), slice(x, x + w)
