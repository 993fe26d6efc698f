"""Networks in lower precision run on every engine, and are close to what they were."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from onspec.domain import EngineError
from onspec.runtime.engines import open_engine
from onspec.runtime.graph import Graph
from onspec.runtime.precision import LOWERINGS, to_fp16, to_int8, with_signed_activations

RNG = np.random.default_rng(0)
BATCHES = [RNG.uniform(-1, 1, (1, 1, 64, 96)).astype(np.float32) for _ in range(3)]
WHICH = ["deck", "lite, learned", "boxes", "evidence"]


@pytest.mark.slow
@pytest.mark.parametrize("to", LOWERINGS)
@pytest.mark.parametrize("which", WHICH)
def test_every_engine_runs_it(to: str, which: str, make_exported: Callable[[str], bytes]) -> None:
    model = make_exported(which)
    engine = open_engine("onnxruntime", model, 1)
    expected = engine.infer(BATCHES[0])
    lowered = LOWERINGS[to](model, BATCHES)
    assert lowered != model
    for name in ("onnxruntime", "openvino", "torch"):
        got = open_engine(name, lowered, 1).infer(BATCHES[0])
        assert got.dtype == np.float32
        apart = np.abs(got - expected) / np.maximum(1, np.abs(expected))
        assert np.mean(apart) < 0.02, name


def test_int8_is_a_third_of_the_size_and_its_products_fit_in_16_bits(make_exported: Callable[[str], bytes]) -> None:
    model = make_exported("lite")
    lowered = to_int8(model, BATCHES)
    assert len(lowered) < len(model) / 3
    graph = Graph(lowered)
    taken = [graph.producer(node.input[0]) for node in graph.nodes if node.op_type in ("Conv", "ConvTranspose")]
    rounded = [node for node in taken if node is not None]
    assert len(taken) - len(rounded) == 1  # the image itself
    assert {node.op_type for node in rounded} == {"DequantizeLinear"}
    assert {str(graph.constant(node.input[2]).dtype) for node in rounded} == {"uint8"}  # type: ignore[union-attr]
    stored = [onnx.numpy_helper.to_array(t) for t in graph.model.graph.initializer]
    most = max(int(np.abs(values.astype(int)).max()) for values in stored if values.dtype == np.int8)
    assert 2 * 255 * most < 2**15


@pytest.mark.parametrize("which", ["deck", "classes and cores"])
def test_openvino_computes_int8_as_the_reference_does(which: str, make_exported: Callable[[str], bytes]) -> None:
    """On processors without 8-bit products, too: there sums of larger weights were cut off, by 0.0009 and 0.0035."""
    rng = np.random.default_rng(1)
    batches = [np.asarray(3 * rng.normal(size=(1, 1, 96, 128)), np.float32) for _ in range(3)]
    lowered = to_int8(make_exported(which), batches)
    expected, got = (open_engine(name, lowered, 1).infer(batches[0]) for name in ("onnxruntime", "openvino"))
    assert np.abs(got - expected).mean() < 2e-4


@pytest.mark.slow
@pytest.mark.parametrize("which", WHICH)
def test_what_tensorrt_takes_of_int8_is_signed_with_a_zero_of_0_and_nearly_the_same(
    which: str, make_exported: Callable[[str], bytes]
) -> None:
    lowered = to_int8(make_exported(which), BATCHES)
    signed = with_signed_activations(lowered)
    zeros = [
        values
        for node in Graph(signed).nodes
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        and (values := Graph(signed).constant(node.input[2])) is not None
    ]
    assert zeros
    assert all(values.dtype in (np.int8, np.int32) and not values.any() for values in zeros)
    assert with_signed_activations(signed) == signed
    expected, got = (open_engine("onnxruntime", model, 1).infer(BATCHES[0]) for model in (lowered, signed))
    assert np.mean(np.abs(got - expected) / np.maximum(1, np.abs(expected))) < 0.01


def test_int8_without_an_image_is_refused(make_exported: Callable[[str], bytes]) -> None:
    with pytest.raises(EngineError, match="cannot be quantised"):
        to_int8(make_exported("deck"), [])


def test_a_weight_beyond_half_precision_is_refused(make_model: Callable[..., bytes]) -> None:
    with pytest.raises(EngineError, match="half precision ends at 65504"):
        to_fp16(make_model(gain=1e6), [])
