"""Each rewrite finds its pattern and changes nothing but rounding."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onspec.runtime.engines import ENGINES, open_engine
from onspec.runtime.graph import Graph
from onspec.runtime.rewrites import REWRITES, apply, rewritten

MakeExported = Callable[[str], bytes]
Changes = dict[str, str | list[int]]
PATTERNS = [
    ("deck", "split-upsampled-concat", 4),
    ("lite, before", "enlarge-by-phases", 1),
    ("lite, learned before", "enlarge-by-phases", 1),
    ("classes and cores, before", "enlarge-by-phases", 1),
]


def scores(model: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """What the reference makes of noise."""
    engine = open_engine("onnxruntime", model, 1)
    result = engine.infer(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))
    engine.close()
    return result


def operators(model: bytes) -> list[str]:
    """Their kinds."""
    return [node.op_type for node in onnx.load_from_string(model).graph.node]


@pytest.mark.parametrize(("which", "name", "places"), PATTERNS)
def test_maps_differ_by_rounding_only(which: str, name: str, places: int, make_exported: MakeExported) -> None:
    model, rewrite = make_exported(which), REWRITES[name].apply
    assert rewrite(Graph(model)) == places
    changed = apply(model, [rewrite])
    onnx.checker.check_model(onnx.load_from_string(changed), full_check=True)
    for shape in ((1, 1, 96, 128), (2, 1, 64, 32)):
        before = scores(model, shape)
        assert before.std() > 1e-6
        assert np.abs(scores(changed, shape) - before).max() < 1e-5


def test_what_is_not_needed_is_gone(make_exported: MakeExported) -> None:
    kinds = operators(rewritten(make_exported("deck"), "openvino"))
    assert "Resize" not in kinds
    assert "Concat" not in kinds
    assert kinds.count("ConvTranspose") == 4
    assert "DepthToSpace" in operators(rewritten(make_exported("lite, before"), "openvino"))


def test_new_exports_enlarge_by_phases_already(make_exported: MakeExported) -> None:
    assert "DepthToSpace" in operators(make_exported("lite"))
    assert rewritten(make_exported("lite"), "openvino") == make_exported("lite")


def test_an_engine_without_rewrites_runs_the_network_as_it_is_packed(make_exported: MakeExported) -> None:
    assert rewritten(make_exported("deck"), "onnxruntime") == make_exported("deck")


def test_the_table_names_engines() -> None:
    for entry in REWRITES.values():
        assert entry.engines
        assert entry.engines <= set(ENGINES)


def upsampled_concat(planes: tuple[int, int, int], seed: int, **changes: str | list[int]) -> bytes:
    """conv3×3(concat(nearest ×2 of 1/2 of the image's planes, the planes)), weights by chance."""
    low, side, out = planes
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    resize: Changes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    conv: Changes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "down"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["image", "across"], ["whole"], kernel_shape=[1, 1]),
        helper.make_node("Resize", ["half", "", "scales"], ["up"], **{**resize, **_only(changes, resize)}),  # type: ignore[arg-type] # whatever an attribute may be
        helper.make_node("Concat", ["up", "whole"], ["both"], axis=1),
        helper.make_node("Conv", ["both", "weight", "bias"], ["scores"], **{**conv, **_only(changes, conv)}),  # type: ignore[arg-type] # whatever an attribute may be
    ]
    values = {
        "down": weights(low, 1, 2, 2), "across": weights(side, 1, 1, 1), "weight": weights(out, low + side, 3, 3),
        "bias": weights(out), "scales": np.array([1, 1, 2, 2], np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", out, "down", "across"])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _only(changes: Changes, known: Changes) -> Changes:
    return {name: value for name, value in changes.items() if name in known}


@given(
    planes=st.tuples(*[st.integers(1, 5)] * 3),
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
@settings(max_examples=15)
def test_split_concat_is_exact_for_any_weights_and_size(
    planes: tuple[int, int, int], seed: int, size: tuple[int, int]
) -> None:
    model = upsampled_concat(planes, seed)
    changed = apply(model, [REWRITES["split-upsampled-concat"].apply])
    assert "ConvTranspose" in operators(changed)
    shape = (1, 1, 2 * size[0], 2 * size[1])
    np.testing.assert_allclose(scores(changed, shape), scores(model, shape), atol=1e-4)  # values reach ±30 here


@pytest.mark.parametrize(
    "changes",
    [
        {"nearest_mode": "ceil"},
        {"coordinate_transformation_mode": "half_pixel"},
        {"mode": "linear"},
        {"pads": [0, 0, 0, 0]},
    ],
)
def test_what_only_looks_like_the_pattern_is_left_alone(changes: Changes) -> None:
    model = upsampled_concat((2, 3, 2), 0, **changes)
    assert apply(model, [REWRITES["split-upsampled-concat"].apply]) == model
