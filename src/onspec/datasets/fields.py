"""Random fields that textures are made of: filtered noise, cross-fades, scattered points."""

import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SIZE = 512
"""Width and height in px, as DAGM's images."""

EDGE = 16
"""px that are painted around an image where its border would else show."""

Field = NDArray[np.float32]
"""float32 (SIZE, SIZE)."""

Spectrum = NDArray[np.complex128]


def frequency() -> NDArray[np.float64]:
    """Cycles per px of every bin of a real two-dimensional spectrum."""
    return np.asarray(np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]))


def spectrum(rng: Generator) -> Spectrum:
    """The spectrum of white noise; double precision, so that it does not depend on how numpy is built."""
    return np.asarray(np.fft.rfft2(rng.standard_normal((SIZE, SIZE))), np.complex128)


def filtered(noise: Spectrum, transfer: NDArray[np.float64]) -> Field:
    """White noise through a filter, zero mean and unit deviation."""
    field = np.fft.irfft2(noise * transfer, (SIZE, SIZE))
    field -= field.mean()
    return np.asarray(field / field.std(), np.float32)


def low_pass(cutoff: float) -> NDArray[np.float64]:
    """Smoothing without direction: a Gaussian that has fallen to 1/e at `cutoff` (cycles per px)."""
    return np.asarray(np.exp(-((frequency() / cutoff) ** 2)))


def streaks(angle: float) -> NDArray[np.float64]:
    """Gaussian smoothing by 14 px along the angle (from x towards y) and 1 px across."""
    fy, fx = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]
    along = fx * math.cos(angle) + fy * math.sin(angle)
    across = fy * math.cos(angle) - fx * math.sin(angle)
    return np.asarray(np.exp(-2 * np.pi**2 * ((14 * along) ** 2 + across**2)))


def band(centre: float) -> NDArray[np.float64]:
    """A ring of frequencies around `centre` (cycles per px), a third of an octave wide."""
    f = np.maximum(frequency(), 1e-6)
    return np.exp(-(np.log2(f / centre) ** 2) / (2 * 0.25**2))


def towards(direction: float) -> NDArray[np.float64]:
    """Keeps waves that run within about 15° of the direction."""
    angle = np.arctan2(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None, :]) - direction
    return np.asarray(np.exp(-(np.sin(angle) ** 2) / (2 * math.sin(math.radians(15)) ** 2)))


def blend(ground: Field, changed: Field, spot: Field) -> Field:
    """Cross-fade two fields of unit deviation so that the deviation stays 1 in the border, too."""
    c, s = np.cos(spot * (np.pi / 2)), np.sin(spot * (np.pi / 2))
    correlation = float((ground * changed).mean())
    return np.asarray((ground * c + changed * s) / np.sqrt(1 + 2 * c * s * correlation), np.float32)


def smooth_noise(rng: Generator, cell: int, count: int) -> Field:
    """float32 (count, SIZE, SIZE) of unit deviation that varies over `cell` px."""
    coarse = rng.standard_normal((SIZE // cell + 3, SIZE // cell + 3, count), np.float32)
    wide = cv2.resize(coarse, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    inner = wide[cell : cell + SIZE, cell : cell + SIZE].reshape(SIZE, SIZE, count)
    return np.ascontiguousarray(inner.transpose(2, 0, 1))


def smooth_line(rng: Generator, count: int, scale: float) -> NDArray[np.float64]:
    """float64 (count,) of unit deviation that varies over `scale` px."""
    line = cv2.GaussianBlur(rng.standard_normal((1, count)), (0, 0), scale)[0]
    return np.asarray(line / line.std(), np.float64)


def scattered(rng: Generator, period: float) -> NDArray[np.intp]:
    """(n, 2) x, y of a jittered grid's points."""
    steps = np.arange(0.5, SIZE / period) * period
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return np.clip(grid + rng.uniform(-0.5, 0.5, grid.shape) * period, 0, SIZE - 1).astype(np.intp)


def splat(points: NDArray[np.float64], weights: NDArray[np.float64]) -> Field:
    """Drop weights at sub-pixel points (x, y), each shared out to the four pixels around it; with `EDGE` around."""
    side = SIZE + 2 * EDGE
    canvas = np.zeros((side, side), np.float64)
    points = points + EDGE
    kept = (points >= 0).all(axis=1) & (points < side - 1).all(axis=1)
    points, weights = points[kept], weights[kept]
    corner = np.floor(points).astype(np.intp)
    fx, fy = (points - corner).T
    for dx, dy, share in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        np.add.at(canvas, (corner[:, 1] + dy, corner[:, 0] + dx), weights * share)
    return np.asarray(canvas, np.float32)
