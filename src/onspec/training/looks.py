"""How the images of a training look, and whether its own limits would let its validation images through."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from onspec.domain import Sample, Split
from onspec.domain.look import Reference
from onspec.imaging.camera import Camera
from onspec.imaging.reading import read_image
from onspec.recipe.reference import Seen, outside, reference_of, see, spread

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Looks:
    """Of training and validation images; of either split at most `recipe.reference.MOST`, evenly spread."""

    train: tuple[Seen, ...]
    val: tuple[Seen, ...]

    def reference(self, scores: Sequence[float]) -> Reference | None:
        """Of both; `scores` of good validation images, by the final network."""
        return reference_of([*self.train, *self.val], scores)

    @property
    def told(self) -> str:
        """How many validation images lie outside what the training images alone allow, and what that bounds."""
        count, of = outside(reference_of(self.train), self.val), len(self.val)
        fewer = (
            "" if count else f", so fewer than {1 - (1 - _CONFIDENCE) ** (1 / of):.1%} of such images are (95 % sure)"
        )
        return (
            f"by limits that {len(self.train)} training images set, {count} of {of} validation images are not "
            f"inspectable{fewer}"
        )


def measure(parts: Mapping[Split, Sequence[Sample]], camera: Camera) -> Looks:
    """Read the images as they come from the camera, once more and no more than are needed.

    Raises:
        ImageError: an unreadable file, by name.
    """

    def look(sample: Sample) -> Seen:
        return see(read_image(sample.image, camera), sample.part)

    with ThreadPoolExecutor(4) as threads:
        found = {
            split: tuple(threads.map(look, [parts[split][at] for at in spread(len(parts[split]))]))
            for split in (Split.TRAIN, Split.VAL)
        }
    return Looks(found[Split.TRAIN], found[Split.VAL])
