"""The files of a data set, listed once."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from onspec.domain import LayoutError
from onspec.imaging.reading import is_image

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
        LayoutError: no such folder, a file instead, no image in it, or one whose name cannot be written down.
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
    for image in images:
        _refuse_unwritable(str(image), root)
    if not images:
        raise LayoutError(f"{root}: no image in this folder or below it; give the folder that holds the data set")
    return Tree(root, tuple(sorted(images)), tuple(sorted(others)), marked)


def _refuse_unwritable(name: str, root: Path) -> None:
    """Splits, recipes and results name images in UTF-8; a name from an old share or archive may be of other bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        told = name.encode("utf-8", "backslashreplace").decode()
        raise LayoutError(f"{root}: the image name {told} is not UTF-8; rename the file or folder") from None
