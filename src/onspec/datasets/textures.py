"""Statistical textures with defects that change the statistics locally and leave the mean gray alone, as DAGM's do.

Each texture paints a whole image from random numbers, a *spot* and a *contrast*. The spot is float32 (H, W), 0 outside
the defect, 1 inside, with a soft border. The contrast, 0 … 1, says how far the statistics are changed there, on a scale
(the exponents below) on which a person just finds a quarter on every texture. Where spot or contrast is 0 everywhere,
a good surface comes out; at contrast 0 it is the one that the defect of the same numbers would lie on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.datasets.fields import (
    EDGE,
    SIZE,
    Field,
    band,
    blend,
    filtered,
    frequency,
    low_pass,
    scattered,
    smooth_line,
    smooth_noise,
    spectrum,
    splat,
    streaks,
    towards,
)


@dataclass(frozen=True, slots=True)
class Texture:
    """A kind of surface, what is wrong with it in a defect, and how it is painted (any mean and deviation).

    `defect` is also the name of the defect's class.
    """

    name: str
    defect: str
    paint: Callable[[Generator, Field, float], Field]


def brushed(rng: Generator, spot: Field, contrast: float) -> Field:
    """Noise filtered along one direction; in the spot the direction turns by 25…45°."""
    angle = math.radians(rng.normal(8, 2))
    turn = math.radians(rng.uniform(25, 45) * rng.choice([-1, 1])) * contrast**1.5
    noise = spectrum(rng)
    return blend(filtered(noise, streaks(angle)), filtered(noise, streaks(angle + turn)), spot)


def woven(rng: Generator, spot: Field, contrast: float) -> Field:
    """A plain weave of uneven threads; in the spot it is woven as twill."""
    period = 11.0
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    wander = 1.6 * smooth_noise(rng, 40, 2)
    u = (x + wander[0] + rng.uniform(0, period)) * (np.pi / period)
    v = (y + wander[1] + rng.uniform(0, period)) * (np.pi / period)
    plain = np.tanh(3 * np.sin(u) * np.sin(v))
    twill = np.tanh(3 * np.sin((u + v) / 2))
    share = spot * contrast**0.7
    over = plain * (1 - share) + twill * share
    weft, warp = np.abs(np.sin(u)), np.abs(np.sin(v))
    threads = rng.normal(0, 0.12, (2, SIZE)).astype(np.float32)
    gain_x = 1 + cv2.GaussianBlur(threads[:1], (0, 0), 3) * 3
    gain_y = 1 + cv2.GaussianBlur(threads[1:], (0, 0), 3).T * 3
    weave = weft * gain_x * (1 + over) / 2 + warp * gain_y * (1 - over) / 2
    return np.asarray(weave + 0.12 * rng.standard_normal((SIZE, SIZE), np.float32), np.float32)


def blobs(rng: Generator, spot: Field, contrast: float) -> Field:
    """Noise of one scale without direction; in the spot the scale is finer or coarser, by up to a factor of 1.7."""
    scale = 0.055
    factor = float(rng.choice([1.7, 1 / 1.7])) ** contrast
    noise = spectrum(rng)
    return blend(filtered(noise, band(scale)), filtered(noise, band(scale * factor)), spot)


def grains(rng: Generator, spot: Field, contrast: float) -> Field:
    """Grains as of a metal: cells around scattered seeds, each of its own gray; in the spot the grains are finer."""
    coarse, fine = (_places(scattered(rng, period)) for period in (17.0, 6.0))
    within = spot.ravel() > 0.5
    thinning = np.random.default_rng(coarse[:8])  # numbers of its own: all others stay what they are at full contrast
    all_finer = np.unique(np.concatenate([coarse[~within[coarse]], fine[within[fine]]]))
    tone = np.zeros(SIZE * SIZE)
    tone[coarse] = thinning.normal(0, 1, len(coarse))
    tone[all_finer] = rng.normal(0, 1, len(all_finer) + 1)[1:]
    finer = coarse[~within[coarse] | (thinning.random(len(coarse)) >= contrast)]
    added = fine[within[fine] & (thinning.random(len(fine)) < contrast**1.5)]
    seeds = np.unique(np.concatenate([finer, added]))
    ground = np.ones((SIZE, SIZE), np.uint8)
    ground.ravel()[seeds] = 0
    _, cells = cv2.distanceTransformWithLabels(ground, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    gray = tone[seeds].astype(np.float32)[cells - 1]
    boundary = (cells != np.roll(cells, 1, 0)) | (cells != np.roll(cells, 1, 1))
    gray -= 1.1 * boundary
    gray += 0.4 * rng.standard_normal((SIZE, SIZE), np.float32)
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), 0.9), np.float32)


def fibres(rng: Generator, spot: Field, contrast: float) -> Field:
    """Paper: a cloudy ground with bright and dark fibres lying anyhow; in the spot they lie parallel."""
    count = 1800
    centres = rng.uniform(0, SIZE, (count, 2))
    angles = rng.uniform(0, np.pi, count)
    combed = rng.uniform(0, np.pi) + rng.normal(0, 0.12, count)
    inside = spot[centres[:, 1].astype(np.intp), centres[:, 0].astype(np.intp)] > 0.5
    astray = (angles - combed + np.pi / 2) % np.pi - np.pi / 2
    angles = np.where(inside, combed + (1 - contrast**0.7) * astray, angles)
    half = rng.uniform(10, 18, count)
    reach = np.stack([np.cos(angles), np.sin(angles)], axis=1) * half[:, None]
    ends = np.rint(np.stack([centres - reach, centres + reach], axis=1) * 16).astype(np.int32)
    layers = np.zeros((2, SIZE, SIZE), np.uint8)
    for layer, of_layer in zip(layers, (ends[0::2], ends[1::2]), strict=True):
        cv2.polylines(layer, list(of_layer), False, 200, 1, cv2.LINE_AA, 4)
    drawn = (layers[0].astype(np.float32) - layers[1]) / 90
    cloud = filtered(spectrum(rng), 1 / (0.006 + frequency()) ** 1.1)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.7) + 0.5 * cloud, np.float32)


def dots(rng: Generator, spot: Field, contrast: float) -> Field:
    """A grid of embossed dots, a little unsteady; in the spot they are thrown about."""
    period = 13.0
    steps = np.arange(-2, SIZE / period + 1) * period
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) + rng.uniform(0, period, 2)
    jitter = rng.standard_normal(grid.shape)
    near = np.clip(grid, 0, SIZE - 1).astype(np.intp)
    grid = grid + jitter * (0.5 + 3.2 * contrast**1.5 * spot[near[:, 1], near[:, 0]])[:, None]
    relief = cv2.GaussianBlur(splat(grid, rng.normal(1, 0.1, len(grid))), (0, 0), 2.4) * 40
    relief = relief[EDGE:-EDGE, EDGE:-EDGE]
    return np.asarray(relief + 0.08 * rng.standard_normal((SIZE, SIZE), np.float32), np.float32)


def leather(rng: Generator, spot: Field, contrast: float) -> Field:
    """A labyrinth of ridges without direction; in the spot the ridges run one way."""
    scale = 0.05
    direction = rng.uniform(0, np.pi)
    noise = spectrum(rng)
    one_way = filtered(noise, band(scale) * towards(direction) ** contrast)
    ridges = blend(filtered(noise, band(scale)), one_way, spot)
    return np.asarray(np.tanh(1.8 * ridges) + 0.1 * rng.standard_normal((SIZE, SIZE), np.float32), np.float32)


def cast(rng: Generator, spot: Field, contrast: float) -> Field:
    """The fine grit of a casting; in the spot it is smoother, of the same contrast."""
    noise = spectrum(rng)
    smoother = 0.22 ** (1 - contrast) * 0.1**contrast
    return blend(filtered(noise, low_pass(0.22)), filtered(noise, low_pass(smoother)), spot)


def turned(rng: Generator, spot: Field, contrast: float) -> Field:
    """Rings that a lathe's tool left, around a centre outside the image; in the spot it chattered: they are wavy."""
    pitch, wave = 8.0, 15.0
    centre = rng.normal((-90, -60), 20, 2)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    radius = np.hypot(dx, dy)
    along = np.arctan2(dy, dx) * radius.mean()
    chatter = np.sin(along * np.float32(2 * np.pi / wave) + rng.uniform(0, 2 * np.pi))
    radius += 0.7 * smooth_noise(rng, 128, 1)[0] + 2.6 * contrast * spot * chatter
    reach = np.arange(1024, dtype=np.float64)
    marks = np.sin(2 * np.pi * reach / pitch + 0.8 * smooth_line(rng, 1024, 20)) + 0.7 * smooth_line(rng, 1024, 1.5)
    rings = np.interp(radius, reach, marks).astype(np.float32)
    return np.asarray(rings + 0.5 * rng.standard_normal((SIZE, SIZE), np.float32), np.float32)


