"""How a table names the images of a set: by their path in it, or by a file name that no other image has."""

from collections import defaultdict
from collections.abc import Iterable


class ListedNames:
    """The images of a set, by the names that a table may give them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._by_file: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.names:
            self._by_file[name.rsplit("/", 1)[-1]].append(name)

    def find(self, given: str) -> str | None:
        """The image that is meant; `None` where there is none, or several have that file name."""
        path = given.strip().replace("\\", "/").removeprefix("./")
        same = self._by_file.get(path, [])
        return path if path in self.names else same[0] if len(same) == 1 else None
