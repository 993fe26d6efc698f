"""Single objects that touch: what to train a network on so that they come apart, and how they are told apart.

A network that only says which pixels are an object merges objects that touch. Here it scores the *cores* of objects,
too: the pixels well inside, which never touch. Each core is a marker, and the objects are grown back from them. That
is the watershed of a learned depth (Bai & Urtasun, Deep Watershed Transform for Instance Segmentation, CVPR 2017); a
rim of each object kept as a class of its own is what told nuclei apart (Caicedo et al., Evaluation of Deep Learning
Strategies for Nucleus Segmentation in Fluorescence Images, Cytometry A 2019). Two levels, core or not, are learned
from few images, where a whole depth or distances along many rays are not; the price is that an object thinner than
3 px has no depth to tell it by, and that a small one inside a much larger one grows by up to 2 px.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from onspec.domain import ScoreMap
from onspec.imaging.masks import Mask

Slices = tuple[slice, slice]
"""Rows and columns."""

Labels = NDArray[np.int32]
"""int32 (H, W): 0 background, 1…n the objects."""

_RIM_PX = 4.0
"""A core is at least this far from its object's border …"""

_RIM_SHARE = 0.5
"""… or this share of the object's own depth, whichever is less."""

_THINNER = (1.0, 0.7, 0.45, 0.0, 1.0)
"""The rims tried while a core falls in pieces; what is in pieces whatever the rim (two islands) gets the whole rim."""

_LEVELS = 32
"""Steps of the flood from score 0.5 down to 0; within a step, the nearest object wins."""

_CROSS = ((0, 1), (1, 0), (0, -1), (-1, 0))
_SQUARE = (*_CROSS, (1, 1), (1, -1), (-1, 1), (-1, -1))


def split_touching(mask: Mask, cores: NDArray[np.float32]) -> Labels:
    """Every pixel of a mask → the object it belongs to, grown from the connected `cores` (float32 (H, W), 0…1) ≥ 0.5.

    A watershed of −cores within the mask: pixels join an object in the order of their score, and of equal scores in
    the order of their way to it through the mask, so that no object reaches across background. No pixel is spent on
    lines between objects. A connected region of the mask without a core is one object. Pixels are neighbours over
    their corners, too. The same input gives the same labels, numbered by each object's first pixel, row by row.

    Raises:
        ValueError: mask and cores differ in size.
    """
    if mask.ndim != 2 or mask.shape != cores.shape:
        raise ValueError(f"mask and cores must be (H, W) of one size; got {mask.shape} and {cores.shape}")
    inside = np.pad((mask > 0).astype(np.uint8), 1)
    height = np.pad(cores, 1)
    _, regions = _components(inside)
    count, labels = _components(inside & (height >= 0.5))
    filled = _fill_undisputed(labels, regions, count)
    level = np.clip(height * (2 * _LEVELS), 0, _LEVELS - 1).astype(np.uint8)
    _flood(filled, level, height, (filled == 0) & (inside > 0))
    return _numbered(filled[1:-1, 1:-1])


def core_target(labels: Labels) -> Mask:
    """The cores that a network is to learn for these objects: uint8 (H, W) of 0/1.

    A core is what lies at least 4 px, or half of the object's own depth, from its border; where that falls in pieces
    (a dumbbell), the rim is made thinner, and if that does not help, the largest piece is the core. No core has a
    neighbour in another object, so cores never touch, but for objects that have not one such pixel: each object has
    at least one pixel. The image's border is no border of an object. To be made of the whole image, before crops are
    cut from it.
    """
    count = int(labels.max(initial=0)) + 1
    depth = _depth(labels)
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, labels, depth)
    rim = np.minimum(_RIM_PX + 1, np.float32(_RIM_SHARE) * peak)
    allowed = (labels > 0) & ~beside_another(labels)
    share = np.zeros(count, np.int64)
    for _ in _THINNER:
        core = allowed & (depth >= (rim * np.take(_THINNER, share))[labels])
        pieces, owner, area = _pieces(core, labels)
        broken = np.bincount(owner, minlength=count) > 1
        share = np.minimum(share + broken, len(_THINNER) - 1)
    kept = _largest(owner, area)
    core = np.isin(pieces, kept)
    missing = np.setdiff1d(np.unique(labels[labels > 0]), owner)
    core.ravel()[_deepest(labels, depth, missing)] = True
    return core.astype(np.uint8)


def beside_another(labels: Labels) -> NDArray[np.bool_]:
    """Whether a neighbour, over corners too, is of another object: bool (H, W)."""
    beside = np.zeros(labels.shape, bool)
    for neighbour in _shifts(labels):
        beside |= (neighbour != labels) & (neighbour > 0)
    return beside


