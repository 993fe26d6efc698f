"""Objects that touch come apart, and nothing of them is lost."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from onspec.imaging.instances import Labels, core_target, instances_of, split_touching
from onspec.imaging.masks import Mask, decode_mask
from onspec.imaging.reading import read_bytes

Scalar = TypeVar("Scalar", bound=np.generic)

shapes = st.tuples(st.integers(1, 14), st.integers(1, 14))
binary = arrays.arrays(np.uint8, shapes, elements=st.integers(0, 1))


def scene(seed: int, radii: tuple[float, float] = (5, 22), side: int = 160, roughness: float = 0.1) -> Labels:
    """Touching blobs: discs of random size with a rough outline, none of them with its middle in another.

    A pixel that lies in several belongs to the relatively nearest.
    """
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, side, (2, 60))
    radius = rng.uniform(*radii, 60)
    kept: list[int] = []
    for i in range(60):
        if all(np.hypot(x[i] - x[j], y[i] - y[j]) > max(radius[i], radius[j]) + 4 for j in kept):
            kept.append(i)
    x, y, radius = (values[kept][:, None, None] for values in (x, y, radius))
    row, column = np.mgrid[0:side, 0:side].astype(np.float64)
    angle = np.arctan2(row - y, column - x)
    wave = np.cos(rng.integers(2, 5, x.shape) * angle + rng.uniform(0, 6.3, x.shape))
    reach = np.hypot(row - y, column - x) / (radius * (1 + roughness * wave))
    labels = np.where(reach.min(axis=0) < 1, reach.argmin(axis=0) + 1, 0)
    return whole(labels.astype(np.int32), least=40)


def whole(labels: Labels, least: int) -> Labels:
    """The largest piece of each object, where it has `least` px or more."""
    kept = np.zeros_like(labels)
    for number in np.unique(labels[labels > 0]):
        count, pieces, stats, _ = cv2.connectedComponentsWithStats((labels == number).astype(np.uint8), connectivity=8)
        best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        if count > 1 and stats[best, cv2.CC_STAT_AREA] >= least:
            kept[pieces == best] = kept.max() + 1
    return kept


def agreement(truth: Labels, found: Labels) -> NDArray[np.float64]:
    """For each true object, the IoU with the found one that covers most of it."""
    ious = []
    for number in np.unique(truth[truth > 0]):
        here = truth == number
        other = found == np.bincount(found[here]).argmax()
        ious.append(np.count_nonzero(here & other) / np.count_nonzero(here | other))
    return np.array(ious)


def is_numbered_by_position(labels: Labels) -> bool:
    seen = list(dict.fromkeys(labels[labels > 0].tolist()))
    return seen == list(range(1, len(seen) + 1))


def touch(cores: Mask, labels: Labels) -> bool:
    """Whether a core pixel has a core pixel of another object among its eight neighbours."""
    numbered = labels * cores
    return any(
        ((a > 0) & (b > 0) & (a != b)).any()
        for a, b in (
            (numbered[1:], numbered[:-1]),
            (numbered[:, 1:], numbered[:, :-1]),
            (numbered[1:, 1:], numbered[:-1, :-1]),
            (numbered[1:, :-1], numbered[:-1, 1:]),
        )
    )


@given(binary, st.data())
def test_every_pixel_of_the_mask_is_of_one_connected_object(mask: Mask, data: st.DataObject) -> None:
    cores = data.draw(arrays.arrays(np.float32, mask.shape, elements=st.floats(0, 1, width=32)))
    labels = split_touching(mask, cores)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels > 0, mask > 0)
    assert is_numbered_by_position(labels)
    for number in range(1, int(labels.max()) + 1):
        assert cv2.connectedComponents((labels == number).astype(np.uint8), connectivity=8)[0] == 2


@given(binary, st.data())
def test_there_are_as_many_objects_as_cores_and_regions_without_one(mask: Mask, data: st.DataObject) -> None:
    cores = data.draw(arrays.arrays(np.float32, mask.shape, elements=st.floats(0, 1, width=32)))
    markers, marker_of = cv2.connectedComponents(mask & (cores >= 0.5), connectivity=8)
    regions, region_of = cv2.connectedComponents(mask, connectivity=8)
    without = set(range(1, regions)) - set(np.unique(region_of[marker_of > 0]).tolist())
    labels = split_touching(mask, cores)
    assert labels.max() == markers - 1 + len(without)
    for marker in range(1, markers):
        assert len(np.unique(labels[marker_of == marker])) == 1


@pytest.mark.parametrize("seed", range(40))
def test_touching_objects_are_found_again_from_their_cores(seed: int) -> None:
    truth = scene(seed)
    cores = core_target(truth)
    assert not touch(cores, truth)
    found = split_touching((truth > 0).astype(np.uint8), cores.astype(np.float32))
    assert found.max() == truth.max()
    assert agreement(truth, found).mean() >= 0.9


@pytest.mark.parametrize("seed", range(10))
def test_soft_cores_with_a_network_s_noise_tell_the_same_objects_apart(seed: int) -> None:
    truth = scene(seed, radii=(12, 24))
    soft = cv2.GaussianBlur(core_target(truth).astype(np.float32), (0, 0), 1.5)
    noise = np.random.default_rng(seed).uniform(-0.05, 0.05, truth.shape).astype(np.float32)
    found = split_touching((truth > 0).astype(np.uint8), np.clip(soft + noise, 0, 1))
    assert found.max() >= truth.max()
    assert agreement(truth, found).mean() >= 0.88


@given(arrays.arrays(np.int32, shapes, elements=st.integers(0, 4)))
def test_every_object_has_a_core_within_it(labels: Labels) -> None:
    cores = core_target(labels)
    assert cores.dtype == np.uint8
    assert set(np.unique(labels[cores > 0])) == set(np.unique(labels[labels > 0]))


@given(st.integers(0, 1000), st.integers(0, 7))
def test_the_result_turns_with_the_picture(seed: int, turn: int) -> None:
    truth = scene(seed, side=80)

    def turned(array: NDArray[Scalar]) -> NDArray[Scalar]:
        return np.ascontiguousarray(np.rot90(array[::-1] if turn > 3 else array, turn % 4))

    np.testing.assert_array_equal(core_target(turned(truth)), turned(core_target(truth)))
    cores, mask = core_target(truth).astype(np.float32), (truth > 0).astype(np.uint8)
    plain, other = split_touching(mask, cores), split_touching(turned(mask), turned(cores))
    assert plain.max() == other.max()
    assert (agreement(turned(plain), other) > 0.7).all()  # pixels halfway may fall to either side


def test_objects_meet_halfway_between_their_cores_where_scores_are_flat() -> None:
    mask = np.ones((9, 41), np.uint8)
    cores = np.zeros(mask.shape, np.float32)
    cores[4, 4] = cores[4, 35] = 1
    labels = split_touching(mask, cores)
    np.testing.assert_array_equal(labels[:, :19], 1)
    np.testing.assert_array_equal(labels[:, 21:], 2)


def test_objects_meet_in_the_valley_of_the_scores() -> None:
    scores = np.array([0.9, 0.45, 0.4, 0.35, 0.3, 0.25, 0.1, 0.9], np.float32)
    labels = split_touching(np.ones((3, 8), np.uint8), np.tile(scores, (3, 1)))
    np.testing.assert_array_equal(labels, np.tile([1, 1, 1, 1, 1, 1, 2, 2], (3, 1)))


def test_an_object_does_not_reach_across_background() -> None:
    mask = np.ones((20, 9), np.uint8)
    mask[:19, 4] = 0  # two columns joined at the bottom row
    cores = np.zeros(mask.shape, np.float32)
    cores[0, 3] = cores[19, 8] = 1
    labels = split_touching(mask, cores)
    assert labels[0, 5] == labels[19, 8] != labels[0, 3]


def test_one_blob_with_one_core_stays_one_object() -> None:
    mask = np.zeros((60, 60), np.uint8)
    cv2.ellipse(mask, (30, 30), (25, 12), 30, 0, 360, 1, -1)
    np.testing.assert_array_equal(split_touching(mask, core_target(mask.astype(np.int32)).astype(np.float32)), mask)


def test_a_dumbbell_has_one_core() -> None:
    labels = np.zeros((60, 120), np.int32)
    for x in (30, 90):
        cv2.circle(labels, (x, 30), 22, 1, -1)
    cv2.rectangle(labels, (30, 26), (90, 34), 1, -1)
    assert cv2.connectedComponents(core_target(labels), connectivity=8)[0] == 2


def test_an_object_cut_by_the_image_s_border_has_its_core_there() -> None:
    labels = np.zeros((40, 40), np.int32)
    cv2.circle(labels, (0, 20), 15, 1, -1)
    assert core_target(labels)[20, 0] == 1


def test_an_empty_mask_has_no_objects() -> None:
    empty = np.zeros((7, 5), np.uint8)
    assert not split_touching(empty, np.ones((7, 5), np.float32)).any()
    assert not core_target(empty.astype(np.int32)).any()


def test_sizes_that_differ_are_said() -> None:
    with pytest.raises(ValueError, match=r"one size; got \(4, 4\) and \(4, 5\)"):
        split_touching(np.ones((4, 4), np.uint8), np.ones((4, 5), np.float32))


def test_the_smaller_of_overlapping_masks_lies_on_top_in_any_order() -> None:
    large, small, apart = (np.zeros((12, 12), np.uint8) for _ in range(3))
    large[2:9, 2:9] = 1
    small[4:6, 4:6] = 1
    apart[0, 11] = 1
    labels = instances_of([small, large, apart])
    assert (labels[0, 11], labels[2, 2], labels[4, 4], labels.max()) == (1, 2, 3, 3)
    for order in ([large, apart, small], [apart, small, large]):
        np.testing.assert_array_equal(instances_of(order), labels)


def test_many_objects_of_a_large_image_take_no_more_memory_than_they_are_large() -> None:
    def drawn() -> Iterator[Mask]:
        for number in range(200):
            mask = np.zeros((2000, 2000), np.uint8)
            mask[9 * number : 9 * number + 8, 100:110] = 1
            yield mask

    tracemalloc.start()
    labels = instances_of(drawn())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labels.max() == 200
    assert most < 60 * labels.size  # all masks at once are 200 bytes a pixel


def test_masks_of_objects_need_one_size() -> None:
    with pytest.raises(ValueError, match=r"got sizes \[\(2, 2\), \(2, 3\)\]"):
        instances_of([np.ones((2, 2), np.uint8), np.ones((2, 3), np.uint8)])
    with pytest.raises(ValueError, match=r"got sizes \[\]"):
        instances_of([])


@pytest.mark.real
@pytest.mark.parametrize("number", [0, 7, 19])
def test_cells_that_are_grown_together_are_told_apart(real_data: Path, number: int) -> None:
    path = real_data / "membrane" / "train" / "label" / f"{number}.png"
    interior = decode_mask(read_bytes(path), str(path))
    cells, _ = cv2.distanceTransformWithLabels(1 - interior, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)[::-1]
    near = cv2.dilate(interior, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    truth = whole((cells * near).astype(np.int32), least=60)
    mask = (truth > 0).astype(np.uint8)
    assert cv2.connectedComponents(mask, connectivity=8)[0] - 1 < truth.max() / 4  # most touch
    found = split_touching(mask, core_target(truth).astype(np.float32))
    assert found.max() == truth.max()
    assert agreement(truth, found).mean() >= 0.9
