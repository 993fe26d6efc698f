"""Changed copies of an image, told by their names: `12_z0` and `12_flip` beside `12`, or an augmenting export's ending.

Turned, mirrored or recoloured by a program, they look like other images to a comparison of pictures, and yet show the
very same part.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from onspec.datasets.folder_names import meaningful

_EXPORT = re.compile(r"(\.rf\.[0-9a-f]{8,}|[_\-. ]aug(mented)?[_\-. ]?\d*)$", re.IGNORECASE)
"""What augmenting exports append to the name of the image that they changed."""

_AUGMENTED = re.compile(r"aug(mented|mentation|mentations)?", re.IGNORECASE)
"""A folder of changed copies; they may be called as their originals are."""

_TAIL = re.compile(r"[_\-. (]+")
"""What may stand between an image's name and what a copy's adds to it."""

_MOST_COPIES = 32
"""An image whose name more images extend has a word in common with them, no more: `line2`, `line2_001 … line2_400`."""

_EXPORTED = "by the ending of an augmenting export"
_EXTENDS = "by another image's name in theirs"
_IN_FOLDER = "by a folder of augmented images"

_Key = tuple[tuple[str, ...], str]
"""Folders that mean something, and the stem: in whatever split a copy lies, these are its original's."""


@dataclass(frozen=True, slots=True)
class Originals:
    """Which image each one was made from.

    Attributes:
        of: the original of every name, as a path without suffix; images that are no copies are their own. Where the
            original itself is absent, its bare name stands for it.
        rule: how copies were told, in words; empty where there are none.
    """

    of: dict[str, str]
    rule: str


@dataclass(frozen=True, slots=True)
class _Named:
    """A name taken apart.

    Attributes:
        original: what its original is called, without folders that say nothing of it.
        copied: how the name tells that it is a copy, whatever the others are called; else empty.
    """

    name: str
    original: PurePosixPath
    copied: str

    @property
    def key(self) -> _Key:
        return self.original.parts[:-1], self.original.name.lower()

    @property
    def folder(self) -> PurePosixPath:
        return PurePosixPath(self.name).parent

    def shorter(self) -> Iterator[_Key]:
        """The keys of images whose names this one may extend, the shortest first.

        A word without a number extended by a number alone is a series (`scratch`, `scratch_1`), not copies of one.
        """
        folders, stem = self.key
        for tail in _TAIL.finditer(stem):
            base, added = stem[: tail.start()], stem[tail.end() :]
            if base and (re.search(r"\d", base) or re.search(r"[a-z]", added)):
                yield folders, base


def originals(names: Sequence[str]) -> Originals:
    """The original of every image of a set."""
    named = [_take_apart(name) for name in sorted(names)]
    there: defaultdict[_Key, list[_Named]] = defaultdict(list)
    for n in named:
        if not n.copied:
            there[n.key].append(n)
    shorter = {n.name: [key for key in n.shorter() if key in there] for n in named}
    extended = Counter(key for keys in shorter.values() for key in keys)
    of: dict[str, str] = {}
    absent: dict[_Key, str] = {}
    told: Counter[str] = Counter()
    for n in named:
        keys = [key for key in shorter[n.name] if extended[key] <= _MOST_COPIES]
        if how := n.copied or (_EXTENDS if keys else ""):
            told[how] += 1
        if n.copied:
            keys.append(n.key)
        origin = next((_nearest(there[key], n) for key in keys if key in there), None)
        if origin is None and n.copied:
            of[n.name] = absent.setdefault(n.key, str(n.original))
        else:
            of[n.name] = str(PurePosixPath((origin or n).name).with_suffix(""))
    counts = ", ".join(f"{count} {how}" for how, count in sorted(told.items()))
    return Originals(of, counts and f"changed copies share the part of their original (told {counts})")


def _take_apart(name: str) -> _Named:
    *folders, written = PurePosixPath(name).with_suffix("").parts
    stem = written
    while (found := _EXPORT.search(stem)) and found.start():
        stem = stem[: found.start()]
    kept = [folder for folder in meaningful(tuple(folders)) if not _AUGMENTED.fullmatch(folder)]
    in_folder = _IN_FOLDER if any(map(_AUGMENTED.fullmatch, folders)) else ""
    return _Named(name, PurePosixPath(*kept, stem), _EXPORTED if stem != written else in_folder)


def _nearest(found: Sequence[_Named], copy: _Named) -> _Named:
    """In its own folder, if there: folders of splits may each count from the start."""
    return min(found, key=lambda n: (n.folder != copy.folder, n.name))
