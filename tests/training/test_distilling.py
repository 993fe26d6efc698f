"""Learning from a fine network where there is anything to see."""

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.imaging.blocks import BLOCK, block_peaks
from onspec.imaging.preparation import Extent, InputSpec, Prepared, prepare
from onspec.training.distilling import WINDOW, Lesson, Piece, distil, make_lessons, pieces_of, scale_of

SPEC = InputSpec(width=Extent(min=1, max=9999), height=Extent(min=1, max=9999), stride=32)


def teach(image: Prepared) -> NDArray[np.float32]:
    """A fine network that scores what is bright."""
    return np.asarray((image.pixels > 200)[None], np.float32)


def part(spot: bool, seed: int, size: tuple[int, int] = (128, 160)) -> Prepared:
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 100, size).astype(np.uint8)
    if spot:
        y, x = (int(rng.integers(8, side - 16)) for side in size)
        image[y : y + 6, x : x + 6] = 230
    return prepare(image, SPEC)


def pieces(count: int, size: tuple[int, int] = (128, 160)) -> list[Piece]:
    rng = np.random.default_rng(0)
    found: list[Piece] = []
    for n in range(count):
        image = part(n % 2 == 1, n, size)
        found += pieces_of(image, block_peaks(teach(image), 1, BLOCK, image.working), rng)
    return found


def lessons(count: int = 40, seed: int = 0) -> list[Lesson]:
    some = pieces(12)
    return list(make_lessons(some, scale_of(some), teach, seed, count))


def test_a_small_image_is_one_piece_and_of_a_large_one_there_are_windows_around_what_is_seen() -> None:
    assert len(pieces(4)) == 4
    image = part(True, 1, (1500, 2000))
    peaks = block_peaks(teach(image), 1, BLOCK, image.working)
    found = list(pieces_of(image, peaks, np.random.default_rng(0)))
    assert len(found) >= 3
    assert all(max(piece.image.working) <= WINDOW for piece in found)
    assert sum(piece.peaks.max() == 1 for piece in found) >= len(found) - 2
    for piece in found:
        np.testing.assert_array_equal(block_peaks(teach(piece.image), 1, BLOCK, piece.image.working), piece.peaks)
        assert any(piece.cut)


def test_what_is_made_up_is_labelled_by_the_fine_network_and_its_cut_edges_are_not_learned_from() -> None:
    made = lessons()
    assert len(made) == 40
    assert [lesson.levels.shape for lesson in made] == [(1, 128, 160)] * 40
    assert 0.4 < np.mean([lesson.peaks.max() == 1 for lesson in made]) < 0.9
    assert all(lesson.known.all() for lesson in made)
    large = part(False, 3, (WINDOW, 3 * WINDOW))
    piece = next(iter(pieces_of(large, np.zeros((16, 48), np.float32), np.random.default_rng(0))))
    (lesson,) = make_lessons([piece], scale_of([piece]), teach, 0, 1)
    assert lesson.known.any()
    assert not lesson.known[:, [0, -1][piece.cut[2] is False and piece.cut[3] is True]].any()
    assert lesson.known[0].any()  # the image ends there


def test_the_same_seed_makes_the_same_lessons_and_network() -> None:
    one, same, other = lessons(), lessons(), lessons(seed=1)
    assert all((a.levels == b.levels).all() for a, b in zip(one, same, strict=True))
    assert any((a.levels != b.levels).any() for a, b in zip(one, other, strict=True))

    def weights(seed: int) -> NDArray[np.float32]:
        made = distil(one, 0.5, steps=3, seconds=60, seed=seed, watch=lambda *_: None)
        assert made.steps == 3
        return made.network.head.weight.detach().numpy()

    np.testing.assert_array_equal(weights(0), weights(0))
    assert (weights(0) != weights(1)).any()


def test_it_learns_where_there_is_anything_to_see() -> None:
    import torch

    made = distil(lessons(80), 0.5, steps=60, seconds=60, seed=0, watch=lambda *_: None)
    scale = scale_of(pieces(12))
    highest: dict[bool, list[float]] = {False: [], True: []}
    for n in range(100, 120):
        levels = scale.levels(part(n % 2 == 1, n), BLOCK)
        with torch.no_grad():
            highest[n % 2 == 1].append(float(made.network(torch.from_numpy(levels[None]).float() / 255).max()))
    above = [defective > good for defective in highest[True] for good in highest[False]]
    assert np.mean(above) > 0.95


def test_a_budget_that_ends_ends_the_training() -> None:
    told: list[float] = []
    made = distil(lessons(), 0.5, steps=5000, seconds=0.5, seed=0, watch=lambda share, *_: told.append(share))
    assert 0 < made.steps < 5000
    assert told == sorted(told)


@pytest.mark.parametrize(("dtype", "channels"), [("uint16", 1), ("uint8", 3)])
def test_deep_and_coloured_images_are_learned_from(dtype: str, channels: int) -> None:
    spec = InputSpec.model_validate({**SPEC.model_dump(), "dtype": dtype, "channels": channels})
    rng = np.random.default_rng(0)
    shape = (96, 96) if channels == 1 else (96, 96, 3)
    image = prepare(rng.integers(100, 900 if dtype == "uint16" else 200, shape).astype(dtype), spec)
    found = list(pieces_of(image, np.ones((3, 3), np.float32), rng))
    made = list(make_lessons(found, scale_of(found), lambda p: np.ones((1, *p.working), np.float32), 0, 4))
    assert {lesson.levels.shape for lesson in made} == {(channels, 96, 96)}
    assert all(lesson.levels.std() > 20 for lesson in made)
