"""Score maps + thresholds + rules → the decision on one image. Pure: the same input gives the same verdict."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onspec.decision.acceptance import Found, accept, figures
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Defect, RulesError, ScoreMap, Verdict
from onspec.imaging.regions import Region, find_regions, image_score

ZoneMasks = dict[str, NDArray[np.bool_]]
"""Zone → bool (H, W)."""


def judge(
    maps: Sequence[ScoreMap],
    thresholds: Thresholds,
    rules: RuleSet = RuleSet(),  # noqa: B008 (frozen)
    pixel_size_mm: float | None = None,
) -> Decision:
    """Decide on one image from the score maps of all classes (of one size).

    What lies in an ignored zone is taken as free of defects before anything is scored. Defects that score at least
    `thresholds.image` are certain, those down to `thresholds.review` unsure; the rules then say what they mean, see
    `acceptance.accept`. `pixel_size_mm` wins over that of the rules.

    Raises:
        RulesError: limits in mm without a pixel size, or a zone outside the image.
        ValueError: no map, or maps of different sizes.
    """
    size = _common_size(maps)
    pixel = rules.pixel_size_mm if pixel_size_mm is None else pixel_size_mm
    if rules.needs_pixel_size and pixel is None:
        raise RulesError("the rules have limits in mm; give the recipe or the rules a pixel size (pixel_size_mm)")
    zones = _zone_masks(rules, size)
    maps = _blanked(maps, [zones[name] for name in rules.zones_of("ignore")])
    score = max(image_score(m, thresholds.window) for m in maps)
    found = sorted(
        (
            Found(
                measured(region.defect, pixel),
                frozenset(name for name, mask in zones.items() if _touches(region, mask)),
                certain=region.defect.score >= thresholds.image,
            )
            for m in maps
            for region in _candidates(m, thresholds)
        ),
        key=Found.sort_key,
    )
    verdict, reasons = accept(found, rules, thresholds)
    if score >= thresholds.image and not any(f.certain for f in found):
        verdict = Verdict.NG  # a score without a region can have no measure, so no rule can accept it
        reasons = (f"score: {figures(score, thresholds.image)} (no region outlined)", *reasons)
    return Decision(verdict=verdict, score=score, reasons=reasons, defects=tuple(f.defect for f in found))


def measured(defect: Defect, pixel_size_mm: float | None) -> Defect:
    """The defect with its measures in mm, where the side of a pixel is known."""
    if pixel_size_mm is None:
        return defect
    return defect.model_copy(
        update={
            "area_mm2": defect.area_px * pixel_size_mm**2,
            "length_mm": defect.length_px * pixel_size_mm,
            "width_mm": defect.width_px * pixel_size_mm,
        }
    )


def _common_size(maps: Sequence[ScoreMap]) -> tuple[int, int]:
    sizes = {m.size for m in maps}
    if len(sizes) != 1:
        raise ValueError(f"judge takes score maps of one size; got {sorted(sizes) or 'no map'}")
    return sizes.pop()


def _candidates(score_map: ScoreMap, thresholds: Thresholds) -> list[Region]:
    """Regions whose score can change the verdict. A score of 0 is no defect, whatever the thresholds are."""
    lowest = thresholds.image if thresholds.review is None else thresholds.review
    regions = find_regions(
        score_map, pixel_threshold=thresholds.pixel, floor=thresholds.floor, window=thresholds.window
    )
    return [region for region in regions if region.defect.score >= lowest]


def _zone_masks(rules: RuleSet, size: tuple[int, int]) -> ZoneMasks:
    masks = {name: zone.mask(size) for name, zone in rules.zones.items()}
    for name, mask in masks.items():
        if not mask.any():
            raise RulesError(
                f"zone {name} lies outside the image of {size[0]}×{size[1]} px, so it never applies; correct the rules"
            )
    return masks


def _blanked(maps: Sequence[ScoreMap], ignored: Sequence[NDArray[np.bool_]]) -> list[ScoreMap]:
    if not ignored:
        return list(maps)
    judged = ~np.logical_or.reduce(ignored)
    return [ScoreMap(np.ascontiguousarray(m.values * judged), m.cls) for m in maps]


def _touches(region: Region, zone: NDArray[np.bool_]) -> bool:
    x, y, w, h = region.defect.bbox
    return bool((zone[y : y + h, x : x + w] & region.mask.astype(bool)).any())
