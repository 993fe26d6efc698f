"""The labelled defects of one class on one image, and which of them a reported region finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.imaging.instances import Labels, Slices, extents_of
from onspec.imaging.regions import Region

Truth = NDArray[np.uint8]
"""uint8 (K, H, W) of 0/1, one plane a class."""


@dataclass(frozen=True, eq=False)
class LabelledRegions:
    """Labelled defects of one class.

    Attributes:
        labels: int32 (H, W): 0 where there is none, and a number a defect; not every number has to occur.
        one_to_one: a reported region finds the one defect that it overlaps with an IoU over 0.5, if there is one. No
            two regions can do so of one defect, as neither regions nor defects overlap each other (Kirillov et al.,
            Panoptic Segmentation, CVPR 2019). Otherwise it finds each defect that it shares a pixel with: coarse
            labels, such as DAGM's ellipses, allow no stricter rule.
    """

    labels: Labels
    one_to_one: bool = False

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """The pixels of each number, int64 (n,)."""
        return np.bincount(self.labels.ravel())

    @property
    def numbers(self) -> list[int]:
        """Those that occur, but for 0."""
        return (np.flatnonzero(self.areas[1:]) + 1).tolist()

    def at(self, number: int) -> Slices:
        """The rows and columns that hold a defect."""
        top, bottom, left, right = self._places[number].tolist()
        return slice(top, bottom), slice(left, right)

    def touched_by(self, region: Region) -> set[int]:
        """The defects that share a pixel with a reported region."""
        return set(np.unique(self._under(region)).tolist()) - {0}

    def found_by(self, region: Region) -> set[int]:
        """The defects that a reported region finds."""
        if not self.one_to_one:
            return self.touched_by(region)
        shared = np.bincount(self._under(region), minlength=1)
        shared[0] = 0
        most = int(shared.argmax())
        together = region.defect.area_px + self.areas[most] - shared[most]
        return {most} if 2 * shared[most] > together else set()

    @cached_property
    def _places(self) -> NDArray[np.int32]:
        return extents_of(self.labels)

    def _under(self, region: Region) -> Labels:
        x, y, w, h = region.defect.bbox
        return self.labels[y : y + h, x : x + w][region.mask > 0]


Located = Sequence[LabelledRegions]
"""The labelled defects of an image, one entry a class."""


def connected(truth: Truth) -> Located:
    """For each class its connected regions (8-neighbourhood)."""
    return tuple(
        LabelledRegions(np.asarray(cv2.connectedComponents(plane, connectivity=8, ltype=cv2.CV_32S)[1], np.int32))
        for plane in truth
    )


def told_apart(truth: Truth, objects: Labels) -> Located:
    """For each class its single objects, touching ones too: int32 (H, W) of 0 and a number each.

    An object is of the class that marks most of it; of equal ones, the first.

    Raises:
        ValueError: labels and objects differ in size.
    """
    if objects.shape != truth.shape[1:]:
        raise ValueError(f"objects must be {truth.shape[1:]} as the labels are; got {objects.shape}")
    marks = [np.bincount(objects.ravel(), weights=plane.ravel(), minlength=1) for plane in truth]
    cls = np.argmax(marks, axis=0)
    return tuple(_alone(objects, cls == k) for k in range(len(truth)))


def _alone(objects: Labels, wanted: NDArray[np.bool_]) -> LabelledRegions:
    return LabelledRegions(np.where(wanted[objects], objects, 0).astype(np.int32), one_to_one=True)


def regions_of(truth: Truth, objects: Labels | None) -> Located:
    """The labelled defects of each class: its objects where the recipe tells touching ones apart, else what hangs
    together."""
    return connected(truth) if objects is None else told_apart(truth, objects)
