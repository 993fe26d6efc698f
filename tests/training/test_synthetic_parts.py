"""Good parts with a synthetic defect each: what stands for defective ones where there are none."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.training.pool import Labelled
from onspec.training.synthetic_parts import synthetic_copies

Pools = tuple[list[Labelled], list[Labelled]]


def lighten(image: NDArray[np.generic], rng: Generator) -> tuple[NDArray[np.generic], NDArray[np.uint8]]:
    """Makes a 5×5 spot white somewhere."""
    y, x = rng.integers(0, image.shape[0] - 5, 2)
    changed, mask = image.copy(), np.zeros(image.shape[:2], np.uint8)
    changed[y : y + 5, x : x + 5], mask[y : y + 5, x : x + 5] = 255, 1
    return changed, mask


def copies(pools: Pools, side: int, seed: int = 0) -> list[Labelled]:
    return synthetic_copies(pools[1], lighten, side, seed)


def test_every_good_part_gets_defective_copies(pools: Pools) -> None:
    good = [item for item in pools[1] if not item.sample.defective]
    made = copies(pools, 40)
    assert len(good) == 4
    assert len(made) == len({copy.sample.name for copy in made}) == 16
    for i, copy in enumerate(made):
        item = good[i % 4]
        assert copy.sample.name.startswith(f"{item.sample.name} (synthetic")
        assert copy.sample.defective
        assert copy.located
        assert copy.cls == 1
        before, after = item.read(), copy.read()
        assert not before.mask.any()
        assert after.mask.sum() == 25
        assert (after.image[after.mask[0] > 0] == 255).all()
        np.testing.assert_array_equal(after.image[after.mask[0] == 0], before.image[after.mask[0] == 0])
        assert [len(spot.places) for spot in copy.spots] == [25]


def test_of_many_good_parts_each_is_copied_once(pools: Pools) -> None:
    pool = [item for item in pools[0] if not item.sample.defective] * 2
    assert len(synthetic_copies(pool, lighten, 40, 0)) == len(pool) == 24
    assert synthetic_copies([item for item in pool if item.sample.defective], lighten, 40, 0) == []


def test_defects_are_anywhere_in_images_of_any_size(pools: Pools) -> None:
    places = np.array(
        [[c.spots[0].places[0] for c in copies(pools, side, seed)] for side in (20, 400) for seed in range(9)]
    )
    assert places.min() < 15
    assert places.max() > 75


def test_one_seed_gives_the_same(pools: Pools) -> None:
    first, again, other = (copies(pools, 40, seed)[0].read().image for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
