"""The picture of `onspec explain`: the image with defects and zones, and beside it what the rules made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.decision.explaining import Reading, RuleReading
from onspec.decision.judge import Sighting
from onspec.decision.rules import RuleSet
from onspec.domain import Defect, Inspection, Verdict
from onspec.domain.placement import Placement
from onspec.imaging.lettering import Picture, label, wrapped, write
from onspec.imaging.overlays import Colour, to_display
from onspec.imaging.reading import Image

_LEAST, _MOST = 1000, 1600
"""px of the image's longer side in the picture: smaller images are enlarged, larger ones reduced."""
_PANEL = 640
_TEXT = 17
_WHITE: Colour = (255, 255, 255)
_INK: Colour = (33, 37, 41)
_FAINT: Colour = (110, 117, 125)
_RED: Colour = (205, 32, 44)
_AMBER: Colour = (214, 130, 0)
_GREEN: Colour = (25, 135, 84)
_BLUE: Colour = (13, 110, 253)
_VIOLET: Colour = (130, 60, 200)
_COLOURS = {Verdict.NG: _RED, Verdict.REVIEW: _AMBER, Verdict.OK: _GREEN}
_ZONES: dict[str | None, Colour] = {"ignore": _FAINT, "forbid": _RED, None: _BLUE}
_MOST_DETAILED, _MOST_NAMED, _MOST_LISTED = 3, 8, 30
"""Defects of which a rule's line gives the figures, that it names, and that the list has."""
_EFFECTS = {"fired": "fired", "unsure": "would fire if unsure defects were certain", "none": "did not fire"}


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """One image and why it was judged as it was."""

    image: Image
    inspection: Inspection
    seen: Sighting
    rules: RuleSet
    readings: tuple[RuleReading, ...]
    placement: Placement | None = None


def picture(told: Explained) -> Picture:
    """RGB, uint8 (H, W, 3): the image, enlarged or reduced, with a panel of text to its right."""
    left = _drawn(told)
    panel = _panel(told)
    height = max(left.shape[0], panel.shape[0])
    whole = np.full((height, left.shape[1] + panel.shape[1], 3), 255, np.uint8)
    whole[: left.shape[0], : left.shape[1]] = left
    whole[: panel.shape[0], left.shape[1] :] = panel
    return whole


def summary(number: int, defect: Defect) -> str:
    """One line on a defect: `#1 scratch, score 0.97, 4.20 × 0.50 mm`."""
    if defect.area_mm2 is not None:
        size = f"{defect.length_mm:.3g} × {defect.width_mm:.3g} mm, {defect.area_mm2:.3g} mm²"
    else:
        size = f"{defect.length_px:.3g} × {defect.width_px:.3g} px, {defect.area_px} px²"
    contrast = "" if defect.contrast is None else f", contrast {defect.contrast:+.2f}"
    grade = "" if defect.grade is None else f", grade {defect.grade}"
    angle = f", {defect.orientation_deg:.0f}°" if defect.elongation >= 1.5 else ""
    return f"#{number} {defect.cls}, score {defect.score:.2f}, {size}{angle}{contrast}{grade}"


def effect(reading: RuleReading) -> str:
    """What a rule did, with figures and the numbers of the defects that it is about."""
    told = [f"{figure}" for figure in reading.figures if figure.limit != 0 or figure.scope]
    meant = [under for under in reading.defects if under.meant]
    if told or len(meant) > _MOST_NAMED:
        told += [f"{len(meant)} such defects" if len(meant) > _MOST_NAMED else ", ".join(_number(u) for u in meant)]
    else:
        told += [f"{_number(u)} {', '.join(map(str, u.grounds))}".strip() for u in meant[:_MOST_DETAILED]]
        told.append(", ".join(_number(under) for under in meant[_MOST_DETAILED:]))
    return f"{_EFFECTS[reading.effect]}: {'; '.join(filter(None, told)) or 'no such defect'}"


def _number(under: Reading) -> str:
    return f"#{under.defect + 1}"


def _drawn(told: Explained) -> Picture:
    shown = to_display(told.image)
    height, width = shown.shape[:2]
    scale = min(max(1.0, np.ceil(_LEAST / max(height, width))), _MOST / max(height, width))
    size = (round(width * scale), round(height * scale))
    shown = np.asarray(
        cv2.resize(shown, size, interpolation=cv2.INTER_NEAREST if scale > 1 else cv2.INTER_AREA), np.uint8
    )
    names = [(name, _zone(shown, told, name)) for name in told.rules.zones]
    if told.placement is not None:
        _frame(shown, told, scale)
    for name, (x, y) in names:
        use = told.rules.zones[name].use
        label(shown, name if use is None else f"{name} ({use})", (x, y - _TEXT - 4), _TEXT - 3, _WHITE, _ZONES[use])
    for number, defect in reversed(list(enumerate(told.inspection.defects, start=1))):
        _outline(shown, number, defect, _colour(told, number - 1), scale)
    return shown


