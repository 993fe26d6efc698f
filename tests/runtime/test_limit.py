"""The limit: what is needed is looked at, and good surface costs little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.imaging.preparation import Extent, InputSpec
from onspec.runtime.coarse import around
from onspec.runtime.hastened import work_left
from onspec.runtime.limit import MARGIN, SPENT, Answered, choose_limit

SPEC = InputSpec(width=Extent(min=1, max=999), height=Extent(min=1, max=999), stride=32, tile=512, halo=64)


def image(answers: list[list[int]], matter: tuple[int, int] | None = None) -> Answered:
    values = np.array(answers, np.uint8)
    blocks = np.zeros(values.shape, bool)
    if matter is not None:
        blocks[matter] = True
    return Answered(values, blocks, (values.shape[0] * 32, values.shape[1] * 32))


def test_it_lies_just_over_what_good_surface_is_answered() -> None:
    good = [image([[10, 10, 40]])] * 20
    assert choose_limit([*good, image([[200, 10, 10]], (0, 1))], 32, SPEC) == 41


def test_one_odd_good_image_of_many_does_not_raise_it() -> None:
    good = [image([[10, 10, 40]])] * 19
    assert choose_limit([*good, image([[180, 9, 9]]), image([[200, 10, 10]], (0, 1))], 32, SPEC) == 41
    assert choose_limit([*good[:9], image([[180, 9, 9]]), image([[200, 9, 9]], (0, 1))], 32, SPEC) == 181


def test_a_block_that_matters_is_found_by_a_neighbour_and_with_a_margin() -> None:
    assert choose_limit([image([[10, 90, 10]], (0, 0)), image([[100, 9, 9]])], 32, SPEC) == 90 - MARGIN
    assert choose_limit([image([[5, 9, 10]], (0, 0)), image([[3, 3, 3]])], 32, SPEC) == 1


def test_without_a_block_that_matters_there_is_none() -> None:
    with pytest.raises(ValueError, match="empty"):
        choose_limit([image([[1, 2]])], 32, SPEC)


@given(st.integers(0, 100))
def test_whatever_it_is_all_that_matters_is_looked_at(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = []
    for n in range(12):
        answers = rng.integers(0, 256, (6, 9)).astype(np.uint8)
        matter = rng.random((6, 9)) < (0.1 if n % 2 else 0.0)
        images.append(Answered(answers, matter, (192, 288)))
    if not any(one.matter.any() for one in images):
        return
    limit = choose_limit(images, 32, SPEC)
    for one in images:
        assert around(one.answers >= limit)[one.matter].all()
    good = [one for one in images if not one.matter.any()]
    if limit > 1:  # a lower one would cost too much
        under = [work_left(around(one.answers >= limit - 1), one.size, 32, SPEC) for one in good]
        held = all(around(one.answers >= limit + MARGIN)[one.matter].all() for one in images)
        assert sum(under) > SPENT * len(good) or not held
