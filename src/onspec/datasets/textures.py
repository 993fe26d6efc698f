"""Statistical textures with defects that change the statistics locally and leave the mean gray alone, as DAGM's do.

Each texture paints a whole image from random numbers and a *spot*: float32 (H, W), 0 outside the defect, 1 inside,
with a soft border. Where the spot is 0 everywhere, the same numbers paint a good surface of the same kind.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SIZE = 512
"""Width and height in px, as DAGM's images."""

_EDGE = 16
"""px that are painted around an image where its border would else show."""

Field = NDArray[np.float32]
"""float32 (SIZE, SIZE)."""

Spectrum = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Texture:
    """A kind of surface, what is wrong with it in a defect, and how it is painted (any mean and deviation)."""

    name: str
    defect: str
    paint: Callable[[Generator, Field], Field]


def brushed(rng: Generator, spot: Field) -> Field:
    """Noise filtered along one direction; in the spot the direction turns by 25…45°."""
    angle = math.radians(rng.normal(8, 2))
    turn = math.radians(rng.uniform(25, 45) * rng.choice([-1, 1]))
    noise = _spectrum(rng)
    return _blend(_filtered(noise, _streaks(angle)), _filtered(noise, _streaks(angle + turn)), spot)


def woven(rng: Generator, spot: Field) -> Field:
    """A plain weave of uneven threads; in the spot it is woven as twill."""
    period = 11.0
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    wander = 1.6 * _smooth_noise(rng, 40, 2)
    u = (x + wander[0] + rng.uniform(0, period)) * (np.pi / period)
    v = (y + wander[1] + rng.uniform(0, period)) * (np.pi / period)
    plain = np.tanh(3 * np.sin(u) * np.sin(v))
    twill = np.tanh(3 * np.sin((u + v) / 2))
    over = plain * (1 - spot) + twill * spot
    weft, warp = np.abs(np.sin(u)), np.abs(np.sin(v))
    threads = rng.normal(0, 0.12, (2, SIZE)).astype(np.float32)
    gain_x = 1 + cv2.GaussianBlur(threads[:1], (0, 0), 3) * 3
    gain_y = 1 + cv2.GaussianBlur(threads[1:], (0, 0), 3).T * 3
    weave = weft * gain_x * (1 + over) / 2 + warp * gain_y * (1 - over) / 2
    return np.asarray(weave + 0.12 * rng.standard_normal((SIZE, SIZE), np.float32), np.float32)


def blobs(rng: Generator, spot: Field) -> Field:
    """Noise of one scale without direction; in the spot the scale is finer or coarser by half."""
    scale = 0.055
    factor = float(rng.choice([1.7, 1 / 1.7]))
    noise = _spectrum(rng)
    return _blend(_filtered(noise, _band(scale)), _filtered(noise, _band(scale * factor)), spot)


def grains(rng: Generator, spot: Field) -> Field:
    """Grains as of a metal: cells around scattered seeds, each of its own gray; in the spot the grains are finer."""
    seeds = np.concatenate([_scattered(rng, 17.0, 1 - spot), _scattered(rng, 6.0, spot)])
    ground = np.ones((SIZE, SIZE), np.uint8)
    ground[seeds[:, 1], seeds[:, 0]] = 0
    _, cells = cv2.distanceTransformWithLabels(ground, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    gray = rng.normal(0, 1, int(cells.max()) + 1).astype(np.float32)[cells]
    boundary = (cells != np.roll(cells, 1, 0)) | (cells != np.roll(cells, 1, 1))
    gray -= 1.1 * boundary
    gray += 0.4 * rng.standard_normal((SIZE, SIZE), np.float32)
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), 0.9), np.float32)


def fibres(rng: Generator, spot: Field) -> Field:
    """Paper: a cloudy ground with bright and dark fibres lying anyhow; in the spot they lie parallel."""
    count = 1800
    centres = rng.uniform(0, SIZE, (count, 2))
    angles = rng.uniform(0, np.pi, count)
    combed = rng.uniform(0, np.pi) + rng.normal(0, 0.12, count)
    inside = spot[centres[:, 1].astype(np.intp), centres[:, 0].astype(np.intp)] > 0.5
    angles = np.where(inside, combed, angles)
    half = rng.uniform(10, 18, count)
    reach = np.stack([np.cos(angles), np.sin(angles)], axis=1) * half[:, None]
    ends = np.rint(np.stack([centres - reach, centres + reach], axis=1) * 16).astype(np.int32)
    layers = np.zeros((2, SIZE, SIZE), np.uint8)
    for layer, of_layer in zip(layers, (ends[0::2], ends[1::2]), strict=True):
        cv2.polylines(layer, list(of_layer), False, 200, 1, cv2.LINE_AA, 4)
    drawn = (layers[0].astype(np.float32) - layers[1]) / 90
    cloud = _filtered(_spectrum(rng), 1 / (0.006 + _frequency()) ** 1.1)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.7) + 0.5 * cloud, np.float32)


def dots(rng: Generator, spot: Field) -> Field:
    """A grid of embossed dots, a little unsteady; in the spot they are thrown about."""
    period = 13.0
    steps = np.arange(-2, SIZE / period + 1) * period
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) + rng.uniform(0, period, 2)
    jitter = rng.standard_normal(grid.shape)
    near = np.clip(grid, 0, SIZE - 1).astype(np.intp)
    grid = grid + jitter * (0.5 + 3.2 * spot[near[:, 1], near[:, 0]])[:, None]
    relief = cv2.GaussianBlur(_splat(grid, rng.normal(1, 0.1, len(grid))), (0, 0), 2.4) * 40
    relief = relief[_EDGE:-_EDGE, _EDGE:-_EDGE]
    return np.asarray(relief + 0.08 * rng.standard_normal((SIZE, SIZE), np.float32), np.float32)


