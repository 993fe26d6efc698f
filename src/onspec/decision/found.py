"""What was found on a part, measured as rules need it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from onspec.decision.conditions import reaches
from onspec.domain import Defect, RulesError
from onspec.domain.pixel_size import PixelSize
from onspec.imaging.distances import Body, box_gaps, gap, to_edge
from onspec.imaging.regions import smallest_rectangle

_PX = (1.0, 1.0)
Known = dict[frozenset[Body], float]
"""Two regions → how far they are apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A measured defect, the zones it touches, and whether it is certain or in the review band.

    Attributes:
        inside: the zones that all of its pixels lie in.
        shape: its pixels; without it, it fills its `bbox`.
    """

    defect: Defect
    zones: frozenset[str] = frozenset()
    certain: bool = True
    inside: frozenset[str] = frozenset()
    shape: Body | None = None

    @property
    def body(self) -> Body:
        """Where it is."""
        return self.shape or Body(self.defect.bbox)

    def sort_key(self) -> tuple[float, int, int, str, int, int]:
        """By falling score, then position, class and size, so that no result depends on the order of detection."""
        x, y, width, height = self.defect.bbox
        return -self.defect.score, y, x, self.defect.cls, width, height


@dataclass(frozen=True, slots=True)
class Site:
    """The image that defects lie on.

    Attributes:
        pixel: sides of a pixel on the part; `None` where nobody knows.
        areas: zones → px of the image that lie in any of them and are judged; `()` → all that is judged.
        known: unit → the distances that were worked out so far; they never change.
    """

    pixel: PixelSize | None = None
    areas: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict, compare=False)

    def gaps(self, found: "Sequence[Found]", unit: str) -> "Gaps":
        """The distances between some of its defects, in `px` or `mm`. Raises as `sides`."""
        return Gaps(found, self.sides(unit), self.known.setdefault(unit, {}))

    def sides(self, unit: str) -> tuple[float, float]:
        """Of a pixel, in `px` or `mm`. Raises RulesError where a pixel's size is needed and not known."""
        if unit == "px":
            return _PX
        if self.pixel is None:
            raise RulesError("the rules have limits in mm; give the recipe or the rules a pixel size (pixel_size_mm)")
        return self.pixel.x, self.pixel.y


class Gaps:
    """The distances between defects, worked out where somebody asks."""

    def __init__(self, found: Sequence[Found], sides: tuple[float, float], known: Known) -> None:
        self._found, self._sides, self._known = found, sides, known

    @cached_property
    def _boxes(self) -> NDArray[np.int64]:
        return np.array([f.defect.bbox for f in self._found], np.int64).reshape(-1, 4)

    def nearest(self, index: int) -> float:
        """From one defect to the nearest other; infinite where it is alone."""
        least = float("inf")
        for bound, other in self._others(index):
            if bound >= least:
                break
            least = min(least, self._between(index, other))
        return least

    def within(self, index: int, reach: float) -> list[int]:
        """The defects no further from one than `reach`, itself included, in their order."""
        bounds = box_gaps(self._boxes, self._boxes[index], self._sides)
        near = (int(other) for other in np.flatnonzero(bounds <= reach * (1 + 1e-6)))
        return [other for other in near if other == index or reaches(reach, self._between(index, other))]

    def _others(self, index: int) -> Iterator[tuple[float, int]]:
        """Every other defect and the least that it can be away, the nearest first."""
        bounds = box_gaps(self._boxes, self._boxes[index], self._sides)
        order = np.argsort(bounds, kind="stable")
        return ((float(bounds[other]), int(other)) for other in order if other != index)

    def _between(self, a: int, b: int) -> float:
        one, other = self._found[a].body, self._found[b].body
        pair = frozenset((one, other))
        if pair not in self._known:
            self._known[pair] = gap(one, other, self._sides)
        return self._known[pair]


def measured(
    defect: Defect,
    pixel: PixelSize | None,
    size: tuple[int, int] | None = None,
    mask: NDArray[np.uint8] | None = None,
) -> Defect:
    """The defect with its measures in mm, where a pixel's sides are known, and its distance to the image's edge.

    Args:
        size: width and height of the image, px.
        mask: its pixels over its `bbox`; without it, it fills that. Only needed where a pixel's sides differ: the
            smallest rectangle on the part is then another one than in the image.
    """
    known: dict[str, float] = {}
    if size is not None:
        known["distance_to_edge_px"] = to_edge(defect.bbox, size, _PX)
    if pixel is not None:
        length, width = defect.length_px * pixel.x, defect.width_px * pixel.x
        if pixel.x != pixel.y:
            filled = np.ones(defect.bbox[:1:-1], np.uint8) if mask is None else mask
            side = pixel.mean  # measured in it, so that the smallest sides do not depend on the unit
            length, width, angle = smallest_rectangle(filled, (pixel.x / side, pixel.y / side))
            known |= {"elongation": max(1.0, length / width), "orientation_deg": angle}
            length, width = length * side, width * side
        known |= {"area_mm2": defect.area_px * pixel.area, "length_mm": length, "width_mm": width}
        if size is not None:
            known["distance_to_edge_mm"] = to_edge(defect.bbox, size, (pixel.x, pixel.y))
    return defect.model_copy(update=known)
