"""A recorded inspection under other thresholds or rules, from its recorded defects: the network need not run again.

What cannot be told from the record is said, never guessed. Outlines are redrawn where a rule asks where a defect lies:
its outer outline, filled, so that a hole in a defect counts as defect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.decision.found import Found, Site, measured
from onspec.decision.inspectability import Gate
from onspec.decision.judge import Sighting, conclude
from onspec.decision.placed_zones import PlacedZones
from onspec.decision.rules import RuleSet
from onspec.decision.tasks import Scores
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Defect, Inspection, Task, Verdict
from onspec.domain.look import Reference
from onspec.domain.pixel_size import PixelSize
from onspec.domain.placement import Place, Placement
from onspec.imaging.distances import Body
from onspec.imaging.regions import Region


class Lack(StrEnum):
    """Why the image is needed."""

    ERROR = "it ended as ERROR, so nothing of it is known"
    MODEL = "another network or preparation of the image judged it"
    UNKNOWN = "nobody recorded what recipe judged it"
    POOLING = "pixels' scores are put together in another way"
    FAINT = "a lower threshold asks for defects that were too faint to be recorded"
    OUTLINE = "defects are outlined at another score"
    IGNORED = "zones that are ignored changed where defects are, or may be"
    CONTRAST = "the rules ask for contrast, which was not measured"
    PART = "zones lie on the part, and it was not located in this way"
    PIXEL = "pixels' sides differed when its defects were measured"
    LOOK = "whether the image is inspectable cannot be told: how it looks was not recorded, or against another picture"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a verdict rests on, other than the prediction."""

    task: Task
    thresholds: Thresholds
    rules: RuleSet
    pixel_size_mm: float | PixelSize | None = None
    reference: Reference | None = None

    @property
    def sides(self) -> PixelSize | None:
        """Of a pixel; the recipe's win over the rules'."""
        size = self.rules.pixel_size_mm if self.pixel_size_mm is None else self.pixel_size_mm
        return None if size is None else PixelSize.of(size)

    @property
    def outline(self) -> tuple[float, float]:
        """The scores that regions reach, and where they end."""
        t = self.thresholds
        return t.pixel, t.weighing.floor(t.floor)

    @property
    def pooling(self) -> tuple[str, int, float]:
        """How pixels' scores become one."""
        t = self.thresholds
        return t.pooling, t.window, t.sharpness if t.pooling == "odds" else 0.0


