"""A verdict on a large image does not depend on where its tiles lie, and input takes the memory of a tile alone."""

import tracemalloc
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.decision.judge import judge
from onspec.decision.thresholds import Thresholds
from onspec.domain import Decision, Task
from onspec.imaging.preparation import Extent, InputSpec, Tensor, predict, prepare, run, run_tiled

ANY = Extent(min=1, max=20000)
GRIDS = [(64, 16), (96, 32), (128, 48), (160, 16), (256, 96), (1024, 16)]
"""Tiles and halos; all halos cover the reach of `Blurred`."""


def spec(task: Task, tile: int, halo: int, **values: object) -> InputSpec:
    cell = {Task.SEGMENT: 1, Task.DETECT: 4, Task.CLASSIFY: 8}[task]
    given = {"width": ANY, "height": ANY, "tile": tile, "halo": halo, "cell": cell, "stride": 16}
    return InputSpec.model_validate(given | values)


@dataclass
class Blurred:
    """A network with a reach of 4 px that sees zeros beyond its input, as convolutions do: the brightness around.

    To detect, every cell draws a box of 40×40 px.
    """

    task: Task
    largest: int = 0

    def __call__(self, batch: Tensor) -> Tensor:
        self.largest = max(self.largest, *batch.shape[2:])
        blurred = cv2.blur(batch[0, 0], (9, 9), borderType=cv2.BORDER_CONSTANT)
        scores = 1 / (1 + np.exp(-8 * blurred))
        cell = {Task.SEGMENT: 1, Task.DETECT: 4, Task.CLASSIFY: 8}[self.task]
        cells = scores.reshape(scores.shape[0] // cell, cell, -1, cell).mean(axis=(1, 3))
        planes = [cells, *([np.full_like(cells, 20)] * 4 if self.task is Task.DETECT else [])]
        return np.asarray(np.stack(planes)[None], np.float32)


def decision(image: NDArray[np.uint8], task: Task, tile: int, halo: int, **values: object) -> Decision:
    prediction = predict(image, spec(task, tile, halo, **values), ("defect",), task, False, Blurred(task))
    pooling = {"pooling": "odds", "sharpness": 2.0} if task is Task.CLASSIFY else {}
    return judge(prediction, Thresholds.model_validate({"image": 0.3, "pixel": 0.5, **pooling}), task=task)


def spotted(size: tuple[int, int], *spots: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A grainy dark part (H, W) with bright spots given as x, y, width, height."""
    image = np.random.default_rng(0).integers(0, 40, size[::-1]).astype(np.uint8)
    for x, y, w, h in spots:
        image[y : y + h, x : x + w] = 255
    return image


def assert_alike(tiled: Decision, whole: Decision) -> None:
    assert tiled.verdict is whole.verdict
    assert tiled.score == pytest.approx(whole.score, abs=1e-4)
    assert len(tiled.defects) == len(whole.defects)
    for a, b in zip(tiled.defects, whole.defects, strict=True):
        assert a.area_px == pytest.approx(b.area_px, rel=0.01)
        assert a.bbox == b.bbox
        assert a.cls == b.cls


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_defect_on_the_borders_and_corners_of_tiles_is_one_defect(task: Task, grid: tuple[int, int]) -> None:
    """For each grid, a spot on a border to the right, on one below and on a corner of four tiles, and one in a tile."""
    tile, halo = grid
    right, below, corner = (round(place / (tile - 2 * halo)) * (tile - 2 * halo) for place in (200, 400, 1000))
    spots = [(right - 20, 40, 40, 30), (600, below - 15, 30, 30), (corner - 13, below - 17, 41, 37), (20, 640, 30, 30)]
    spots = [(max(x, 4), max(y, 4), w, h) for x, y, w, h in spots]
    image = spotted((1400, 700), *spots)
    tiled, whole = decision(image, task, tile, halo), decision(image, task, 2048, halo)
    assert_alike(tiled, whole)
    if task is Task.SEGMENT:
        areas = sorted(d.area_px for d in tiled.defects)
        assert areas == pytest.approx(sorted(w * h for _, _, w, h in spots), rel=0.25)  # the network blurs


@pytest.mark.slow
@settings(max_examples=25)
@given(st.data())
def test_whatever_the_tiles_and_wherever_the_defects(data: st.DataObject) -> None:
    task = data.draw(st.sampled_from(list(Task)))
    tile, halo = data.draw(st.sampled_from(GRIDS))
    size = data.draw(st.tuples(st.integers(30, 500), st.integers(30, 500)))
    corner = st.tuples(
        st.integers(0, size[0] - 20), st.integers(0, size[1] - 20), st.integers(9, 60), st.integers(9, 60)
    )
    image = spotted(size, *data.draw(st.lists(corner, max_size=4)))
    normalise = data.draw(st.sampled_from(["range", "image"]))
    assert_alike(
        decision(image, task, tile, halo, normalise=normalise), decision(image, task, 2048, halo, normalise=normalise)
    )


def test_at_half_resolution_tiles_change_nothing_either() -> None:
    image = spotted((901, 455), (100, 90, 60, 60), (440, 200, 80, 50))
    assert_alike(decision(image, Task.SEGMENT, 128, 48, scale=0.5), decision(image, Task.SEGMENT, 2048, 48, scale=0.5))


def test_input_is_made_tile_by_tile_and_is_the_same() -> None:
    image = spotted((333, 222), (100, 90, 60, 60))
    for task in Task:
        made = spec(task, 96, 32, normalise="image")
        prepared = prepare(image, made)
        down, across = prepared.cells
        whole = run_tiled(prepared.tensor, made, Blurred(task))[:, :down, :across]
        np.testing.assert_array_equal(run(prepared, Blurred(task)), whole)


def test_memory_is_that_of_a_tile_and_of_the_map() -> None:
    """A frame of 8192×2048 px: its scores take 64 MB; as network input the whole frame would take 64 MB more."""
    image = spotted((8192, 2048), (2000, 1000, 40, 40))
    network = Blurred(Task.SEGMENT)
    tracemalloc.start()
    prediction = predict(image, spec(Task.SEGMENT, 512, 64), ("defect",), Task.SEGMENT, False, network)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    map_bytes = prediction.maps[0].values.nbytes
    assert network.largest == 512
    assert map_bytes == 4 * 8192 * 2048
    assert map_bytes <= after < 1.1 * map_bytes
    assert peak < 1.4 * map_bytes
