"""The networks have the size, shape and reach that they are described with, and each learns each of its tasks."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from onspec.domain import Task
from onspec.imaging.preparation import Extent, InputSpec, planes_of, run_tiled
from onspec.training.networks import NETWORKS, CnnWeimer, Network, UNetDeck, UNetLite, parameters
from onspec.training.objectives import objective_of
from onspec.training.plan import Plan
from onspec.training.validation import torch_infer

PAIRS = [(name, task) for name, entry in NETWORKS.items() for task in entry.cells]
PlanFor = Callable[..., Plan]


def made(plan: Plan) -> Network:
    torch.manual_seed(0)
    return NETWORKS[plan.network].make(plan.input.channels, objective_of(plan).planes, plan.input.cell)


def gflop(network: nn.Module) -> float:
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, 512, 512))
    return float(counter.get_total_flops()) / 1e9


def test_the_decks_unet_has_the_parameters_that_its_definition_gives() -> None:
    w = (8, 16, 32, 64, 128)

    def conv(a: int, b: int, k: int) -> int:
        return a * b * k * k + b  # weights and biases

    down = sum(conv(a, b, 3) + conv(b, b, 3) for a, b in zip((1, *w), w, strict=False))
    up = sum(conv(b + a, a, 3) + conv(a, a, 3) for a, b in itertools.pairwise(w))
    assert parameters(UNetDeck()) == down + up + conv(8, 1, 1) == 490_993


def test_the_small_classifier_has_the_parameters_that_its_definition_gives() -> None:
    def conv(a: int, b: int, k: int) -> int:
        return a * b * k * k + b

    features = conv(1, 32, 3) + conv(32, 32, 3) + conv(32, 64, 3) + 2 * conv(64, 64, 3)
    connected = conv(64, 1024, 8) + conv(1024, 1024, 1)  # what a patch of 32×32 px gives is 8×8×64
    assert parameters(CnnWeimer()) == features + connected + conv(1024, 1, 1)


def test_the_default_costs_less_than_the_decks() -> None:
    assert gflop(UNetDeck()) == pytest.approx(7.0, abs=0.05)
    assert gflop(UNetLite()) < 0.6 * gflop(UNetDeck())


@pytest.mark.parametrize(("name", "task"), PAIRS)
@pytest.mark.parametrize(("channels", "classes"), [(1, 1), (3, 2)])
def test_each_gives_the_recipes_planes_and_learns(
    name: str, task: Task, channels: int, classes: int, plan_for: PlanFor
) -> None:
    """One step of each network for each of its tasks: shapes, scores, and a gradient for every weight."""
    plan = plan_for(task, tuple("abc"[:classes]), name)
    plan = plan.model_copy(update={"input": plan.input.model_copy(update={"channels": channels})})
    network, objective, cell = made(plan), objective_of(plan), plan.input.cell
    side = 2 * network.stride
    outputs = network.outputs(torch.randn(2, channels, side, side + network.stride))
    assert outputs[0].shape == (2, planes_of(task, classes, False), side // cell, (side + network.stride) // cell)
    scores = objective.scores(outputs[0])
    assert scores.shape == outputs[0].shape
    assert scores.min() >= 0
    if task is not Task.DETECT:
        assert scores.sum(dim=1).max() <= 1 + 1e-6
    targets = {
        Task.SEGMENT: (classes, side, side),
        Task.DETECT: (classes + 6, side // 4, side // 4),
        Task.CLASSIFY: (classes + 1, side // cell, side // cell),
    }
    square = [o[..., : o.shape[-1] * side // (side + network.stride)] for o in outputs]
    target = torch.zeros(2, *targets[task])
    target[:, 0, 0, 0] = 1
    if task is Task.CLASSIFY:
        target[:, -1] = -1  # an image's class says nothing of its cells
    if task is Task.DETECT:
        target[:, classes : classes + 5, 0, 0] = torch.tensor([2.0, 2, 2, 2, 1])
    loss = objective.loss(square, target, torch.ones(2, 1, side, side), torch.tensor([-1, -1]))
    torch.autograd.backward(loss)
    assert torch.isfinite(loss)
    assert [n for n, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_a_constant_is_added_to_the_logits_of_the_first_planes(name: str, task: Task, plan_for: PlanFor) -> None:
    network = made(plan_for(task, classes=("a", "b"), network=name)).eval()
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        before = network(image)
        network.adjust_logits([0.5, -2.0])
        moved = network(image) - before
    by = torch.zeros(moved.shape[1])
    by[:2] = torch.tensor([0.5, -2.0])
    torch.testing.assert_close(moved, by[None, :, None, None].expand_as(moved), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_the_halo_covers_the_networks_reach(name: str, task: Task, plan_for: PlanFor) -> None:
    plan = plan_for(task, network=name)
    network = made(plan).eval()
    side = Extent(min=1, max=4096)
    whole = InputSpec(width=side, height=side, stride=plan.input.stride, cell=plan.input.cell, tile=2048, halo=256)
    tiled = whole.model_copy(update={"tile": 640})
    x = np.random.default_rng(0).standard_normal((1, 672, 736)).astype(np.float32)
    infer = torch_infer(network, objective_of(plan))
    np.testing.assert_allclose(run_tiled(x, tiled, infer), run_tiled(x, whole, infer), atol=1e-4)


@pytest.mark.parametrize(("make", "cell"), [(UNetDeck, 4), (CnnWeimer, 8)])
def test_a_cell_that_a_network_does_not_have_is_refused(make: Callable[..., Network], cell: int) -> None:
    with pytest.raises(ValueError, match=f"got cells of {cell} px"):
        make(1, 1, cell)
