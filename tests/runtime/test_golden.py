"""Golden samples give their known results, and say so when they do not."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from onspec.domain import RecipeError, Task, Verdict
from onspec.recipe.package import Expected, Golden, Package
from onspec.runtime.golden import record_golden, run_golden
from onspec.runtime.inspector import Inspector


@pytest.fixture
def inspector(tiny_package: Package) -> Iterator[Inspector]:
    with closing(Inspector(tiny_package, threads=1)) as made:
        yield made


def test_what_was_recorded_comes_again(inspector: Inspector, tiny_package: Package) -> None:
    golden = record_golden(inspector, tiny_package.golden)
    assert [g.expected.verdict for g in golden if g.expected] == [Verdict.NG, Verdict.OK]
    assert all(outcome.ok for outcome in run_golden(inspector, golden))


def test_a_sample_of_a_draft_is_judged_without_a_record(inspector: Inspector, tiny_package: Package) -> None:
    outcomes = run_golden(inspector, tiny_package.golden)
    assert [(o.name, o.inspection.verdict, o.ok) for o in outcomes] == [
        ("defective.png", Verdict.NG, True),
        ("good.png", Verdict.OK, True),
    ]


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        (Expected(verdict=Verdict.OK, score=1.0), "verdict NG, expected OK"),
        (Expected(verdict=Verdict.NG, score=0.9), r"score 0\.99\d+, expected 0\.900000 ± 0\.001"),
        (Expected(verdict=Verdict.NG, score=0.9, tolerance=0.2), None),
    ],
)
def test_a_deviation_is_said(expected: Expected, says: str | None, inspector: Inspector, tiny_package: Package) -> None:
    (outcome,) = run_golden(inspector, [replace(tiny_package.golden[0], expected=expected)])
    assert outcome.ok is (says is None)
    assert says is None or re.search(says, outcome.deviation or "")


def test_another_network_deviates(
    tiny_package: Package, inspector: Inspector, make_model: Callable[..., bytes]
) -> None:
    golden = record_golden(inspector, tiny_package.golden)
    with closing(Inspector(replace(tiny_package, model=make_model(gain=-12.0)), threads=1)) as other:
        assert {outcome.name: outcome.ok for outcome in run_golden(other, golden)}["good.png"] is False


@pytest.mark.parametrize("task", Task)
def test_a_network_that_confuses_the_classes_deviates(task: Task, make_toned: Callable[..., Package]) -> None:
    package = make_toned(task)
    with closing(Inspector(package, threads=1)) as made:
        golden = record_golden(made, package.golden)
        assert all(outcome.ok for outcome in run_golden(made, golden))
    swapped = package.recipe.model_copy(update={"classes": package.recipe.classes[::-1]})
    with closing(Inspector(replace(package, recipe=swapped), threads=1)) as other:
        found = {outcome.name: outcome for outcome in run_golden(other, golden)}
    assert [name for name, outcome in found.items() if outcome.ok] == ["good.png"]
    assert re.search(r"score 0\.0\d+ for class bright, expected 0\.9\d+ ± 0\.001", str(found["bright.png"].deviation))


def test_with_one_class_its_score_is_recorded_once(inspector: Inspector, tiny_package: Package) -> None:
    golden = record_golden(inspector, tiny_package.golden)
    assert [g.expected.class_scores for g in golden if g.expected] == [{}, {}]


def test_a_sample_that_cannot_be_judged(inspector: Inspector) -> None:
    broken = Golden("broken.png", b"hello", Expected(verdict=Verdict.OK, score=0.0))
    (outcome,) = run_golden(inspector, [broken])
    assert "not judged: broken.png" in str(outcome.deviation)
    with pytest.raises(RecipeError, match=r"golden sample broken\.png cannot be judged"):
        record_golden(inspector, [broken])
