"""A data set as the rest of onspec sees it: labelled images, each with its part."""

from dataclasses import dataclass
from pathlib import Path

from onspec.datasets.labels import classes_of
from onspec.datasets.problem import Problem
from onspec.datasets.tree import Marked
from onspec.domain import DataError, MaskFile, Sample
from onspec.imaging.camera import AS_STORED, Camera


@dataclass(frozen=True)
class Dataset:
    """What a layout read from a folder.

    Attributes:
        root: the folder that was read.
        layout: name of the layout in `layouts.LAYOUTS`.
        samples: every labelled image, sorted by name.
        parts_rule: how it was told which images show the same part, as a sentence.
        parts_known: the user or the set said which part an image shows; otherwise it was guessed from names.
        inverted: the set's masks draw the background bright; `marked`: what the user said of that.
        problems: what the layout found wrong while it read.
        camera: what `camera.yaml` says of all images; they are read with it.
    """

    root: Path
    layout: str
    samples: tuple[Sample, ...]
    parts_rule: str
    parts_known: bool = False
    inverted: bool = False
    marked: Marked | None = None
    problems: tuple[Problem, ...] = ()
    camera: Camera = AS_STORED

    def __post_init__(self) -> None:
        """Refuse an empty set, one out of order and names that stand twice."""
        if not self.samples:
            raise DataError(f"{self.root}: no labelled image found; give a folder that holds a data set")
        names = [sample.name for sample in self.samples]
        if names != sorted(set(names)):
            raise ValueError("Dataset samples must be sorted by name, and names unique")

    @property
    def good(self) -> int:
        """How many images show a good part."""
        return sum(not sample.defective for sample in self.samples)

    @property
    def defective(self) -> int:
        """How many images show a defective part."""
        return len(self.samples) - self.good

    @property
    def numbered(self) -> bool:
        """Whether its masks number the objects in them."""
        return any(isinstance(a, MaskFile) and a.numbered for sample in self.samples for a in sample.annotations)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of defects that the labels name, sorted; `defect` alone where they name none."""
        return classes_of(self.samples)
