"""Engines side by side: figures add up, and a case that cannot run does not stop the others."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import EngineError
from onspec.imaging.preparation import prepare
from onspec.recipe.package import Package
from onspec.runtime import comparing
from onspec.runtime.choosing import known_inputs
from onspec.runtime.comparing import Case, Measured, among_others, compare_engines
from onspec.runtime.footprint import measure_footprint


def test_the_figures_of_a_case() -> None:
    first = Measured(Case("a"), operations=2e9, ms=np.array([10.0, 20.0, 40.0]), ceiling=np.array([1e12, 1e11, 1e11]))
    twice = Measured(Case("b", batch=4), ms=first.ms * 2)
    assert first.latency(50) == 20.0
    assert first.images_a_second == 50.0
    assert first.share == pytest.approx((0.35, 0.5, 0.75))  # 0.2, 1.0 and 0.5 of it, round by round
    assert twice.ratio(first) == (2.0, 2.0, 2.0)


@pytest.mark.slow
def test_cases_are_checked_and_timed(tiny_package: Package) -> None:
    cases = [Case("onnxruntime", threads=1), Case("onnxruntime", batch=3, threads=1), Case("onnxruntime", "fp16")]
    said: list[str] = []
    rows = compare_engines(tiny_package, cases, known_inputs(tiny_package), 4, said.append)
    assert [row.case for row in rows] == cases
    assert [row.fault for row in rows] == [None] * 3
    assert [len(row.ms) for row in rows] == [4] * 3
    assert all((row.ms > 0).all() and (row.ceiling > 1e8).all() for row in rows)
    assert [row.operations for row in rows] == [2 * 96 * 64, 3 * 2 * 96 * 64, 2 * 96 * 64]
    for row, allowed in zip(rows, (0.0, 1e-6, 0.01), strict=True):
        assert row.agreement is not None
        assert (row.agreement.images, row.agreement.same) == (2, 2)
        assert row.agreement.largest <= allowed
        assert row.mb is not None
        assert 20 < row.mb < 2000
    assert said[-1] == "timing"


def test_a_case_that_cannot_run_says_why(tiny_package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bytes:
        raise EngineError("a weight too large")

    monkeypatch.setattr(comparing, "LOWERINGS", {"fp16": refuse})
    monkeypatch.setattr(comparing, "measure_footprint", lambda *_: None)
    cases = [Case("absent"), Case("onnxruntime", "fp16"), Case("onnxruntime", threads=1)]
    rows = compare_engines(tiny_package, cases, known_inputs(tiny_package), 3)
    assert "Unknown engine 'absent'" in str(rows[0].fault)
    assert rows[1].fault == "a weight too large"
    assert rows[2].fault is None
    assert len(rows[2].ms) == 3


def test_an_engine_whose_scores_are_no_numbers_is_a_fault(
    tiny_package: Package, make_model: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "LOWERINGS", {"fp16": lambda *_: make_model(gain=float("nan"))})
    monkeypatch.setattr(comparing, "measure_footprint", lambda *_: None)
    rows = compare_engines(tiny_package, [Case("onnxruntime", "fp16")], known_inputs(tiny_package), 3)
    assert rows[0].fault == "it gives scores that are no numbers"


def test_another_verdict_is_counted(
    tiny_package: Package, make_model: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "LOWERINGS", {"fp16": lambda *_: make_model(gain=-12.0)})
    monkeypatch.setattr(comparing, "measure_footprint", lambda *_: None)
    rows = compare_engines(tiny_package, [Case("onnxruntime", "fp16")], known_inputs(tiny_package), 3)
    assert rows[0].agreement is not None
    assert rows[0].agreement.same == 1  # the good part is all defect now; the defective one, too
    assert rows[0].agreement.largest > 0.9


def test_an_image_is_judged_as_the_last_of_its_batch() -> None:
    seen: list[NDArray[np.float32]] = []

    def infer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(batch)
        return batch * 2

    piece = np.arange(6, dtype=np.float32).reshape(1, 1, 3, 2)
    assert (among_others(infer, 4)(piece) == piece * 2).all()
    assert seen[0].shape == (4, 1, 3, 2)
    assert (seen[0][0] != piece[0]).any()


def test_images_of_other_sizes_fill_no_batch(tiny_package: Package) -> None:
    spec = tiny_package.recipe.input
    images = [prepare(np.full(size, 20, np.uint8), spec) for size in ((64, 96), (48, 64), (64, 96))]
    assert comparing._batch(images, 3).shape == (3, 1, 64, 96)


@pytest.mark.slow
def test_memory_of_a_model_that_does_not_run_is_said(tiny_package: Package) -> None:
    with pytest.raises(EngineError, match=r"engine onnxruntime fails in a process of its own: .*cannot be loaded"):
        measure_footprint("onnxruntime", b"nonsense", 1, (1, 1, 64, 96))
    small, large = (measure_footprint("onnxruntime", tiny_package.model, 1, (batch, 1, 512, 512)) for batch in (1, 40))
    assert small is not None
    assert large is not None
    assert large - small > 60  # MB: input and scores of 39 images are 80


def test_a_package_without_golden_samples_is_compared_on_a_made_up_image(tiny_package: Package) -> None:
    bare = replace(tiny_package, golden=())
    assert len(known_inputs(bare)) == 1
