"""Reported defects against labelled ones: region by region, or box by box."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from onspec.decision.thresholds import Thresholds
from onspec.domain import Prediction, Task
from onspec.evaluation.boxes import Boxes, around, found, right
from onspec.evaluation.labelled_regions import LabelledRegions, Located
from onspec.evaluation.region_boxes import boxes_of_regions
from onspec.evaluation.results import Matches
from onspec.imaging.regions import Region, find_regions


@dataclass(frozen=True, slots=True)
class Counted:
    """One image's defects, one count a class: by the rule of the task, and as boxes; empty where nothing is labelled.

    `boxes` are the labelled and the found ones, also those under the threshold.
    """

    matches: tuple[Matches, ...] = ()
    box_matches: tuple[Matches, ...] = ()
    boxes: tuple[Boxes, Boxes] | None = None


def reported(prediction: Prediction, thresholds: Thresholds) -> list[Region]:
    """The regions that reject a part at these thresholds, before any rule."""
    return find_regions(
        prediction,
        pixel_threshold=thresholds.pixel,
        floor=thresholds.floor,
        least=thresholds.image,
        weighing=thresholds.weighing,
    )


def match(regions: Iterable[Region], labelled: LabelledRegions) -> Matches:
    """Count agreement of reported regions with the labelled ones of their class, by the rule of `labelled`.

    A reported region is right if it finds a labelled defect.
    """
    every: set[int] = set()
    predicted = correct = 0
    for region in regions:
        found = labelled.found_by(region)
        every |= found
        predicted += 1
        correct += bool(found)
    return Matches(truth=len(labelled.numbers), found=len(every), predicted=predicted, right=correct)


def match_classes(regions: Sequence[Region], labelled: Located, classes: Sequence[str]) -> tuple[Matches, ...]:
    """`match` for each class."""
    return tuple(
        match([r for r in regions if r.defect.cls == cls], there) for cls, there in zip(classes, labelled, strict=True)
    )


def match_boxes(truth: Boxes, found: Boxes, classes: int) -> tuple[Matches, ...]:
    """For each class, how many boxes overlap one to one by half or more."""
    correct = np.bincount(found.classes[right(found, truth)], minlength=classes).tolist()
    there, told = (np.bincount(boxes.classes, minlength=classes).tolist() for boxes in (truth, found))
    return tuple(Matches(t, c, p, c) for t, c, p in zip(there, correct, told, strict=True))


def _regions(
    prediction: Prediction,
    labelled: Located | None,
    label: Boxes | None,
    thresholds: Thresholds,
    classes: Sequence[str],
) -> Counted:
    if labelled is None and label is None:
        return Counted()
    regions = reported(prediction, thresholds)
    matches = () if labelled is None else match_classes(regions, labelled, classes)
    if label is None:
        return Counted(matches)
    boxes = around([region.defect for region in regions], classes)
    every = boxes_of_regions(prediction, thresholds, classes)
    return Counted(matches, match_boxes(label, boxes, len(classes)), (label, every))


def _boxes(
    prediction: Prediction,
    labelled: Located | None,
    label: Boxes | None,
    thresholds: Thresholds,
    classes: Sequence[str],
) -> Counted:
    del labelled  # a box is judged by boxes
    if label is None:
        return Counted()
    every = found(prediction.boxes, classes)
    matches = match_boxes(label, every.kept(every.scores >= thresholds.image), len(classes))
    return Counted(matches, matches, (label, every))


def _nothing(*_: object) -> Counted:
    """A classifier tells what an image is, and counts no defects."""
    return Counted()


Count = Callable[[Prediction, Located | None, Boxes | None, Thresholds, Sequence[str]], Counted]

COUNTS: dict[Task, Count] = {Task.SEGMENT: _regions, Task.DETECT: _boxes, Task.CLASSIFY: _nothing}
"""Task → how its defects are counted, given regions and boxes of the label where they are known."""
