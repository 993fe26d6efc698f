"""The training loop, on Lightning Fabric, from the first step to the best network."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel

from onspec.domain import UsageError
from onspec.training import checkpoint, curves
from onspec.training.interruption import Interruption
from onspec.training.losses import LOSSES, batch_dice, supervised
from onspec.training.networks import NETWORKS, Network
from onspec.training.plan import Plan
from onspec.training.pool import Labelled
from onspec.training.prefetch import Prefetch, collate
from onspec.training.sampling import CropSampler
from onspec.training.schedule import Pace, Schedule, learning_rate, two_digits
from onspec.training.validation import Validation, torch_infer, validate

_VALIDATIONS = 12
_CURVE_EVERY = 10
_CHECKPOINT_EVERY_S = 30.0
_DRAW_EVERY_S = 10.0


class Watcher(Protocol):
    """Who is told how the run goes: a progress bar, or nobody."""

    def __call__(self, progress: float, loss: float, dice: float, seconds_left: float) -> None:
        """`progress` in 0…1; the others are the latest figures."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: until `deadline` (seconds of the run's own clock), or exactly `steps`.

    Steps given, a seed gives the same network on one machine. With a deadline the steps are planned from measured
    speed; see `Schedule`.
    """

    deadline: float
    steps: int | None = None


@dataclass(slots=True)
class State:
    """What changes during a run and is kept in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    validations: int = 0
    validated_step: int = -1
    best_step: int = 0
    best_dice: float | None = None
    best_ap: float | None = None
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_validation(self) -> Validation:
        """What the best network reached on held-out parts."""
        return Validation(self.best_dice, self.best_ap)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The best network on the CPU, in evaluation mode, and how it came about."""

    network: nn.Module
    state: State

    @property
    def validation(self) -> Validation:
        """The figures of this network, not of the last one that was tried."""
        return self.state.best_validation


class Clock:
    """Seconds spent on a run, over all its resumptions."""

    def __init__(self, started: float, before: float = 0.0) -> None:
        self._started, self._before = started, before

    def __call__(self) -> float:
        """Seconds so far."""
        return self._before + time.monotonic() - self._started


def fit(
    run: Path,
    plan: Plan,
    train: Sequence[Labelled],
    val: Sequence[Labelled],
    *,
    budget: Budget,
    seed: int,
    started: float,
    resume: bool,
    watch: Watcher,
) -> Outcome:
    """Train until the budget is used; write curves and checkpoints into `run`.

    Raises:
        UsageError: the checkpoint to resume from belongs to another plan or seed.
        KeyboardInterrupt: passed on after the state was saved.
    """
    session = _Session(run, plan, seed, train, val)
    saved = checkpoint.load(run) if resume else None
    if saved:
        session.restore(saved)
    clock = Clock(started, session.state.seconds)
    if not session.schedule.steps:
        session.schedule.steps = budget.steps or session.measure_steps(budget.deadline - clock())
    with Interruption() as interruption:
        session.train(clock, budget, watch, interruption)
    return session.outcome()


def load_best(run: Path) -> Network:
    """The best network of a run so far, from its checkpoint, on the CPU in evaluation mode.

    Raises:
        UsageError: the run has no checkpoint.
    """
    saved = checkpoint.load(run)
    if saved is None or not saved["state"]["best"]:
        raise UsageError(f"{run} has no checkpoint with a validated network; train with: onspec train DATA --out {run}")
    network = _network(Plan.model_validate_json(saved["plan"]))
    network.load_state_dict({k: v.cpu() for k, v in saved["state"]["best"].items()})
    return network.eval()


class _Session:
    """The moving parts of one `fit`: network, its running average, optimizer, crops, and how far they are."""

    def __init__(self, run: Path, plan: Plan, seed: int, train: Sequence[Labelled], val: Sequence[Labelled]) -> None:
        self._run, self._plan, self._seed, self._val = run, plan, seed, val
        on_gpu = torch.cuda.is_available()
        self._fabric = Fabric(accelerator="auto", devices=1, precision="bf16-mixed" if on_gpu else "32-true")
        torch.manual_seed(seed)
        self._network = _network(plan)
        optimizer = AdamW(self._network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
        self._model, self._optimizer = self._fabric.setup(self._network, optimizer)
        self._model.mark_forward_method("outputs")
        self._average = AveragedModel(self._network, multi_avg_fn=_running_average(plan.ema), use_buffers=True)
        self._sampler = CropSampler(
            train,
            plan.input,
            plan.augmentation,
            size=plan.crop,
            batch=plan.batch,
            defect_share=plan.defect_share,
            seed=seed,
        )
        self._loss = LOSSES[plan.loss]
        self._drawn = 0.0
        self.state = State()
        self.schedule = Schedule(0)

    def train(self, clock: Clock, budget: Budget, watch: Watcher, interruption: Interruption) -> None:
        """Step until the schedule says that all is done, or the deadline has come."""
        state, saved_at = self.state, clock()
        pace = Pace(clock(), state.step)
        with Prefetch(self._sampler, state.step) as batches:
            while state.step < self.schedule.steps and (budget.steps or clock() < budget.deadline):
                progress = self.schedule.progress(state.step)
                loss, dice = self._step(next(batches), progress)
                state.step += 1
                now = clock()
                if state.step % _CURVE_EVERY == 0 or state.step == self.schedule.steps:
                    rate = learning_rate(self._plan.learning_rate, progress)
                    self._note(now, loss=loss, dice_train=dice, lr=rate)
                    watch(progress, loss, dice, math.nan if budget.steps else budget.deadline - now)
                    if not budget.steps and pace.known(now, state.step, budget.deadline):
                        left, each = budget.deadline - now, pace.seconds_a_step(now, state.step)
                        if self.schedule.fit(state.step, left, each):
                            pace = Pace(now, state.step)
                due = int(self.schedule.progress(state.step) * _VALIDATIONS + 1e-9)
                if due > state.validations:
                    state.validations = due
                    self._validate(clock())
                if interruption.requested or clock() - saved_at > _CHECKPOINT_EVERY_S:
                    self.save(clock())
                    saved_at = clock()
                if interruption.requested:
                    raise KeyboardInterrupt
        if state.validated_step != state.step:
            self._validate(clock())
        curves.draw(self._run)
        self.save(clock())

    def _step(self, tensors: tuple[Tensor, Tensor, Tensor], progress: float) -> tuple[float, float]:
        image, target, valid = (self._fabric.to_device(t) for t in tensors)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._plan.learning_rate, progress)
        self._network.train()
        outputs = [o.float() for o in self._model.outputs(image.to(memory_format=torch.channels_last))]
        loss = supervised(self._loss, outputs, target, valid)
        self._optimizer.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        self._fabric.clip_gradients(self._model, self._optimizer, max_norm=1.0)
        self._optimizer.step()
        self._average.update_parameters(self._network)
        return float(loss.detach()), batch_dice(outputs[0].detach(), target, valid)

    def _validate(self, now: float) -> None:
        """Measure the averaged network and keep it if none was better; of equals the later is kept."""
        averaged = self._average.module.eval()
        found = validate(self._val, self._plan.input, torch_infer(averaged, self._fabric.device))
        state = self.state
        if not state.best or found.fitness >= state.best_validation.fitness:
            state.best_dice, state.best_ap, state.best_step = found.dice, found.ap, state.step
            state.best = {k: v.detach().clone() for k, v in averaged.state_dict().items()}
        state.validated_step = state.step
        self._note(now, val_dice=found.dice, val_ap=found.ap)
        if now - self._drawn > _DRAW_EVERY_S:
            curves.draw(self._run)
            self._drawn = now

    def _note(self, now: float, **figures: float | None) -> None:
        row = {"step": self.state.step, "seconds": round(now, 2)}
        curves.append(self._run, row | {k: round(v, 6) for k, v in figures.items() if v is not None})

    def measure_steps(self, seconds: float) -> int:
        """How many steps and validations fit: time both on copies, so that nothing is learned yet.

        Raises:
            UsageError: the budget is spent before the first step.
        """
        if seconds <= 0:
            raise UsageError("the time budget is spent on reading the data; give more with --budget")
        probe = copy.deepcopy(self._network)
        image, target, valid = (self._fabric.to_device(t) for t in collate(self._sampler, 0))
        times = []
        for _ in range(4):
            begun = time.monotonic()
            outputs = probe.outputs(image.to(memory_format=torch.channels_last))
            torch.autograd.backward(supervised(self._loss, outputs, target, valid))
            times.append(time.monotonic() - begun)
        begun = time.monotonic()
        some = self._val[:: max(1, len(self._val) // 8)]
        validate(some, self._plan.input, torch_infer(probe.eval(), self._fabric.device))
        validation = (time.monotonic() - begun) * len(self._val) / max(1, len(some))
        step = float(np.median(times[1:])) * 1.1
        return max(_VALIDATIONS, two_digits((0.97 * seconds - _VALIDATIONS * validation) / step))

    def save(self, now: float) -> None:
        """Write the checkpoint."""
        s = self.state
        s.seconds = now
        checkpoint.save(
            self._run,
            {
                "plan": self._plan.model_dump_json(),
                "seed": self._seed,
                "network": self._network.state_dict(),
                "average": self._average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "schedule": self.schedule.as_dict(),
                "state": {f.name: getattr(s, f.name) for f in fields(State)},
            },
        )

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue where the checkpoint was written."""
        if saved["plan"] != self._plan.model_dump_json() or saved["seed"] != self._seed:
            raise UsageError(f"{self._run}: the run was started with another plan or seed; use those, or another --out")
        self._network.load_state_dict(saved["network"])
        self._average.load_state_dict(saved["average"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.state, self.schedule = State(**saved["state"]), Schedule(**saved["schedule"])
        curves.rewind(self._run, self.state.step)

    def outcome(self) -> Outcome:
        """The best network found."""
        network = _network(self._plan)
        network.load_state_dict({k: v.cpu() for k, v in self.state.best.items()})
        return Outcome(network.eval(), self.state)


def _network(plan: Plan) -> Network:
    """Untrained, with its weights laid out as CPU and GPU kernels are fastest."""
    network = NETWORKS[plan.network](plan.input.channels, len(plan.classes))
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def _running_average(keep: float) -> Callable[[Any, Any, Any], None]:
    """Exponential average of weights and statistics; early on it forgets faster, so that it never lags at the start."""

    def update(average: Any, current: Any, count: Any) -> None:  # noqa: ANN401 - torch's own signature
        n = int(count)
        share = 1.0 - min(keep, (1.0 + n) / (10.0 + n))
        for a, b in zip(average, current, strict=True):
            if a.is_floating_point():
                a.lerp_(b, share)
            else:
                a.copy_(b)

    return update
