"""A recipe of some KB that judges in a millisecond, so that the readers are tried and not the network."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from onspec.imaging.preparation import Extent, InputSpec
from onspec.imaging.writing import encode_image
from onspec.recipe.package import Golden, Package
from onspec.recipe.reading import with_digest
from onspec.recipe.schema import Provenance, Recipe
from onspec.recipe.writing import pack
from onspec.runtime.golden import record_golden
from onspec.runtime.inspector import Inspector

_WIDTH, _HEIGHT = 128, 96


def small_recipe(folder: Path) -> Path:
    """A file in `folder`: takes gray 8-bit images of 48 to 256 px, on which bright is a defect."""
    spec = InputSpec(width=Extent(min=48, max=256), height=Extent(min=48, max=256), stride=16, tile=512, halo=32)
    recipe = Recipe(name="small", input=spec, provenance=Provenance(created="2026-01-01T00:00:00Z", onspec="0.1.0"))
    good = _surface()
    defective = good.copy()
    defective[40:60, 50:80] = 240
    golden = (Golden("good.png", encode_image(good)), Golden("defective.png", encode_image(defective)))
    package = with_digest(Package(recipe=recipe, model=_network(), golden=golden, split_csv=b"image,split\n"))
    inspector = Inspector(package, "onnxruntime", threads=1)
    path = folder / "small.onspec"
    pack(replace(package, golden=record_golden(inspector, package.golden)), path)
    inspector.close()
    return path


def _surface() -> np.ndarray:
    """Dark, soft and grainy, uint8 (96, 128)."""
    chance = np.random.default_rng(0)
    soft = cv2.resize(chance.uniform(10, 70, (6, 8)), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(soft + chance.normal(0, 3, soft.shape), 0, 110), np.uint8)


def _network() -> bytes:
    """Scores sigmoid(12 · x) of each pixel x in −1…1."""
    free: list[str | int | None] = ["batch", 1, "height", "width"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weight"], ["logits"], kernel_shape=[1, 1]),
            helper.make_node("Sigmoid", ["logits"], ["scores"]),
        ],
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, free)],
        [numpy_helper.from_array(np.full((1, 1, 1, 1), 12, np.float32), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
