"""The files of a data set, listed once, and what their folders' names mean."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from onspec.domain import LayoutError, Split
from onspec.imaging.reading import is_image

SPLIT_FOLDERS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "testing": Split.TEST,
}
"""Folder names, lower case, that assign a split."""

_GOOD = {"good", "ok", "free", "normal", "defectfree", "faultless", "nondefective", "nodefect", "nodefects", "clean"}
_BAD = {"bad", "ng", "nok", "notok", "notgood", "nogood", "defect", "defects", "defective", "anomaly", "abnormal"}
_NOT = {"not", "no", "non"}
_TRUTH_FIRST = {"ok": False, "good": False, "ng": True, "nok": True, "bad": True, "def": True, "defective": True}
"""What a name says that begins so, as `ok_front` and `def_front` do: whether it is defective."""


Marked = Literal["bright", "dark", "numbers", "codes"]
"""How masks draw what they mark: bright, dark, each object with a number of its own, or each class with a code."""


@dataclass(frozen=True)
class Tree:
    """Relative paths of all files under a folder, sorted, hidden ones left out; `marked`, if the user said so."""

    root: Path
    images: tuple[PurePosixPath, ...]
    others: tuple[PurePosixPath, ...]
    marked: Marked | None = None

    def path(self, name: PurePosixPath) -> Path:
        """The file itself."""
        return self.root / name


def list_tree(root: Path, marked: Marked | None = None) -> Tree:
    """Walk the folder, links included, each real folder once.

    Raises:
        LayoutError: no such folder, a file instead, or no image in it.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "no such folder"
        raise LayoutError(f"{root}: {what}; give the folder that holds the data set")
    images: list[PurePosixPath] = []
    others: list[PurePosixPath] = []
    seen: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "__MACOSX")))
        relative = Path(folder).relative_to(root)
        for name in sorted(files):
            if not name.startswith("."):
                (images if is_image(Path(name)) else others).append(PurePosixPath((relative / name).as_posix()))
    if not images:
        raise LayoutError(f"{root}: no image in this folder or below it; give the folder that holds the data set")
    return Tree(root, tuple(sorted(images)), tuple(sorted(others)), marked)


def split_of(folders: tuple[str, ...]) -> Split | None:
    """The split that one of the folders' names assigns, the outermost first."""
    return next((SPLIT_FOLDERS[f.lower()] for f in folders if f.lower() in SPLIT_FOLDERS), None)


def folder_truth(folder: str) -> bool | None:
    """Whether a folder's name says defective (`True`) or good (`False`): `good`, `MT_Free`, `defect-free`, `NG` …"""
    words = _words(folder)
    for ending in ("".join(words[-2:]), words[-1] if words else ""):
        if ending in _BAD:
            return True
        if ending in _GOOD:
            return len(words) > 1 and words[-2] in _NOT and ending not in ("nodefect", "nodefects", "nondefective")
    return _TRUTH_FIRST.get(words[0]) if words else None


def says_only_truth(folder: str) -> bool:
    """Whether a folder's name says good or defective and nothing else: `NG`, `not_ok`, but not `scratch_defect`."""
    words = _words(folder)
    return folder_truth(folder) is not None and (
        "".join(words) in _BAD | _GOOD or all(word in _BAD | _GOOD | _NOT for word in words)
    )


def _words(folder: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", folder.lower()) if word]
