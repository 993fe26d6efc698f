"""Where a generated defect lies, and the two kinds that every surface can have: a scratch and a worn patch."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.datasets.fields import SIZE, Field
from onspec.domain import DEFECT, Ellipse, Polygon

SCRATCH, WORN = "scratch", "worn"
"""Classes of defects that every texture can have beside its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Flaw:
    """A defect's label, a little larger than itself, and its strength: float32 (SIZE, SIZE), 0 outside."""

    label: Ellipse | Polygon
    strength: Field

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the label in px."""
        xs, ys = zip(*outline(self.label), strict=True)
        return min(xs), min(ys), max(xs), max(ys)


def spot(rng: Generator, size: float, cls: str = DEFECT) -> Flaw:
    """An uneven, elongated spot with a soft border, and the somewhat larger ellipse that a person draws around it."""
    a = rng.uniform(36, 72) * size
    return _spot(rng, (a, a * rng.uniform(0.4, 0.65)), cls)


def patch(rng: Generator, size: float) -> Flaw:
    """A roundish spot, half as large: where a surface is worn."""
    a = rng.uniform(20, 34) * size
    return _spot(rng, (a, a * rng.uniform(0.75, 1)), WORN)


def groove(rng: Generator, size: float) -> Flaw:
    """A thin, slightly bent scratch: dark along its middle and bright along its flanks, gray on the whole."""
    length, width = rng.uniform(60, 130) * size, rng.uniform(1.2, 1.8) * max(size, 0.6)
    bow, turn = rng.uniform(-0.12, 0.12) * length, rng.uniform(0, np.pi)
    margin = length / 2 + abs(bow) + 4 * width + 6
    x, y = rng.uniform(margin, SIZE - margin, 2)
    along, across = _turned(x, y, turn)
    across = across - np.float32(bow) * (1 - np.square(along * np.float32(2 / length)))
    ends = np.clip((length / 2 - np.abs(along)) / (0.15 * length), 0, 1)
    depth = np.interp(along, np.linspace(-length / 2, length / 2, 16), rng.uniform(0.7, 1.3, 16)).astype(np.float32)
    u2 = np.square(across / np.float32(width))
    profile = (u2 - 1) * np.exp(-u2 / 2)
    return Flaw(_around(x, y, turn, length, 3 * width + 2, bow), np.asarray(profile * ends * depth, np.float32))


def scratch(field: Field, flaw: Flaw, contrast: float) -> Field:
    """Scratch a field of unit deviation; the mean across the scratch stays."""
    return np.asarray(field + 1.8 * contrast * flaw.strength, np.float32)


def wear(field: Field, flaw: Flaw, contrast: float) -> Field:
    """Flatten a field of zero mean: where it is worn, the relief is down to a third."""
    return np.asarray(field * (1 - 0.67 * contrast * flaw.strength), np.float32)


def outline(label: Ellipse | Polygon) -> tuple[tuple[float, float], ...]:
    """A label as corners (x, y) in px, where pixel (0, 0) covers 0…1; an ellipse as 32 of them."""
    if isinstance(label, Polygon):
        return label.rings[0]
    turn = math.radians(label.angle_deg)
    corners = []
    for step in range(32):
        along, across = label.a * math.cos(step * math.pi / 16), label.b * math.sin(step * math.pi / 16)
        dx = along * math.cos(turn) - across * math.sin(turn)
        dy = along * math.sin(turn) + across * math.cos(turn)
        corners.append((label.x + dx + 0.5, label.y + dy + 0.5))
    return tuple(corners)


def _spot(rng: Generator, axes: tuple[float, float], cls: str) -> Flaw:
    a, b = axes
    angle = rng.uniform(0, 180)
    slack = rng.uniform(1.1, 1.3)
    margin = a * slack + 4
    x, y = rng.uniform(margin, SIZE - margin, 2)
    along, across = _turned(x, y, math.radians(angle))
    coarse = rng.standard_normal((18, 18), np.float32)
    uneven = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    radius = np.hypot(along / a, across / b) * (1 + 0.08 * uneven)
    ramp = np.clip((1.05 - radius) / 0.3, 0, 1)
    label = Ellipse(x, y, a * slack, b * slack, angle, cls)
    return Flaw(label, np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32))


def _turned(x: float, y: float, turn: float) -> tuple[Field, Field]:
    """Every pixel's px from (x, y) along a direction and across it."""
    dy, dx = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) - np.array([y, x], np.float32)[:, None, None]
    return dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)


def _around(x: float, y: float, turn: float, length: float, half: float, bow: float) -> Polygon:
    """The polygon `half` px to either side of a bent line."""
    t: NDArray[np.float64] = np.linspace(-1, 1, 9)
    along = np.concatenate([t, t[::-1]]) * (length / 2 + 2)
    across = bow * (1 - np.concatenate([t, t[::-1]]) ** 2) + np.repeat([half, -half], len(t))
    xs = x + 0.5 + along * math.cos(turn) - across * math.sin(turn)
    ys = y + 0.5 + along * math.sin(turn) + across * math.cos(turn)
    return Polygon((tuple(zip(xs.tolist(), ys.tolist(), strict=True)),), SCRATCH)
