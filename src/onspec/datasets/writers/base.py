"""What a writer of a layout is, and what it is given."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from onspec.domain import DEFECT, Sample, Split
from onspec.imaging.header import Size
from onspec.imaging.writing import write_bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """An image to write: its sample, a file name that no other image has, and its width and height in px."""

    sample: Sample
    file: str
    size: Size

    @property
    def stem(self) -> str:
        """The file name without suffix, which no other image has either, in whatever case."""
        return PurePosixPath(self.file).stem


@dataclass(slots=True)
class Remarks:
    """What a layout cannot hold, counted, and what else there is to say, in sentences."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, one: str, many: str, count: int = 1) -> None:
        """Count something: `polygon becomes a box`, `polygons become boxes`."""
        if count:
            self.counts[one, many] = self.counts.get((one, many), 0) + count

    def sentences(self) -> tuple[str, ...]:
        """In the order in which they first came up, notes last."""
        counted = [f"{count} {one if count == 1 else many}" for (one, many), count in self.counts.items()]
        return (*counted, *self.notes)


@dataclass
class Job:
    """A conversion as a writer sees it.

    Attributes:
        root: where to write; nobody reads there before all is done.
        entries: the images, in order of their names.
        link: whether images become hard links instead of copies, where the disk allows it.
        remarks: what the layout cannot hold.
        written: the image's new name and split, by the sample's name.
        tell: called with the count of images written so far.
    """

    root: Path
    entries: tuple[Entry, ...]
    link: bool = False
    remarks: Remarks = field(default_factory=Remarks)
    written: dict[str, tuple[str, Split | None]] = field(default_factory=dict)
    tell: Callable[[int], None] = lambda _: None

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that an annotation or a whole image has, sorted; a label that names none is of `defect`."""
        return tuple(sorted({cls for entry in self.entries for cls in entry.sample.classes})) or (DEFECT,)

    def place(self, entry: Entry, path: str, split: Split | None = None) -> None:
        """Put the image's file at a path below the root, its bytes as they are.

        Args:
            split: the split that the layout gives it there, if that is not the sample's own.
        """
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = entry.sample.image.resolve()
        if not (self.link and _linked(source, target)):
            shutil.copyfile(source, target)
        self.written[entry.sample.name] = (path, split or entry.sample.split)
        self.tell(len(self.written))

    def write(self, path: str, content: str | bytes) -> None:
        """Write a label file below the root."""
        write_bytes(self.root / path, content.encode() if isinstance(content, str) else content)


@dataclass(frozen=True)
class Writer:
    """One way to write a data set in folders.

    Attributes:
        name: what `--to` takes; the layout of that name reads it again.
        unlocated: whether it can say that a part is defective without saying where.
        write: writes all images with `Job.place`, and their labels.
    """

    name: str
    unlocated: bool
    write: Callable[[Job], None]


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        return False
    return True
