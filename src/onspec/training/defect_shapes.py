"""Outlines of synthetic defects: how much each pixel belongs to one, before anything is changed there.

A shape is asked for by its side, px: the root of the area it shall cover, which is drawn log-uniformly, so that specks
and large stains are equally frequent. Lines take the side for a measure of their length.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.float32]

_DETAIL = 64
"""px; noise is made on a grid no finer than this and enlarged."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """float32 (h, w) in [0, 1], soft at the border, and how thick it is across, px."""

    cover: Field
    thickness: float

    def softer(self) -> "Outline":
        """With a border that fades over some px."""
        return Outline(np.asarray(cv2.blur(cv2.copyMakeBorder(self.cover, 3, 3, 3, 3, 0), (5, 5))), self.thickness)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a shape is drawn, from (side px, longest way px, generator); whether it belongs at an edge in the image."""

    draw: Callable[[float, float, Generator], Outline]
    at_edge: bool = False


def blob(side: float, room: float, rng: Generator) -> Outline:
    """One patch with an uneven outline."""
    return _thresholded(side, rng, share=0.3, cells=3, unrest=rng.uniform(0.15, 0.5))


def islands(side: float, room: float, rng: Generator) -> Outline:
    """Several patches near each other: fractal noise over a threshold."""
    outline = _thresholded(side, rng, share=0.15, cells=int(rng.integers(5, 9)), unrest=1.5)
    return Outline(outline.cover, outline.thickness * 0.3)


def ellipse(side: float, room: float, rng: Generator) -> Outline:
    """An ellipse up to six times as long as it is wide."""
    ratio = math.exp(rng.uniform(0, math.log(6)))
    a, b = side * math.sqrt(ratio / math.pi), side / math.sqrt(ratio * math.pi)
    softness = _softness(2 * b, rng)
    along, across = _turned_grid(2 * a + softness * a / b, rng)
    reach = np.sqrt((along / a) ** 2 + (across / b) ** 2)
    return Outline(_ramp((1 - reach) * b, softness), 2 * b)


def plate(side: float, room: float, rng: Generator) -> Outline:
    """A rectangle with rounded corners, turned anyhow or upright."""
    ratio = math.exp(rng.uniform(0, math.log(5)))
    a, b = side * math.sqrt(ratio) / 2, side / math.sqrt(ratio) / 2
    radius, softness = b * rng.uniform(0, 0.8), _softness(b, rng)
    along, across = _turned_grid(2 * math.hypot(a, b) + softness, rng, upright=rng.random() < 0.4)
    x, y = np.abs(along) - (a - radius), np.abs(across) - (b - radius)
    outside = np.hypot(np.maximum(x, 0), np.maximum(y, 0)) + np.minimum(np.maximum(x, y), 0)
    return Outline(_ramp(radius - outside, softness), 2 * b)


