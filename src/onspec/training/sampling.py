"""Which crops a step trains on: half around defects, the rest anywhere, mostly on good parts."""

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from onspec.domain import DataError
from onspec.imaging.preparation import InputSpec
from onspec.training.augmentation import Augmentation, Crop, cut
from onspec.training.pool import Labelled, defective_of


class CropSampler:
    """Batches of crops, each a pure function of (seed, step): a resumed run sees what the killed one would have seen.

    Args:
        pool: labelled images; those without located defects serve as good surface only if the part is good.
        size: side of the square crops, px.
        batch: crops a step.
        defect_share: share of crops cut around a defect.
    """

    def __init__(
        self,
        pool: Sequence[Labelled],
        spec: InputSpec,
        how: Augmentation,
        *,
        size: int,
        batch: int,
        defect_share: float,
        seed: int,
    ) -> None:
        self._defective = defective_of(pool)
        self._good = [item for item in pool if item.located and not item.sample.defective]
        if not self._defective:
            raise DataError("no training image has a located defect; label some, or check with: onspec check DATA")
        self._spec, self._how, self._size, self._seed = spec, how, size, seed
        self._around = max(1, round(batch * defect_share))
        self._elsewhere = batch - self._around

    def batch(self, step: int) -> list[Crop]:
        """The crops of one step."""
        rng = np.random.default_rng([self._seed, step])
        crops = [self._around_defect(rng) for _ in range(self._around)]
        return crops + [self._anywhere(rng) for _ in range(self._elsewhere)]

    def _around_defect(self, rng: Generator) -> Crop:
        """Every image, and in it every defect, has the same chance, whatever its size; it lies anywhere in the crop."""
        item = self._defective[rng.integers(len(self._defective))]
        spots = item.defects[rng.integers(len(item.defects))]
        x, y = spots[rng.integers(len(spots))]
        jitter = rng.uniform(-0.4, 0.4, 2) * self._size
        return self._cut(item, x + jitter[0], y + jitter[1], rng)

    def _anywhere(self, rng: Generator) -> Crop:
        pool = self._good if self._good and rng.random() < 0.8 else self._defective
        item = pool[rng.integers(len(pool))]
        height, width = item.image.shape[:2]
        return self._cut(item, rng.uniform(0, width), rng.uniform(0, height), rng)

    def _cut(self, item: Labelled, x: float, y: float, rng: Generator) -> Crop:
        height, width = item.image.shape[:2]
        centre = (_kept_inside(x, width, self._size), _kept_inside(y, height, self._size))
        return cut(item, centre, self._size, self._how, self._spec, rng)


def _kept_inside(at: float, length: int, size: int) -> float:
    """Move a crop's centre so that it does not reach over the border; centred where the image is smaller."""
    half = size / 2
    return length / 2 if length <= size else min(max(at, half), length - half)
