"""Image → network input → score map, the one way that training and production share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from onspec.domain import Task, UnexpectedImageError
from onspec.imaging.preparation import (
    Extent,
    InputSpec,
    Tensor,
    conform,
    holds_gray,
    normalised,
    pad_to_stride,
    planes_of,
    predict,
    prepare,
    restore,
    run_tiled,
)

ANY = Extent(min=1, max=4000)


def spec(**values: object) -> InputSpec:
    """An input of any size."""
    return InputSpec.model_validate({"width": ANY, "height": ANY, **values})


def noise(*shape: int, dtype: type[np.uint8] | type[np.uint16] = np.uint8) -> NDArray[np.uint8 | np.uint16]:
    """A reproducible picture."""
    return np.random.default_rng(0).integers(0, int(np.iinfo(dtype).max) + 1, shape).astype(dtype)


def near(batch: Tensor) -> Tensor:
    """A network with a reach of 2 px: the mean of the 5×5 px around, (N, C, H, W) → (N, 1, H, W)."""
    padded = np.pad(batch.mean(axis=1, keepdims=True), ((0, 0), (0, 0), (2, 2), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(2, 3))
    return np.asarray(np.clip(windows.mean(axis=(4, 5)) / 2 + 0.5, 0, 1), np.float32)


def test_the_talks_scaling_of_8_bit() -> None:
    image = np.array([[0, 127, 255]], np.uint8)
    assert normalised(image, spec()) == pytest.approx(np.array([[[-1.0, 127 / 127.5 - 1, 1.0]]]), abs=1e-6)


def test_16_bit_is_scaled_by_its_type_not_by_its_values() -> None:
    image = np.array([[0, 4095, 65535]], np.uint16)
    expected = np.array([[[-1.0, 4095 / 32767.5 - 1, 1.0]]])
    assert normalised(image, spec(dtype="uint16")) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 255))
def test_a_flat_image_keeps_its_own_level(level: int) -> None:
    image = np.full((8, 8), level, np.uint8)
    assert normalised(image, spec()) == pytest.approx(np.full((1, 8, 8), level / 127.5 - 1), abs=1e-5)
    assert normalised(image, spec(normalise="image")) == pytest.approx(np.zeros((1, 8, 8)), abs=1e-4)


@pytest.mark.parametrize(("dtype", "shape"), [("uint8", (40, 50)), ("uint16", (40, 50)), ("uint8", (40, 50, 3))])
def test_normalising_by_image_gives_mean_0_and_deviation_1(dtype: str, shape: tuple[int, ...]) -> None:
    image = noise(*shape, dtype=np.uint8 if dtype == "uint8" else np.uint16)
    tensor = normalised(image, spec(normalise="image", dtype=dtype, channels=3 if len(shape) == 3 else 1))
    assert tensor.mean() == pytest.approx(0, abs=1e-4)
    assert tensor.std() == pytest.approx(1, abs=1e-3)
    assert tensor.shape[0] == (3 if len(shape) == 3 else 1)


def test_channels_stay_red_green_blue() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 255
    assert normalised(image, spec(channels=3))[:, 0, 0].tolist() == [1.0, -1.0, -1.0]


def test_gray_becomes_three_channels_where_the_recipe_has_three() -> None:
    assert conform(noise(4, 5), spec(channels=3)).shape == (4, 5, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gray_image_in_a_colour_file_is_gray(dtype: type[np.uint8] | type[np.uint16]) -> None:
    gray = noise(16, 16, dtype=dtype)
    colour = np.repeat(gray[..., None], 3, axis=2)
    assert holds_gray(colour)
    taken = conform(colour, spec(dtype=np.dtype(dtype).name))
    assert (taken == gray).all()
    colour[3, 3, 0] ^= np.array(0x40 if dtype is np.uint8 else 0x4000, dtype)
    assert not holds_gray(colour)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((9, 20), np.uint8), r"p\.png: 20×9 px; this recipe takes 10…30×10…30 px"),
        (np.zeros((20, 31), np.uint8), "31×20 px"),
        (np.zeros((20, 20), np.uint16), "pixels are uint16; this recipe takes uint8; check the camera"),
        (np.tile(np.array([255, 0, 0], np.uint8), (20, 20, 1)), "a colour image; this recipe takes gray"),
    ],
)
def test_an_image_of_another_kind_is_refused(image: NDArray[np.uint8], says: str) -> None:
    extent = Extent(min=10, max=30)
    with pytest.raises(UnexpectedImageError, match=says):
        prepare(image, spec(width=extent, height=extent), "p.png")


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 8, 16, 32]))
def test_padding_keeps_the_image_and_reaches_the_grid(height: int, width: int, stride: int) -> None:
    tensor = noise(2, height, width).astype(np.float32)
    padded = pad_to_stride(tensor, stride)
    assert padded.shape[1] % stride == padded.shape[2] % stride == 0
    assert padded.shape[1] - height < stride
    assert (padded[:, :height, :width] == tensor).all()


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([0.25, 0.5, 1.0, 2.0]))
def test_maps_have_the_size_of_the_image(height: int, width: int, scale: float) -> None:
    made = spec(scale=scale, stride=16)
    prepared = prepare(noise(height, width), made)
    output = np.full((2, *prepared.tensor.shape[1:]), 0.25, np.float32)
    maps = restore(output, prepared, ("a", "b"))
    assert [m.size for m in maps] == [(width, height)] * 2
    assert [m.cls for m in maps] == ["a", "b"]
    assert all((m.values == np.float32(0.25)).all() for m in maps)


def halved(batch: Tensor) -> Tensor:
    """-1…1 → 0…1."""
    return np.asarray((batch + 1) / 2, np.float32)


def test_half_resolution_brings_scores_back_to_their_place() -> None:
    image = np.zeros((64, 96), np.uint8)
    image[20:30, 40:60] = 255
    (score_map,) = predict(image, spec(scale=0.5), ("defect",), Task.SEGMENT, False, halved).maps
    assert np.abs(score_map.values - image / 255.0).max() <= 0.5
    assert (score_map.values[22:28, 42:58] > 0.99).all()
    assert score_map.values[:18].max() == 0


@settings(max_examples=40)
@given(st.integers(1, 260), st.integers(1, 260), st.sampled_from([(64, 16), (96, 16), (128, 32)]))
def test_tiles_give_what_one_pass_gives(height: int, width: int, grid: tuple[int, int]) -> None:
    tile, halo = grid
    image = noise(height, width)
    (whole,) = predict(image, spec(tile=1024, halo=16), ("defect",), Task.SEGMENT, False, near).maps
    (tiled,) = predict(image, spec(tile=tile, halo=halo), ("defect",), Task.SEGMENT, False, near).maps
    assert np.abs(whole.values - tiled.values).max() < 1e-5


def coarse(batch: Tensor) -> Tensor:
    """As `near`, in cells of 4 px, and four distances that depend on the surroundings, too."""
    near4 = near(batch).reshape(len(batch), 1, batch.shape[2] // 4, 4, batch.shape[3] // 4, 4).mean(axis=(3, 5))
    return np.asarray(np.concatenate([near4, *[near4 * reach for reach in (3, 5, 8, 13)]], axis=1), np.float32)


@settings(max_examples=40)
@given(st.integers(1, 260), st.integers(1, 260), st.sampled_from([(64, 16), (96, 16), (128, 32)]))
def test_tiles_give_what_one_pass_gives_in_cells(height: int, width: int, grid: tuple[int, int]) -> None:
    tensor = prepare(noise(height, width), spec(cell=4)).tensor
    whole = run_tiled(tensor, spec(tile=1024, halo=16, cell=4), coarse)
    tiled = run_tiled(tensor, spec(tile=grid[0], halo=grid[1], cell=4), coarse)
    assert whole.shape == tiled.shape == (5, tensor.shape[1] // 4, tensor.shape[2] // 4)
    assert np.abs(whole - tiled).max() < 1e-5


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [(96, 128), (91, 117)])
@pytest.mark.parametrize("cell", [2, 8])
def test_cells_come_back_to_their_place(size: tuple[int, int], scale: float, cell: int) -> None:
    """A slope of scores, which bilinear resizing keeps, is where it was, and nothing is shifted by half a cell."""
    made = spec(scale=scale, cell=cell)
    prepared = prepare(np.zeros(size, np.uint8), made)
    down, across = (side // cell for side in prepared.tensor.shape[1:])
    centres = (np.arange(across) + 0.5) * cell * size[1] / prepared.working[1]
    output = np.broadcast_to((centres / 300).astype(np.float32), (1, down, across))
    (score_map,) = restore(output, prepared, ("defect",))
    assert score_map.size == size[::-1]
    margin = int(cell / scale) + 1  # beyond the outermost cells' centres scores stay level
    expected = (np.arange(size[1]) + 0.5) / 300
    assert np.abs(score_map.values - expected)[:, margin:-margin].max() < 2e-3


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([0.25, 1.0, 2.0]), st.sampled_from([1, 4, 16]))
def test_maps_of_cells_have_the_size_of_the_image(height: int, width: int, scale: float, cell: int) -> None:
    def infer(batch: Tensor) -> Tensor:
        return np.full((1, 2, batch.shape[2] // cell, batch.shape[3] // cell), 0.25, np.float32)

    p = predict(noise(height, width), spec(scale=scale, cell=cell), ("a", "b"), Task.CLASSIFY, False, infer)
    assert p.size == (width, height)
    assert all((m.values == np.float32(0.25)).all() for m in p.maps)
    assert [m.cls for m in p.maps] == ["a", "b"]
    assert (p.boxes, p.cores) == ((), None)


@pytest.mark.parametrize("task", Task)
def test_classes_exclude_each_other_whatever_the_network_says(task: Task) -> None:
    def infer(batch: Tensor) -> Tensor:
        scores = np.random.default_rng(1).random((1, planes_of(task, 3, False), *batch.shape[2:]))
        return np.asarray(scores, np.float32)

    p = predict(noise(40, 50), spec(scale=0.5), ("a", "b", "c"), task, False, infer)
    assert np.add.reduce([m.values for m in p.maps]).max() <= 1 + 1e-6


def test_boxes_come_in_the_originals_pixels() -> None:
    def infer(batch: Tensor) -> Tensor:
        output = np.zeros((1, 6, batch.shape[2] // 4, batch.shape[3] // 4), np.float32)
        output[0, 1, 3, 5] = 0.75
        output[0, 2:, 3, 5] = (6, 2, 4, 3)
        return output

    image = noise(64, 96)
    (box,) = predict(image, spec(scale=0.5, cell=4), ("a", "b"), Task.DETECT, False, infer).boxes
    assert (box.cls, box.score) == ("b", 0.75)
    assert (box.x, box.y, box.width, box.height) == ((22 - 6) * 2, (14 - 2) * 2, 20, 10)


def test_cores_are_the_last_plane() -> None:
    def infer(batch: Tensor) -> Tensor:
        return np.stack([np.full_like(batch[:, 0], score) for score in (0.25, 0.75)], axis=1)

    p = predict(noise(20, 30), spec(), ("defect",), Task.SEGMENT, True, infer)
    assert p.cores is not None
    assert (p.maps[0].values == 0.25).all()
    assert (p.cores.values == 0.75).all()
    assert predict(noise(20, 30), spec(), ("defect",), Task.SEGMENT, False, halved).maps[0].size == (30, 20)


@pytest.mark.parametrize(
    ("task", "separate", "planes"),
    [(Task.SEGMENT, False, 3), (Task.SEGMENT, True, 4), (Task.CLASSIFY, False, 3), (Task.DETECT, False, 7)],
)
def test_how_many_planes_a_network_gives(task: Task, separate: bool, planes: int) -> None:
    assert planes_of(task, 3, separate) == planes


def test_no_tile_is_larger_than_allowed_and_all_lie_on_the_grid() -> None:
    shapes: list[tuple[int, ...]] = []

    def infer(batch: Tensor) -> Tensor:
        shapes.append(batch.shape)
        return np.zeros((1, 1, *batch.shape[2:]), np.float32)

    run_tiled(np.zeros((1, 304, 208), np.float32), spec(tile=96, halo=16), infer)
    assert max(max(shape[2:]) for shape in shapes) <= 96
    assert all(side % 16 == 0 for shape in shapes for side in shape[2:])


@pytest.mark.parametrize(
    "values",
    [
        {"width": {"min": 5, "max": 4}},
        {"width": {"min": 0, "max": 4}},
        {"tile": 100},
        {"halo": 10},
        {"tile": 512, "halo": 256},
        {"channels": 2},
        {"dtype": "float32"},
        {"scale": 0},
        {"cell": 0},
        {"cell": 3},
        {"cell": 32},
        {"normalise": "guess"},
        {"gamma": 1},
    ],
)
def test_impossible_inputs_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        spec(**values)
