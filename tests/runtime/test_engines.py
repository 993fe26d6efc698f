"""The table of engines, and the contract that each of its members keeps."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from onspec.domain import EngineError, MissingExtraError
from onspec.runtime import engines
from onspec.runtime.engines import ENGINES, EngineEntry, obstacle, open_engine
from onspec.runtime.onnxruntime_tensorrt_engine import provider
from onspec.runtime.precision import LOWERINGS

MakeModel = Callable[..., bytes]


def model_with(inputs: list[tuple[str, int, list[object]]], outputs: list[tuple[str, int, list[object]]]) -> bytes:
    """A network of one copy an output, with these names, types and shapes."""
    make = helper.make_tensor_value_info
    nodes = [helper.make_node("Identity", [inputs[0][0]], [name]) for name, _, _ in outputs]
    graph = helper.make_graph(nodes, "g", [make(*i) for i in inputs], [make(*o) for o in outputs])  # type: ignore[arg-type]
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


READY = [name for name in ENGINES if obstacle(name) is None]
"""The engines that run on this machine. With the extras of the tests installed, those of the CPU always do."""


def test_every_engine_of_the_cpu_is_put_to_the_test() -> None:
    assert {"onnxruntime", "openvino", "torch"} <= set(READY)


@pytest.mark.parametrize("name", READY)
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

    def test_a_damaged_network_prints_nothing_between_verdicts(
        self, name: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        sides: list[object] = [1, 1, 8, 8]
        whole = model_with([("image", TensorProto.FLOAT, sides)], [("scores", TensorProto.FLOAT, sides)])
        with pytest.raises(EngineError, match="cannot be loaded"):
            open_engine(name, whole.replace(b"Identity", b"Ident\xa9ty"), threads=1)
        assert capfd.readouterr().out == ""

    @pytest.mark.parametrize(
        ("inputs", "outputs", "says"),
        [
            ([("x", TensorProto.FLOAT, [1, 1, 8, 8])], [("scores", TensorProto.FLOAT, [1, 1, 8, 8])], "'image'"),
            ([("image", TensorProto.FLOAT, [1, 1, 8, 8])], [("y", TensorProto.FLOAT, [1, 1, 8, 8])], "'scores'"),
            (
                [("image", TensorProto.DOUBLE, [1, 1, 8, 8])],
                [("scores", TensorProto.DOUBLE, [1, 1, 8, 8])],
                "double|f64",
            ),
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


def test_auto_is_none_of_the_engines_where_one_is_asked_for() -> None:
    with pytest.raises(EngineError, match="'auto' is none of the engines; choose onnxruntime"):
        obstacle("auto")


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


def test_engines_that_do_not_run_here_say_what_to_do(make_model: MakeModel) -> None:
    """On a machine without a GPU, those of a GPU."""
    for name in set(ENGINES) - set(READY):
        with pytest.raises((EngineError, MissingExtraError), match=r"pip install|nvidia-smi") as refused:
            open_engine(name, make_model())
        assert str(refused.value) == str(obstacle(name))


@pytest.mark.parametrize(("name", "package", "extra"), [
    ("openvino", "openvino", "openvino"), ("openvino", "onnx", "openvino"), ("torch", "torch", "train"),
    ("tensorrt", "tensorrt_rtx", "tensorrt"),
])  # fmt: skip
def test_a_missing_package_is_named_by_its_extra(
    name: str, package: str, extra: str, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'onspec\[{extra}\]'"):
        open_engine(name, make_model())


@pytest.mark.slow
@pytest.mark.parametrize("which", ["deck", "lite", "classes and cores", "boxes", "evidence", "weimer"])
def test_torch_makes_no_tensor_elsewhere_than_on_the_networks_device(
    which: str, make_exported: Callable[[str], bytes]
) -> None:
    """On a GPU that would fail; here a device without memory stands for it."""
    from onspec.runtime.torch_graph import TorchGraph

    meta = torch.device("meta")
    network = TorchGraph(make_exported(which), half=True).eval().to(meta)
    scores = network(torch.empty((2, 1, 64, 96), device=meta))
    assert (scores.device, scores.shape[0]) == (meta, 2)


def test_the_tensorrt_provider_keeps_each_network_apart_and_has_its_precision(
    make_model: MakeModel, make_exported: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its own names for what it keeps say nothing of the weights."""
    monkeypatch.setenv("ONSPEC_CACHE", str(tmp_path))
    one, other, again = (provider(make_model(gain=gain))[1] for gain in (1.0, 2.0, 1.0))
    assert one == again
    assert one["trt_engine_cache_path"] != other["trt_engine_cache_path"]
    batch = np.random.default_rng(0).uniform(0, 1, (1, 1, 64, 96)).astype(np.float32)
    allowed = {
        to: [provider(lower(make_exported("lite"), [batch]))[1][f"trt_{what}_enable"] for what in ("fp16", "int8")]
        for to, lower in LOWERINGS.items()
    }
    assert allowed == {"int8": ["0", "1"], "fp16": ["1", "0"], "bf16": ["0", "0"]}
    assert [one["trt_fp16_enable"], one["trt_int8_enable"]] == ["0", "0"]