def instances_of(masks: Iterable[Mask]) -> Labels:
    """One mask an object → labels. Where they overlap, the smaller object lies on top, whatever their order.

    An object that smaller ones hide altogether has no label. Numbered by each object's first pixel, row by row. Of a
    mask that was looked at no more is kept than the object.

    Raises:
        ValueError: no mask (the size is unknown), or masks of several sizes.
    """
    shapes: set[tuple[int, ...]] = set()
    objects: list[tuple[Slices, Mask]] = []
    for mask in masks:
        shapes.add(mask.shape)
        at = extent_of(mask > 0)
        if at is not None:
            objects.append((at, (mask[at] > 0).astype(np.uint8)))
    if len(shapes) != 1:
        raise ValueError(f"masks of objects must have one size and be one or more; got sizes {sorted(shapes)}")
    labels = np.zeros(shapes.pop(), np.int32)
    for number, (at, pixels) in enumerate(sorted(objects, key=_largest_first), 1):
        labels[at][pixels > 0] = number
    return _numbered(labels)


def _largest_first(thing: tuple[Slices, Mask]) -> tuple[int, int, int, int, bytes]:
    """By area; of equal ones by place and form, so that their order decides nothing."""
    (rows, columns), pixels = thing
    return -int(np.count_nonzero(pixels)), rows.start, columns.start, columns.stop, pixels.tobytes()


def _components(mask: NDArray[np.uint8] | NDArray[np.bool_]) -> tuple[int, Labels]:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return count, np.asarray(labels, np.int32)


def _fill_undisputed(markers: Labels, regions: Labels, count: int) -> Labels:
    """Regions with one marker are its object as a whole, regions without one are an object; others keep markers."""
    at = markers > 0
    first = np.full(int(regions.max(initial=0)) + 1, count, np.int32)
    last = np.zeros_like(first)
    np.minimum.at(first, regions[at], markers[at])
    np.maximum.at(last, regions[at], markers[at])
    own = np.where(last == 0, count + np.arange(len(first), dtype=np.int32), np.where(first == last, last, 0))
    own[0] = 0
    return np.asarray(np.where(at, markers, own[regions]), np.int32)


def _flood(labels: Labels, level: NDArray[np.uint8], height: NDArray[np.float32], dry: NDArray[np.bool_]) -> None:
    """Grow labels over the `dry` pixels in place; arrays have a border of one pixel that is not dry.

    Level by level, highest first, in rounds of one pixel; rounds take neighbours over sides and over corners in turn,
    so that distances are those of an octagon. A pixel between several objects goes to its highest neighbour.
    """
    flat, high, open_ = labels.ravel(), height.ravel(), np.zeros(labels.size, bool)
    steps = [np.array([dy * labels.shape[1] + dx for dy, dx in way]) for way in (_CROSS, _SQUARE)]
    pixels = np.flatnonzero(dry)
    pixels = pixels[np.argsort(_LEVELS - level.ravel()[pixels], kind="stable")]
    ends = np.searchsorted(_LEVELS - level.ravel()[pixels], np.arange(1, _LEVELS + 1), side="right")
    stamp = np.zeros(labels.size, np.int32)
    near = cv2.dilate((labels > 0).astype(np.uint8), np.ones((3, 3), np.uint8)).ravel() > 0
    for opened in np.split(pixels, ends[:-1]):
        open_[opened] = True
        waiting, turn = opened[near[opened]], 0
        while waiting.size:
            won = _highest_neighbour(flat, high, waiting, steps[turn])
            reached = waiting[won > 0]
            flat[reached] = won[won > 0]
            open_[reached] = False
            beside = (reached[:, None] + steps[1]).ravel()
            near[beside] = True
            beside = beside[open_[beside]]
            waiting = _once(np.concatenate([waiting[won == 0], beside]) if turn == 0 else beside, stamp)
            turn = 1 - turn


def _highest_neighbour(
    flat: Labels, high: NDArray[np.float32], at: NDArray[np.intp], steps: NDArray[np.intp]
) -> NDArray[np.int32]:
    """The label of each pixel's highest labelled neighbour, 0 without one."""
    won = np.zeros(len(at), np.int32)
    highest = np.full(len(at), -1, np.float32)
    for step in steps:
        found = flat.take(at + step)
        height = np.where(found > 0, high.take(at + step), -1)
        better = height > highest
        won[better], highest[better] = found[better], height[better]
    return won


def _once(at: NDArray[np.intp], stamp: NDArray[np.int32]) -> NDArray[np.intp]:
    """Without repetitions; `stamp` is scratch space."""
    order = np.arange(len(at), dtype=np.int32)
    stamp[at] = order
    return np.asarray(at[stamp[at] == order], np.intp)


