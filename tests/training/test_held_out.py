"""Large images are validated in windows that show what their label says, many images in part."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onspec.domain import Sample
from onspec.training.held_out import thinned, windows
from onspec.training.pool import Labelled, Pixels, mask_spots


def item(name: str, width: int, height: int, *, at: tuple[int, int] | None = None) -> Labelled:
    """A good image, or one with a defect of 20×10 px `at`; every pixel is its column modulo 251."""
    mask = np.zeros((1, height, width), np.uint8)
    boxes = np.zeros((0, 4), np.float32)
    if at is not None:
        mask[0, at[1] : at[1] + 10, at[0] : at[0] + 20] = 1
        boxes = np.array([[*at, 20, 10]], np.float32)
    image = np.broadcast_to((np.arange(width) % 251).astype(np.uint8), (height, width))
    return Labelled(
        sample=Sample(name, Path(name), name, defective=at is not None), size=(width, height), stats=(0.0, 1.0),
        located=True, spots=mask_spots(mask), boxes=boxes, kinds=np.zeros(len(boxes), np.int64),
        cls=int(at is not None), read=lambda: Pixels(image, mask),
    )  # fmt: skip


@pytest.mark.parametrize("at", [(0, 0), (3000, 200), (6980, 290)])
def test_a_window_shows_the_defect(at: tuple[int, int]) -> None:
    large = item("a.png", 7000, 300, at=at)
    for seed in range(10):
        (window,) = windows([large], seed)
        pixels = window.read()
        assert window.size == (2048, 300)
        assert pixels.image.shape == pixels.mask.shape[1:] == (300, 2048)
        assert pixels.mask.any()
        if len(window.boxes):
            x, y, width, height = (int(v) for v in window.boxes[0])
            assert pixels.mask[0, y : y + height, x : x + width].all()
            assert pixels.mask.sum() == width * height == 200


def test_windows_of_good_parts_lie_anywhere_and_repeat() -> None:
    large = item("a.png", 7000, 300)
    starts = {int(windows([large], seed)[0].read().image[0, 0]) for seed in range(20)}
    assert len(starts) > 10
    assert windows([large], 3)[0].read().image[0, 0] == windows([large], 3)[0].read().image[0, 0]


def test_small_images_and_unlocated_defects_stay_whole() -> None:
    small, large = item("a.png", 2048, 300), item("b.png", 7000, 300)
    told = replace(large, sample=replace(large.sample, defective=True), located=False, cls=1)
    assert [a is b for a, b in zip(windows([small, told], 0), [small, told], strict=True)] == [True, True]


@pytest.mark.parametrize(("every", "good", "defective"), [(1, 100, 30), (2, 50, 15), (5, 20, 15), (50, 13, 15)])
def test_many_images_are_thinned_by_truth(every: int, good: int, defective: int) -> None:
    pool = [item(f"g{i}.png", 32, 32) for i in range(100)] + [item(f"d{i}.png", 32, 32, at=(2, 2)) for i in range(30)]
    kept = thinned(pool, every)
    counts = Counter(i.sample.defective for i in kept)
    assert (counts[False], counts[True]) == (good, defective)
    assert [pool.index(i) for i in kept] == sorted(pool.index(i) for i in kept)
