"""The images a run trains or validates on, in memory at working resolution and in their own dtype."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.datasets.labels import load_mask
from onspec.domain import Sample
from onspec.imaging.masks import Mask
from onspec.imaging.preparation import InputSpec, conform, resized, statistics
from onspec.imaging.reading import Image, read_image

_ANCHORS = 64
"""How many pixels of each defect are kept as places to look at."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One image with its label at working resolution.

    Attributes:
        image: (H, W) or (H, W, 3) in its own dtype.
        mask: uint8 (K, H, W) of 0/1; `None` where the part is known to be defective, but not where.
        stats: what `imaging.preparation.statistics` says of the whole image.
        defects: for each defect, int32 (n, 2) of (x, y) pixels on it.
    """

    sample: Sample
    image: Image
    mask: Mask | None
    stats: tuple[float, float]
    defects: tuple[NDArray[np.int32], ...]

    @property
    def located(self) -> bool:
        """Whether the label says which pixels are defective."""
        return self.mask is not None


def load_labelled(sample: Sample, spec: InputSpec, classes: tuple[str, ...]) -> Labelled:
    """Read, check and resize one image with its label.

    Raises:
        ImageError, LabelError: what is wrong with the file, by name.
    """
    image = conform(read_image(sample.image), spec, sample.name)
    height, width = image.shape[:2]
    working = resized(image, spec)
    mask = None
    if sample.annotations or not sample.defective:
        full = load_mask(sample, (width, height), classes)
        mask = np.stack([_shrunk(plane, working.shape[:2]) for plane in full])
    return Labelled(sample, working, mask, statistics(working, spec), _anchors(mask))


def load_pool(
    samples: Sequence[Sample], spec: InputSpec, classes: tuple[str, ...], tell: Callable[[int], None] = lambda _: None
) -> list[Labelled]:
    """Load all samples with a few threads, in order; `tell` is called with the count so far."""
    pool = []
    with ThreadPoolExecutor(4) as threads:
        for labelled in threads.map(lambda s: load_labelled(s, spec, classes), samples):
            pool.append(labelled)
            tell(len(pool))
    return pool


def defective_of(pool: Iterable[Labelled]) -> list[Labelled]:
    """Those whose defects are located."""
    return [item for item in pool if item.defects]


def _shrunk(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Resize a 0/1 mask: a working pixel is defective where at least half of its area is."""
    if mask.shape == shape:
        return mask
    share = cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return (share >= 0.5).astype(np.uint8)


def _anchors(mask: Mask | None) -> tuple[NDArray[np.int32], ...]:
    """Pixels of every connected defect, evenly picked so that large ones cost no memory."""
    if mask is None or not mask.any():
        return ()
    count, labels = cv2.connectedComponents(mask.max(axis=0), connectivity=8)
    found = []
    for label in range(1, count):
        ys, xs = np.nonzero(labels == label)
        pick = np.linspace(0, len(xs) - 1, min(len(xs), _ANCHORS)).astype(np.int64)
        found.append(np.stack([xs[pick], ys[pick]], axis=1).astype(np.int32))
    return tuple(found)
