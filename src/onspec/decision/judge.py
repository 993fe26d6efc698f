"""Prediction + thresholds + rules → the decision on one image. Pure: the same input gives the same verdict."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onspec.decision.acceptance import accept
from onspec.decision.found import Found, Site, measured
from onspec.decision.placed_zones import PlacedZones
from onspec.decision.rules import RuleSet
from onspec.decision.tasks import TASKS, Scores
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Prediction, RulesError, ScoredBox, ScoreMap, Task, Verdict
from onspec.domain.fired import Ground
from onspec.domain.pixel_size import PixelSize
from onspec.domain.placement import Placement
from onspec.domain.verdict import GOOD
from onspec.imaging.contrast import contrast
from onspec.imaging.distances import Body
from onspec.imaging.reading import Image
from onspec.imaging.regions import Region


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """What was found on an image and measured, before the rules are asked: the defects in the order of their list."""

    scores: Scores
    found: tuple[Found, ...]
    site: Site
    zones: PlacedZones


def judge(
    prediction: Prediction,
    thresholds: Thresholds,
    rules: RuleSet = RuleSet(),  # noqa: B008 (frozen)
    pixel_size_mm: float | PixelSize | None = None,
    task: Task = Task.SEGMENT,
    *,
    image: Image | None = None,
    placement: Placement | None = None,
) -> Decision:
    """Decide on one image from what the model says of it; `tasks.TASKS` says how a task's prediction is read.

    What lies in an ignored zone is taken as free of defects before anything is scored. Defects that score at least
    `thresholds.image` are certain, those down to `thresholds.review` unsure; the rules then say what they mean, see
    `acceptance.accept`.

    Args:
        pixel_size_mm: sides of a pixel, which win over those of the rules.
        image: the image itself; rules about contrast need it.
        placement: where the part lies; zones relative to the part need it.

    Raises:
        RulesError: what a rule needs is missing or cannot be measured, or a zone lies outside the image.
    """
    seen = sight(prediction, thresholds, rules, pixel_size_mm, task, image=image, placement=placement)
    return conclude(seen, thresholds, rules, task)


def conclude(seen: Sighting, thresholds: Thresholds, rules: RuleSet, task: Task) -> Decision:
    """What the rules make of a sighting; raises as `judge`."""
    ruling = accept(seen.found, rules, thresholds, seen.site)
    verdict, reasons = ruling.verdict, ruling.reasons
    unseen = _not_outlined(seen, thresholds)
    if unseen is not None and verdict is not Verdict.NG:
        verdict, limit = unseen
        score = Ground(measure="score", figure=seen.scores.image, relation=">=", limit=limit)
        reasons = (f"score: {str(score).removeprefix('score ')} (no region outlined)", *reasons)
    return Decision(
        verdict=verdict,
        score=seen.scores.image,
        class_scores=seen.scores.classes,
        cls=_class_of_image(seen.scores, thresholds) if task == Task.CLASSIFY else None,
        reasons=reasons,
        fired=ruling.fired,
        defects=tuple(
            f.defect if f not in ruling.grades else f.defect.model_copy(update={"grade": ruling.grades[f]})
            for f in seen.found
        ),
    )


def _not_outlined(seen: Sighting, thresholds: Thresholds) -> tuple[Verdict, float] | None:
    """What a score means that no region has, and the threshold it reaches. No measure of it is known, so that no rule
    can accept it."""
    score = seen.scores.image
    if score >= thresholds.image and not any(f.certain for f in seen.found):
        return Verdict.NG, thresholds.image
    if score >= thresholds.lowest and not seen.found:
        return Verdict.REVIEW, thresholds.lowest
    return None


def sight(
    prediction: Prediction,
    thresholds: Thresholds,
    rules: RuleSet,
    pixel_size_mm: float | PixelSize | None = None,
    task: Task = Task.SEGMENT,
    *,
    image: Image | None = None,
    placement: Placement | None = None,
) -> Sighting:
    """Find the defects and measure what the rules ask for. Arguments and errors as of `judge`."""
    pixel = rules.pixel_size_mm if pixel_size_mm is None else pixel_size_mm
    if rules.needs_pixel_size and pixel is None:
        raise RulesError("the rules have limits in mm; give the recipe or the rules a pixel size (pixel_size_mm)")
    _check_image(rules, image, prediction.size)
    sides = None if pixel is None else PixelSize.of(pixel)
    zones = PlacedZones(rules, prediction.size, sides, placement)
    asked = rules.measures
    prediction = _blanked(prediction, zones.ignored)
    scores = TASKS[task].score(prediction, thresholds)
    regions = TASKS[task].find(prediction, thresholds, scores)
    found = sorted(
        (_found(region, thresholds, zones, sides, image if "contrast" in asked else None) for region in regions),
        key=Found.sort_key,
    )
    site = Site(sides, zones.areas())
    return Sighting(scores, _with_distances(found, asked, site), site, zones)


def _found(
    region: Region,
    thresholds: Thresholds,
    zones: PlacedZones,
    sides: PixelSize | None,
    image: Image | None,
) -> Found:
    defect = measured(region.defect, sides, zones.size, region.mask)
    if image is not None:
        defect = defect.model_copy(update={"contrast": contrast(image, defect.bbox, region.mask)})
    touched, inside = zones.of(region)
    return Found(defect, touched, defect.score >= thresholds.image, inside, Body(defect.bbox, region.mask))


def _with_distances(found: Sequence[Found], asked: frozenset[str], site: Site) -> tuple[Found, ...]:
    """With the distance to the nearest other defect, where a rule asks for it."""
    known: list[dict[str, float]] = [{} for _ in found]
    for unit in ("px", "mm"):
        measure = f"distance_to_defect_{unit}"
        if measure in asked and len(found) > 1:
            gaps = site.gaps(found, unit)
            for place, update in enumerate(known):
                update[measure] = gaps.nearest(place)
    return tuple(
        replace(f, defect=f.defect.model_copy(update=update)) if update else f
        for f, update in zip(found, known, strict=True)
    )


def _check_image(rules: RuleSet, image: Image | None, size: tuple[int, int]) -> None:
    if not rules.needs_image:
        return
    if image is None:
        raise RulesError("the rules have conditions on contrast, which need the image; judge the image, not its map")
    if image.shape[1::-1] != size:
        raise RulesError(
            f"the image of {image.shape[1]}×{image.shape[0]} px does not fit its map of {size[0]}×{size[1]}"
        )


def _class_of_image(scores: Scores, thresholds: Thresholds) -> str:
    return GOOD if scores.image < thresholds.image else scores.likeliest


def _blanked(prediction: Prediction, ignored: NDArray[np.bool_] | None) -> Prediction:
    """Without the scores that lie in ignored zones, and without the boxes whose centre does."""
    if ignored is None:
        return prediction
    judged = ~ignored
    maps = tuple(ScoreMap(np.ascontiguousarray(m.values * judged), m.cls) for m in prediction.maps)
    return replace(prediction, maps=maps, boxes=tuple(box for box in prediction.boxes if judged[_centre(box, judged)]))


def _centre(box: ScoredBox, of: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the pixel that a box's centre lies in, or of the one nearest to it."""
    row, column = math.floor(box.y + box.height / 2), math.floor(box.x + box.width / 2)
    return min(max(row, 0), of.shape[0] - 1), min(max(column, 0), of.shape[1] - 1)
