"""Several views of one part whose names differ in the view's number alone: `tile7_cam1`, `tile7_cam2`."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from statistics import median

WORDS = {
    *("exp", "exposure", "cam", "camera", "view", "light", "lighting", "illum", "illumination", "led", "flash"),
    *("shot", "pose", "img", "image", "frame", "angle", "channel", "ch", "focus", "capture", "pic", "photo"),
}
"""Words of image acquisition that stand before a view's number."""

_MOST_VIEWS = 32
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Named:
    """A name taken apart: the text around its numbers, the view's number, and the other numbers."""

    name: str
    shape: str
    view: int
    others: tuple[int, ...]


def take_apart(name: str) -> Named | None:
    """The parts of a name whose stem has exactly one number after an acquisition word, else `None`."""
    stem = PurePosixPath(name).name
    numbers = list(_NUMBER.finditer(stem))
    viewing = [m for m in numbers if _word_before(stem, m.start()) in WORDS]
    if len(viewing) != 1 or len(viewing[0][0]) > 4:
        return None
    others = tuple(int(m[0]) for m in numbers if m is not viewing[0])
    before, after = stem[: viewing[0].start()], stem[viewing[0].end() :]
    return Named(name, _NUMBER.sub("#", before) + "{view}" + _NUMBER.sub("#", after), int(viewing[0][0]), others)


def group(names: Sequence[str]) -> tuple[dict[str, str], str] | None:
    """Name → part for names that are equal but for the view's number, and the rule; `None` where the set has no views.

    Such names mean views only if most of them come in groups, the views of a group differ, and there are several
    groups: `img1 … img9` is a running number, not nine views of one part.
    """
    named = [n for n in map(take_apart, names) if n is not None]
    if len(named) < 4 or len(named) < 0.9 * len(names) or len({n.view for n in named}) > _MOST_VIEWS:
        return None
    groups = _groups(named, with_folder=False)
    if any(len({n.view for n in g}) < len(g) for g in groups):  # folders that count from the start again
        groups = _groups(named, with_folder=True)
    if len(groups) < 2 or median(len(g) for g in groups) < 2:
        return None
    most = Counter(len(g) for g in groups).most_common(1)[0][0]
    parts = {n.name: min(g, key=lambda n: n.view).name for g in groups for n in g}
    return parts, f"names equal but for the view's number are one part ({len(groups)} parts, mostly of {most} views)"


def _groups(named: Sequence[Named], *, with_folder: bool) -> list[list[Named]]:
    by_rest: defaultdict[tuple[str, str, tuple[int, ...]], list[Named]] = defaultdict(list)
    for n in named:
        by_rest[(str(PurePosixPath(n.name).parent) if with_folder else "", n.shape, n.others)].append(n)
    return list(by_rest.values())


def _word_before(stem: str, at: int) -> str:
    match = re.search(r"([A-Za-z]+)[_\-. ]?$", stem[:at])
    return match[1].lower() if match else ""
