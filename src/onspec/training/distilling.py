"""A coarse network learns from a fine one where there is anything to see; nobody's labels are needed for it.

What it is shown is made of training images: pieces of them, turned and mirrored, lighter and darker, with noise, and
with defects pasted in that lie elsewhere. The fine network says of each what it scores there, so that whatever is made
up is labelled as the fine one would judge it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.imaging.blocks import BLOCK, MOST, Levels, Scale, block_peaks, count_blocks
from onspec.imaging.preparation import Prepared, Tensor
from onspec.imaging.reading import Image
from onspec.training.coarse_network import CoarseNetwork
from onspec.training.schedule import Schedule, learning_rate

Teacher = Callable[[Prepared], Tensor]
"""An image → the fine network's scores, float32 (K, H/c, W/c), classes only."""

LESSONS = 480
"""Pieces that the network learns from."""

WINDOW = 512
"""Longest side of a piece, working px; a multiple of the block."""

_CUT = 96
"""Where a piece is cut out of an image, so much along the cut is not learned from: it lacks its surroundings."""

_BATCH, _RATE, _ATTENTION = 8, 1e-2, 9.0
_PROBE = 10
"""Steps after which it is reckoned how many the time allows."""

_OUTSIDE = 5e-4
"""Share of all values that may lie under or over the scale."""

_TAKEN = 8
"""Pieces of one image, at most, before any is turned or changed."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A piece of an image.

    Attributes:
        levels: uint8 (C, H, W), in whole blocks.
        peaks: float32 (H/32, W/32): the fine network's highest score in each block.
        known: bool of the same shape: where it may be learned from.
    """

    levels: Levels
    peaks: NDArray[np.float32]
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of an image as it is, with where it was cut: whether (top, bottom, left, right)."""

    image: Prepared
    cut: tuple[bool, bool, bool, bool]
    peaks: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Distilled:
    """A coarse network in evaluation mode, and how many steps it learned for."""

    network: CoarseNetwork
    steps: int


def pieces_of(image: Prepared, peaks: NDArray[np.float32], rng: Generator) -> Iterator[Piece]:
    """Windows of an image: all of a small one; of a large one those around its highest blocks, and two by chance."""
    height, width = image.working
    if max(height, width) <= WINDOW:
        yield Piece(image, (False,) * 4, peaks)
        return
    down, across = peaks.shape
    highest = np.argsort(peaks, axis=None)[::-1]
    highest = highest[peaks.ravel()[highest] >= _SEEN][: _TAKEN * 4]
    centres = [divmod(int(at), across) for at in rng.permutation(highest)[: _TAKEN - 2]]
    centres += [(int(rng.integers(down)), int(rng.integers(across))) for _ in range(2)]
    for row, column in centres:
        (rows, top, bottom), (columns, left, right) = (
            _span(length, int((at + rng.uniform(0.2, 0.8)) * BLOCK), rng)
            for length, at in ((height, row), (width, column))
        )
        pixels = image.pixels[rows, columns].copy()
        window = replace(image, image=pixels, pixels=pixels)
        inner = peaks[rows.start // BLOCK : -(-rows.stop // BLOCK), columns.start // BLOCK : -(-columns.stop // BLOCK)]
        yield Piece(window, (top, bottom, left, right), inner)


_SEEN = 0.1
"""A score from which a block of a large image is worth a window."""


def _span(length: int, at: int, rng: Generator) -> tuple[slice, bool, bool]:
    """A window's rows or columns that show a place, on the grid of blocks, and whether its ends are cuts."""
    side = min(length, WINDOW)
    start = min(max(0, at - int(rng.uniform(0.3, 0.7) * side)), length - side) // BLOCK * BLOCK
    stop = min(length, start + side)
    return slice(start, stop), start > 0, stop < length


