"""The training loop, on Lightning Fabric, from the first step to the network that is kept."""

import copy
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from onspec.domain import UsageError
from onspec.training import checkpoint, curves
from onspec.training.held_out import thinned
from onspec.training.interruption import Interruption
from onspec.training.machine import open_machine
from onspec.training.networks import NETWORKS, Network
from onspec.training.objectives import objective_of
from onspec.training.optimising import optimisers
from onspec.training.plan import Plan
from onspec.training.pool import Labelled
from onspec.training.prefetch import Batch, Feed, Prefetch
from onspec.training.sampling import CropSampler
from onspec.training.schedule import Pace, Schedule, learning_rate, two_digits
from onspec.training.starting import start_from_surfaces
from onspec.training.validation import Figures, Validation, torch_infer, validate

_VALIDATIONS = 12
_MOST_VALIDATING = 0.2
"""Share of the time that validating may take; where all held-out images would take more, some are left out."""

_CURVE_EVERY = 10
_CHECKPOINT_EVERY_S = 30.0
_DRAW_EVERY_S = 10.0


class Watcher(Protocol):
    """Who is told how the run goes: a progress bar, or nobody."""

    def __call__(self, progress: float, loss: float, quality: float, seconds_left: float) -> None:
        """`progress` in 0…1; the others are the latest figures, `quality` that of the task's objective."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: until `deadline` (seconds of the run's own clock), or exactly `steps`.

    Steps given, a seed gives the same network on one machine. With a deadline the steps are planned from measured
    speed; see `Schedule`. `started` is `time.monotonic()` when the run's clock began.
    """

    deadline: float
    steps: int | None = None
    started: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class State:
    """What changes during a run and is kept in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    validations: int = 0
    validated_step: int = -1
    val_every: int = 1
    top_figures: Figures = field(default_factory=dict)
    top_without: tuple[float, ...] = ()
    kept_step: int = 0
    kept_figures: Figures = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)

    def take(self, found: Validation, network: nn.Module) -> None:
        """Keep a network that is measured now, unless it falls short of the best one so far.

        Of twelve networks that are measured on a few defective parts, the highest figure is often one by luck, and an
        early one; what the last has learned longer, at a falling rate, is kept where the parts do not tell them apart.
        """
        top = Validation(self.top_figures, self.top_without)
        if not found.falls_short_of(top):
            self.kept_step, self.kept_figures = self.step, found.figures
            self.kept = {k: v.detach().clone() for k, v in network.state_dict().items()}
        if found.fitness >= top.fitness:
            self.top_figures, self.top_without = found.figures, found.without


@dataclass(frozen=True, slots=True)
class Outcome:
    """The network that is kept, on the CPU, in evaluation mode, and how it came about."""

    network: Network
    state: State

    @property
    def validation(self) -> Validation:
        """The figures of this network, not of the last one that was tried."""
        return Validation(self.state.kept_figures)


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
    sampler: CropSampler,
    val: Sequence[Labelled],
    *,
    budget: Budget,
    resume: bool,
    watch: Watcher,
    fabric: Fabric | None = None,
) -> Outcome:
    """Train until the budget is used; write curves and checkpoints into `run`.

    Args:
        sampler: gives the crops to learn from, and the seed of all that is random.
        val: held-out images.
        fabric: of this process, where several train together: the first alone writes and validates.

    Raises:
        UsageError: the checkpoint to resume from belongs to another plan, seed or number of steps.
        KeyboardInterrupt: passed on after the state was saved.
    """
    session = _Session(run, plan, sampler, val, fabric or open_machine())
    saved = _saved(run) if resume else None
    if saved:
        session.restore(saved)
    planned = session.schedule.steps
    if planned and budget.steps not in (None, planned):
        raise UsageError(
            f"{run} was begun with {planned} steps; go on without --steps, or start anew with another --out"
        )
    clock = Clock(budget.started, session.state.seconds)
    if not session.schedule.steps:
        session.schedule.steps = budget.steps or session.measure_steps(budget.deadline - clock())
    with Interruption() as interruption:
        session.train(clock, budget, watch, interruption)
    return session.outcome()


def load_kept(run: Path) -> Network:
    """The network that a run keeps so far, from its checkpoint, on the CPU in evaluation mode.

    Raises:
        UsageError: the run has no checkpoint.
    """
    saved = _saved(run)
    if saved is None or not saved["state"]["kept"]:
        raise UsageError(f"{run} has no checkpoint with a validated network; train with: onspec train DATA --out {run}")
    network = _network(Plan.model_validate_json(saved["plan"]))
    network.load_state_dict({k: v.cpu() for k, v in saved["state"]["kept"].items()})
    return network.eval()


_KEPT = {"plan", "seed", "network", "average", "optimisers", "schedule", "state"}
"""What a checkpoint holds; its `state` has the fields of `State`."""


def _saved(run: Path) -> dict[str, Any] | None:
    """The checkpoint of a run, if it has one.

    Raises:
        UsageError: it is of a version of onspec that kept other things.
    """
    saved = checkpoint.load(run)
    if saved is not None and (set(saved) != _KEPT or set(saved["state"]) != {f.name for f in fields(State)}):
        raise UsageError(f"{run}: its checkpoint is of another version of onspec; start anew with another --out")
    return saved


@dataclass(frozen=True, slots=True)
class _Judged:
    """The loss of a batch, and what its quality is told from: logits (N, K, H, W), target of that shape, and valid."""

    loss: Tensor
    logits: Tensor
    target: Tensor
    valid: Tensor


class _Session:
    """The moving parts of one `fit`: network, its running average, optimiser, crops, and how far they are."""

    def __init__(self, run: Path, plan: Plan, sampler: CropSampler, val: Sequence[Labelled], fabric: Fabric) -> None:
        self._run, self._plan, self._seed, self._val, self._fabric = run, plan, sampler.seed, val, fabric
        torch.manual_seed(sampler.seed)
        self._network = _network(plan)
        if plan.start == "surfaces":
            start_from_surfaces(self._network)
        self._objective = objective_of(plan)
        self._model, *self._optimisers = fabric.setup(self._network, *optimisers(self._network, plan))
        self._model.mark_forward_method("outputs")
        self._average = AveragedModel(self._network, multi_avg_fn=_running_average(plan.ema), use_buffers=True)
        self._feed = Feed(sampler, self._objective, plan.input.stride, fabric.global_rank, fabric.world_size)
        self._drawn = 0.0
        self.state = State()
        self.schedule = Schedule(0)

    def train(self, clock: Clock, budget: Budget, watch: Watcher, interruption: Interruption) -> None:
        """Step until the schedule says that all is done, or the deadline has come."""
        state, saved_at = self.state, clock()
        pace = Pace(clock(), state.step)
        with Prefetch(self._feed, state.step, threads=self._cutters()) as batches:
            while self._goes_on(clock, budget):
                progress = self.schedule.progress(state.step)
                judged = self._step(next(batches), progress)
                state.step += 1
                now = clock()
                if state.step % _CURVE_EVERY == 0 or state.step == self.schedule.steps:
                    rate, (loss, quality) = self._rate(progress), self._told(judged)
                    self._note(now, loss=loss, lr=rate, **{f"{self._objective.figure}_train": quality})
                    if self._fabric.is_global_zero:
                        watch(progress, loss, quality, math.nan if budget.steps else budget.deadline - now)
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
        if self._fabric.is_global_zero:
            curves.draw(self._run)
        self.save(clock())

    def _goes_on(self, clock: Clock, budget: Budget) -> bool:
        """Whether another step follows; several processes do as the first one says, and follow its schedule."""
        more = self.state.step < self.schedule.steps and (bool(budget.steps) or clock() < budget.deadline)
        if self._fabric.world_size == 1:
            return more
        more, plan = self._fabric.broadcast((more, self.schedule.as_dict()))
        self.schedule = Schedule(**plan)
        return bool(more)

    def _cutters(self) -> int:
        """Threads that cut crops: one beside a CPU's own work, several where a GPU waits for them."""
        return 1 if self._fabric.device.type == "cpu" else max(1, min(12, (os.cpu_count() or 2) - 2))

    def _rate(self, progress: float) -> float:
        peak = self._plan.learning_rate
        return learning_rate(peak, progress) if self._plan.schedule == "cosine" else peak

    def _step(self, batch: Batch, progress: float) -> _Judged:
        for group in (group for optimiser in self._optimisers for group in optimiser.param_groups):
            group["lr"] = self._rate(progress)
        self._network.train()
        self._reseed()
        judged = self._judge(self._model, batch)
        self._model.zero_grad(set_to_none=True)
        self._fabric.backward(judged.loss)
        nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        for optimiser in self._optimisers:
            optimiser.step()
        self._average.update_parameters(self._network)
        return judged

    def _judge(self, network: Any, batch: Batch) -> _Judged:  # noqa: ANN401 - or Fabric's
        """How wrong a network is on a batch, computed in the machine's precision."""
        image, target, valid, bags = (
            self._fabric.to_device(t) for t in (batch.image, batch.target, batch.valid, batch.bags)
        )
        with self._fabric.autocast():  # Fabric does so for itself only where it wraps the network for many processes
            outputs = [o.float() for o in network.outputs(image.to(memory_format=torch.channels_last))]
        return _Judged(self._objective.loss(outputs, target, valid, bags), outputs[0].detach(), target, valid)

    def _told(self, judged: _Judged) -> tuple[float, float]:
        """Loss and quality over all processes."""
        quality = self._objective.quality(judged.logits, judged.target, judged.valid)
        return self._over_all(float(judged.loss.detach())), self._over_all(quality)

    def _over_all(self, figure: float) -> float:
        """The mean over the processes; of their losses, that is the loss of all crops."""
        if self._fabric.world_size == 1:
            return figure
        told: Any = self._fabric.all_reduce(torch.tensor(figure, device=self._fabric.device), reduce_op="mean")
        return float(told)

    def _reseed(self) -> None:
        """What a step drops out depends on nothing but the step, so that a resumed run drops the same."""
        place = [self._seed, self.state.step, self._fabric.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def _validate(self, now: float) -> None:
        """Measure the averaged network, and keep it unless an earlier one was better."""
        self.state.validated_step = self.state.step
        if not self._fabric.is_global_zero:
            return
        averaged = self._average.module.eval()
        some = thinned(self._val, self.state.val_every)
        found = validate(some, self._plan, torch_infer(averaged, self._objective, self._fabric.device))
        self.state.take(found, averaged)
        self._note(now, **{f"val_{name}": value for name, value in found.figures.items()})
        if now - self._drawn > _DRAW_EVERY_S:
            curves.draw(self._run)
            self._drawn = now

    def _note(self, now: float, **figures: float | None) -> None:
        if self._fabric.is_global_zero:
            row = {"step": self.state.step, "seconds": round(now, 2)}
            curves.append(self._run, row | {k: round(v, 6) for k, v in figures.items() if v is not None})

    def measure_steps(self, seconds: float) -> int:
        """How many steps and validations fit: time both on copies, so that nothing is learned yet.

        Raises:
            UsageError: the budget is spent before the first step.
        """
        if seconds <= 0:
            raise UsageError("the time budget is spent on reading the data; give more with --budget")
        probe = copy.deepcopy(self._network).train()
        steppers, batch = optimisers(probe, self._plan), self._feed(0)

        def work() -> None:
            torch.autograd.backward(self._judge(probe, batch).loss)
            for stepper in steppers:
                stepper.step()

        step = 1.05 * _quickest(work, tries=4)
        some = self._val[:: max(1, len(self._val) // 8)]
        infer = torch_infer(probe.eval(), self._objective, self._fabric.device)
        validation = _quickest(lambda: validate(some, self._plan, infer), tries=2) * len(self._val) / len(some)
        self.state.val_every = max(1, math.ceil(_VALIDATIONS * validation / (_MOST_VALIDATING * seconds)))
        validation *= len(thinned(self._val, self.state.val_every)) / len(self._val)
        return max(_VALIDATIONS, two_digits((0.97 * seconds - _VALIDATIONS * validation) / step))

    def save(self, now: float) -> None:
        """Write the checkpoint."""
        s = self.state
        s.seconds = now
        if not self._fabric.is_global_zero:
            return
        checkpoint.save(
            self._run,
            {
                "plan": self._plan.model_dump_json(),
                "seed": self._seed,
                "network": self._network.state_dict(),
                "average": self._average.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
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
        for optimiser, kept in zip(self._optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.state, self.schedule = State(**saved["state"]), Schedule(**saved["schedule"])
        if self._fabric.is_global_zero:
            curves.rewind(self._run, self.state.step)

    def outcome(self) -> Outcome:
        """The network that is kept; known to the first process alone, the others get the last."""
        network = _network(self._plan)
        weights = self.state.kept or self._average.module.state_dict()
        network.load_state_dict({k: v.cpu() for k, v in weights.items()})
        return Outcome(network.eval(), self.state)


def _quickest(work: Callable[[], object], tries: int) -> float:
    """Seconds of the fastest try. Other work on the machine may make a few tries slow: a run that is planned too long
    is cut as soon as its pace is known, one that is planned too short would end before."""
    times = []
    for _ in range(tries):
        begun = time.monotonic()
        work()
        times.append(time.monotonic() - begun)
    return min(times)


def _network(plan: Plan) -> Network:
    """Untrained, with its weights laid out as CPU and GPU kernels are fastest."""
    network = NETWORKS[plan.network].make(plan.input.channels, objective_of(plan).planes, plan.input.cell)
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
