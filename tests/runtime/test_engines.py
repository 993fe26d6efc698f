"""The table of engines, and the contract that each of its members keeps."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from onnx import TensorProto, helper

from onspec.domain import EngineError, MissingExtraError
from onspec.runtime import engines
from onspec.runtime.engines import ENGINES, EngineEntry, open_engine

MakeModel = Callable[..., bytes]


def model_with(inputs: list[tuple[str, int, list[object]]], outputs: list[tuple[str, int, list[object]]]) -> bytes:
    """A network of one copy an output, with these names, types and shapes."""
    make = helper.make_tensor_value_info
    nodes = [helper.make_node("Identity", [inputs[0][0]], [name]) for name, _, _ in outputs]
    graph = helper.make_graph(nodes, "g", [make(*i) for i in inputs], [make(*o) for o in outputs])  # type: ignore[arg-type]
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


@pytest.mark.parametrize("name", ENGINES)
class TestEveryEngine:
    """What an engine must do, whichever it is."""

    def test_it_gives_the_networks_scores(self, name: str, make_model: MakeModel) -> None:
        engine = open_engine(name, make_model(channels=3, classes=2), threads=1)
        batch = np.random.default_rng(0).uniform(-1, 1, (2, 3, 16, 32)).astype(np.float32)
        scores = engine.infer(batch)
        assert scores.dtype == np.float32
        assert scores.shape == (2, 2, 16, 32)
        expected = 1 / (1 + np.exp(-12.0 * batch.mean(axis=1, keepdims=True)))
        assert np.abs(scores - expected).max() < 1e-4
        assert engine.name == name
        engine.close()

    def test_it_takes_batches_and_sizes_one_after_another(self, name: str, make_model: MakeModel) -> None:
        engine = open_engine(name, make_model(), threads=1)
        for shape in ((1, 1, 16, 16), (3, 1, 32, 16), (1, 1, 16, 48)):
            assert engine.infer(np.zeros(shape, np.float32)).shape == shape
        engine.close()

    def test_a_wrong_input_is_an_engine_error(self, name: str, make_model: MakeModel) -> None:
        engine = open_engine(name, make_model(), threads=1)
        with pytest.raises(EngineError, match=r"\(1, 3, 16, 16\)"):
            engine.infer(np.zeros((1, 3, 16, 16), np.float32))
        engine.close()

    def test_closed_is_closed(self, name: str, make_model: MakeModel) -> None:
        engine = open_engine(name, make_model(), threads=1)
        engine.close()
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            engine.infer(np.zeros((1, 1, 16, 16), np.float32))

    @pytest.mark.parametrize("model", [b"", b"hello"])
    def test_what_is_no_model_is_an_engine_error(self, name: str, model: bytes) -> None:
        with pytest.raises(EngineError, match="cannot be loaded"):
            open_engine(name, model, threads=1)

    @pytest.mark.parametrize(
        ("inputs", "outputs", "says"),
        [
            ([("x", TensorProto.FLOAT, [1, 1, 8, 8])], [("scores", TensorProto.FLOAT, [1, 1, 8, 8])], "'image'"),
            ([("image", TensorProto.FLOAT, [1, 1, 8, 8])], [("y", TensorProto.FLOAT, [1, 1, 8, 8])], "'scores'"),
            ([("image", TensorProto.DOUBLE, [1, 1, 8, 8])], [("scores", TensorProto.DOUBLE, [1, 1, 8, 8])], "double"),
            ([("image", TensorProto.FLOAT, [1, 64])], [("scores", TensorProto.FLOAT, [1, 64])], "4 dimensions"),
            (
                [("image", TensorProto.FLOAT, [1, 1, 8, 8])],
                [("scores", TensorProto.FLOAT, [1, 1, 8, 8]), ("more", TensorProto.FLOAT, [1, 1, 8, 8])],
                "more",
            ),
        ],
    )
    def test_a_network_of_something_else_is_refused(
        self,
        name: str,
        inputs: list[tuple[str, int, list[object]]],
        outputs: list[tuple[str, int, list[object]]],
        says: str,
    ) -> None:
        with pytest.raises(EngineError, match=says):
            open_engine(name, model_with(inputs, outputs), threads=1)


def test_auto_takes_the_first_of_the_table(make_model: MakeModel) -> None:
    engine = open_engine("auto", make_model(), threads=1)
    assert engine.name == next(iter(ENGINES))
    engine.close()


def test_an_unknown_engine_names_the_known_ones(make_model: MakeModel) -> None:
    with pytest.raises(EngineError, match="Unknown engine 'tensort'; choose auto, onnxruntime"):
        open_engine("tensort", make_model())


def test_no_threads_are_refused(make_model: MakeModel) -> None:
    with pytest.raises(EngineError, match="at least 1; got 0"):
        open_engine("onnxruntime", make_model(), threads=0)


def test_an_engine_that_is_not_installed_names_its_extra(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(engines.ENGINES, "other", EngineEntry("onspec.runtime.onnxruntime_engine", "fast", ""))
    with pytest.raises(MissingExtraError, match=r"pip install 'onspec\[fast\]'"):
        open_engine("other", make_model())
    with pytest.raises(EngineError, match="install onspec again"):
        open_engine("onnxruntime", make_model())


def test_telemetry_is_off_before_the_import() -> None:
    code = (
        "import os, sys\n"
        "os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "from onspec.runtime.onnxruntime_engine import open_model\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "try: open_model(b'', 1)\n"
        "except Exception: pass\n"
        "assert 'onnxruntime' in sys.modules and os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