def knitted(rng: Generator, spot: Field, contrast: float) -> Field:
    """Columns of V-shaped stitches, a little uneven; in the spot the yarn is loose and the stitches are taller."""
    wale, course = 16.0, 10.0
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    wander = 1.5 * smooth_noise(rng, 48, 2)
    weight = float(spot.sum())
    middle = float((spot * y).sum()) / weight if weight else 0.0
    loose = spot * (y - middle) * (1.6**-contrast - 1)
    u = np.abs((x + wander[0] + rng.uniform(0, wale)) / wale % 1 - 0.5) * 2
    v = (y + wander[1] + loose + rng.uniform(0, course)) / course
    yarn = 0.5 + 0.5 * np.cos(2 * np.pi * (v + 0.8 * u))
    relief = yarn * np.sin(np.pi * np.clip(0.08 + 0.84 * u, 0, 1))
    return np.asarray(relief + 0.1 * rng.standard_normal((SIZE, SIZE), np.float32), np.float32)


TEXTURES: tuple[Texture, ...] = (
    Texture("brushed", "direction", brushed),
    Texture("woven", "weave", woven),
    Texture("blobs", "scale", blobs),
    Texture("grains", "grain-size", grains),
    Texture("fibres", "order", fibres),
    Texture("dots", "regularity", dots),
    Texture("leather", "ridges", leather),
    Texture("cast", "smoothness", cast),
    Texture("turned", "chatter", turned),
    Texture("knitted", "stitch", knitted),
)
"""In the order in which they become Class1, Class2 …"""


def _places(points: NDArray[np.intp]) -> NDArray[np.intp]:
    """Pixels (x, y) → their places in a flattened image."""
    return np.asarray(points[:, 1] * SIZE + points[:, 0], np.intp)


__all__ = ["SIZE", "TEXTURES", "Field", "Texture"]
