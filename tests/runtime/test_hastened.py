"""Looking where the coarse network says: as the whole image would be seen there, and 0 elsewhere."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from onspec.domain import Verdict
from onspec.imaging.preparation import Extent, InputSpec, prepare, run
from onspec.imaging.writing import encode_image
from onspec.recipe.package import Package
from onspec.runtime.hastened import plan_windows, run_where, work_left
from onspec.runtime.inspector import Inspector
from onspec.runtime.lanes import Lanes

MakePart = Callable[..., NDArray[np.uint8]]
LARGE = {"width": {"min": 16, "max": 4000}, "height": {"min": 16, "max": 4000}, "tile": 1024}


def spec(tile: int, halo: int) -> InputSpec:
    sides = Extent(min=1, max=9999)
    return InputSpec(width=sides, height=sides, stride=32, tile=tile, halo=halo)


def blocks(size: tuple[int, int], share: float, seed: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    return rng.random((-(-size[0] // 32), -(-size[1] // 32))) < share


@given(
    st.integers(1, 70), st.integers(1, 70), st.sampled_from([0.0, 0.002, 0.02, 0.3]),
    st.sampled_from([(512, 64), (1024, 256), (2048, 256)]), st.integers(0, 9),
)  # fmt: skip
def test_windows_show_every_block_with_its_halo_in_few_sizes(
    down: int, across: int, share: float, tile: tuple[int, int], seed: int
) -> None:
    size, wanted = (down * 32, across * 32), blocks((down * 32, across * 32), share, seed)
    told = spec(*tile)
    windows = plan_windows(wanted, size, 32, told)
    if windows is None:  # as a whole
        assert wanted.any()
        assert work_left(wanted, size, 32, told) == 1.0
        return
    shown = np.zeros(size, np.int64)
    for window in windows:
        shown[window.inner] += 1
        for span, inner, length in zip((window.rows, window.columns), window.inner, size, strict=True):
            assert 0 <= span.start <= max(0, inner.start - told.halo)
            assert min(length, inner.stop + told.halo) <= span.stop <= length
            assert span.start % told.stride == 0
            assert span.stop - span.start <= told.tile
    assert shown.max(initial=0) <= 1
    assert shown[np.kron(wanted, np.ones((32, 32), bool))].all()
    assert len({(w.rows.stop - w.rows.start, w.columns.stop - w.columns.start) for w in windows}) <= 4
    assert work_left(wanted, size, 32, told) < 0.9


@settings(max_examples=25)
@given(st.integers(60, 700), st.integers(60, 700), st.integers(0, 5), st.sampled_from([1, 4]))
def test_what_is_seen_is_what_the_whole_image_shows_there(height: int, width: int, seed: int, cell: int) -> None:
    """With a network that looks 40 px around, and a halo that covers it."""
    sides = Extent(min=1, max=9999)
    told = InputSpec(width=sides, height=sides, stride=32, tile=512, halo=64, cell=cell)
    image = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    prepared = prepare(image, told)

    def infer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        import cv2

        plane = cv2.blur(batch[0, 0], (81, 81), borderType=cv2.BORDER_CONSTANT) + batch[0, 0]
        return np.ascontiguousarray(plane[None, None, ::cell, ::cell], np.float32)

    whole = run(prepared, infer)
    wanted = blocks((height, width), 0.03, seed)
    seen = run_where(wanted, prepared, 32, 1, infer)
    assert seen.shape == whole.shape
    there = np.kron(wanted, np.ones((32 // cell, 32 // cell), bool))[: seen.shape[1], : seen.shape[2]]
    np.testing.assert_allclose(seen[0][there], whole[0][there], atol=1e-5)
    assert np.allclose(seen, whole, atol=1e-5) or (seen == 0).any()


def test_nothing_to_look_at_is_no_work() -> None:
    assert plan_windows(np.zeros((4, 4), bool), (128, 128), 32, spec(512, 64)) == []
    assert work_left(np.zeros((4, 4), bool), (128, 128), 32, spec(512, 64)) == 0.0


class Counting:
    """An engine that counts what it is given."""

    name = "counting"

    def __init__(self, inner: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self.inner, self.pixels = inner, 0

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.pixels += batch.shape[2] * batch.shape[3]
        return self.inner(batch)

    def close(self) -> None:
        """Nothing to give back."""


def counted(inspector: Inspector) -> Counting:
    engine = Counting(inspector._engine.infer)
    inspector.lanes = Lanes([engine])
    return engine


def test_a_part_on_which_nothing_is_seen_is_ok_by_the_coarse_network_alone(
    tiny_package: Package, make_hastened: Callable[..., Package], make_part: MakePart
) -> None:
    with closing(Inspector(make_hastened(tiny_package), "onnxruntime", 1)) as inspector:
        engine = counted(inspector)
        result = inspector.inspect_bytes(encode_image(make_part()), "good.png")
        assert (result.inspection.verdict, result.inspection.score) == (Verdict.OK, 0.0)
        assert engine.pixels == 0
        assert result.maps[0].size == (96, 64)
        assert inspector.inspect_bytes(encode_image(make_part((30, 20, 10, 6))), "x.png").inspection.verdict == "NG"
        assert engine.pixels == 96 * 64  # a small image is run as a whole


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_large_image_is_judged_as_without_it(
    engine: str, tiny_package: Package, make_hastened: Callable[..., Package], make_part: MakePart
) -> None:
    image = make_part((1800, 900, 30, 12), (400, 1200, 9, 9), size=(2100, 1500))
    fast = make_hastened(tiny_package, **LARGE)
    slow = replace(fast, recipe=fast.recipe.model_copy(update={"hastened": None}), coarse=None)
    with closing(Inspector(fast, engine, 1)) as one, closing(Inspector(slow, engine, 1)) as other:
        counting = counted(one)
        seen, whole = (i.inspect_bytes(encode_image(image), "x.png") for i in (one, other))
    assert counting.pixels < 0.15 * image.size
    assert seen.inspection.verdict is Verdict.NG
    assert seen.inspection.defects == whole.inspection.defects
    assert seen.inspection.score == whole.inspection.score
    assert 0 < float((seen.maps[0].values == 0).mean()) < 1


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (lambda batch: np.full_like(batch, np.nan), "scores from nan to nan"),
        (lambda batch: batch[:, :, :8], "this recipe takes float32"),
    ],
)
def test_a_fault_where_it_looks_is_error(
    output: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    says: str,
    tiny_package: Package,
    make_hastened: Callable[..., Package],
    make_part: MakePart,
) -> None:
    with closing(Inspector(make_hastened(tiny_package, **LARGE), "onnxruntime", 1)) as inspector:
        inspector.lanes = Lanes([Counting(output)])
        image = make_part((1800, 900, 30, 12), size=(2100, 1500))
        inspection = inspector.inspect_bytes(encode_image(image), "x.png").inspection
    assert inspection.verdict is Verdict.ERROR
    assert says in str(inspection.error)


def test_a_fault_of_the_coarse_network_is_error(
    tiny_package: Package, make_hastened: Callable[..., Package], make_part: MakePart
) -> None:
    """The mean of a block need not be a whole number. On the image it started with it was one."""
    image = make_part()
    image[0, 0] = 21
    package = make_hastened(tiny_package, pooling="MaxPool")
    with closing(Inspector(package, "onnxruntime", 1)) as inspector:
        assert inspector._coarse is not None
        inspector._coarse._network._lanes = Lanes([Counting(lambda batch: batch[:, :, ::32, ::32] + np.float32(0.5))])
        inspection = inspector.inspect_bytes(encode_image(image), "x.png").inspection
    assert inspection.verdict is Verdict.ERROR
    assert "the coarse network gave answers from" in str(inspection.error)
