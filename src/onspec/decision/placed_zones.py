"""The zones of a rule set where they lie in one image."""

import numpy as np
from numpy.typing import NDArray

from onspec.decision.rules import RuleSet
from onspec.decision.zones import Frame, Zone
from onspec.domain import PartNotFoundError, RulesError
from onspec.domain.pixel_size import PixelSize
from onspec.domain.placement import Placement
from onspec.imaging.regions import Region

Mask = NDArray[np.bool_]

_HIDDEN = 0.01
"""The share of a zone on the part that may leave the image: what a place found to half a px makes of its border."""


class PlacedZones:
    """The zones in an image of a size.

    Zones relative to the image are the same for every image of a size, and kept. Those on a part are only drawn where
    a defect is, but for ignored ones.

    Raises at construction:
        RulesError: a zone lies outside the image, is on a part that was not located, or is in mm without a pixel size.
        PartNotFoundError: the part lies so that a zone on it has left the image.
    """

    def __init__(
        self, rules: RuleSet, size: tuple[int, int], pixel: PixelSize | None = None, placement: Placement | None = None
    ) -> None:
        self.size = size
        self._rules, self._frame = rules, Frame(size, pixel, placement)
        self._windows = {name: self._checked(name, zone) for name, zone in rules.zones.items()}
        masks = [self.mask(name) for name in rules.zones_of("ignore")]
        self.ignored: Mask | None = np.logical_or.reduce(masks) if masks else None
        """bool (H, W), `None` without ignored zones."""

    def mask(self, name: str) -> Mask:
        """A zone's pixels, bool (H, W), read-only."""
        return self._rules.zones[name].mask(*self._parts())

    def of(self, region: Region) -> tuple[frozenset[str], frozenset[str]]:
        """The zones that a region touches, and those that it lies wholly inside."""
        x, y, w, h = region.defect.bbox
        inside = region.mask.astype(np.bool_)
        shared: dict[str, int] = {}
        for name, (rows, columns) in self._windows.items():
            if rows.start < y + h and y < rows.stop and columns.start < x + w and x < columns.stop:
                zone = self._window(self._rules.zones[name], slice(y, y + h), slice(x, x + w))
                shared[name] = int(np.count_nonzero(zone & inside))
        return (
            frozenset(name for name, pixels in shared.items() if pixels),
            frozenset(name for name, pixels in shared.items() if pixels == region.defect.area_px),
        )

    def areas(self) -> dict[tuple[str, ...], int]:
        """For each rule that counts per area: its zones → px of the image in any of them that are judged."""
        asked = {
            rule.when.zone or () for rule in self._rules.rules if rule.scope is not None and rule.scope[0][:3] == "per"
        }
        return {zones: self._area(zones) for zones in asked}

    def _area(self, zones: tuple[str, ...]) -> int:
        if not zones:
            left_out = 0 if self.ignored is None else int(np.count_nonzero(self.ignored))
            return self.size[0] * self.size[1] - left_out
        mask = np.logical_or.reduce([self.mask(name) for name in zones])
        return int(np.count_nonzero(mask if self.ignored is None else mask & ~self.ignored))

    def _window(self, zone: Zone, rows: slice, columns: slice) -> Mask:
        if zone.relative_to == "part":
            return zone.within(self._frame, rows, columns)
        return zone.mask(*self._parts())[rows, columns]

    def _parts(self) -> tuple[tuple[int, int], PixelSize | None, Placement | None]:
        return self._frame.size, self._frame.pixel, self._frame.placement

    def _checked(self, name: str, zone: Zone) -> tuple[slice, slice]:
        """Rows and columns that hold a zone."""
        if zone.relative_to == "part" and self._frame.placement is None:
            raise RulesError(
                f"zone {name} lies on the part, and nobody said where that is; the part must be located first"
            )
        rows, columns = zone.window(self._frame)
        empty = rows.start >= rows.stop or columns.start >= columns.stop
        if empty or (zone.relative_to == "image" and not zone.mask(*self._parts()).any()):
            place = ", or how the part lies" if zone.relative_to == "part" else ""
            raise RulesError(
                f"zone {name} lies outside the image of {self.size[0]}×{self.size[1]} px, so it never applies; "
                f"correct the rules{place}"
            )
        if zone.relative_to == "part" and zone.use != "ignore" and (hidden := zone.hidden(self._frame)) > _HIDDEN:
            raise PartNotFoundError(
                f"{hidden:.0%} of zone {name} lies outside the image as the part lies, so its rules cannot be applied "
                "there; place the part so that the camera sees the whole zone"
            )
        return rows, columns