def scale_of(pieces: Sequence[Piece]) -> Scale:
    """From the least to the greatest value that these pieces hold, but for a few, and a tenth of it on either side."""
    low, high = np.inf, -np.inf
    for piece in pieces:
        values = np.quantile(piece.image.tensor[:, ::2, ::2], (_OUTSIDE, 1.0 - _OUTSIDE))
        low, high = min(low, float(values[0])), max(high, float(values[1]))
    room = 0.1 * (high - low) + 1e-3
    return Scale(round(low - room, 6), round(high + room, 6))


def make_lessons(pieces: Sequence[Piece], scale: Scale, teach: Teacher, seed: int, count: int) -> Iterator[Lesson]:
    """The pieces as they are, then changed ones, `count` in all and at least each piece once."""
    shown = [n for n, piece in enumerate(pieces) if float(piece.peaks.max(initial=0.0)) >= _SEEN]
    for n in range(max(count, len(pieces))):
        rng = np.random.default_rng([seed, n])
        # Good and defective ones in turn, as far as there are both.
        among = shown if shown and n % 2 else range(len(pieces))
        piece = pieces[n] if n < len(pieces) else _changed(pieces[int(rng.choice(among))], pieces, shown, rng)
        scores = teach(piece.image)
        size = piece.image.working
        yield Lesson(
            scale.levels(piece.image, BLOCK),
            block_peaks(scores, piece.image.cell, BLOCK, size),
            _known(size, piece.cut),
        )


def _changed(piece: Piece, pieces: Sequence[Piece], shown: Sequence[int], rng: Generator) -> Piece:
    pixels = piece.image.pixels
    if shown and rng.random() < 0.5:
        source = pieces[int(rng.choice(shown))]
        pixels = _pasted(pixels, source, rng)
    pixels, cut = _turned(pixels, piece.cut, rng)
    pixels = _lit(pixels, rng)
    pixels = np.ascontiguousarray(pixels)
    return Piece(replace(piece.image, image=pixels, pixels=pixels), cut, piece.peaks)


