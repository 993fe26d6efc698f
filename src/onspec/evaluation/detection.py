"""Reported defects against labelled ones, region by region."""

from collections.abc import Iterable

import cv2
import numpy as np

from onspec.decision.thresholds import Thresholds
from onspec.domain import ScoreMap
from onspec.evaluation.results import Matches
from onspec.imaging.masks import Mask
from onspec.imaging.regions import Region, find_regions


def reported(score_map: ScoreMap, thresholds: Thresholds) -> list[Region]:
    """The regions that reject a part at these thresholds, before any rule."""
    regions = find_regions(
        score_map, pixel_threshold=thresholds.pixel, floor=thresholds.floor, window=thresholds.window
    )
    return [region for region in regions if region.defect.score >= thresholds.image]


def match(regions: Iterable[Region], truth: Mask) -> Matches:
    """Count agreement with the connected regions (8-neighbourhood) of `truth`, uint8 (H, W) of 0/1.

    A labelled defect is found if a reported region shares a pixel with it, and a reported region is right if it shares
    one with a labelled defect. Coarse labels, such as DAGM's ellipses, allow no stricter rule.
    """
    count, labels = cv2.connectedComponents(truth, connectivity=8)
    found: set[int] = set()
    predicted = right = 0
    for region in regions:
        x, y, w, h = region.defect.bbox
        touched = set(np.unique(labels[y : y + h, x : x + w][region.mask > 0]).tolist()) - {0}
        found |= touched
        predicted += 1
        right += bool(touched)
    return Matches(truth=count - 1, found=len(found), predicted=predicted, right=right)