NETWORKS = ["deck", "lite", "lite, learned before", "classes and cores", "boxes", "evidence", "weimer"]


@pytest.mark.parametrize("name", [name for name in READY if name != "onnxruntime"])
@pytest.mark.parametrize("which", NETWORKS)
def test_every_engine_computes_what_the_reference_computes(
    name: str, which: str, make_exported: Callable[[str], bytes]
) -> None:
    """Also at the tenth size, when OpenVINO has its fill of programs for one size."""
    model = make_exported(which)
    reference, engine = open_engine("onnxruntime", model, 1), open_engine(name, model, 1)
    sides = range(1, 11) if which == "lite" else (2,)
    for side in sides:
        batch = np.random.default_rng(side).uniform(-1, 1, (2, 1, 32, 32 * side)).astype(np.float32)
        expected = reference.infer(batch)
        apart = np.abs(engine.infer(batch) - expected) / np.maximum(1.0, np.abs(expected))
        assert apart.max() < 1e-5


def test_openvino_makes_only_the_programs_that_it_needs(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each of the first eight sizes, one for all others, and none before an image asks for it."""
    open_engine("openvino", make_model(), threads=1).close()  # imports it as onspec does
    import openvino

    made: list[str] = []
    whole: Any = openvino.Core.compile_model

    def compile_model(core: Any, network: Any, *rest: Any) -> Any:  # noqa: ANN401 - OpenVINO's own
        made.append(str(network.inputs[0].partial_shape))
        return whole(core, network, *rest)

    monkeypatch.setattr(openvino.Core, "compile_model", compile_model)
    engine = open_engine("openvino", make_model(), threads=1)
    assert not made
    for side in (1, 1, 2):
        engine.infer(np.zeros((1, 1, 16, 16 * side), np.float32))
    assert made == ["[1,1,16,16]", "[1,1,16,32]"]
    for side in range(1, 12):
        engine.infer(np.zeros((1, 1, 16, 16 * side), np.float32))
    assert len(made) == 9
    assert "?" in made[-1]
    engine.close()


def test_a_result_stays_what_it_was(make_model: MakeModel) -> None:
    """Engines reuse their memory; what they gave must not change with the next image."""
    for name in READY:
        engine = open_engine(name, make_model(), threads=1)
        first = engine.infer(np.zeros((1, 1, 16, 16), np.float32))
        engine.infer(np.ones((1, 1, 16, 16), np.float32))
        assert np.allclose(first, 0.5), name


def test_torch_refuses_an_operator_that_it_does_not_know() -> None:
    nodes = [helper.make_node("Sin", ["image"], ["scores"])]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 8, 8]) for n in ("image", "scores")]
    model = helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:]), ir_version=8)
    with pytest.raises(EngineError, match=r"the operator Sin, which is not translated; .* choose --engine onnxruntime"):
        open_engine("torch", bytes(model.SerializeToString()))


SILENT = """
import os, socket, sys
reached = []
sys.addaudithook(lambda event, args: reached.append((event, str(args))) if event.startswith("socket.") else None)
import numpy as np
from pathlib import Path
from onspec.runtime.engines import open_engine
for name in sys.argv[2:]:
    engine = open_engine(name, Path(sys.argv[1]).read_bytes(), 1)
    engine.infer(np.zeros((1, 1, 32, 32), np.float32))
    engine.close()
handles = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
links = [os.readlink(handle) for handle in handles if os.path.islink(handle)]
assert not reached, reached
assert not [link for link in links if link.startswith("socket:")], links
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
assert sys.modules.get("openvino_telemetry") is None
"""


@pytest.mark.slow
def test_no_engine_talks_to_anyone_or_writes_anything(make_model: MakeModel, tmp_path: Path) -> None:
    """In a fresh process: no socket is made, and nothing is left in the home folder or in that of temporary files."""
    home, model = tmp_path / "home", tmp_path / "model.onnx"
    home.mkdir()
    model.write_bytes(make_model())
    environment = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "CI", "XDG_CACHE_HOME")}
    environment |= {"HOME": str(home), "TMPDIR": str(home), "ONSPEC_CACHE": str(home / "onspec")}
    done = subprocess.run(
        [sys.executable, "-c", SILENT, str(model), *READY],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(home.rglob("*"))


def test_openvino_would_talk_if_it_were_let(tmp_path: Path) -> None:
    """What the test above keeps away is there: the import itself sends, unless its telemetry is absent."""
    if not list(distributions(name="openvino-telemetry")):
        pytest.skip("openvino is installed without its telemetry")
    code = (
        "import sys, types\n"
        "fake, sent = types.ModuleType('openvino_telemetry'), []\n"
        "fake.Telemetry = type('Telemetry', (), {'__init__': lambda s, **k: None, "
        "'send_event': lambda s, *a, **k: sent.append(a)})\n"
        "backend = types.ModuleType('openvino_telemetry.backend'); backend.backend_ga4 = None\n"
        "sys.modules.update({'openvino_telemetry': fake, 'openvino_telemetry.backend': backend})\n"
        "import openvino\n"
        "assert sent, 'nothing was sent'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
