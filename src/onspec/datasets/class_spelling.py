"""Classes that are perhaps one, spelled in two ways: `scratch`, `Scratch`, `scrach`."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from onspec.datasets.problem import Problem, named, new_problem
from onspec.domain import Sample

_LEAST_LETTERS = 5
"""Words shorter than this differ by a letter and mean different things: `type_a`, `type_b`; `spot`, `spit`."""


def spelling_problems(samples: Sequence[Sample]) -> Iterator[Problem]:
    """Pairs of classes whose names differ in case, in what stands between their words, or by a letter or two."""
    images: defaultdict[str, list[str]] = defaultdict(list)
    for sample in samples:
        for cls in sample.classes:
            images[cls].append(sample.name)
    counts = Counter({cls: len(found) for cls, found in images.items()})
    slips: set[str] = set()
    for one, other in combinations([cls for cls, _ in counts.most_common()], 2):
        how = None if one in slips else _alike(one, other)
        if how:
            slips.add(other)
            text = (
                f"classes {one} ({_images(counts[one])}) and {other} ({_images(counts[other])}: "
                f"{named(images[other])}) differ {how}"
            )
            advice = (
                f"if they are one defect, call it {one} everywhere; as two classes each is learned from fewer images"
            )
            yield new_problem("warning", "classes-alike", images[other], text, advice)


def _alike(one: str, other: str) -> str | None:
    """How two names differ, if that may be a slip."""
    if _words(one) == _words(other) or "".join(_words(one)) == "".join(_words(other)):
        return "in case, blanks or signs alone"
    pairs = list(zip(_words(one), _words(other), strict=False))
    differing = [(a, b) for a, b in pairs if a != b]
    if len(_words(one)) != len(_words(other)) or len(differing) != 1:
        return None
    a, b = differing[0]
    if re.sub(r"\d", "", a) == re.sub(r"\d", "", b) or min(len(a), len(b)) < _LEAST_LETTERS:
        return None
    edits = _edits(a, b)
    if edits == 1:
        return "by one letter"
    return "by two letters" if edits == 2 and min(len(a), len(b)) >= 2 * _LEAST_LETTERS - 1 else None


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", name.casefold()) if word]


def _edits(one: str, other: str) -> int:
    """Letters to insert, delete, exchange or swap with their neighbour (optimal string alignment)."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and (a, one[i - 2]) == (other[j - 2], b):
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def _images(count: int) -> str:
    return f"{count} image" + ("" if count == 1 else "s")
