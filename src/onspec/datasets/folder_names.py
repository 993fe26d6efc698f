"""What the names of folders say of the files in them: what these are for, in which split, good or defective."""

import re

from onspec.domain import Split

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

IMAGE_FOLDERS = {"image", "images", "img", "imgs", "input", "inputs", "original", "originals", "photo", "photos"}
MASK_FOLDERS = {
    *("mask", "masks", "label", "labels", "gt", "ground_truth", "groundtruth", "ground-truth", "ground truth"),
    *("annotation", "annotations", "segmentation", "segmentations"),
}

_MASK_WORDS = MASK_FOLDERS | {"ann", "anns", "gts", "lab", "labs", "seg", "segs"}
"""In a name of several words a shorter one is plain: `train_lab`, `ann_dir`."""

_ROLES = IMAGE_FOLDERS | _MASK_WORDS | SPLIT_FOLDERS.keys() | {"dir"}

_GOOD = {"good", "ok", "free", "normal", "defectfree", "faultless", "nondefective", "nodefect", "nodefects", "clean"}
_BAD = {"bad", "ng", "nok", "notok", "notgood", "nogood", "defect", "defects", "defective", "anomaly", "abnormal"}
_NOT = {"not", "no", "non"}
_TRUTH_FIRST = {"ok": False, "good": False, "ng": True, "nok": True, "bad": True, "def": True, "defective": True}
"""What a name says that begins so, as `ok_front` and `def_front` do: whether it is defective."""


def holds_masks(folder: str) -> bool:
    """Whether label images are in it: `masks`, `gt`, `train_labels` …"""
    return bool(_MASK_WORDS & _roles(folder))


def holds_images(folder: str) -> bool:
    """Whether the images that are judged are in it, and nothing more is said of them than perhaps their split."""
    return bool(IMAGE_FOLDERS & _roles(folder))


def split_of(folders: tuple[str, ...]) -> Split | None:
    """The split that one of the folders' names assigns, the outermost first."""
    words = (word for folder in folders for word in sorted(_roles(folder)) if word in SPLIT_FOLDERS)
    return next((SPLIT_FOLDERS[word] for word in words), None)


def meaningful(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders that name a class, a lot or a part, without those that say what their files are for."""
    return tuple(folder for folder in folders if not _roles(folder))


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


def _roles(folder: str) -> frozenset[str]:
    """What its files are for, in words; none for a folder whose name says anything else, or more."""
    name = folder.lower()
    if name in IMAGE_FOLDERS | MASK_FOLDERS | SPLIT_FOLDERS.keys():
        return frozenset({name})
    words = re.split(r"[_\-. ]+", re.sub(r"ground[_\-. ]?truth", "groundtruth", name))
    return frozenset(words) if len(words) > 1 and _ROLES.issuperset(words) else frozenset()


def _words(folder: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", folder.lower()) if word]
