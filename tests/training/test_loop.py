"""The loop learns, repeats itself, and goes on where it was stopped."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from onspec.domain import UsageError
from onspec.training import checkpoint, curves
from onspec.training.loop import Budget, Outcome, fit
from onspec.training.plan import Plan
from onspec.training.pool import Labelled

Pools = tuple[list[Labelled], list[Labelled]]


class Stop:
    """A watcher that presses Ctrl-C after some reports."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, progress: float, loss: float, dice: float, seconds_left: float) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def never(progress: float, loss: float, dice: float, seconds_left: float) -> None:
    """Watch without interfering."""


def run_fit(
    run: Path, plan: Plan, pools: Pools, *, steps: int | None = 48, seconds: float = 600, resume: bool = False,
    watch: object = never, seed: int = 0,
) -> Outcome:  # fmt: skip
    run.mkdir(exist_ok=True)
    return fit(
        run, plan, *pools, budget=Budget(seconds, steps), seed=seed, started=time.monotonic(), resume=resume,
        watch=watch,  # type: ignore[arg-type]
    )  # fmt: skip


def same(a: Outcome, b: Outcome) -> bool:
    pairs = zip(a.network.state_dict().values(), b.network.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_plan: Plan, pools: Pools) -> tuple[Path, Outcome]:
    """A run of 48 steps without interruption."""
    run = tmp_path_factory.mktemp("run")
    return run, run_fit(run, small_plan, pools)


def test_it_finds_the_defects_of_held_out_parts(tmp_path: Path, small_plan: Plan, pools: Pools) -> None:
    outcome = run_fit(tmp_path, small_plan, pools, steps=150)
    assert outcome.validation.ap == pytest.approx(1.0)
    assert outcome.validation.dice is not None
    assert outcome.validation.dice > 0.6


def test_its_figures_are_those_of_the_network_that_is_kept(finished: tuple[Path, Outcome]) -> None:
    run, outcome = finished
    rows = [row for row in curves.read(run) if "val_dice" in row]
    kept = next(row for row in rows if row["step"] == outcome.state.best_step)
    assert outcome.validation.dice == pytest.approx(kept["val_dice"], abs=1e-6)
    assert outcome.validation.ap == pytest.approx(kept["val_ap"], abs=1e-6)
    assert outcome.validation.fitness == pytest.approx(max(r["val_dice"] + r["val_ap"] for r in rows), abs=1e-5)


def test_a_finished_run_keeps_its_figures_when_resumed(
    tmp_path: Path, small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome]
) -> None:
    shutil.copytree(finished[0], tmp_path / "run")
    again = run_fit(tmp_path / "run", small_plan, pools, resume=True)
    assert again.validation == finished[1].validation
    assert same(again, finished[1])


def test_one_seed_gives_one_network(
    tmp_path: Path, small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome]
) -> None:
    assert same(run_fit(tmp_path / "again", small_plan, pools), finished[1])
    assert not same(run_fit(tmp_path / "other", small_plan, pools, seed=1), finished[1])


def test_a_stopped_run_ends_as_if_it_never_stopped(
    tmp_path: Path, small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_fit(tmp_path, small_plan, pools, watch=Stop(after=2))
    saved = checkpoint.load(tmp_path)
    assert saved is not None
    assert saved["state"]["step"] == 20
    assert same(run_fit(tmp_path, small_plan, pools, resume=True), finished[1])
    keep = [{k: v for k, v in row.items() if k != "seconds"} for row in curves.read(tmp_path)]
    assert keep == [{k: v for k, v in row.items() if k != "seconds"} for row in curves.read(finished[0])]


def test_another_plan_does_not_resume(small_plan: Plan, pools: Pools, finished: tuple[Path, Outcome]) -> None:
    other = small_plan.model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(UsageError, match="another plan or seed"):
        run_fit(finished[0], other, pools, resume=True)


def test_a_broken_checkpoint_is_named(tmp_path: Path, small_plan: Plan, pools: Pools) -> None:
    (tmp_path / checkpoint.NAME).write_bytes(b"PK not really")
    with pytest.raises(UsageError, match="not a checkpoint"):
        run_fit(tmp_path, small_plan, pools, resume=True)


def test_curves_are_written_while_it_runs(finished: tuple[Path, Outcome]) -> None:
    run = finished[0]
    rows = curves.read(run)
    assert [row["step"] for row in rows if "loss" in row] == [10, 20, 30, 40, 48]
    assert len([row for row in rows if "val_dice" in row]) == 12
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (run / "curves.svg").read_bytes()


def test_it_keeps_its_budget(tmp_path: Path, small_plan: Plan, pools: Pools) -> None:
    begun = time.monotonic()
    outcome = run_fit(tmp_path, small_plan, pools, steps=None, seconds=8)
    assert time.monotonic() - begun < 12
    assert outcome.state.step >= 12


def test_a_spent_budget_is_said(tmp_path: Path, small_plan: Plan, pools: Pools) -> None:
    with pytest.raises(UsageError, match="give more with --budget"):
        run_fit(tmp_path, small_plan, pools, steps=None, seconds=0)
