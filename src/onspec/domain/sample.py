"""One labelled image of a part, as every data set layout delivers it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from onspec.domain.annotation import DEFECT, Annotation


class Split(StrEnum):
    """What a part is used for. No part stands in two of them."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of one part with what is known about it.

    Attributes:
        name: path relative to the data set's root with forward slashes; unique in the set, used in every report.
        image: the image file.
        part: the physical part; all images of one part stay in one split.
        annotations: where the defects are; empty for a good part, and for one only known to be defective.
        defective: the truth about the part.
        split: the split that the data set itself assigns, if it does.
        cls: the class of a whole-image label; `None` for a good part, and where annotations name the classes.
        lot: what the part was made with (a day, a coil, a batch), where that is known; a lot stays in one split.
        time: when the image was taken, as it was said: a date, or a number that counts up.
    """

    name: str
    image: Path
    part: str
    defective: bool
    annotations: tuple[Annotation, ...] = ()
    split: Split | None = None
    cls: str | None = None
    lot: str | None = None
    time: str | None = None

    def __post_init__(self) -> None:
        """Refuse a good part with defects drawn on it, and nameless ones."""
        if not self.name or not self.part:
            raise ValueError(f"Sample needs a name and a part; got name={self.name!r}, part={self.part!r}")
        if self.annotations and not self.defective:
            raise ValueError(f"Sample {self.name} is labelled good and has {len(self.annotations)} annotations")

    @property
    def classes(self) -> tuple[str, ...]:
        """The kinds of its defects, sorted: `defect` where it names none; empty for a good part."""
        if not self.defective:
            return ()
        return tuple(sorted({a.cls for a in self.annotations} or {self.cls or DEFECT}))

    @property
    def truth(self) -> Literal["good", "defective"]:
        """The truth in the words of the trade."""
        return "defective" if self.defective else "good"