def _pasted(pixels: Image, source: Piece, rng: Generator) -> Image:
    """With what surrounds a high block of another piece at a place by chance, fading into it."""
    across = source.peaks.shape[1]
    high = np.flatnonzero(source.peaks.ravel() >= min(_SEEN, float(source.peaks.max())))
    row, column = divmod(int(rng.choice(high)), across)
    height, width = source.image.working
    half = int(rng.integers(BLOCK // 2, 2 * BLOCK))
    y, x = min((row * BLOCK) + BLOCK // 2, height - 1), min((column * BLOCK) + BLOCK // 2, width - 1)
    patch = source.image.pixels[max(0, y - half) : y + half, max(0, x - half) : x + half]
    h, w = min(patch.shape[0], pixels.shape[0]), min(patch.shape[1], pixels.shape[1])
    patch = patch[:h, :w].astype(np.float32)
    top, left = int(rng.integers(pixels.shape[0] - h + 1)), int(rng.integers(pixels.shape[1] - w + 1))
    fade = np.zeros((h, w), np.float32)
    cv2.ellipse(fade, (w // 2, h // 2), (max(1, w * 2 // 5), max(1, h * 2 // 5)), 0, 0, 360, 1.0, cv2.FILLED)
    fade = np.asarray(cv2.blur(fade, (max(1, w // 5), max(1, h // 5))), np.float32)
    under = pixels[top : top + h, left : left + w].astype(np.float32)
    if patch.ndim == 3:
        fade = fade[..., None]
    lifted = patch - np.median(patch) + np.median(under)
    result = pixels.copy()
    result[top : top + h, left : left + w] = _within(under * (1 - fade) + lifted * fade, pixels)
    return result


def _turned(
    pixels: Image, cut: tuple[bool, bool, bool, bool], rng: Generator
) -> tuple[Image, tuple[bool, bool, bool, bool]]:
    """Mirrored along either side, or neither."""
    top, bottom, left, right = cut
    if rng.random() < 0.5:
        pixels, top, bottom = pixels[::-1], bottom, top
    if rng.random() < 0.5:
        pixels, left, right = pixels[:, ::-1], right, left
    return pixels, (top, bottom, left, right)


def _lit(pixels: Image, rng: Generator) -> Image:
    """Lighter or darker, with more or less contrast, and with noise."""
    whole = pixels.astype(np.float32)
    mean, deviation = float(whole.mean()), float(whole.std())
    whole = (whole - mean) * rng.uniform(0.85, 1.15) + mean + rng.normal(0.0, 0.15) * deviation
    if rng.random() < 0.5:
        whole += rng.normal(0.0, rng.uniform(0.0, 0.1) * deviation, whole.shape).astype(np.float32)
    return _within(whole, pixels)


def _within(values: NDArray[np.float32], like: Image) -> Image:
    """Of the pixels' own type."""
    rounded = np.rint(values).clip(0, np.iinfo(like.dtype).max)
    return np.asarray(rounded.astype(like.dtype))


def _known(size: tuple[int, int], cut: tuple[bool, bool, bool, bool]) -> NDArray[np.bool_]:
    known = np.ones(count_blocks(size, BLOCK), np.bool_)
    margin, (top, bottom, left, right) = _CUT // BLOCK, cut
    known[: margin * top] = False
    known[len(known) - margin * bottom :] = False
    known[:, : margin * left] = False
    known[:, known.shape[1] - margin * right :] = False
    return known


def distil(
    lessons: Sequence[Lesson],
    seen: float,
    *,
    steps: int,
    seconds: float,
    seed: int,
    watch: Callable[[float, float, float], None],
) -> Distilled:
    """Learn for so many steps, or fewer where so many seconds allow fewer; with all of them a seed gives one network.

    Args:
        seen: the fine network's score from which a block counts as defective; under it, as the share of it.
        watch: is told the share that is done, the loss, and the seconds left.
    """
    torch.manual_seed(seed)
    network = CoarseNetwork(lessons[0].levels.shape[0]).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-3)
    schedule, started, step = Schedule(steps), time.monotonic(), 0
    while step < schedule.steps:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(_RATE, schedule.progress(step))
        levels, peaks, known = _batch(lessons, seed, step)
        logits = network(levels.float().div_(MOST))
        loss = _loss(logits[:, 0], (peaks / seen).clamp(max=1.0), known)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        spent = time.monotonic() - started
        if step % _PROBE == 0:
            left = seconds - spent
            if spent / step * (schedule.steps - step) > left:
                schedule.fit(step, max(left, 0.0), spent / step)
            watch(schedule.progress(step), float(loss.detach()), left)
            if left <= 0:
                break
    return Distilled(network.eval(), step)


def _loss(logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over the blocks that are known; one that is passed over weighs ten times one looked at in vain."""
    weight = known * (1.0 + _ATTENTION * target)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (entropy * weight).sum() / weight.sum().clamp(min=1.0)


def _batch(lessons: Sequence[Lesson], seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lessons of a step: each once before any comes again. Smaller ones lie in the corner of the largest."""
    place = step * _BATCH
    chosen = [lessons[_nth(place + n, len(lessons), seed)] for n in range(_BATCH)]
    channels = chosen[0].levels.shape[0]
    down, across = (max(lesson.peaks.shape[axis] for lesson in chosen) for axis in (0, 1))
    levels = np.zeros((_BATCH, channels, down * BLOCK, across * BLOCK), np.uint8)
    peaks, known = np.zeros((_BATCH, down, across), np.float32), np.zeros((_BATCH, down, across), np.float32)
    for n, lesson in enumerate(chosen):
        _, height, width = lesson.levels.shape
        levels[n, :, :height, :width] = lesson.levels
        peaks[n, : height // BLOCK, : width // BLOCK] = lesson.peaks
        known[n, : height // BLOCK, : width // BLOCK] = lesson.known
    return torch.from_numpy(levels), torch.from_numpy(peaks), torch.from_numpy(known)


def _nth(place: int, count: int, seed: int) -> int:
    """Which of `count` comes at a place of the endless order, each round of which is another one."""
    turn, within = divmod(place, count)
    return int(np.random.default_rng([seed, turn, 1]).permutation(count)[within])