def _zone(shown: Picture, told: Explained, name: str) -> tuple[int, int]:
    """Draw a zone's outline, an ignored one veiled; returns where its name belongs."""
    use = told.rules.zones[name].use
    mask = told.seen.zones.mask(name).astype(np.uint8)
    large = np.asarray(cv2.resize(mask, shown.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
    if use == "ignore":
        veiled = large > 0
        shown[veiled] = (0.45 * shown[veiled] + 0.55 * np.array(_WHITE)).astype(np.uint8)
    contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(shown, contours, -1, _ZONES[use], 2)
    if not contours:
        return 0, 0
    return _top(max(contours, key=len).reshape(-1, 2))


def _frame(shown: Picture, told: Explained, scale: float) -> None:
    """The located part: its reference point with its axes, and what it was found by."""
    placement, part = told.placement, told.rules.part
    if placement is None:
        return
    reach = 0.06 * max(told.image.shape[:2])
    x, y = placement.taught
    axes = placement.to_image(np.array([[x, y], [x + reach, y], [x, y + reach]])) * scale
    centre, right, down = (tuple(int(v) for v in np.rint(point)) for point in axes)
    named = (centre[0] + 6, centre[1] + 6)
    cv2.arrowedLine(shown, centre, right, _VIOLET, 2, cv2.LINE_AA, tipLength=0.2)
    cv2.arrowedLine(shown, centre, down, _VIOLET, 2, cv2.LINE_AA, tipLength=0.2)
    if part is not None and part.rectangle is not None:
        left, top, wide, high = part.rectangle
        corners = np.array([[left, top], [left + wide, top], [left + wide, top + high], [left, top + high]])
        ring = np.rint(placement.to_image(corners) * scale).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(shown, [ring], True, _VIOLET, 1, cv2.LINE_AA)
        named = max(((int(x), int(y)) for x, y in ring.reshape(-1, 2)), key=lambda corner: corner[::-1])
    label(shown, f"part {placement.angle_deg:+.1f}°", named, _TEXT - 3, _WHITE, _VIOLET)


def _outline(shown: Picture, number: int, defect: Defect, colour: Colour, scale: float) -> None:
    """A defect's outline, a little outside it, and its number above it."""
    x, y, width, height = defect.bbox
    if defect.polygon:
        ring = np.rint((np.asarray(defect.polygon, np.float64) + 0.5) * scale).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(shown, [ring], True, colour, 2, cv2.LINE_AA)
    if min(width, height) * scale < 12:  # an outline that small is hard to see
        pad = 6
        start = (int(x * scale) - pad, int(y * scale) - pad)
        stop = (int((x + width) * scale) + pad, int((y + height) * scale) + pad)
        cv2.rectangle(shown, start, stop, colour, 1, cv2.LINE_AA)
    top = _top(np.asarray(defect.polygon or [(x + width // 2, y)]))
    label(shown, f"{number}", (int(top[0] * scale), int(top[1] * scale) - _TEXT - 14), _TEXT - 2, _WHITE, colour)


def _top(corners: NDArray[Any]) -> tuple[int, int]:
    """The uppermost corner; of several, the leftmost."""
    return min(((int(x), int(y)) for x, y in corners), key=lambda corner: corner[::-1])


def _colour(told: Explained, place: int) -> Colour:
    """Of the worst that a rule says of a defect; green where it is accepted."""
    said = {
        Verdict.REVIEW if fired.unsure else Verdict(fired.outcome)
        for fired in told.inspection.fired
        if place in fired.defects and fired.outcome != "GRADE"
    }
    return next((_COLOURS[verdict] for verdict in (Verdict.NG, Verdict.REVIEW) if verdict in said), _GREEN)


def _panel(told: Explained) -> Picture:
    """What is said, from the top: each line with its indent, size and colour."""
    lines = list(_lines(told))
    height = sum(size + size // 2 for _, _, size, _, _ in lines) + 40
    panel = np.full((height, _PANEL, 3), 255, np.uint8)
    y = 20
    for text, indent, size, colour, bold in lines:
        y += size + size // 2
        write(panel, text, (24 + indent, y - size // 2), size, colour, bold=bold)
    return panel


def _lines(told: Explained) -> Iterator[tuple[str, int, int, Colour, bool]]:
    one = told.inspection
    yield f"{one.verdict}   score {one.score:.2f}", 0, 30, _COLOURS[one.verdict], True
    for text in (one.image.rsplit("/", 1)[-1], one.recipe.partition("@sha256:")[0]):
        yield text, 0, _TEXT - 2, _FAINT, False
    for reason in one.reasons:
        yield from _paragraph(reason, 0, _INK)
    yield "", 0, 6, _INK, False
    yield "Rules", 0, _TEXT + 5, _INK, True
    for reading in told.readings:
        colour = _FAINT if reading.effect == "none" else _said(reading)
        yield reading.rule, 8, _TEXT, colour, True
        yield from _paragraph(reading.words, 24, _INK if reading.effect != "none" else _FAINT)
        yield from _paragraph(effect(reading), 24, colour)
    yield "", 0, 6, _INK, False
    yield ("Defects" if one.defects else "No defects"), 0, _TEXT + 5, _INK, True
    for text, colour in _defects(told):
        yield from _paragraph(text, 8, colour)


def _said(reading: RuleReading) -> Colour:
    if reading.effect == "unsure":
        return _AMBER
    return {"NG": _RED, "REVIEW": _AMBER, "OK": _GREEN, "GRADE": _BLUE}[reading.outcome]


def _defects(told: Explained) -> Iterator[tuple[str, Colour]]:
    found: Sequence[Defect] = told.inspection.defects
    for place, defect in enumerate(found[:_MOST_LISTED]):
        zones = ", ".join(sorted(told.seen.found[place].zones))
        yield summary(place + 1, defect) + (f"; in {zones}" if zones else ""), _colour(told, place)
    if len(found) > _MOST_LISTED:
        yield f"and {len(found) - _MOST_LISTED} more", _FAINT


def _paragraph(text: str, indent: int, colour: Colour) -> Iterator[tuple[str, int, int, Colour, bool]]:
    for line in wrapped(text, _PANEL - 48 - indent, _TEXT - 1):
        yield line, indent, _TEXT - 1, colour, False
