"""Which crops a step trains on: half around defects, the rest anywhere, mostly on good parts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from onspec.domain import DataError, Task
from onspec.imaging.masks import Mask
from onspec.imaging.preparation import Tensor
from onspec.imaging.reading import Image
from onspec.training.crops import Disguise, Donor, Paint, Truth, cut
from onspec.training.plan import Plan
from onspec.training.pool import Labelled, defective_of

_GOOD_SHARE = 0.8
"""Of the crops from anywhere, the share that is cut from good parts."""

_DISGUISED = 0.5
"""Of the crops of good surface, the share that is changed harmlessly, where there is something to do so."""

_BAG = 4
"""Pieces of an image with a defect that nobody located, in a step that looks at one."""

_WHETHER, _WHICH = 1 << 20, 1 << 21
"""In place of a crop's place: seeds of what all crops of a step share. Never nothing: numpy takes [seed, step] for
[seed, step, 0], so that the first crop would depend on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """float32 tensor (C, S, S), its truth, and the number of its bag: pieces of one image whose defect is not located;
    −1 where the label is complete."""

    tensor: Tensor
    truth: Truth
    bag: int = -1


class CropSampler:
    """Batches of crops, each a pure function of (seed, step, place): a resumed run sees what the killed one would have
    seen, and several processes together see what one would.

    Args:
        pool: labelled images; those without located defects serve as good surface only if the part is good.
        paint: draws synthetic defects, for the share of crops that the plan says.
        disguise: changes good surface in ways that are no defect, for some of its crops.

    Raises:
        DataError: nothing in the pool can be learned from under this plan.
    """

    def __init__(
        self,
        pool: Sequence[Labelled],
        plan: Plan,
        *,
        seed: int,
        paint: Paint | None = None,
        disguise: Disguise | None = None,
    ) -> None:
        self._plan, self.seed, self._paint, self._disguise = plan, seed, paint, disguise
        self._good = [item for item in pool if not item.sample.defective]
        self._located = defective_of(pool)
        self._told = [item for item in pool if item.sample.defective and not item.located]
        self._of_class: defaultdict[int, list[tuple[Labelled, tuple[int, ...]]]] = defaultdict(list)
        for item in self._located:
            for cls in {spot.cls for spot in item.spots}:
                places = tuple(i for i, spot in enumerate(item.spots) if spot.cls == cls)
                self._of_class[cls].append((item, places))
        self._classes = sorted(self._of_class)
        self._images = _by_class(pool)
        self._refuse_nothing()

    def batch(self, step: int, rank: int = 0, processes: int = 1) -> list[Crop]:
        """The crops of one step, or of every `processes`-th place from `rank` on."""
        if self._plan.task is Task.CLASSIFY:
            places = range(self._plan.batch)[rank::processes]
            return [self._whole(np.random.default_rng([self.seed, step, place]), place) for place in places]
        crops = []
        bagged = self._bagged(step)
        for place in range(self._plan.batch)[rank::processes]:
            rng = np.random.default_rng([self.seed, step, place])
            crops.append(self._piece(step, rng) if place < bagged else self._crop(place, rng))
        return crops

    def _refuse_nothing(self) -> None:
        if self._plan.task is Task.CLASSIFY:
            if len(self._images) < 2:
                raise DataError("all training images are of one class; add images of another, or of good parts")
        elif not self._located and not (self._good and self._paint is not None):
            raise DataError("no training image has a located defect; label some, or check with: onspec check DATA")

    def _bagged(self, step: int) -> int:
        """How many places of a step go to an image whose defect is not located: in proportion to such images, in whole
        bags, never more than half of the batch; none where boxes are learned, of which they say nothing."""
        if not self._told or self._plan.batch < 2 or self._plan.task is Task.DETECT:
            return 0
        share = len(self._told) / (len(self._told) + len(self._located))
        size = min(_BAG, self._plan.batch // 2)
        chance = min(1.0, share * self._plan.defect_share * self._plan.batch / size)
        return size if np.random.default_rng([self.seed, step, _WHETHER]).random() < chance else 0

    def _piece(self, step: int, rng: Generator) -> Crop:
        """A piece of the step's unlocated image; all places of a step choose the same."""
        common = np.random.default_rng([self.seed, step, _WHICH])
        item = self._told[common.integers(len(self._told))]
        tensor, truth = self._cut(item, *_anywhere_in(item, rng), rng)
        return Crop(tensor, truth, bag=0)

    def _crop(self, place: int, rng: Generator) -> Crop:
        plan = self._plan
        around = place % 2 == 0 if plan.defect_share == 0.5 else rng.random() < plan.defect_share
        if not around:
            return self._anywhere(rng)
        drawn = rng.random()
        if self._paint is not None and (not self._located or (self._good and drawn < plan.synthetic_share)):
            return self._painted(rng)
        if self._good and drawn < plan.synthetic_share + plan.paste_share:
            return self._pasted(rng)
        return self._around_defect(rng)

    def _around_defect(self, rng: Generator) -> Crop:
        """Every class, in it every image, and in that every defect has the same chance, whatever its size; it lies
        anywhere in the crop."""
        item, _, (x, y) = self._spot(rng)
        return Crop(*self._cut(item, x, y, rng))

    def _spot(self, rng: Generator) -> tuple[Labelled, int, tuple[float, float]]:
        """An image, one of its defects, and where to look for it to lie anywhere in a crop."""
        items = self._of_class[self._classes[rng.integers(len(self._classes))]]
        item, places = items[rng.integers(len(items))]
        spot = places[rng.integers(len(places))]
        found = item.spots[spot].places
        x, y = found[rng.integers(len(found))] + rng.uniform(-0.4, 0.4, 2) * self._plan.crop
        return item, spot, (float(x), float(y))

    def _pasted(self, rng: Generator) -> Crop:
        item, spot, centre = self._spot(rng)
        good = self._good[rng.integers(len(self._good))]
        return Crop(*self._cut(good, *_anywhere_in(good, rng), rng, donor=Donor(item, spot, centre)))

    def _painted(self, rng: Generator) -> Crop:
        good = self._good[rng.integers(len(self._good))]
        return Crop(*self._cut(good, *_anywhere_in(good, rng), rng, paint=self._paint))

    def _anywhere(self, rng: Generator) -> Crop:
        from_good = self._good and (not self._located or rng.random() < _GOOD_SHARE)
        pool = self._good if from_good else self._located
        item = pool[rng.integers(len(pool))]
        changed = from_good and self._disguise is not None and rng.random() < _DISGUISED
        return Crop(*self._cut(item, *_anywhere_in(item, rng), rng, paint=self._unharmed if changed else None))

    def _unharmed(self, image: Image, rng: Generator) -> tuple[Image, Mask]:
        """A changed crop of good surface that shows no defect."""
        assert self._disguise is not None
        return self._disguise(image, rng), np.zeros(image.shape[:2], np.uint8)

    def _whole(self, rng: Generator, place: int) -> Crop:
        """A whole image; every class, good among them, has the same chance. In place of a defective one may come a good
        one with a synthetic defect."""
        kinds = len(self._images)
        kind = place % 2 if kinds == 2 else int(rng.integers(kinds))
        items = self._images[kind]
        item = items[rng.integers(len(items))]
        paint = None
        if kind and self._paint is not None and self._good and rng.random() < self._plan.synthetic_share:
            item, paint = self._good[rng.integers(len(self._good))], self._paint
        shift = rng.uniform(-0.05, 0.05, 2) * self._plan.crop
        width, height = item.size
        return Crop(*self._cut(item, width / 2 + shift[0], height / 2 + shift[1], rng, paint=paint))

    def _cut(
        self, item: Labelled, x: float, y: float, rng: Generator, *, donor: Donor | None = None,
        paint: Paint | None = None,
    ) -> tuple[Tensor, Truth]:  # fmt: skip
        plan = self._plan
        if plan.task is not Task.CLASSIFY:
            x, y = (_kept_inside(at, side, plan.crop) for at, side in zip((x, y), item.size, strict=True))
        return cut(
            item, (x, y), plan.crop, plan.augmentation, plan.input, rng, donor=donor, paint=paint,
            separate=plan.separate,
        )  # fmt: skip


def _by_class(pool: Sequence[Labelled]) -> list[list[Labelled]]:
    """The images of each class that occurs."""
    groups: defaultdict[int, list[Labelled]] = defaultdict(list)
    for item in pool:
        groups[item.cls].append(item)
    return [groups[cls] for cls in sorted(groups)]


def _anywhere_in(item: Labelled, rng: Generator) -> tuple[float, float]:
    x, y = rng.uniform((0, 0), item.size)
    return float(x), float(y)


def _kept_inside(at: float, length: int, size: int) -> float:
    """Move a crop's centre so that it does not reach over the border; centred where the image is smaller."""
    half = size / 2
    return length / 2 if length <= size else min(max(at, half), length - half)
