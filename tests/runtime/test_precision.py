"""Networks in lower precision run on every engine, and are close to what they were."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from onspec.domain import EngineError
from onspec.runtime.engines import open_engine
from onspec.runtime.precision import LOWERINGS, to_fp16, to_int8

RNG = np.random.default_rng(0)
BATCHES = [RNG.uniform(-1, 1, (1, 1, 64, 96)).astype(np.float32) for _ in range(3)]
WHICH = ["deck", "lite, learned", "boxes", "evidence"]


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


def test_int8_is_a_third_of_the_size_and_has_symmetric_scales(make_exported: Callable[[str], bytes]) -> None:
    model = make_exported("lite")
    lowered = to_int8(model, BATCHES)
    assert len(lowered) < len(model) / 3
    graph = onnx.load_from_string(lowered).graph
    zeros = [t for t in graph.initializer if t.name.endswith("zero_point")]
    assert zeros
    assert all(not onnx.numpy_helper.to_array(t).any() for t in zeros)


def test_int8_without_an_image_is_refused(make_exported: Callable[[str], bytes]) -> None:
    with pytest.raises(EngineError, match="cannot be quantised"):
        to_int8(make_exported("deck"), [])


def test_a_weight_beyond_half_precision_is_refused(make_model: Callable[..., bytes]) -> None:
    with pytest.raises(EngineError, match="half precision ends at 65504"):
        to_fp16(make_model(gain=1e6), [])
