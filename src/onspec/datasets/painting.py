"""One generated image: a texture, the defects on it, the mean gray evened, the light of a station."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.datasets import flaws
from onspec.datasets.fields import SIZE, Field
from onspec.datasets.flaws import SCRATCH, WORN, Flaw
from onspec.datasets.textures import TEXTURES, Texture
from onspec.domain import Ellipse, Polygon, UsageError
from onspec.imaging.masks import Mask
from onspec.imaging.shapes import draw_ellipse, draw_polygon

_MEAN, _DEVIATION = 128.0, 30.0

_TRIES = 50
"""Places that are tried for a further defect before the image goes without it."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """How visible defects are: `contrast`, how far the statistics change, and `size`, the scale of their axes."""

    contrast: float = 1.0
    size: float = 1.0

    def __post_init__(self) -> None:
        """Refuse defects that are not there, or do not fit in."""
        if not 0 < self.contrast <= 1:
            raise UsageError(f"contrast is {self.contrast:g}; choose a number over 0 and up to 1")
        if not 0.2 <= self.size <= 2:
            raise UsageError(f"size is {self.size:g}; choose 0.2 … 2")


@dataclass(frozen=True, slots=True, eq=False)
class Generated:
    """One image, uint8 (512, 512), and its coarse labels; none for a good part."""

    image: NDArray[np.uint8]
    labels: tuple[Ellipse | Polygon, ...] = ()


def kinds_of(texture: int) -> tuple[str, ...]:
    """The classes of defects that a texture can have; the first is its own."""
    return (TEXTURES[texture].defect, SCRATCH, WORN)


def paint(
    texture: int, index: int, *, defective: bool, seed: int = 0, contrast: float = 1.0, size: float = 1.0
) -> Generated:
    """The `index`-th good or defective image of a texture; depends on nothing else, so counts change no image.

    A defective image has one defect, of the texture's own kind.

    Raises:
        UsageError: a contrast or size that cannot be.
    """
    look = Visibility(contrast, size)
    rng = np.random.default_rng([seed, texture, int(defective), index])
    own = flaws.spot(rng, look.size) if defective else None
    field = _surface(TEXTURES[texture], rng, own, look.contrast)
    return Generated(_to_gray(field, rng), (own.label,) if own else ())


def paint_kinds(
    texture: int, index: int, kinds: Sequence[str] = (), *, seed: int = 0, contrast: float = 1.0, size: float = 1.0
) -> Generated:
    """The `index`-th image with a defect of each of the `kinds`, apart from each other; of one to three by chance if
    none is named. What finds no free place is left out, but never all.

    Raises:
        UsageError: a contrast or size that cannot be, or a kind that this texture does not have.
    """
    look = Visibility(contrast, size)
    known = kinds_of(texture)
    if unknown := [kind for kind in kinds if kind not in known]:
        raise UsageError(f"Unknown kind of defect {unknown[0]!r}; {TEXTURES[texture].name} has {', '.join(known)}")
    rng = np.random.default_rng([seed, texture, 3, index])
    drawn = [known[place] for place in rng.permutation(len(known))[: rng.integers(1, len(known) + 1)]]
    found = _placed(rng, dict.fromkeys(kinds or drawn), known[0], look.size)
    field = _surface(TEXTURES[texture], rng, found.get(known[0]), look.contrast)
    for kind, change in ((WORN, flaws.wear), (SCRATCH, flaws.scratch)):
        if kind in found:
            field = change(field, found[kind], look.contrast)
    return Generated(_to_gray(field, rng), tuple(flaw.label for flaw in found.values()))


def label_mask(label: Ellipse | Polygon) -> Mask:
    """The coarse label as uint8 (512, 512) of 0/1."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    if isinstance(label, Polygon):
        draw_polygon(mask, label.rings)
    else:
        draw_ellipse(mask, (label.x, label.y), (label.a, label.b), label.angle_deg)
    return mask


def _placed(rng: Generator, kinds: Iterable[str], own: str, size: float) -> dict[str, Flaw]:
    """A flaw of each kind whose box touches no other's."""
    makers: dict[str, Callable[[], Flaw]] = {
        own: lambda: flaws.spot(rng, size, own),
        SCRATCH: lambda: flaws.groove(rng, size),
        WORN: lambda: flaws.patch(rng, size),
    }
    found: dict[str, Flaw] = {}
    for kind in kinds:
        for _ in range(_TRIES):
            flaw = makers[kind]()
            if not any(_touch(flaw, other) for other in found.values()):
                found[kind] = flaw
                break
    return found


def _touch(one: Flaw, other: Flaw) -> bool:
    (left, top, right, bottom), (x, y, x2, y2) = one.box, other.box
    return left <= x2 and x <= right and top <= y2 and y <= bottom


def _surface(texture: Texture, rng: Generator, own: Flaw | None, contrast: float) -> Field:
    """Zero mean, unit deviation, and where the texture's own defect is, a mean that tells nothing.

    At full contrast, that is the mean of the whole. At less, it is nearer to what a good surface has at that place: a
    defect that vanishes leaves no spot of evened light behind.
    """
    if own is None:
        return _unit(texture.paint(rng, np.zeros((SIZE, SIZE), np.float32), 1.0))
    kept = 0.0
    if contrast < 1:
        good = _unit(texture.paint(copy.deepcopy(rng), own.strength, 0.0))
        kept = (1 - contrast) * _mean_in(good, own.strength)
    spot = own.strength
    field = _unit(texture.paint(rng, spot, contrast))
    excess = _mean_in(field, spot) - kept
    return np.asarray(field - spot * (excess * float(spot.sum()) / float((spot * spot).sum())), np.float32)


def _unit(field: Field) -> Field:
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _mean_in(field: Field, spot: Field) -> float:
    return float((field * spot).sum()) / float(spot.sum())


def _to_gray(field: Field, rng: Generator) -> NDArray[np.uint8]:
    """To 8 bit around middle gray, with the uneven light of a real station (a slope of a few gray levels)."""
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
    slope = rng.normal(0, 3, 2).astype(np.float32)
    gray = _MEAN + _DEVIATION * field + slope[0] * ramp[None, :] + slope[1] * ramp[:, None]
    return np.asarray(np.clip(np.rint(gray), 0, 255), np.uint8)
