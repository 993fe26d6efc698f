"""What a model says of one image, before anything is decided."""

from dataclasses import dataclass

import numpy as np

from onspec.domain.score_map import ScoreMap


@dataclass(frozen=True, slots=True)
class ScoredBox:
    """A box that a detector found: left and top edge, width and height in the original image's px."""

    cls: str
    score: float
    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        """Refuse what is no box or no score: NaN must never become a verdict."""
        if not (0.0 <= self.score <= 1.0 and self.width > 0 and self.height > 0):
            raise ValueError(f"ScoredBox needs a score in [0, 1] and positive sides; got {self}")
        if not np.isfinite([self.x, self.y, self.width, self.height]).all():
            raise ValueError(f"ScoredBox must lie at finite coordinates; got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A network's answer in the original image's pixels.

    The classes of the maps exclude one another: at each pixel their scores add up to the score of being defective at
    all, and what is missing to 1 is good surface.

    Attributes:
        maps: one a class, of one size.
        boxes: what a detector found, by falling score; empty for the other tasks.
        cores: the score of lying inside an object and away from its neighbours, where touching objects are told
            apart; `None` where they are not.
    """

    maps: tuple[ScoreMap, ...]
    boxes: tuple[ScoredBox, ...] = ()
    cores: ScoreMap | None = None

    def __post_init__(self) -> None:
        """Refuse no map, and maps of several sizes."""
        sizes = {m.size for m in (*self.maps, *((self.cores,) if self.cores is not None else ()))}
        if not self.maps or len(sizes) != 1:
            raise ValueError(f"Prediction takes maps of one size; got {sorted(sizes) or 'no map'}")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.maps[0].size

    def total(self) -> ScoreMap:
        """The score of being defective at all, whatever the class."""
        if len(self.maps) == 1:
            return self.maps[0]
        by_name = sorted(self.maps, key=lambda m: m.cls)  # rounding must not depend on the order of classes
        summed = np.add.reduce([m.values for m in by_name])
        return ScoreMap(np.minimum(summed, np.float32(1.0)), "any")
