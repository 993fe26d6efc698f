"""Disjoint sets."""

from hypothesis import given
from hypothesis import strategies as st

from onspec.datasets.belonging import Belonging

numbers = st.integers(0, 20)


@given(st.lists(st.lists(numbers, max_size=4), max_size=12))
def test_who_was_joined_by_any_way_belongs_together_under_the_first(groups: list[list[int]]) -> None:
    belonging = Belonging[int]()
    for group in groups:
        belonging.join(group)
    reached = {n: {n} for n in range(21)}
    for _ in range(21):  # spread as far as it goes
        for group in groups:
            together = {n for member in group for n in reached[member]}
            for member in together:
                reached[member] |= together
    assert {n: belonging.first(n) for n in range(21)} == {n: min(reached[n]) for n in range(21)}