def crack(side: float, room: float, rng: Generator) -> Outline:
    """A thin line that wanders, thinning out to its ends, often with a branch."""
    length = min(rng.uniform(1.8, 4) * side, room)
    width = _line_width(length, rng)
    path = _wander(np.zeros(2), rng.uniform(0, 2 * np.pi), length, rng)
    paths = [path]
    if length > 16 and rng.random() < 0.4:
        fork = path[rng.integers(len(path) // 4, len(path) - 1)]
        paths.append(_wander(fork, rng.uniform(0, 2 * np.pi), length * rng.uniform(0.2, 0.5), rng))
    return _drawn(paths, width, rng, taper=True)


def scratch(side: float, room: float, rng: Generator) -> Outline:
    """A straight or slightly bent line, or a few side by side, in places interrupted."""
    length = min(rng.uniform(2, 5) * side, room)
    width = _line_width(length, rng) * 0.7
    heading, bend = rng.uniform(0, np.pi), rng.normal(0, 0.3)
    across = np.array([-math.sin(heading), math.cos(heading)])
    paths: list[NDArray[np.float64]] = []
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        first, last = np.sort(rng.uniform(0, 1, 2)) if paths else (0.0, 1.0)
        t = np.linspace(first, last, 12)
        turn = heading + bend * (t - 0.5)
        path = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (length * (t - 0.5))[:, None]
        paths.append(path + across * (rng.normal(0, 2 + 0.04 * length) if paths else 0))
    return _drawn(paths, max(1.0, width), rng, taper=False)


def bite(side: float, room: float, rng: Generator) -> Outline:
    """A notch or bump: one to three discs side by side with hard borders, to lie across an edge."""
    count = int(rng.integers(1, 4))
    radius = side / math.sqrt(count * math.pi)
    x, y = _grid(2 * radius * (count + 1))
    heading = rng.uniform(0, 2 * np.pi)
    best = np.full(x.shape, -np.inf, np.float32)
    for i in range(count):
        at = (i - (count - 1) / 2) * radius * 1.4
        r = radius * rng.uniform(0.7, 1.1)
        best = np.maximum(best, r - np.hypot(x - at * math.cos(heading), y - at * math.sin(heading)))
    return Outline(_ramp(best, 1.5), 2 * radius)


SHAPES: dict[str, Shape] = {
    "blob": Shape(blob),
    "islands": Shape(islands),
    "ellipse": Shape(ellipse),
    "plate": Shape(plate),
    "crack": Shape(crack),
    "scratch": Shape(scratch),
    "bite": Shape(bite, at_edge=True),
}


def fractal(height: int, width: int, cells: int, rng: Generator, octaves: int = 3) -> Field:
    """Smooth noise of about unit deviation: a few octaves, the coarsest of `cells` cells along the longer side."""
    scale = min(1.0, _DETAIL / max(height, width))
    h, w = max(2, round(height * scale)), max(2, round(width * scale))
    total = np.zeros((h, w), np.float32)
    for octave in range(octaves):
        n = cells << octave
        if n > 2 * max(h, w):
            break
        coarse = rng.standard_normal((n + 1, n + 1), np.float32)
        total += cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    return np.asarray(cv2.resize(total, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _thresholded(side: float, rng: Generator, share: float, cells: int, unrest: float) -> Outline:
    """Noise under a dome, cut at the height that leaves an area of `side`² px, about `share` of its box."""
    softness = _softness(side * math.sqrt(share), rng)
    box = round(max(4.0, side / math.sqrt(share)) + softness)
    x, y = _grid(box)
    rim = np.maximum(np.abs(x), np.abs(y)) * np.float32(2 / box)
    field = np.float32(unrest) * fractal(y.size, x.size, cells, rng) - np.hypot(x, y) * np.float32(2 / box)
    field -= np.float32(8 * unrest) * np.maximum(rim - np.float32(0.7), 0)  # nothing is cut off straight
    step = max(1, box // 48)
    samples = field[::step, ::step].ravel()
    rank = int(len(samples) * (1 - side**2 / field.size))
    slope = (1 + unrest * cells) * 2 / box  # about how much the field falls over a pixel
    cover = _ramp((field - np.partition(samples, rank)[rank]) / np.float32(slope), softness)
    cover[[0, -1]] = cover[:, [0, -1]] = 0
    return Outline(cover, side)


def _softness(thickness: float, rng: Generator) -> float:
    """px over which a border fades: from sharp to half of the thickness."""
    return max(1.0, thickness * math.exp(rng.uniform(math.log(0.03), math.log(0.6))))


def _ramp(depth: NDArray[np.floating], softness: float) -> Field:
    """Signed depth in px (0 at the border) → cover."""
    cover = depth.astype(np.float32) * np.float32(1 / softness) + np.float32(0.5)
    return np.asarray(np.clip(cover, 0, 1), np.float32)


def _grid(side: float) -> tuple[Field, Field]:
    """x (1, n) and y (n, 1) of the pixels of a square around the origin, one or two pixels larger than asked for."""
    n = math.ceil(side) + 2
    x = np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2)
    return x[None, :], x[:, None]


def _turned_grid(side: float, rng: Generator, *, upright: bool = False) -> tuple[Field, Field]:
    x, y = _grid(side)
    angle = (np.pi / 2) * rng.integers(2) if upright else rng.uniform(0, np.pi)
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return x * cos + y * sin, y * cos - x * sin


def _line_width(length: float, rng: Generator) -> float:
    """1…6 px, no more than a sixth of the length."""
    return math.exp(rng.uniform(0, math.log(max(1.01, min(6.0, length / 6)))))


def _wander(start: NDArray[np.float64], heading: float, length: float, rng: Generator) -> NDArray[np.float64]:
    """Points (n, 2) of a path whose direction wanders."""
    steps = int(np.clip(length / 5, 3, 28))
    headings = heading + np.cumsum(rng.normal(0, rng.uniform(0.1, 0.6), steps))
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / steps)
    return np.concatenate([start[None], start + np.cumsum(moves, axis=0)])


def _drawn(paths: list[NDArray[np.float64]], width: float, rng: Generator, *, taper: bool) -> Outline:
    """Lines with smooth borders; with `taper`, thinner from piece to piece towards their ends."""
    points = np.concatenate(paths)
    low = points.min(axis=0) - width - 3
    w, h = (np.ceil(points.max(axis=0) + width + 3 - low)).astype(int)
    canvas = np.zeros((int(h), int(w)), np.uint8)
    for path in paths:
        ends = np.rint((path - low) * 16).astype(np.int32)
        if not taper:
            cv2.polylines(canvas, [ends], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
            continue
        part = np.linspace(0, np.pi, len(path) - 1)
        widths = width * (0.4 + 0.6 * np.sin(part)) * rng.uniform(0.7, 1.3, len(path) - 1)
        for a, b, thick in zip(ends[:-1], ends[1:], widths, strict=True):
            cv2.line(canvas, a.tolist(), b.tolist(), 255, max(1, round(thick)), cv2.LINE_AA, 4)
    cover = canvas.astype(np.float32) * np.float32(1 / 255)
    if rng.random() < 0.4:
        cover = np.asarray(cv2.GaussianBlur(cover, (3, 3), 0), np.float32)
    return Outline(np.asarray(cover, np.float32), max(1.0, width))
