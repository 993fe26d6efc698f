"""`--engine auto`: what agrees and is fastest, measured once and remembered."""

import json
import stat
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from onspec.decision.conditions import Condition
from onspec.decision.rules import Rule, RuleSet
from onspec.domain import EngineError, Verdict
from onspec.imaging.preparation import Tensor, run
from onspec.recipe.package import Package
from onspec.runtime import choosing
from onspec.runtime.choosing import MANY, candidates, choose, known_inputs, resolve, verdict_of
from onspec.runtime.engines import Engine, open_engine

told: list[str] = []


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a measurement that is short."""
    monkeypatch.setenv("ONSPEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choosing, "_BUDGET_S", 0.02)
    told.clear()
    return tmp_path / "cache"


@dataclass
class Shifted:
    """An engine whose scores are off by a little, or that fails."""

    inner: Engine
    by: float
    name: str = "openvino"

    def infer(self, batch: Tensor) -> Tensor:
        if np.isinf(self.by):
            raise EngineError("it broke")
        return np.asarray(np.clip(self.inner.infer(batch) + self.by, 0, 1), np.float32)

    def close(self) -> None:
        self.inner.close()


def with_shift(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """OpenVINO is off by so much from now on."""

    def opened(name: str, model: bytes, threads: int | None = None) -> Engine:
        engine = open_engine(name, model, threads)
        return Shifted(engine, by) if name == "openvino" else engine

    monkeypatch.setattr(choosing, "open_engine", opened)


def with_times(monkeypatch: pytest.MonkeyPatch, **ms: float) -> None:
    """What each engine takes from now on."""

    def times(engines: Mapping[str, Engine], batch: Tensor) -> dict[str, float]:
        return {name: ms[name] for name in engines}

    monkeypatch.setattr(choosing, "measure_times", times)


def test_both_engines_of_the_cpu_are_candidates() -> None:
    assert candidates()[:2] == ["onnxruntime", "openvino"]
    assert "torch" not in candidates()  # without a GPU it is never the fastest, and takes seconds to import


def test_few_images_go_to_the_engine_that_starts_soonest(tiny_package: Package, cache: Path) -> None:
    assert resolve("auto", tiny_package, 1, MANY - 1, told.append) == "onnxruntime"
    assert not told
    assert not cache.exists()


def test_many_images_are_worth_a_measurement_that_is_said_and_remembered(tiny_package: Package, cache: Path) -> None:
    first = resolve("auto", tiny_package, 1, MANY, told.append)
    assert first in ("onnxruntime", "openvino")
    assert f"engine {first}: the network takes onnxruntime " in told[0]
    assert resolve("auto", tiny_package, 1, None, told.append) == first
    assert told[1] == f"{told[0]} (measured before)"
    assert choose(tiny_package, 1).engine == first  # what an Inspector asks


def test_a_named_engine_is_taken_as_it_is(tiny_package: Package) -> None:
    assert resolve("openvino", tiny_package, 1, None, told.append) == "openvino"
    assert not told


@pytest.mark.parametrize(("ms", "best"), [(5.0, "openvino"), (9.9, "onnxruntime"), (20.0, "onnxruntime")])
def test_the_fastest_by_more_than_noise_is_chosen(
    ms: float, best: str, tiny_package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_times(monkeypatch, onnxruntime=10.0, openvino=ms)
    assert choose(tiny_package, 1, measure=True).engine == best


@pytest.mark.parametrize(("by", "says"), [(0.01, "differ by"), (float("nan"), "differ by"), (float("inf"), "broke")])
def test_an_engine_that_disagrees_is_left_out_however_fast(
    by: float, says: str, tiny_package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_shift(monkeypatch, by)
    with_times(monkeypatch, onnxruntime=10.0, openvino=1.0)
    choice = choose(tiny_package, 1, measure=True)
    assert choice.engine == "onnxruntime"
    assert "openvino is left out" in choice.why
    assert says in choice.why


def test_another_network_thread_or_version_is_measured_anew(
    tiny_package: Package, make_model: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_times(monkeypatch, onnxruntime=10.0, openvino=1.0)
    assert choose(tiny_package, 1, measure=True).engine == "openvino"
    assert choose(tiny_package, 1).engine == "openvino"
    assert choose(tiny_package, 2).engine == "onnxruntime"
    assert choose(replace(tiny_package, model=make_model(gain=11.0)), 1).engine == "onnxruntime"
    monkeypatch.setattr(choosing, "version", lambda _: "0")
    assert choose(tiny_package, 1).engine == "onnxruntime"


def test_other_rules_thresholds_or_known_images_are_compared_anew(
    tiny_package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_times(monkeypatch, onnxruntime=10.0, openvino=1.0)
    assert choose(tiny_package, 1, measure=True).engine == "openvino"
    recipe = tiny_package.recipe
    stricter = recipe.thresholds.model_copy(update={"image": 0.25})
    assert choose(replace(tiny_package, recipe=recipe.model_copy(update={"thresholds": stricter})), 1).engine == (
        "onnxruntime"
    )
    assert choose(replace(tiny_package, golden=tiny_package.golden[:1]), 1).engine == "onnxruntime"
    assert choose(tiny_package, 1).engine == "openvino"


def test_verdicts_are_compared_with_the_rules_that_need_the_image(tiny_package: Package) -> None:
    """A rule on contrast that accepts every defect."""
    rule = Rule(name="faint", outcome="OK", when=Condition(max_contrast=1.0))
    recipe = tiny_package.recipe.model_copy(update={"rules": RuleSet(rules=(rule,))})
    known = known_inputs(tiny_package)
    with closing(open_engine("onnxruntime", tiny_package.model)) as engine:
        planes = [run(prepared, engine.infer) for prepared in known]
    plain, accepting = (
        [verdict_of(package, *case) for case in zip(planes, known, strict=True)]
        for package in (tiny_package, replace(tiny_package, recipe=recipe))
    )
    assert Verdict.NG in plain
    assert set(accepting) == {Verdict.OK}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"engine": "nonsense", "why": ""}', b'{"engine": "openvino"}'])
def test_a_damaged_memory_is_as_good_as_none(
    content: bytes, tiny_package: Package, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_times(monkeypatch, onnxruntime=10.0, openvino=1.0)
    choose(tiny_package, 1, measure=True)
    (kept,) = (cache / "engines").iterdir()
    assert json.loads(kept.read_bytes())["engine"] == "openvino"
    kept.write_bytes(content)
    assert choose(tiny_package, 1).engine == "onnxruntime"
    assert choose(tiny_package, 1, measure=True).engine == "openvino"


def test_a_place_that_cannot_be_written_to_costs_nothing_but_time(
    tiny_package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    blocked.chmod(stat.S_IRUSR)
    monkeypatch.setenv("ONSPEC_CACHE", str(blocked / "cache"))
    with_times(monkeypatch, onnxruntime=10.0, openvino=1.0)
    assert choose(tiny_package, 1, measure=True).engine == "openvino"
    assert choose(tiny_package, 1).engine == "onnxruntime"


def test_without_golden_samples_an_image_is_made_up(tiny_package: Package) -> None:
    assert len(known_inputs(tiny_package)) == 2
    (made,) = known_inputs(replace(tiny_package, golden=()))
    assert made.tensor.shape == (1, 48, 64)
    assert made.pixels.std() > 50


def test_the_reference_alone_needs_no_measurement(tiny_package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "obstacle", lambda name: None if name == "onnxruntime" else EngineError("absent"))
    assert choose(tiny_package, measure=True).why == "engine onnxruntime: the only one installed"