def _numbered(labels: Labels) -> Labels:
    """Renumber 1…n by the position of each object's first pixel."""
    flat = labels.ravel()
    first = np.full(int(labels.max(initial=0)) + 1, flat.size, np.int64)
    np.minimum.at(first, flat, np.arange(flat.size))
    first[0] = -1
    rank = np.zeros(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
    return np.ascontiguousarray(rank[labels])


def _shifts(labels: Labels) -> Iterator[Labels]:
    """The label of each of the eight neighbours; beyond the image's border, the pixel's own row or column goes on."""
    wide = np.pad(labels, 1, mode="edge")
    for dy, dx in _SQUARE:
        yield wide[1 + dy : wide.shape[0] - 1 + dy, 1 + dx : wide.shape[1] - 1 + dx]


def _depth(labels: Labels) -> NDArray[np.float32]:
    """Distance in px of each object's pixels to the nearest pixel that is not of it."""
    same = np.ones(labels.shape, bool)
    for neighbour in _shifts(labels):
        same &= neighbour == labels
    distance = cv2.distanceTransform((same & (labels > 0)).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.where(labels > 0, np.minimum(distance, labels.size) + 1, 0), np.float32)


def _pieces(core: NDArray[np.bool_], labels: Labels) -> tuple[Labels, NDArray[np.int32], NDArray[np.int64]]:
    """The connected pieces of all cores (1…n), and the object and area of each."""
    count, pieces = _components(core)
    owner = np.zeros(count, np.int32)
    owner[pieces[core]] = labels[core]
    return pieces, owner[1:], np.bincount(pieces[core], minlength=count)[1:]


def _largest(owner: NDArray[np.int32], area: NDArray[np.int64]) -> NDArray[np.intp]:
    """The number of each object's largest piece."""
    order = np.lexsort((-area, owner))
    _, first = np.unique(owner[order], return_index=True)
    return np.asarray(order[first] + 1, np.intp)


def _deepest(labels: Labels, depth: NDArray[np.float32], wanted: NDArray[np.int32]) -> NDArray[np.intp]:
    """The flat index of the first of the deepest pixels of each wanted object."""
    at = np.flatnonzero(np.isin(labels, wanted) & (labels > 0))
    at = at[np.lexsort((-depth.ravel()[at], labels.ravel()[at]))]
    _, first = np.unique(labels.ravel()[at], return_index=True)
    return np.asarray(at[first], np.intp)


def extent_of(wide: NDArray[np.bool_]) -> Slices | None:
    """Rows and columns that hold all that is wanted in (H, W); `None` where nothing is.

    They begin on even ones: OpenCV labels in blocks of 2×2, so that a view numbers its regions as the whole does.
    """
    rows = np.flatnonzero(wide.any(axis=1))
    if not len(rows):
        return None
    first, last = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(wide[first:last].any(axis=0))
    return slice(first & ~1, last), slice(int(columns[0]) & ~1, int(columns[-1]) + 1)


def objects_of(
    wide: NDArray[np.bool_], cores: ScoreMap | None, at: Slices | None = None
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Connected regions, or the objects in them where cores tell touching ones apart.

    Labels int32 (H, W), 0 outside of `wide`, and where each label lies, int32 (n, 4): its first row, the one after its
    last, and the same of its columns; label 0 has a place there. `at` is `extent_of(wide)` for who knows it already.
    Only that part is worked on: a defect is small in its image.
    """
    at = extent_of(wide) if at is None else at
    labels = np.zeros(wide.shape, np.int32)
    if at is None:
        return labels, np.array([[0, wide.shape[0], 0, wide.shape[1]]], np.int32)
    mask = wide[at].astype(np.uint8)
    if cores is not None:
        labels[at] = split_touching(mask, cores.values[at])
        return labels, extents_of(labels)
    _, labels[at], stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    x, y, w, h, _ = stats.T
    top, left = at[0].start + y, at[1].start + x
    return labels, np.stack([top, top + h, left, left + w], axis=1).astype(np.int32)


def extents_of(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Where each label lies, int32 (n, 4): its first row, the one after its last, and the same of its columns; label 0
    has a place there and no extent. A label that does not occur has none either."""
    rows, columns = np.nonzero(labels)
    found = labels[rows, columns]
    ends = np.zeros((int(found.max(initial=0)) + 1, 4), np.int32)
    ends[:, ::2] = max(labels.shape)
    for axis, places in enumerate((rows, columns)):
        np.minimum.at(ends[:, 2 * axis], found, places)
        np.maximum.at(ends[:, 2 * axis + 1], found, places + 1)
    return ends
