"""What made-up surfaces are covered with: each ground is another every time it is painted."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SIDE = 320
"""Width and height in px."""

Field = NDArray[np.float32]
"""float32 (SIDE, SIDE) of zero mean and unit deviation, unless said otherwise."""

Ground = Callable[[Generator], Field]


def between(rng: Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def unit(values: NDArray[np.floating]) -> Field:
    """Zero mean and unit deviation; what is flat stays so."""
    centred = values - values.mean()
    return np.asarray(centred / (centred.std() + 1e-6), np.float32)


def noise(rng: Generator) -> Field:
    """Filtered noise, with a direction or without, of all scales or of one, its gray values bent."""
    angle, stretch = rng.uniform(0, np.pi), between(rng, 1, 20) if rng.random() < 0.5 else 1.0
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    along, across = fx * np.cos(angle) + fy * np.sin(angle), fy * np.cos(angle) - fx * np.sin(angle)
    f = np.hypot(along, across * stretch) + 1e-3
    if rng.random() < 0.4:
        centre = between(rng, 0.02, 0.25)
        power = np.exp(-(((f - centre) / (centre * rng.uniform(0.1, 0.5))) ** 2) / 2)
    else:
        power = f ** -rng.uniform(0, 2.2) * np.exp(-((f / between(rng, 0.05, 0.6)) ** 2))
    power[0, 0] = 0.0
    field = unit(np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * power, (SIDE, SIDE)))
    bent: tuple[Callable[[Field], NDArray[np.floating]], ...] = (
        lambda x: x, lambda x: np.tanh(rng.uniform(0.5, 4) * x), np.abs, lambda x: np.exp(0.7 * x),
    )  # fmt: skip
    return unit(bent[rng.integers(len(bent))](field))


def lattice(rng: Generator) -> Field:
    """Stripes, checks or dots in two directions, a little unsteady."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    cells = max(3, int(SIDE / rng.uniform(20, 120)))
    reach = rng.uniform(0, 3)
    coarse = rng.standard_normal((2, cells, cells)).astype(np.float32)
    dx, dy = (reach * cv2.resize(shift, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for shift in coarse)
    x, y = x + dx, y + dy
    angle, period = rng.uniform(0, np.pi), between(rng, 5, 40)
    other = period * rng.uniform(0.6, 1.6)
    a = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    b = np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / other)
    pattern = (a, a * b, a + b, np.maximum(a, b))[rng.integers(4)]
    return unit(np.tanh(rng.uniform(0.5, 5) * pattern) + rng.uniform(0.02, 0.4) * noise(rng))


def grains(rng: Generator) -> Field:
    """Cells around scattered seeds, each of its own gray, with lighter or darker borders."""
    count = int((SIDE / between(rng, 6, 50)) ** 2) + 3
    seeds = np.ones((SIDE, SIDE), np.uint8)
    seeds[rng.integers(SIDE, size=count), rng.integers(SIDE, size=count)] = 0
    _, cell = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    gray = rng.standard_normal(int(cell.max()) + 1).astype(np.float32)[cell] * rng.uniform(0, 1)
    border = (cell != np.roll(cell, 1, 0)) | (cell != np.roll(cell, 1, 1))
    gray = np.asarray(gray - rng.uniform(-2, 2) * border, np.float32)
    return unit(cv2.GaussianBlur(gray, (0, 0), rng.uniform(0.5, 2)) + rng.uniform(0.02, 0.4) * noise(rng))


def strokes(rng: Generator) -> Field:
    """Many short lines, parallel or not: fibres, grit, marks of a tool."""
    field = np.zeros((SIDE, SIDE), np.float32)
    length, course, spread = between(rng, 1, 20), rng.uniform(0, np.pi), rng.choice([0.1, 3.2])
    for _ in range(int(between(rng, 80, 2000))):
        angle, centre = course + rng.normal(0, spread), rng.uniform(0, SIDE, 2)
        reach = np.array([np.cos(angle), np.sin(angle)]) * length
        first, last = ([int(v) for v in (centre + side * reach) * 16] for side in (-1, 1))
        cv2.line(field, first, last, float(rng.normal()), int(rng.integers(1, 4)), cv2.LINE_AA, 4)
    return unit(cv2.GaussianBlur(field, (0, 0), rng.uniform(0.5, 1.5)) + rng.uniform(0.05, 0.6) * noise(rng))


def printed(rng: Generator) -> Field:
    """Tracks, pads and frames on a grid, as on a printed board or a label."""
    field = np.zeros((SIDE, SIDE), np.float32)
    pitch = int(rng.integers(4, 16))
    width = int(rng.integers(3, pitch + 2))
    for _ in range(int(rng.integers(4, 40))):
        tone = float(rng.random() < 0.7)
        at = rng.integers(0, SIDE // pitch + 1, 2) * pitch
        thick = -1 if rng.random() < 0.6 else int(rng.integers(1, pitch))
        kind = rng.integers(3)
        if kind == 0:
            step = np.array([rng.integers(-8, 9) * pitch, 0])[:: rng.choice([1, -1])]
            cv2.line(field, _point(at), _point(at + step), tone, width)
        elif kind == 1:
            cv2.circle(field, _point(at), int(rng.integers(2, 4 * pitch)), tone, thick)
        else:
            cv2.rectangle(field, _point(at), _point(at + rng.integers(1, 8, 2) * pitch), tone, thick)
    return unit(cv2.GaussianBlur(field, (0, 0), rng.uniform(0.3, 1.5)) + rng.uniform(0, 0.15) * noise(rng))


def _point(at: NDArray[np.integer]) -> tuple[int, int]:
    return int(at[0]), int(at[1])


GROUNDS: tuple[Ground, ...] = (noise, noise, lattice, grains, strokes, printed)
"""Each as often as it stands here."""
