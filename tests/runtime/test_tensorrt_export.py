"""TensorRT-RTX engines, built without a GPU."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onspec.domain import EngineError, MissingExtraError, Task, UsageError
from onspec.imaging.preparation import Extent, InputSpec
from onspec.recipe.package import Package
from onspec.runtime.cuda import Device, device_count
from onspec.runtime.engines import open_engine
from onspec.runtime.precision import to_fp16, to_int8
from onspec.runtime.tensorrt_engine import ahead_of_time, cache_name, shapes_around
from onspec.runtime.tensorrt_export import build, build_engine, profile_shapes


def spec(width: tuple[int, int], height: tuple[int, int], **more: float) -> InputSpec:
    """An input of these sizes with stride 16, tiles of 512 px and a halo of 64 px."""
    sides = {"width": Extent(min=width[0], max=width[1]), "height": Extent(min=height[0], max=height[1])}
    return InputSpec.model_validate({**sides, "stride": 16, "tile": 512, "halo": 64, **more})


@pytest.mark.parametrize(
    ("given", "shapes"),
    [
        (spec((512, 512), (512, 512)), ((1, 1, 512, 512), (1, 1, 512, 512), (4, 1, 512, 512))),
        (spec((500, 500), (300, 300)), ((1, 1, 304, 512), (1, 1, 304, 512), (4, 1, 304, 512))),
        (spec((1000, 1000), (600, 600), scale=0.5), ((1, 1, 304, 512), (1, 1, 304, 512), (4, 1, 304, 512))),
        (spec((100, 400), (120, 120), channels=3), ((1, 3, 128, 112), (1, 3, 128, 256), (4, 3, 128, 400))),
        # Larger than a tile: the last tile of a row is one step of the grid and its halo at least.
        (spec((2000, 2000), (300, 300)), ((1, 1, 80, 80), (1, 1, 192, 288), (4, 1, 304, 512))),
    ],
)
def test_the_profile_covers_every_input_of_the_recipe(given: InputSpec, shapes: tuple[object, ...]) -> None:
    assert profile_shapes(given, 4) == shapes
    for shape in profile_shapes(given, 4):
        assert shape[2] % 16 == shape[3] % 16 == 0


class TestBuilding:
    """With the package installed."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt' is not installed")

    def test_an_engine_is_built(self, tiny_package: Package) -> None:
        engine = build_engine(tiny_package)
        assert len(engine) > 10_000
        assert b"vtrt" in engine[:16]  # how engine files of this family begin
        assert b"image" in engine
        assert b"scores" in engine

    @pytest.mark.parametrize("task", Task)
    def test_an_engine_is_built_for_each_task(self, task: Task, make_toned: Callable[..., Package]) -> None:
        assert b"scores" in build_engine(make_toned(task))

    def test_a_file_that_is_no_network(self, tiny_package: Package) -> None:
        with pytest.raises(EngineError, match="not an ONNX network; export it with onspec train"):
            build_engine(replace(tiny_package, model=b"junk"))

    def test_a_network_that_does_not_fit_the_recipe(
        self, tiny_package: Package, make_model: Callable[..., bytes]
    ) -> None:
        with pytest.raises(EngineError, match=r"cannot build an engine of tiny: .*axis 1"):
            build_engine(replace(tiny_package, model=make_model(channels=3)))


def test_without_the_package_the_install_line_is_said(tiny_package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'onspec\[tensorrt\]'"):
        build_engine(tiny_package)


class TestTheEngine:
    """What of the engine `tensorrt` can be told without a GPU: how it is built, kept and refused."""

    SHAPES = shapes_around((1, 1, 64, 96))

    def test_it_says_what_it_needs(self, tiny_package: Package) -> None:
        if device_count():
            pytest.skip("there is a GPU")
        with pytest.raises(EngineError, match=r"needs an NVIDIA GPU.*nvidia-smi.*onspec export --to tensorrt"):
            open_engine("tensorrt", tiny_package.model)
        with pytest.raises(EngineError, match="no NVIDIA GPU is seen here"):
            Device()

    def test_sizes_around_an_input(self) -> None:
        assert self.SHAPES == ((1, 1, 32, 32), (1, 1, 64, 96), (1, 1, 2048, 2048))
        assert shapes_around((9, 3, 16, 4096)) == ((1, 3, 16, 32), (9, 3, 16, 4096), (9, 3, 2048, 4096))

    def test_it_is_built_once(self, tiny_package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt' is not installed")
        monkeypatch.setenv("ONSPEC_CACHE", str(tmp_path))
        first = ahead_of_time(tiny_package.model, self.SHAPES, 89)
        (kept,) = (tmp_path / "tensorrt-rtx").iterdir()
        assert kept.read_bytes() == first
        kept.write_bytes(b"the kept one")
        assert ahead_of_time(tiny_package.model, self.SHAPES, 89) == b"the kept one"
        assert ahead_of_time(tiny_package.model, self.SHAPES, 86) != b"the kept one"
        assert len(ahead_of_time(tiny_package.model, self.SHAPES, 89, anew=True)) == len(first)
        assert len(kept.read_bytes()) == len(first)

    def test_its_name_in_the_cache_differs_where_anything_does(self) -> None:
        names = {
            cache_name(b"a", self.SHAPES, "1.0"), cache_name(b"b", self.SHAPES, "1.0"),
            cache_name(b"a", self.SHAPES, "1.1"), cache_name(b"a", self.SHAPES, "1.0", "driver 2"),
            cache_name(b"a", shapes_around((1, 1, 64, 64)), "1.0"),
        }  # fmt: skip
        assert len(names) == 5
        assert cache_name(b"a", self.SHAPES, "1.0") in names

    def test_a_named_gpu(self, tiny_package: Package) -> None:
        pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt' is not installed")
        assert b"vtrt" in build_engine(tiny_package, targets=["sm86", "sm89"])[:16]
        with pytest.raises(UsageError, match="no engine for 'sm90'; choose among sm75"):
            build_engine(tiny_package, targets=["sm90"])

    def test_a_network_in_half_precision(self, tiny_package: Package) -> None:
        pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt' is not installed")
        lowered = replace(tiny_package, model=to_fp16(tiny_package.model, []))
        assert b"vtrt" in build_engine(lowered)[:16]

    @pytest.mark.slow
    @pytest.mark.parametrize("which", ["deck", "lite, learned"])
    def test_a_network_of_8_bit_numbers(self, which: str, make_exported: Callable[[str], bytes]) -> None:
        pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt' is not installed")
        batch = np.random.default_rng(0).normal(size=(1, 1, 64, 96)).astype(np.float32)
        assert b"vtrt" in build(to_int8(make_exported(which), [batch]), self.SHAPES, [], which)[:16]
