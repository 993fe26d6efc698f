"""Where the part lies in an image: found as it was taught, shifted and turned, to a fraction of a pixel.

Coarse to fine: candidates come from a much smaller image, by correlation with the taught rectangle at every angle that
is allowed (`template`) or from outlines (`contour`, see `silhouettes`); the best are followed up the pyramid and
refined on a patch of bounded size. So the time hardly depends on the size of the image.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onspec.domain import PartNotFoundError, RulesError
from onspec.domain.placement import Placement
from onspec.imaging.aligning import Patch, Plane, Pose, radius_of, rotation, seen_at, turn_between
from onspec.imaging.correlating import Likeness, peaks
from onspec.imaging.part_spec import PartSpec
from onspec.imaging.pyramid import gray, level_of, pyramid
from onspec.imaging.reading import Image
from onspec.imaging.rehearsing import darker_and_noisy, moved, rehearsals
from onspec.imaging.silhouettes import Silhouette, silhouettes

_FINE_AREA = 224**2
"""Pixels of the patch that the pose is refined on, at most."""
_COARSE_SIDE = 12
"""px that the shorter side of a template keeps in the smallest image."""
_OUTLINED = 640
"""px of the longer side of the image that outlines are taken from, at most."""
_CANDIDATES = 6
_MOST_PLACES = 3e6
"""Places and angles in the smallest image that are tried, at most: a fifth of a second or so."""
_SAME_PX, _SAME_DEG = 0.5, 0.5
"""Refined candidates nearer than this, in px of their level and in turn, have come to one place."""
_PROMISING = 0.75
"""Share of the best candidate's likeness below which another is not followed."""
_LOOKALIKE = 0.95
"""Likeness of a second place in the taught image, from which on the two may be mistaken for each other."""
_MARGIN = 0.02
"""By so much the best place must beat the second, or nobody knows which is right."""
_APART_DEG = 15.0
"""Places that differ by more than this, or by a quarter of the part, are two."""
_OFF = 0.01
"""Share of the part's side that it may be found off, when that is more than 1 px."""
_LOOSE = 0.988
"""Likeness left in the smallest image after the least noticed movement by a tenth of the part's side; with more, noise
moves the part as it likes."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best place, and the likeness of the best one that is not near it (`None`: there is no other)."""

    placement: Placement
    runner_up: float | None


def locate(image: Image, taught: Image, spec: PartSpec) -> Placement:
    """The part's placement in an image, against the taught image; `Locator` spares learning it again for each image.

    Raises:
        RulesError: the taught image does not show what `spec` says.
        PartNotFoundError: as `Locator.find`.
    """
    return Locator(taught, spec).find(image, "image").placement