class Rejudge:
    """Judges what was judged on the basis `then` as it would be on the basis `now`, with the same network."""

    def __init__(self, then: Basis, now: Basis) -> None:
        self.then, self.now = then, now
        ignored = [{n: z.model_dump() for n, z in basis.rules.zones_of("ignore").items()} for basis in (then, now)]
        self._ignored_alike = sorted(ignored[0].items()) == sorted(ignored[1].items()) and (
            not ignored[0] or (then.sides == now.sides and then.rules.part == now.rules.part)
        )
        self._ignored_before, self._ignored_now = bool(ignored[0]), bool(ignored[1])
        rules = now.rules
        self._asked = rules.measures
        self._on_part = any(zone.relative_to == "part" for zone in rules.zones.values())
        self._draws = bool(rules.zones) or any(
            rule.scope is not None and rule.scope[0].startswith("within") for rule in rules.rules
        ) or any(measure.startswith("distance_to_defect") for measure in self._asked)  # fmt: skip
        self._kept_zones: dict[tuple[int, int], PlacedZones] = {}
        self._gate = Gate(now.reference, rules.inspectable)
        pictures = [None if basis.reference is None else basis.reference.picture for basis in (then, now)]
        self._like_another = pictures[1] is not None and pictures[0] != pictures[1]

    def __call__(self, seen: Inspection) -> Decision | Lack:
        """The decision, or why it takes the image.

        Raises:
            RulesError: the rules cannot be applied to an image of this size.
            NotInspectableError: it does not look as it should, so that it would be an ERROR now.
        """
        told = self._told(seen)
        return told if isinstance(told, Lack) else self._gate.judge(told, seen.look, seen.image)

    def _told(self, seen: Inspection) -> Decision | Lack:
        lack = self._lack_of_scores(seen) or self._lack_of_look(seen)
        if lack is not None:
            return lack
        assert seen.score is not None
        low = self.now.thresholds.lowest
        if seen.score < low and (self._ignored_alike or not self._ignored_before):
            return self._decided(seen, seen.score, (), None)  # a region scores no more than its image
        lack = self._lack_of_defects()
        if lack is not None:
            return lack
        defects = [defect for defect in seen.defects if defect.score >= low]
        lack = self._lack_of_measures(defects)
        return lack if lack is not None else self._judged(seen, defects)

    def _lack_of_scores(self, seen: Inspection) -> Lack | None:
        if seen.verdict is Verdict.ERROR or seen.size is None:
            return Lack.ERROR
        if self.then.pooling != self.now.pooling:
            return Lack.POOLING
        return Lack.PART if self.now.rules.part is not None and not self._located(seen) else None

    def _lack_of_look(self, seen: Inspection) -> Lack | None:
        if not self._gate.decides:
            return None
        return Lack.LOOK if seen.look is None or self._like_another else None

    def _lack_of_defects(self) -> Lack | None:
        """For a part whose score may mean a defect."""
        if self.now.thresholds.lowest < self.then.thresholds.lowest:
            return Lack.FAINT
        if self.now.task is not Task.DETECT and self.then.outline != self.now.outline:
            return Lack.OUTLINE
        if not self._ignored_alike and self._ignored_before:
            return Lack.IGNORED
        return None

    def _lack_of_measures(self, defects: Sequence[Defect]) -> Lack | None:
        if "contrast" in self._asked and any(defect.contrast is None for defect in defects):
            return Lack.CONTRAST
        then, now = self.then.sides, self.now.sides
        if defects and then is not None and then.x != then.y and then != now:
            return Lack.PIXEL
        return None

    def _located(self, seen: Inspection) -> bool:
        return seen.placement is not None and self.then.rules.part == self.now.rules.part

    def _judged(self, seen: Inspection, defects: Sequence[Defect]) -> Decision | Lack:
        assert seen.size is not None
        assert seen.score is not None
        zones = self._zones(seen)
        found, left_out = [], 0
        for defect in defects:
            region = redrawn(defect) if self._draws or self._uneven else None
            if region is not None and not self._ignored_alike and zones.ignored is not None:
                covered = _covered(region, zones.ignored)
                if 0 < covered < 1:
                    return Lack.IGNORED
                if covered == 1:
                    left_out += 1
                    continue
            found.append(self._found(defect, region, zones))
        if left_out and self.now.task is Task.CLASSIFY:
            return Lack.IGNORED  # the score is of the whole image
        score = max((f.defect.score for f in found), default=0.0) if left_out else seen.score
        return self._decided(seen, score, tuple(sorted(found, key=Found.sort_key)), zones)

    @property
    def _uneven(self) -> bool:
        sides = self.now.sides
        return sides is not None and sides.x != sides.y

    def _found(self, defect: Defect, region: Region | None, zones: PlacedZones) -> Found:
        bare = defect.model_copy(update=_UNMEASURED)
        known = measured(bare, self.now.sides, zones.size, None if region is None else region.mask)
        certain = defect.score >= self.now.thresholds.image
        if region is None:
            return Found(known, certain=certain)
        touched, inside = zones.of(region)
        return Found(known, touched, certain, inside, Body(defect.bbox, region.mask))

    def _decided(self, seen: Inspection, score: float, found: tuple[Found, ...], zones: PlacedZones | None) -> Decision:
        if zones is None:
            zones = self._zones(seen)
        scores = Scores(score, dict(seen.class_scores) or {"defect": score})
        site = Site(self.now.sides, zones.areas())
        return conclude(Sighting(scores, found, site, zones), self.now.thresholds, self.now.rules, self.now.task)

    def _zones(self, seen: Inspection) -> PlacedZones:
        """In an image of this size, or on the part where it lay."""
        assert seen.size is not None
        if self._on_part:
            assert seen.placement is not None
            return PlacedZones(self.now.rules, seen.size, self.now.sides, _placement(seen.placement))
        if seen.size not in self._kept_zones:
            self._kept_zones[seen.size] = PlacedZones(self.now.rules, seen.size, self.now.sides)
        return self._kept_zones[seen.size]


_UNMEASURED = {
    "area_mm2": None, "length_mm": None, "width_mm": None, "distance_to_edge_px": None, "distance_to_edge_mm": None,
    "distance_to_defect_px": None, "distance_to_defect_mm": None, "grade": None,
}  # fmt: skip


def _placement(place: Place) -> Placement:
    """As it was found, to a thousandth of a pixel."""
    taught = (place.x - place.shift_px[0], place.y - place.shift_px[1])
    return Placement(taught, (place.x, place.y), place.angle_deg, place.score)


def redrawn(defect: Defect) -> Region:
    """Its outline, filled; without one, its box. The area is the drawing's, so that zones compare like with like."""
    x, y, width, height = defect.bbox
    mask: NDArray[np.uint8] = np.zeros((height, width), np.uint8)
    if defect.polygon:
        points = np.array(defect.polygon, np.int32) - np.array([x, y], np.int32)
        cv2.fillPoly(mask, [points.reshape(-1, 1, 2)], 1)
    if not mask.any():
        mask[:] = 1
    return Region(defect.model_copy(update={"area_px": int(np.count_nonzero(mask))}), mask)


def _covered(region: Region, ignored: NDArray[np.bool_]) -> float:
    """Share of its pixels that lie in ignored zones."""
    x, y, width, height = region.defect.bbox
    inside = region.mask.astype(np.bool_)
    shared = np.count_nonzero(ignored[y : y + height, x : x + width] & inside)
    return float(shared) / float(np.count_nonzero(inside))
