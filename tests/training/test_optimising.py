"""Muon steps every direction of a layer alike; together the optimisers step every weight once."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from onspec.domain import Task
from onspec.training.networks import NETWORKS
from onspec.training.objectives import objective_of
from onspec.training.optimising import Muon, optimisers, orthogonalised
from onspec.training.plan import Plan

SIDES = st.integers(1, 40)
PAIRS = [(name, task) for name, entry in NETWORKS.items() for task in entry.cells]


def of_spread(rows: int, columns: int, seed: int, least: float) -> Tensor:
    """A random matrix whose singular values fall from 1 to `least`."""
    left, values, right = torch.linalg.svd(
        torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)), full_matrices=False
    )
    spread: Tensor = left @ torch.diag(torch.logspace(0, math.log10(least), len(values))) @ right
    return spread


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(0, 2**31), st.floats(1e-6, 1e6))
def test_singular_vectors_stay_and_values_come_near_one(rows: int, columns: int, seed: int, size: float) -> None:
    matrix = of_spread(rows, columns, seed, 0.05) * size
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    (changed,) = orthogonalised([matrix])
    among = left.T @ changed @ right.T  # diagonal, if the vectors are still the same
    values = among.diagonal()
    assert (among - torch.diag(values)).abs().max() < 0.02
    assert values.min() > 0.6
    assert values.max() < 1.2


@settings(deadline=None, max_examples=20)
@given(SIDES, SIDES, st.integers(0, 2**31))
def test_it_is_jordans_polynomial_whichever_side_is_longer(rows: int, columns: int, seed: int) -> None:
    matrix = of_spread(rows, columns, seed, 1e-3)
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    changed, turned = orthogonalised([matrix, matrix.T])
    assert torch.allclose(changed.double(), x, atol=1e-3)
    assert torch.allclose(turned.double(), x.T, atol=1e-3)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=8), st.integers(0, 2**31))
def test_each_of_many_is_changed_as_it_is_alone(shapes: list[tuple[int, int]], seed: int) -> None:
    matrices = [of_spread(*shape, seed + i, 0.05).double() for i, shape in enumerate(shapes)]
    together = orthogonalised(matrices)
    assert [tuple(matrix.shape) for matrix in together] == shapes
    assert all(torch.allclose(a, orthogonalised([b])[0], atol=1e-10) for a, b in zip(together, matrices, strict=True))


def test_no_gradient_is_no_change() -> None:
    assert torch.equal(orthogonalised([torch.zeros(4, 9)])[0], torch.zeros(4, 9))


def test_a_step_is_as_large_as_adamws_whatever_the_gradients_scale() -> None:
    for scale in (1e-4, 1e4):
        weights = nn.Parameter(torch.zeros(32, 8, 3, 3))
        weights.grad = scale * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
        Muon([weights], lr=1e-2, weight_decay=0.0).step()
        assert 0.2e-2 < weights.square().mean().sqrt() < 0.5e-2


def test_weights_decay_and_frozen_ones_are_left_alone() -> None:
    weights, frozen = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4, 4))
    weights.grad = torch.zeros(4, 4)
    Muon([weights, frozen], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weights, torch.full((4, 4), 0.95))
    assert torch.equal(frozen, torch.ones(4, 4))


def test_it_learns_what_lies_in_weak_directions() -> None:
    """Inputs of which some are a hundred times fainter than others: their weights are learned as soon."""
    told = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, 16, generator=told) @ torch.diag(torch.logspace(0, -2, 16))
    wanted = torch.randn(16, 16, generator=told)

    def missing(kind: Callable[[list[nn.Parameter]], torch.optim.Optimizer], rate: float) -> float:
        weights = nn.Parameter(torch.zeros(16, 16))
        optimiser = kind([weights])
        for step in range(200):
            optimiser.param_groups[0]["lr"] = rate * (1 - step / 200)
            weights.grad = (inputs.T @ inputs @ (weights - wanted)).detach() / len(inputs)
            optimiser.step()
        return float(((weights - wanted).norm() / wanted.norm()).detach())

    plain = min(missing(lambda p: torch.optim.SGD(p, momentum=0.9), rate) for rate in (0.03, 0.1, 0.3))
    assert missing(lambda p: Muon(p, 0.1, 0.0), 0.1) < 0.2 * plain


@pytest.mark.parametrize(("name", "task"), PAIRS)
@pytest.mark.parametrize("kind", ["muon", "adamw", "adam"])
def test_every_weight_is_stepped_once(kind: str, name: str, task: Task, plan_for: Callable[..., Plan]) -> None:
    plan = plan_for(task, network=name).model_copy(update={"optimiser": kind})
    network = NETWORKS[name].make(1, objective_of(plan).planes, plan.input.cell)
    chosen = optimisers(network, plan)
    stepped = [id(p) for o in chosen for group in o.param_groups for p in group["params"]]
    assert sorted(stepped) == sorted(id(p) for p in network.parameters())
    by_muon = [p for o in chosen if isinstance(o, Muon) for group in o.param_groups for p in group["params"]]
    assert [type(o).__name__.lower() for o in chosen] == {"muon": ["muon", "adamw"]}.get(kind, [kind])
    assert all(p.dim() == 4 for p in by_muon)
    first, *last = (layer.weight for layer in network.edges() if isinstance(layer, nn.Conv2d))
    assert first.shape[1] == 1
    assert {len(weight) for weight in last} == {objective_of(plan).planes}
    assert not {id(first), *map(id, last)} & {id(p) for p in by_muon}


def test_its_average_is_kept_with_its_state() -> None:
    gradients = torch.randn(4, 4, 9, generator=torch.Generator().manual_seed(0))

    def stepped(weights: nn.Parameter, optimiser: Muon, some: Tensor) -> Tensor:
        for gradient in some:
            weights.grad = gradient.clone()
            optimiser.step()
        return weights.detach()

    weights = nn.Parameter(torch.zeros(4, 9))
    optimiser = Muon([weights], 0.01, 0.0)
    again = nn.Parameter(stepped(weights, optimiser, gradients[:2]).clone())
    resumed = Muon([again], 0.01, 0.0)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    whole = stepped(weights, optimiser, gradients[2:])
    assert torch.equal(stepped(again, resumed, gradients[2:]), whole)
