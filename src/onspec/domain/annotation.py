"""What a label says of one image: where a defect is, and of which class it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFECT: Final = "defect"
"""The class of a label that names none."""


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A label image of any encoding (see `imaging.masks`) that marks the pixels of one class.

    `inverted` says that the set draws its background bright, so that 0 is the class. `code` is the value that means
    this class in a label image that holds several; without one, every marked pixel is of the class. `numbered` says
    that each value but 0 is the number of one object of the class.
    """

    path: Path
    cls: str = DEFECT
    inverted: bool = False
    code: int | None = None
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A coarse label as DAGM 2007 has it: centre (x, y), semi-axes (a along, b across) in px, angle in degrees.

    The angle turns the a-axis from the image's x axis towards its (downward) y axis.
    """

    x: float
    y: float
    a: float
    b: float
    angle_deg: float
    cls: str = DEFECT

    def __post_init__(self) -> None:
        """Refuse axes that enclose nothing."""
        if self.a <= 0 or self.b <= 0:
            raise ValueError(f"Ellipse axes must be positive; got a={self.a}, b={self.b}")


@dataclass(frozen=True, slots=True)
class Box:
    """An upright box in px: left and top edge, width and height; pixel (0, 0) covers 0…1 on both axes."""

    x: float
    y: float
    width: float
    height: float
    cls: str = DEFECT

    def __post_init__(self) -> None:
        """Refuse sides that enclose nothing."""
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"Box sides must be positive; got {self.width}×{self.height}")


@dataclass(frozen=True, slots=True)
class Polygon:
    """One defect as the area of one or several rings of (x, y) in px, their union; as COCO and labelme have it.

    Pixel (0, 0) covers 0…1 on both axes.
    """

    rings: tuple[tuple[tuple[float, float], ...], ...]
    cls: str = DEFECT

    def __post_init__(self) -> None:
        """Refuse what is no area."""
        if not self.rings or any(len(ring) < 3 for ring in self.rings):
            raise ValueError(f"Polygon needs rings of three points or more; got {[len(r) for r in self.rings]}")


@dataclass(frozen=True, slots=True)
class RunLengths:
    """One mask as COCO's uncompressed run lengths: counts of 0 and 1 in turn, beginning with 0, column by column.

    `size` is (width, height) in px.
    """

    counts: tuple[int, ...]
    size: tuple[int, int]
    cls: str = DEFECT

    def __post_init__(self) -> None:
        """Refuse runs that do not fill the image."""
        if min(self.counts, default=-1) < 0 or sum(self.counts) != self.size[0] * self.size[1]:
            raise ValueError(f"runs cover {sum(self.counts)} px; the image has {self.size[0]}×{self.size[1]} px")


Annotation = MaskFile | Ellipse | Box | Polygon | RunLengths
