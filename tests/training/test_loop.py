"""The loop learns, repeats itself, and goes on where it was stopped."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from onspec.domain import Sample, Task, UsageError
from onspec.training import checkpoint, curves, loop
from onspec.training.loop import Outcome, load_kept
from onspec.training.machine import Precision
from onspec.training.plan import Plan
from onspec.training.pool import Labelled
from onspec.training.validation import Validation

Pools = tuple[list[Labelled], list[Labelled]]
RunFit = Callable[..., Outcome]


class Stop:
    """A watcher that presses Ctrl-C after some reports."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, progress: float, loss: float, quality: float, seconds_left: float) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def same(a: Outcome, b: Outcome) -> bool:
    pairs = zip(a.network.state_dict().values(), b.network.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def without_time(run: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in curves.read(run)]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, small_plan: Plan, pools: Pools, run_fit: RunFit
) -> tuple[Path, Outcome]:
    """A run of 48 steps without interruption."""
    run = tmp_path_factory.mktemp("run")
    return run, run_fit(run, small_plan, pools)


def test_it_finds_the_defects_of_held_out_parts(
    tmp_path: Path, small_plan: Plan, pools: Pools, run_fit: RunFit
) -> None:
    figures = run_fit(tmp_path, small_plan, pools, steps=150).validation.figures
    assert figures["ap"] == pytest.approx(1.0)
    assert (figures["dice"] or 0) > 0.6


@pytest.mark.slow
def test_it_learns_from_pasted_defects(tmp_path: Path, small_plan: Plan, pools: Pools, run_fit: RunFit) -> None:
    plan = small_plan.model_copy(update={"paste_share": 1.0})
    figures = run_fit(tmp_path, plan, pools, steps=150).validation.figures
    assert figures["ap"] == pytest.approx(1.0)
    assert (figures["dice"] or 0) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)], ids=["half", "single"]
)
def test_steps_run_in_the_precision_of_the_machine_and_measuring_in_that_of_production(
    precision: Precision, dtype: torch.dtype, tmp_path: Path, small_plan: Plan, pools: Pools, run_fit: RunFit
) -> None:
    seen: dict[bool, set[torch.dtype]] = {True: set(), False: set()}

    def see(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Conv2d):
            seen[module.training].add(output.dtype)

    hook = torch.nn.modules.module.register_module_forward_hook(see)
    try:
        run_fit(tmp_path, small_plan, pools, steps=12, precision=precision)
    finally:
        hook.remove()
    assert seen == {True: {dtype}, False: {torch.float32}}


@pytest.mark.slow
def test_its_figures_are_those_of_the_network_that_is_kept(finished: tuple[Path, Outcome]) -> None:
    run, outcome = finished
    rows = [row for row in curves.read(run) if "val_dice" in row]
    kept = next(row for row in rows if row["step"] == outcome.state.kept_step)
    for name in ("dice", "ap"):
        assert outcome.validation.figures[name] == pytest.approx(kept[f"val_{name}"], abs=1e-6)


