"""TensorRT-RTX engines, built without a GPU."""

import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from onspec.domain import EngineError, MissingExtraError, Task
from onspec.imaging.preparation import Extent, InputSpec
from onspec.recipe.package import Package
from onspec.runtime.tensorrt_export import build_engine, profile_shapes


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
        with pytest.raises(EngineError, match=r"cannot read the network of tiny: .*parse"):
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
