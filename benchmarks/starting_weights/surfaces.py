"""Made-up surfaces of good parts: a ground or two, lit unevenly, whole or as a part before a background."""

import cv2
import numpy as np
from benchmarks.starting_weights.grounds import GROUNDS, SIDE, Field, between, noise, unit
from numpy.random import Generator
from numpy.typing import NDArray


def surface(rng: Generator) -> NDArray[np.uint8]:
    """uint8 (SIDE, SIDE)."""
    field = GROUNDS[rng.integers(len(GROUNDS))](rng)
    if rng.random() < 0.3:  # the last ground is large and sparse: over another it would look like a defect
        field = unit(field + rng.uniform(0.2, 0.8) * GROUNDS[rng.integers(len(GROUNDS) - 1)](rng))
    if rng.random() < 0.35:
        inside = _part(rng)
        field = field * inside + (rng.normal(0, 4) + rng.uniform(0, 0.5) * noise(rng)) * (1 - inside)
    if rng.random() < 0.6:
        field = field + _light(rng)
    if rng.random() < 0.3:
        field = np.asarray(cv2.GaussianBlur(field, (0, 0), rng.uniform(0.4, 1.5)), np.float32)
    gray = rng.uniform(60, 190) + between(rng, 6, 55) * unit(field)
    gray += between(rng, 0.3, 20) * rng.standard_normal((SIDE, SIDE))
    return np.asarray(np.clip(np.rint(gray), 0, 255), np.uint8)


def _part(rng: Generator) -> Field:
    """1 on a part that is round, rectangular or of many corners, 0 around it, with a soft edge."""
    inside = np.zeros((SIDE, SIDE), np.float32)
    centre = rng.uniform(0.3, 0.7, 2) * SIDE
    kind = rng.integers(3)
    if kind == 0:
        axes = rng.uniform(0.2, 0.6, 2) * SIDE
        centre_px, axes_px = ([int(v) for v in pair] for pair in (centre, axes))
        cv2.ellipse(inside, centre_px, axes_px, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
    else:
        corners = _rectangle(rng, centre) if kind == 1 else _polygon(rng, centre)
        cv2.fillPoly(inside, [np.asarray(corners, np.int32)], 1.0, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), rng.uniform(0.5, 2)), np.float32)


def _rectangle(rng: Generator, centre: NDArray[np.float64]) -> NDArray[np.float32]:
    width, height = rng.uniform(0.3, 1.3, 2) * SIDE
    box = ((float(centre[0]), float(centre[1])), (float(width), float(height)), float(rng.normal(0, 10)))
    return np.asarray(cv2.boxPoints(box), np.float32)


def _polygon(rng: Generator, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    count = rng.integers(3, 8)
    angles, reach = np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(0.3, 0.6, count) * SIDE
    return centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None]


def _light(rng: Generator) -> Field:
    """A slope, and less towards the corners, in deviations of the ground."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    slope = rng.normal(0, 0.6) * x + rng.normal(0, 0.6) * y
    return np.asarray(slope - abs(rng.normal(0, 0.4)) * (x * x + y * y), np.float32)
