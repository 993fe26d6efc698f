"""Which image of a set a label file means by a name that it was given on another machine.

Tools write names with other folders, backslashes, URLs, another suffix or none, and prefixes of their own.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from onspec.datasets.folder_names import IMAGE_FOLDERS, split_of
from onspec.domain import LabelError

_ORIGIN = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.\-]*://|[A-Za-z]:(?=/))|^.*\?d=")
"""What stands before a path in a URL, a Windows path, or a local file of Label Studio."""

_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""


def tidy(listed: str) -> PurePosixPath:
    """The path in a name, forward, without origin and without steps upwards; it may be empty.

    What no file can be called (zero bytes, more than 255 bytes) is cut.
    """
    forward = _ORIGIN.sub("", listed.strip().replace("\\", "/").replace("\0", ""))
    parts = (part.encode("utf-8", "ignore")[:255].decode("utf-8", "ignore") for part in forward.split("/"))
    return PurePosixPath(*(part for part in parts if part not in ("", ".", "..")))


@dataclass(frozen=True)
class ImageIndex:
    """The images of a tree by file name and by stem, lower case."""

    images: frozenset[PurePosixPath]
    by_name: dict[str, list[PurePosixPath]]
    by_stem: dict[str, list[PurePosixPath]]

    def find(self, listed: str, label: PurePosixPath, hints: Sequence[str] = ()) -> PurePosixPath | None:
        """The image that the file `label` means by `listed`, or `None`.

        Of several images of the name, the one is taken whose path agrees most: relative to the label file, by its last
        folders, by its split, by a folder in `hints` (lower case), by a folder named as folders of images are. One
        that stands in another split than the label file is never meant.

        Raises:
            LabelError: several agree equally.
        """
        beside = PurePosixPath(posixpath.normpath(label.parent / listed.strip().replace("\\", "/")))
        if beside in self.images:
            return beside
        path = tidy(listed)
        candidates = self._candidates(path)
        if not candidates and "%" in listed:
            path = tidy(unquote(listed))
            candidates = self._candidates(path)
        own = split_of(label.parts[:-1])
        candidates = [c for c in candidates if own is None or split_of(c.parts[:-1]) in (None, own)]
        if len(candidates) <= 1:
            return candidates[0] if candidates else None
        ranked = sorted(((_agreement(c, path, label, hints), c) for c in candidates), key=lambda r: r[0], reverse=True)
        if ranked[0][0] == ranked[1][0]:
            raise LabelError(
                f"{label}: {listed!r} may mean {ranked[0][1]} or {ranked[1][1]}; give every image a name of its own"
            )
        return ranked[0][1]

    def _candidates(self, path: PurePosixPath) -> list[PurePosixPath]:
        name = path.name.lower()
        bare = _UPLOAD.sub("", name)
        for table, key in (
            (self.by_name, name),
            (self.by_stem, name),
            (self.by_stem, PurePosixPath(name).stem),
            (self.by_name, bare),
            (self.by_stem, PurePosixPath(bare).stem),
        ):
            if key and key in table:
                return table[key]
        return []


def index_images(images: Sequence[PurePosixPath]) -> ImageIndex:
    """Index the images of a set."""
    by_name: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
    by_stem: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
    for image in images:
        by_name[image.name.lower()].append(image)
        by_stem[image.stem.lower()].append(image)
    return ImageIndex(frozenset(images), by_name, by_stem)


def _agreement(
    image: PurePosixPath, path: PurePosixPath, label: PurePosixPath, hints: Sequence[str]
) -> tuple[int, int, int, int, int]:
    """How much of an image's path agrees, the most telling first."""
    folders = [folder.lower() for folder in image.parts[:-1]]
    wanted = [folder.lower() for folder in path.parts[:-1]]
    last = 0
    while last < min(len(folders), len(wanted)) and folders[-1 - last] == wanted[-1 - last]:
        last += 1
    near = 0
    while near < min(len(folders), len(label.parts) - 1) and image.parts[near] == label.parts[near]:
        near += 1
    own = split_of(label.parts[:-1])
    return (
        last,
        int(own is not None and split_of(image.parts[:-1]) is own),
        sum(folder in hints for folder in folders),
        near,
        sum(folder in IMAGE_FOLDERS for folder in folders),
    )
