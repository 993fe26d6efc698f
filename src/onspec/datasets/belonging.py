"""What belongs together, pair by pair, until the groups are known (disjoint sets)."""

from collections.abc import Iterable
from typing import Generic, TypeVar

Member = TypeVar("Member", str, int)


class Belonging(Generic[Member]):
    """Groups, each called by the first of its members in their order. Who was never joined is a group of his own."""

    def __init__(self) -> None:
        self._under: dict[Member, Member] = {}

    def join(self, members: Iterable[Member]) -> None:
        """Make the groups of these members one."""
        firsts = sorted({self.first(member) for member in members})
        for later in firsts[1:]:
            self._under[later] = firsts[0]

    def first(self, member: Member) -> Member:
        """The first member of the group."""
        found = member
        while found in self._under:
            found = self._under[found]
        while member != found:  # the next question takes one step
            self._under[member], member = found, self._under[member]
        return found
