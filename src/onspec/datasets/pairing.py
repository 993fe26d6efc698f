"""Which label image belongs to which image, told from folders and file names in any case.

A file's *key* is its folders without those that only say what it is (`images`, `masks`, `ground_truth`, `train` …), and
its stem: image and mask of one key belong together, wherever the two stand.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from onspec.datasets.folder_names import holds_images, holds_masks, meaningful, split_of
from onspec.domain import Split

_LOSSY = {".jpg", ".jpeg"}
_SUFFIX = re.compile(r"[_\-. ]+(masks?|labels?|gt|ground[_\- ]?truth|annotations?|seg|segmentation)$")
_NUMBER = re.compile(r"[_\-. ]+\d+$")

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A file with what its folders say: `kinds` are the folders that name a class, a lot or a part."""

    path: PurePosixPath
    kinds: tuple[str, ...]
    split: Split | None
    is_mask: bool

    @property
    def key(self) -> Key:
        """Folders that mean something, and the stem, lower case."""
        return (*(k.lower() for k in self.kinds), self.path.stem.lower())


@dataclass(slots=True)
class Pairs:
    """Images in order, the label images of each, and label images without an image."""

    images: list[Located]
    masks: dict[PurePosixPath, list[PurePosixPath]] = field(default_factory=lambda: defaultdict(list))
    orphans: list[PurePosixPath] = field(default_factory=list)
    ambiguous: list[PurePosixPath] = field(default_factory=list)


def pair(files: Iterable[PurePosixPath]) -> Pairs:
    """Pair every label image with its image. A numbered label (`X_1`, `X_2`) is one of several instances of X, and so
    is any in a folder beside that of a single image (`X/images/X.png`, `X/masks/…`, as nuclei are published)."""
    located = _locate(list(files))
    pairs = Pairs([f for f in located if not f.is_mask])
    by_key: defaultdict[Key, list[Located]] = defaultdict(list)
    for image in pairs.images:
        by_key[image.key].append(image)
    alone = _alone(pairs.images)
    later: list[tuple[Located, Key]] = []
    for mask in (f for f in located if f.is_mask):
        exact = next((key for key in _exact_keys(mask) if key in by_key), None)
        numbered = next((key for key in _instance_keys(mask) if key in by_key), None)
        if exact is not None:
            _attach(pairs, mask, by_key[exact])
        elif numbered is not None:
            later.append((mask, numbered))
        elif holds_masks(mask.path.parent.name) and mask.path.parent.parent in alone:
            _attach(pairs, mask, [alone[mask.path.parent.parent]])
        else:
            pairs.orphans.append(mask.path)
    whole = set(pairs.masks)
    for mask, key in later:
        if any(image.path in whole for image in by_key[key]):
            pairs.orphans.append(mask.path)
        else:
            _attach(pairs, mask, by_key[key])
    return pairs


def _alone(images: list[Located]) -> dict[PurePosixPath, Located]:
    """Images that are the only one of the folder which has them in a folder `images`, by the former."""
    by_folder: defaultdict[PurePosixPath, list[Located]] = defaultdict(list)
    for image in images:
        if image.kinds and holds_images(image.path.parent.name):
            by_folder[image.path.parent.parent].append(image)
    return {folder: found[0] for folder, found in by_folder.items() if len(found) == 1}


def _attach(pairs: Pairs, mask: Located, images: list[Located]) -> None:
    """A label that stands outside the split folders belongs to the test image, as in MVTec AD's ground_truth."""
    same = [image for image in images if image.split is mask.split]
    tested = [image for image in images if image.split is Split.TEST]
    chosen = (same or tested or images) if mask.split is None else same
    if not chosen:
        pairs.orphans.append(mask.path)
        return
    if len(chosen) > 1 or (not same and len(images) > 1):
        pairs.ambiguous.append(mask.path)
    pairs.masks[chosen[0].path].append(mask.path)


def _exact_keys(mask: Located) -> Iterator[Key]:
    *folders, stem = mask.key
    yield mask.key
    yield (*folders, _SUFFIX.sub("", stem))


def _instance_keys(mask: Located) -> Iterator[Key]:
    *folders, stem = mask.key
    for cut in (_NUMBER.sub("", stem), _NUMBER.sub("", _SUFFIX.sub("", stem))):
        if cut != stem:
            yield (*folders, _SUFFIX.sub("", cut))
    if folders:  # a folder of instances named like the image
        yield tuple(folders)


def _locate(files: list[PurePosixPath]) -> list[Located]:
    stems: defaultdict[PurePosixPath, set[str]] = defaultdict(set)
    lossy: defaultdict[PurePosixPath, set[str]] = defaultdict(set)
    lossless: defaultdict[PurePosixPath, set[str]] = defaultdict(set)
    for path in files:
        stems[path.parent].add(path.stem.lower())
        (lossy if path.suffix.lower() in _LOSSY else lossless)[path.parent].add(path.stem.lower())
    return [_located(path, stems, lossy, lossless) for path in files]


def _located(
    path: PurePosixPath,
    stems: dict[PurePosixPath, set[str]],
    lossy: dict[PurePosixPath, set[str]],
    lossless: dict[PurePosixPath, set[str]],
) -> Located:
    folders = path.parts[:-1]
    stem = path.stem.lower()
    in_mask_folder = any(map(holds_masks, folders))
    bare = _SUFFIX.sub("", stem)
    suffixed = bare != stem and (bare in stems[path.parent] or _NUMBER.sub("", bare) in stems[path.parent])
    numbered = _SUFFIX.sub("", _NUMBER.sub("", stem))
    suffixed = suffixed or (numbered != _NUMBER.sub("", stem) and numbered in stems[path.parent])
    beside = path.suffix.lower() not in _LOSSY and lossless[path.parent] <= lossy[path.parent]
    return Located(
        path,
        meaningful(folders),
        split_of(folders),
        in_mask_folder or suffixed or beside,
    )