def test_where_parts_tell_networks_apart_the_best_is_kept_and_of_equals_the_later(
    tmp_path: Path, small_plan: Plan, pools: Pools, run_fit: RunFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([0.1, 0.7, 0.2, 0.7, 0.3])
    monkeypatch.setattr(loop, "validate", lambda *_: Validation({"dice": next(found, 0.0), "ap": None}))
    outcome = run_fit(tmp_path, small_plan, pools, steps=12)
    assert outcome.state.kept_step == 4
    assert outcome.validation.figures == {"dice": 0.7, "ap": None}


def test_where_they_do_not_tell_them_apart_the_later_is_kept(
    tmp_path: Path, small_plan: Plan, pools: Pools, run_fit: RunFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.7 is the top by one group of parts alone; 0.3 falls short of it with any, 0.6 does not."""
    found = [(0.1, (0.1, 0.1, 0.1)), (0.7, (0.5, 0.8, 0.8)), (0.6, (0.6, 0.6, 0.6)), (0.3, (0.1, 0.4, 0.4))]
    rows = iter([*found, *(found[-1],) * 12])
    monkeypatch.setattr(loop, "validate", lambda *_: Validation({"dice": (row := next(rows))[0], "ap": None}, row[1]))
    outcome = run_fit(tmp_path, small_plan, pools, steps=12)
    assert outcome.state.kept_step == 3
    assert outcome.validation.figures == {"dice": 0.6, "ap": None}
    assert outcome.state.top_figures == {"dice": 0.7, "ap": None}


def test_the_kept_network_can_be_had_from_the_run(finished: tuple[Path, Outcome], tmp_path: Path) -> None:
    run, outcome = finished
    kept = load_kept(run)
    assert not kept.training
    assert all(torch.equal(v, outcome.network.state_dict()[k]) for k, v in kept.state_dict().items())
    with pytest.raises(UsageError, match="has no checkpoint with a validated network"):
        load_kept(tmp_path)


def test_a_finished_run_keeps_its_figures_when_resumed(
    tmp_path: Path, small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome], run_fit: RunFit
) -> None:
    shutil.copytree(finished[0], tmp_path / "run")
    again = run_fit(tmp_path / "run", small_plan, pools, resume=True)
    assert again.validation == finished[1].validation
    assert same(again, finished[1])


@pytest.mark.slow
def test_one_seed_gives_one_network(
    tmp_path: Path, small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome], run_fit: RunFit
) -> None:
    assert same(run_fit(tmp_path / "again", small_plan, pools), finished[1])
    assert not same(run_fit(tmp_path / "other", small_plan, pools, seed=1), finished[1])


@pytest.mark.slow
def test_a_stopped_run_ends_as_if_it_never_stopped(
    tmp_path: Path, small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome], run_fit: RunFit
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_fit(tmp_path, small_plan, pools, watch=Stop(after=2))
    saved = checkpoint.load(tmp_path)
    assert saved is not None
    assert saved["state"]["step"] == 20
    assert same(run_fit(tmp_path, small_plan, pools, resume=True), finished[1])
    assert without_time(tmp_path) == without_time(finished[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "network"), [(Task.DETECT, "unet-lite"), (Task.CLASSIFY, "unet-lite"), (Task.CLASSIFY, "cnn-weimer")]
)
def test_so_it_does_for_the_other_tasks_and_with_dropout(
    task: Task, network: str, tmp_path: Path, kind_parts: list[object], make_samples: Callable[..., list[Sample]],
    plan_for: Callable[..., Plan], pools_of: Callable[..., Pools], run_fit: RunFit,
) -> None:  # fmt: skip
    plan = plan_for(task, network=network, batch=2)
    pools = pools_of(make_samples(kind_parts[:12], "boxes" if task is Task.DETECT else "classes"), plan)
    whole = run_fit(tmp_path / "whole", plan, pools, steps=14)
    with pytest.raises(KeyboardInterrupt):
        run_fit(tmp_path / "run", plan, pools, steps=14, watch=Stop(after=1))
    assert same(run_fit(tmp_path / "run", plan, pools, steps=14, resume=True), whole)
    assert without_time(tmp_path / "run") == without_time(tmp_path / "whole")


def test_another_number_of_steps_does_not_resume(
    small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome], run_fit: RunFit
) -> None:
    with pytest.raises(UsageError, match="was begun with 48 steps; go on without --steps, or start anew"):
        run_fit(finished[0], small_plan, pools, resume=True, steps=60)


def test_another_plan_or_seed_does_not_resume(
    small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome], run_fit: RunFit
) -> None:
    other = small_plan.model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(UsageError, match="another plan or seed"):
        run_fit(finished[0], other, pools, resume=True)
    with pytest.raises(UsageError, match="another plan or seed"):
        run_fit(finished[0], small_plan, pools, resume=True, seed=1)


@pytest.mark.parametrize("lacking", [("state", "top_without"), ("optimisers",)])
def test_a_checkpoint_of_another_version_is_named(
    lacking: tuple[str, ...], tmp_path: Path, small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome],
    run_fit: RunFit,
) -> None:  # fmt: skip
    saved = checkpoint.load(finished[0])
    assert saved is not None
    *within, name = lacking
    del (saved[within[0]] if within else saved)[name]
    checkpoint.save(tmp_path, saved)
    with pytest.raises(UsageError, match="of another version of onspec; start anew with another --out"):
        run_fit(tmp_path, small_plan, pools, resume=True)


def test_a_broken_checkpoint_is_named(tmp_path: Path, small_plan: Plan, pools: Pools, run_fit: RunFit) -> None:
    (tmp_path / checkpoint.NAME).write_bytes(b"PK not really")
    with pytest.raises(UsageError, match="not a checkpoint"):
        run_fit(tmp_path, small_plan, pools, resume=True)


def test_curves_are_written_while_it_runs(finished: tuple[Path, Outcome]) -> None:
    run = finished[0]
    rows = curves.read(run)
    assert [row["step"] for row in rows if "loss" in row] == [10, 20, 30, 40, 48]
    assert all({"loss", "lr", "dice_train"} <= row.keys() for row in rows if "loss" in row)
    assert len([row for row in rows if "val_dice" in row]) == 12
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (run / "curves.svg").read_bytes()


@pytest.mark.slow
def test_the_rate_follows_the_plan(
    tmp_path: Path, small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome], run_fit: RunFit
) -> None:
    rates = [row["lr"] for row in curves.read(finished[0]) if "lr" in row]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.1 * rates[0]
    constant = small_plan.model_copy(update={"schedule": "constant", "optimiser": "adam", "loss": "dice"})
    run_fit(tmp_path, constant, pools, steps=20)
    assert [row["lr"] for row in curves.read(tmp_path) if "lr" in row] == [small_plan.learning_rate] * 2


@pytest.mark.slow
def test_it_keeps_its_budget(tmp_path: Path, small_plan: Plan, pools: Pools, run_fit: RunFit) -> None:
    begun = time.monotonic()
    outcome = run_fit(tmp_path, small_plan, pools, steps=None, seconds=6)
    assert time.monotonic() - begun < 10
    assert outcome.state.step >= 12


def test_a_spent_budget_is_said(tmp_path: Path, small_plan: Plan, pools: Pools, run_fit: RunFit) -> None:
    with pytest.raises(UsageError, match="give more with --budget"):
        run_fit(tmp_path, small_plan, pools, steps=None, seconds=0)
