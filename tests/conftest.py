"""What every test may use."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onspec.cli import main as cli
from onspec.domain import Task
from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import encode_image
from onspec.recipe.package import Golden, Package
from onspec.recipe.reading import with_digest
from onspec.recipe.schema import Provenance, Recipe
from onspec.recipe.writing import pack

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("onspec", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("onspec")

# A shell that runs the suite in the background has Ctrl-C ignored, and every command under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests remember of engines stays out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONSPEC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def onspec(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: exit code, stdout, stderr. Arguments become text."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exited:
            cli.run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return int(str(exited.value.code)), captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real inspection data: ONSPEC_DATA, or `shared/data` beside the checkout."""
    folder = Path(os.environ.get("ONSPEC_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set ONSPEC_DATA to the folder that holds it")
    return folder


def tiny_model(channels: int = 1, classes: int = 1, gain: float = 12.0) -> bytes:
    """ONNX bytes of a network that can be reckoned by hand: every class scores sigmoid(gain · mean of the channels).

    Inputs lie in -1…1, so that with 8 bit gray 0 scores 0.000, gray 127.5 scores 0.5 and gray 255 scores 1.000.
    """
    weight = np.full((classes, channels, 1, 1), gain / channels, np.float32)
    free: list[str | int | None] = ["batch", channels, "height", "width"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weight"], ["logits"], kernel_shape=[1, 1]),
            helper.make_node("Sigmoid", ["logits"], ["scores"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", classes, "height", "width"])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def toned_model(cell: int = 1, half: float | None = None, cores: bool = False) -> bytes:
    """ONNX bytes of a network with the classes `bright` and `dark` that can be reckoned by hand, cell by cell.

    With x, a cell's mean input in -1…1, `bright` scores sigmoid(24 · x - 12) and `dark` sigmoid(-24 · x - 12): gray 255
    is bright, gray 0 dark, gray 128 neither. With `half`, every cell draws a box that ends so many working px from its
    centre on each side. With `cores`, a last plane scores sigmoid(24 · x - 21.6): only gray 252 and more is a core.
    """
    weight = np.array([24, -24, 24][: 2 + cores], np.float32).reshape(-1, 1, 1, 1)
    bias = np.array([-12, -12, -21.6][: 2 + cores], np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]),
        helper.make_node("Conv", ["cells", "weight", "bias"], ["logits"], kernel_shape=[1, 1]),
        helper.make_node("Sigmoid", ["logits"], ["scores" if half is None else "score"]),
    ]
    values = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    if half is not None:
        nodes += [
            helper.make_node("Conv", ["cells", "nothing", "half"], ["distances"], kernel_shape=[1, 1]),
            helper.make_node("Concat", ["score", "distances"], ["scores"], axis=1),
        ]
        values.append(numpy_helper.from_array(np.zeros((4, 1, 1, 1), np.float32), "nothing"))
        values.append(numpy_helper.from_array(np.full(4, half, np.float32), "half"))
    planes = len(bias) + (0 if half is None else 4)
    graph = helper.make_graph(
        nodes,
        "toned",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, "height", "width"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", planes, "down", "across"])],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def toned_part(*spots: tuple[int, int, int, int, int], size: tuple[int, int] = (96, 64)) -> NDArray[np.uint8]:
    """A gray part (128), uint8 (H, W), with spots given as x, y, width, height in px and gray value."""
    image = np.full((size[1], size[0]), 128, np.uint8)
    for x, y, w, h, gray in spots:
        image[y : y + h, x : x + w] = gray
    return image


def tiny_part(*spots: tuple[int, int, int, int], size: tuple[int, int] = (96, 64)) -> NDArray[np.uint8]:
    """A dark part (gray 20), uint8 (H, W), with bright spots (gray 235) given as x, y, width, height in px."""
    image = np.full((size[1], size[0]), 20, np.uint8)
    for x, y, w, h in spots:
        image[y : y + h, x : x + w] = 235
    return image


def tiny_recipe() -> Recipe:
    """Takes 8-bit gray images of 64…128 × 48…96 px."""
    spec = InputSpec(width=Extent(min=64, max=128), height=Extent(min=48, max=96), stride=16, tile=256, halo=32)
    return Recipe(name="tiny", input=spec, provenance=Provenance(created="2026-01-01T00:00:00Z", onspec="0.1.0"))


TONED: dict[Task, tuple[int, float | None]] = {
    Task.SEGMENT: (1, None),
    Task.DETECT: (4, 2.0),
    Task.CLASSIFY: (8, None),
}
"""Task → `cell` and `half` of `toned_model`: a box is the very cell that draws it."""


def toned_package(task: Task, cores: bool = False) -> Package:
    """A draft of a recipe with `toned_model` for this task and the sizes of `tiny_recipe`; golden samples of each kind.

    The classifier pools odds with sharpness 4.
    """
    cell, half = TONED[task]
    recipe = Recipe.model_validate(
        {
            **tiny_recipe().model_dump(),
            "name": f"toned-{task}",
            "task": task,
            "classes": ("bright", "dark"),
            "separate": cores,
            "input": {**tiny_recipe().input.model_dump(), "cell": cell},
            "thresholds": {"pooling": "odds", "sharpness": 4.0} if task is Task.CLASSIFY else {},
        }
    )
    parts = {"good": (), "bright": ((40, 24, 4, 4, 255),), "dark": ((40, 24, 4, 4, 0),)}
    if task is not Task.DETECT:
        parts = {name: tuple((x, y, 24, 16, gray) for x, y, _, _, gray in spots) for name, spots in parts.items()}
    golden = tuple(Golden(f"{name}.png", encode_image(toned_part(*spots))) for name, spots in parts.items())
    return with_digest(Package(recipe=recipe, model=toned_model(cell, half, cores), golden=golden))


@pytest.fixture(scope="session")
def make_toned() -> Callable[..., Package]:
    """`toned_package`."""
    return toned_package


@pytest.fixture(scope="session")
def make_toned_part() -> Callable[..., NDArray[np.uint8]]:
    """`toned_part`."""
    return toned_part


@pytest.fixture(scope="session")
def make_model() -> Callable[..., bytes]:
    """`tiny_model`."""
    return tiny_model


@pytest.fixture(scope="session")
def make_part() -> Callable[..., NDArray[np.uint8]]:
    """`tiny_part`."""
    return tiny_part


@pytest.fixture(scope="session")
def tiny_package() -> Package:
    """A draft with `tiny_model` and two golden samples (one good, one with a 10×6 px spot), results not recorded."""
    golden = (
        Golden("defective.png", encode_image(tiny_part((30, 20, 10, 6)))),
        Golden("good.png", encode_image(tiny_part())),
    )
    return with_digest(Package(recipe=tiny_recipe(), model=tiny_model(), golden=golden, split_csv=b"image,split\n"))


@pytest.fixture
def tiny_recipe_path(tiny_package: Package, tmp_path: Path) -> Path:
    """`tiny_package` as the file tiny.onspec, its golden samples recorded."""
    from dataclasses import replace

    from onspec.runtime.golden import record_golden
    from onspec.runtime.inspector import Inspector

    inspector = Inspector(tiny_package, threads=1)
    path = tmp_path / "tiny.onspec"
    pack(replace(tiny_package, golden=record_golden(inspector, tiny_package.golden)), path)
    inspector.close()
    return path


@pytest.fixture(scope="session")
def make_lit() -> Callable[[np.random.Generator, float], NDArray[np.uint8]]:
    """A dark part under light that varies a little, with the grain of a camera; a factor dims the light."""

    def make(rng: np.random.Generator, light: float = 1.0) -> NDArray[np.uint8]:
        level = float(rng.normal(40, 3)) * light
        return np.clip(rng.normal(level, 0.8, (64, 96)), 0, 255).round().astype(np.uint8)

    return make


@pytest.fixture
def lit_recipe_path(
    tiny_package: Package, make_lit: Callable[[np.random.Generator, float], NDArray[np.uint8]], tmp_path: Path
) -> Path:
    """`tiny_recipe_path`, which knows how 200 images of `make_lit` look and score; it judges whatever it is shown."""
    from dataclasses import replace

    from onspec.decision.rules import RuleSet
    from onspec.recipe.reference import reference_of, see
    from onspec.runtime.golden import record_golden
    from onspec.runtime.inspector import Decoded, Inspector

    rng, inspector = np.random.default_rng(1), Inspector(tiny_package, threads=1)
    images = [make_lit(rng, 1.0) for _ in range(200)]
    judged = [inspector.inspect_decoded(Decoded(image, 0.0), "good.png").inspection for image in images[:60]]
    scores = [inspection.score for inspection in judged if inspection.score is not None]
    inspector.close()
    rules = RuleSet.model_validate({"inspectable": {"outside": "accept"}})
    known = {"reference": reference_of([see(image) for image in images], scores), "rules": rules}
    package = with_digest(replace(tiny_package, recipe=tiny_package.recipe.model_copy(update=known)))
    inspector = Inspector(package, threads=1)
    path = tmp_path / "lit.onspec"
    pack(replace(package, golden=record_golden(inspector, package.golden)), path)
    inspector.close()
    return path


def brightest_model(pooling: str = "MaxPool", block: int = 32) -> bytes:
    """ONNX bytes of a coarse network whose answer is the highest level in a block; with `AveragePool` the mean, which
    is no answer, as it need not be whole."""
    free: list[str | int | None] = ["batch", 1, "height", "width"]
    graph = helper.make_graph(
        [helper.make_node(pooling, ["image"], ["scores"], kernel_shape=[block, block], strides=[block, block])],
        "brightest",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 1, "down", "across"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def make_hastened() -> Callable[..., Package]:
    """A package → the same with a coarse network whose levels are 8-bit gray values: `brightest_model`, or `pooling`.

    `answer` is that to the made-up image, otherwise the right one; `values` change the input.
    """
    from dataclasses import replace

    from onspec.recipe.hastening import Hastening
    from onspec.runtime.coarse import CoarseNetwork

    def make(
        package: Package, limit: int = 100, pooling: str = "MaxPool", answer: str | None = None, **values: object
    ) -> Package:
        model = brightest_model(pooling)
        if answer is None:
            network = CoarseNetwork(model, 32)
            answer = network.made_up(1)
            network.close()
        spec = InputSpec.model_validate({**package.recipe.input.model_dump(), **values})
        thresholds = package.recipe.thresholds.model_copy(update={"basis": ""})
        told = Hastening(block=32, low=-1.0, high=1.0, limit=limit, answer=answer, thresholds=thresholds)
        recipe = package.recipe.model_copy(update={"hastened": told, "input": spec})
        return with_digest(replace(package, recipe=recipe, coarse=model))

    return make
