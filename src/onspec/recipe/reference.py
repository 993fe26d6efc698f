"""What a recipe keeps of how its training images looked: quantiles of every figure, and the mean of their pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from onspec.decision.inspectability import Gate, trained_limit
from onspec.domain.look import STEPS, Look, Quantiles, Reference
from onspec.imaging.look import SIDE, Picture, centred, from_text, likeness, look_at, picture_of, to_text
from onspec.imaging.reading import Image

MOST: Final = 2000
"""Images that are measured at most, evenly spread over what there is."""

_FEWEST: Final = 8
"""Images below which nothing can be called alike."""

_MOVED: Final = 3
"""px of the shrunk picture, about a tenth of a side, that an image is moved by to see whether that would be noticed."""

_NOTICED: Final = 0.9
"""Share of moved pictures that must fall out of the limits for likeness to be of use."""

_FIGURES: Final = ("brightness", "contrast", "black", "white", "sharpness", "tint")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What is kept of an image; `part` names the part that it shows, `None` one that no other image shows."""

    look: Look
    picture: Picture | None
    part: str | None = None


def see(image: Image, part: str | None = None) -> Seen:
    """Of an image as it was read: uint8 or uint16, gray or RGB."""
    return Seen(look_at(image), picture_of(image), part)


def reference_of(images: Sequence[Seen], scores: Sequence[float] = ()) -> Reference | None:
    """Of all images, good and defective, and the scores of held-out good ones; `None` without an image."""
    if not images:
        return None
    looks: dict[str, Quantiles] = {}
    for name in _FIGURES:
        values = [getattr(seen.look, name) for seen in images]
        if None not in values:  # a tint is of colour images only
            looks[name] = quantiles(values)
    alike = _alike(images)
    if alike is not None:
        looks["likeness"] = alike.likeness
    return Reference(
        images=len(images),
        looks=looks,
        scored=len(scores),
        scores=quantiles(scores) if scores else None,
        picture=None if alike is None else to_text(alike.mean),
    )


def likened(seen: Seen, picture: Picture | None) -> Look:
    """How the image looks beside a picture that it should be like."""
    if picture is None:
        return seen.look
    return seen.look.model_copy(update={"likeness": round(likeness(seen.picture, picture), 4)})


def outside(reference: Reference | None, images: Sequence[Seen]) -> int:
    """How many of the images are not inspectable by the limits of a reference."""
    gate, picture = Gate(reference, None), picture_in(reference)
    return sum(any(gate.broken(likened(seen, picture))) for seen in images)


def spread(count: int, most: int = MOST) -> range:
    """Which of so many images are measured."""
    return range(0, count, max(1, -(-count // most)))


def quantiles(values: Iterable[float]) -> Quantiles:
    """At 0, 1/64, …, 1, to four digits."""
    found = np.quantile(np.array(list(values), np.float64), np.linspace(0, 1, STEPS + 1))
    return tuple(float(f"{value:.4g}") for value in found)


def picture_in(reference: Reference | None) -> Picture | None:
    """The picture that images should be like. Raises ValueError where it is none."""
    return None if reference is None or reference.picture is None else from_text(reference.picture)


@dataclass(frozen=True, slots=True, eq=False)
class _Alike:
    mean: Picture
    likeness: Quantiles


def _alike(images: Sequence[Seen]) -> _Alike | None:
    """Whether likeness is of use: it must notice an image that is moved by a tenth of its side.

    Each image is compared with the mean of those of other parts, and so is it moved left, right, up and down, what
    comes into view being as its border. Of the moved ones 90 % must lie under the limit that follows from those that
    were not.
    """
    known = [seen.picture for seen in images if seen.picture is not None]
    if len(known) < max(_FEWEST, len(images)):  # one without contrast is like nothing
        return None
    stack: NDArray[np.float32] = np.stack(known)
    others = _of_others(stack, [str(n) if seen.part is None else f"part {seen.part}" for n, seen in enumerate(images)])
    if (others.std(axis=1) == 0).any():  # of one part alone
        return None
    means: NDArray[np.float32] = np.stack([centred(total) for total in others])
    own = quantiles(_correlations(stack, means))
    limit, _ = trained_limit("likeness", own, len(known))
    if limit is None:  # some are like none of the others
        return None
    moved = np.concatenate([_correlations(_moved(stack, *by), means) for by in _WAYS])
    if float(np.mean(moved < limit)) < _NOTICED:
        return None
    return _Alike(centred(stack.mean(axis=0)), own)


_WAYS: Final = ((0, _MOVED), (0, -_MOVED), (_MOVED, 0), (-_MOVED, 0))
"""Down and right, px."""


def _of_others(stack: NDArray[np.float32], parts: Sequence[str]) -> NDArray[np.float32]:
    """For each picture the sum of those of other parts."""
    names, places = np.unique(parts, return_inverse=True)
    if len(names) == 1:
        return np.zeros_like(stack)
    sums = np.zeros((len(names), stack.shape[1]), np.float32)
    np.add.at(sums, places, stack)
    return np.asarray(stack.sum(axis=0) - sums[places], np.float32)


def _correlations(stack: NDArray[np.float32], means: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.einsum("np,np->n", stack, means, dtype=np.float64) / stack.shape[1], np.float64)


def _moved(stack: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """The pictures moved, each brought to zero mean and unit deviation again."""
    at = [np.clip(np.arange(SIDE) - by, 0, SIDE - 1) for by in (down, right)]
    moved = stack.reshape(-1, SIDE, SIDE)[:, at[0]][:, :, at[1]].reshape(len(stack), -1)
    moved = moved - moved.mean(axis=1, keepdims=True)
    return np.asarray(moved / np.maximum(moved.std(axis=1, keepdims=True), 1e-6), np.float32)