class Locator:
    """Finds the part of one taught image in other images. Holds no state of them; may be called from several threads.

    Raises at construction:
        RulesError: the taught image does not show what the spec says.
    """

    def __init__(self, taught: Image, spec: PartSpec) -> None:
        self.spec = spec
        self.taught_size = (taught.shape[1], taught.shape[0])
        box = _rectangle(spec, self.taught_size)
        if spec.find == "contour":
            self._segmented = max(0, math.ceil(math.log2(max(self.taught_size) / _OUTLINED)))
            self._silhouette = _taught_silhouette(level_of(gray(taught), self._segmented), spec, self._segmented)
            box = self._silhouette.box(2**self._segmented)
        x, y, width, height = box
        self._fine = max(0, math.ceil(math.log2(width * height / _FINE_AREA) / 2))
        self._coarse = max(self._fine, math.floor(math.log2(max(min(width, height) / _COARSE_SIDE, 1))))
        self._reference = (x + width / 2, y + height / 2)
        self._patches = self._learn(pyramid(gray(taught), self._fine, self._coarse), width, height)

    def find(self, image: Image, name: str) -> Found:
        """Where the part is; `name` stands in the errors.

        Raises:
            PartNotFoundError: nothing is like it enough, it is further away or more turned than it may be, or two
                places are equally like it.
        """
        plane = gray(image)
        ranked = self._ranked(plane, pyramid(plane, self._fine, self._coarse))
        if not ranked:
            raise PartNotFoundError(f"{name}: {self._nothing()}; {_LOOK}")
        pose, score = ranked[0]
        self._check(pose, score, name)
        apart = [likeness for other, likeness in ranked[1:] if self._distinct(pose, other)]
        runner_up = max(apart, default=None)
        if runner_up is not None and score - runner_up < _MARGIN:
            raise PartNotFoundError(
                f"{name}: the part is found twice, with scores {score:.2f} and {runner_up:.2f}; show one part at a "
                "time, or lower part.max_shift_px or part.max_angle_deg so that one place remains"
            )
        angle = (pose.angle_deg + 180.0) % 360.0 - 180.0
        return Found(Placement(self._reference, (pose.x, pose.y), angle, min(max(score, 0.0), 1.0)), runner_up)

    def check(self, taught: Image) -> Found:
        """Find the part where it was taught, and nowhere else.

        Raises:
            RulesError: it can slide or turn without being noticed, another place looks like it, or it is not found:
                there, or where the image is moved, darker and noisy.
        """
        self._check_effort()
        coarse = pyramid(gray(taught), self._fine, self._coarse)[self._coarse]
        pose = Pose(*self._reference, 0.0).scaled(2.0**-self._coarse)
        left, movement = self._patches[self._coarse].looseness(coarse, pose)
        if left > _LOOSE:
            raise RulesError(f"part: {_loose(movement)}choose {self._other_choice()}")
        try:
            found = Locator(taught, self._doubled()).find(taught, "the taught image")
        except PartNotFoundError as error:
            raise RulesError(f"part: {error}") from error
        if found.runner_up is not None and found.runner_up > _LOOKALIKE:
            raise RulesError(
                f"part: a second place or angle in the taught image is {found.runner_up:.2f} like the part, so the two "
                f"can be mistaken for each other; choose {self._other_choice()}, or lower max_angle_deg or max_shift_px"
            )
        placement = found.placement
        off = math.dist(placement.taught, placement.found)
        if off > 0.5 or abs(placement.angle_deg) > 0.2:
            raise RulesError(
                f"part: found {off:.2f} px and {placement.angle_deg:.2f}° off in its own taught image; "
                f"choose {self._other_choice()}"
            )
        self._rehearse(taught)
        return found

    def _rehearse(self, taught: Image) -> None:
        """Move the taught image, make it darker and noisy, and find the part: a look-alike that lies on a way of small
        shifts and turns shows only so.
        """
        side = min(self._patches[self._fine].size) * 2.0**self._fine
        reach = min(0.15 * side, side if self.spec.max_shift_px is None else self.spec.max_shift_px)
        missed, places = 0, rehearsals(self._reference, min(self.spec.max_angle_deg, 10.0) * 0.9, reach * 0.9)
        for seed, true in enumerate(places):
            try:
                found = self.find(darker_and_noisy(moved(taught, true), seed), "rehearsal").placement
            except PartNotFoundError:
                missed += 1
                continue
            off, turn = math.dist(found.found, true.found), turn_between(found.angle_deg, true.angle_deg)
            if off > max(1.0, _OFF * side) or turn > 1.0:
                raise RulesError(
                    f"part: moved, darker and with a little noise, it is found {off:.1f} px and {turn:.1f}° off: "
                    f"noise can move it; choose {self._other_choice()}"
                )
        if missed > len(places) / 2:
            raise RulesError(
                f"part: moved, darker and with a little noise, it is not found {missed} times of {len(places)}; choose "
                f"{self._other_choice()}, or lower min_score"
            )

    def _check_effort(self) -> None:
        """Refuse a small template that may be anywhere in a large image: the line would wait for it."""
        if self.spec.find == "contour":
            return
        places = math.prod(self.taught_size)
        if self.spec.max_shift_px is not None:
            places = min(places, round((2 * self.spec.max_shift_px + 1) ** 2))
        tried = places / 4**self._coarse * len(self._angles(self._patches[self._coarse]))
        if tried > _MOST_PLACES:
            raise RulesError(
                f"part: to look for so small a rectangle in all of the image would take {tried / 1e6:.0f} million "
                f"trials; allowed: {_MOST_PLACES / 1e6:g} million; lower max_shift_px or max_angle_deg, or choose "
                "a larger rectangle"
            )

    def _doubled(self) -> PartSpec:
        """Two places that are allowed lie at most twice as far from each other as either from the taught one."""
        spec = self.spec
        shift = None if spec.max_shift_px is None else 2 * spec.max_shift_px
        return spec.model_copy(update={"max_angle_deg": min(2 * spec.max_angle_deg, 180.0), "max_shift_px": shift})

    def _other_choice(self) -> str:
        if self.spec.find == "contour":
            return "find: template with a rectangle around marks that are there once"
        return "a larger rectangle, around marks that are there once"

    def _learn(self, levels: dict[int, Plane], width: float, height: float) -> dict[int, Patch]:
        patches = {}
        for level, plane in levels.items():
            size = (max(round(width / 2**level), 1), max(round(height / 2**level), 1))
            pose = Pose(*self._reference, 0.0).scaled(2.0**-level)
            mask = np.ones(size[::-1], np.bool_)
            if self.spec.find == "contour":
                mask = self._silhouette.mask(pose, size, 2.0 ** (self._segmented - level))
            try:
                patches[level] = Patch.of(seen_at(plane, pose, size), mask, self.spec.max_angle_deg > 0)
            except ValueError as error:
                raise RulesError(f"part: there is nothing to find the part by, {error}; {_TEACH}") from error
        return patches

    def _ranked(self, whole: Image, levels: dict[int, Plane]) -> list[tuple[Pose, float]]:
        """Every place that was followed up, the best first, in px of the image itself.

        Fine marks may be lost in the smallest image: a template that is not found there is looked for in the next
        larger one, which takes longer.
        """
        if self.spec.find == "contour":
            return self._followed(levels, self._outlined(level_of(whole, self._segmented)), self._coarse)
        ranked: list[tuple[Pose, float]] = []
        for level in sorted({self._coarse, max(self._coarse - 1, self._fine)}, reverse=True):
            ranked = self._followed(levels, self._correlated(levels[level], level), level) or ranked
            if ranked and ranked[0][1] >= self.spec.min_score:
                break
        return ranked

    def _correlated(self, plane: Plane, level: int) -> list[Pose]:
        """The places in a small image that are most like the template, each the best of its neighbourhood."""
        patch, scale = self._patches[level], 2.0**level
        shift = None if self.spec.max_shift_px is None else self.spec.max_shift_px / scale + 1
        taught = Pose(*self._reference, 0.0).scaled(1 / scale)
        maps = [Likeness.of(plane, patch, angle, taught, shift) for angle in self._angles(patch)]
        return peaks(maps, max(2, min(patch.size) // 4), _APART_DEG, _CANDIDATES)

    def _angles(self, patch: Patch) -> list[float]:
        """So that no pixel is off by more than half a pixel on average, halfway between two."""
        most = self.spec.max_angle_deg
        step = math.degrees(1.0 / radius_of(patch.pixels.shape))
        if most >= 180:
            return [float(a) for a in np.arange(math.ceil(360 / step)) * 360 / math.ceil(360 / step)]
        count = math.ceil(most / step)
        return [0.0] if count == 0 else [float(a) for a in np.linspace(-most, most, 2 * count + 1)]

    def _outlined(self, plane: Plane) -> list[Pose]:
        """Where outlines like the taught one lie, at the angles they may be turned by, in the smallest image."""
        found = silhouettes(plane, bright=self._silhouette.bright)
        scale = 2.0 ** (self._segmented - self._coarse)
        poses = []
        for silhouette in self._silhouette.similar(found):
            for angle in self._silhouette.turns(silhouette, self.spec.max_angle_deg):
                centre = np.array(silhouette.centroid) + rotation(angle) @ self._silhouette.to_box_centre()
                poses.append(Pose(float(centre[0]), float(centre[1]), angle).scaled(scale))
        return poses

    def _followed(self, levels: dict[int, Plane], poses: list[Pose], coarse: int) -> list[tuple[Pose, float]]:
        """Candidates refined from a small image up, the best first, in px of the image itself."""
        ranked: list[tuple[Pose, float]] = []
        for level in range(coarse, self._fine - 1, -1):
            ranked = [self._patches[level].refined(levels[level], pose) for pose in poses]
            ranked = _once(sorted(ranked, key=lambda pair: -pair[1]))
            ranked = [pair for pair in ranked if pair[1] >= _PROMISING * ranked[0][1]][: max(2, level - self._fine + 2)]
            poses = [pose.scaled(2.0) for pose, _ in ranked]
        if ranked:
            ranked[0] = self._patches[self._fine].steadied(levels[self._fine], *ranked[0])
        return [(pose.scaled(2.0**self._fine), score) for pose, score in ranked]

    def _check(self, pose: Pose, score: float, name: str) -> None:
        """Refuse what is not like the part, or not where it may be."""
        spec = self.spec
        shift = math.dist((pose.x, pose.y), self._reference)
        turn = turn_between(pose.angle_deg, 0.0)
        where = f"best at ({pose.x:.1f}, {pose.y:.1f}), {shift:.1f} px and {turn:.1f}° from where it was taught"
        if score < spec.min_score:
            raise PartNotFoundError(
                f"{name}: the part is not found: score {score:.2f} ({where}); allowed: {spec.min_score:g} and more; "
                f"{_LOOK}"
            )
        if spec.max_shift_px is not None and shift > spec.max_shift_px + _grace(spec.max_shift_px):
            raise PartNotFoundError(
                f"{name}: the part is shifted by {shift:.1f} px (score {score:.2f}); allowed: {spec.max_shift_px:g}; "
                f"{_LOOK}"
            )
        if turn > spec.max_angle_deg + 0.2:
            raise PartNotFoundError(
                f"{name}: the part is turned by {turn:.1f}° (score {score:.2f}); "
                f"allowed: {spec.max_angle_deg:g}; {_LOOK}"
            )

    def _nothing(self) -> str:
        if self.spec.find == "contour":
            tone = "bright" if self._silhouette.bright else "dark"
            return f"the part is not found: no {tone} outline of about its size lies wholly in the image"
        return "the part is not found: the image has no place for it within max_shift_px and max_angle_deg"

    def _distinct(self, a: Pose, b: Pose) -> bool:
        side = min(self._patches[self._fine].size) * 2**self._fine
        return a.distance(b) > side / 4 or turn_between(a.angle_deg, b.angle_deg) > _APART_DEG


def _once(ranked: list[tuple[Pose, float]]) -> list[tuple[Pose, float]]:
    """Without those that have come to the place of a better one, which would crowd out a second part."""
    kept: list[tuple[Pose, float]] = []
    for pose, score in ranked:
        if not any(
            pose.distance(other) < _SAME_PX and turn_between(pose.angle_deg, other.angle_deg) < _SAME_DEG
            for other, _ in kept
        ):
            kept.append((pose, score))
    return kept


def _rectangle(spec: PartSpec, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The whole image where none is given. Raises RulesError where it does not lie in the taught image."""
    if spec.rectangle is None:
        return 0.0, 0.0, float(size[0]), float(size[1])
    x, y, width, height = spec.rectangle
    if x < 0 or y < 0 or x + width > size[0] or y + height > size[1]:
        raise RulesError(
            f"part.rectangle {[x, y, width, height]} does not lie in the taught image of {size[0]}×{size[1]} px; "
            "correct the rectangle or give the image it was drawn on"
        )
    return x, y, width, height


def _taught_silhouette(plane: Plane, spec: PartSpec, level: int) -> Silhouette:
    """The part's: the largest outline that lies wholly in the image, or of those centred in the rectangle.

    Raises:
        RulesError: there is none.
    """
    found = silhouettes(plane, None if spec.part_is is None else spec.part_is == "bright")
    if spec.rectangle is not None:
        x, y, width, height = (value / 2**level for value in spec.rectangle)
        found = [s for s in found if x <= s.centroid[0] <= x + width and y <= s.centroid[1] <= y + height]
    found = [s for s in found if s.area >= 16**2]
    if not found:
        raise RulesError(
            "part: no part stands out from its background wholly within the taught image"
            f"{'' if spec.rectangle is None else ' with its centre in part.rectangle'}; {_TEACH}"
        )
    return max(found, key=lambda s: s.area)


def _grace(limit: float) -> float:
    """A part at the very limit is not refused for a fraction of a pixel."""
    return 0.5 if limit else 1.0


def _loose(movement: NDArray[np.float32]) -> str:
    turn = float(movement[2]) if len(movement) == 3 else 0.0
    x, y = float(movement[0]), float(movement[1])
    if abs(turn) > math.hypot(x, y):
        return (
            "how far it is turned cannot be told by what it is found by (it looks alike turned); "
            "set max_angle_deg: 0, or "
        )
    direction = "across" if abs(x) > 2 * abs(y) else "down" if abs(y) > 2 * abs(x) else "along a slant"
    return f"where it lies {direction} the image cannot be told by what it is found by (it looks alike shifted); "


_LOOK = "look at the image, and whether camera, light and part are as they were taught"
_TEACH = "give an image that shows it clearly, or find it another way"
