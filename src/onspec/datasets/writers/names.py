"""Names of written files and folders."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from onspec.datasets.class_names import BACKGROUND
from onspec.datasets.folder_names import folder_truth, meaningful
from onspec.domain import DEFECT, Sample

_RESERVED = re.compile(r"(predefined_)?classes|labels|labelmap|train|val|valid|test|trainval|default", re.IGNORECASE)
"""Stems that files beside the images have in some layout."""

_UNFIT = re.compile(r"[\\/:*?\"<>|\x00-\x1f]|^\s|\s$|^\.|^__MACOSX|^$")
"""What no folder may be called on every system."""


def flat_names(samples: Sequence[Sample]) -> dict[str, str]:
    """Sample name → a file name for one folder; no two have the same stem, in whatever case.

    The file's own name, if that tells all apart; else with its folders that mean something before it; else with all
    its folders; else numbered.
    """
    names: list[str] = []
    for scheme in (_own, _with_meaningful, _with_all):
        names = [_unreserved(scheme(PurePosixPath(sample.name))) for sample in samples]
        if len({PurePosixPath(name).stem.lower() for name in names}) == len(names):
            break
    else:
        names = _numbered(names)
    return {sample.name: name for sample, name in zip(samples, names, strict=True)}


def class_of(sample: Sample) -> str | None:
    """The class of a whole image: its own, else the one of most of its annotations; `None` for a good part."""
    if not sample.defective:
        return None
    counts = Counter(annotation.cls for annotation in sample.annotations)
    return min(counts, key=lambda cls: (-counts[cls], cls)) if counts else sample.cls or DEFECT


def as_folder(cls: str) -> str | None:
    """A class as a folder that is read as this class again; `None` where no folder would be."""
    if cls == DEFECT:
        return DEFECT
    speaks = folder_truth(cls) is None and cls.lower() not in BACKGROUND and meaningful((cls,)) == (cls,)
    return cls if speaks and not _UNFIT.search(cls) and len(cls) <= 100 else None


def _own(path: PurePosixPath) -> str:
    return path.name


def _with_meaningful(path: PurePosixPath) -> str:
    return "_".join([*meaningful(path.parts[:-1]), path.name])


def _with_all(path: PurePosixPath) -> str:
    return "_".join(path.parts)


def _unreserved(name: str) -> str:
    return f"image_{name}" if _RESERVED.fullmatch(PurePosixPath(name).stem) else name


def _numbered(names: Sequence[str]) -> list[str]:
    """`_2`, `_3` … after the second and later of one stem."""
    taken: set[str] = set()
    found = []
    for name in names:
        path, number = PurePosixPath(name), 1
        stem = path.stem
        while stem.lower() in taken:
            number += 1
            stem = f"{path.stem}_{number}"
        taken.add(stem.lower())
        found.append(f"{stem}{path.suffix}")
    return found