def leather(rng: Generator, spot: Field) -> Field:
    """A labyrinth of ridges without direction; in the spot the ridges run one way."""
    scale = 0.05
    direction = rng.uniform(0, np.pi)
    noise = _spectrum(rng)
    ridges = _blend(_filtered(noise, _band(scale)), _filtered(noise, _band(scale) * _towards(direction)), spot)
    return np.asarray(np.tanh(1.8 * ridges) + 0.1 * rng.standard_normal((SIZE, SIZE), np.float32), np.float32)


def cast(rng: Generator, spot: Field) -> Field:
    """The fine grit of a casting; in the spot it is smoother, of the same contrast."""
    noise = _spectrum(rng)
    f = _frequency()
    return _blend(_filtered(noise, np.exp(-((f / 0.22) ** 2))), _filtered(noise, np.exp(-((f / 0.1) ** 2))), spot)


TEXTURES: tuple[Texture, ...] = (
    Texture("brushed", "direction", brushed),
    Texture("woven", "weave", woven),
    Texture("blobs", "scale", blobs),
    Texture("grains", "grain size", grains),
    Texture("fibres", "order", fibres),
    Texture("dots", "regularity", dots),
    Texture("leather", "direction", leather),
    Texture("cast", "smoothness", cast),
)
"""In the order in which they become Class1, Class2 …"""


def _frequency() -> NDArray[np.float64]:
    """Cycles per px of every bin of a real two-dimensional spectrum."""
    return np.asarray(np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]))


def _spectrum(rng: Generator) -> Spectrum:
    """The spectrum of white noise; double precision, so that it does not depend on how numpy is built."""
    return np.asarray(np.fft.rfft2(rng.standard_normal((SIZE, SIZE))), np.complex128)


def _filtered(noise: Spectrum, transfer: NDArray[np.float64]) -> Field:
    """White noise through a filter, zero mean and unit deviation."""
    field = np.fft.irfft2(noise * transfer, (SIZE, SIZE))
    field -= field.mean()
    return np.asarray(field / field.std(), np.float32)


def _streaks(angle: float) -> NDArray[np.float64]:
    """Gaussian smoothing by 14 px along the angle (from x towards y) and 1 px across."""
    fy, fx = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]
    along = fx * math.cos(angle) + fy * math.sin(angle)
    across = fy * math.cos(angle) - fx * math.sin(angle)
    return np.asarray(np.exp(-2 * np.pi**2 * ((14 * along) ** 2 + across**2)))


def _band(centre: float) -> NDArray[np.float64]:
    """A ring of frequencies around `centre` (cycles per px), a third of an octave wide."""
    f = np.maximum(_frequency(), 1e-6)
    return np.exp(-(np.log2(f / centre) ** 2) / (2 * 0.25**2))


def _towards(direction: float) -> NDArray[np.float64]:
    """Keeps waves that run within about 15° of the direction."""
    angle = np.arctan2(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]) - direction
    return np.asarray(np.exp(-(np.sin(angle) ** 2) / (2 * math.sin(math.radians(15)) ** 2)))


def _blend(ground: Field, changed: Field, spot: Field) -> Field:
    """Cross-fade two fields of unit deviation so that the deviation stays 1 in the border, too."""
    c, s = np.cos(spot * (np.pi / 2)), np.sin(spot * (np.pi / 2))
    correlation = float((ground * changed).mean())
    return np.asarray((ground * c + changed * s) / np.sqrt(1 + 2 * c * s * correlation), np.float32)


def _smooth_noise(rng: Generator, cell: int, count: int) -> Field:
    """float32 (count, SIZE, SIZE) of unit deviation that varies over `cell` px."""
    coarse = rng.standard_normal((SIZE // cell + 3, SIZE // cell + 3, count), np.float32)
    wide = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(wide[cell : cell + SIZE, cell : cell + SIZE].transpose(2, 0, 1))


def _scattered(rng: Generator, period: float, where: Field) -> NDArray[np.intp]:
    """(n, 2) x, y of a jittered grid's points where `where` is over one half."""
    steps = np.arange(0.5, SIZE / period) * period
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    points = np.clip(grid + rng.uniform(-0.5, 0.5, grid.shape) * period, 0, SIZE - 1).astype(np.intp)
    return points[where[points[:, 1], points[:, 0]] > 0.5]


def _splat(points: NDArray[np.float64], weights: NDArray[np.float64]) -> Field:
    """Drop weights at sub-pixel points (x, y), each shared out to the four pixels around it; with `_EDGE` around."""
    side = SIZE + 2 * _EDGE
    canvas = np.zeros((side, side), np.float64)
    points = points + _EDGE
    kept = (points >= 0).all(axis=1) & (points < side - 1).all(axis=1)
    points, weights = points[kept], weights[kept]
    corner = np.floor(points).astype(np.intp)
    fx, fy = (points - corner).T
    for dx, dy, share in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        np.add.at(canvas, (corner[:, 1] + dy, corner[:, 0] + dx), weights * share)
    return np.asarray(canvas, np.float32)
