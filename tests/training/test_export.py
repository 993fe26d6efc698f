"""The exported graph computes what the network computes, at any size and batch, for every network and task."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from onspec.domain import Task
from onspec.training.export import INPUT, OUTPUT, to_onnx
from onspec.training.networks import NETWORKS
from onspec.training.objectives import objective_of
from onspec.training.plan import Plan
from onspec.training.validation import torch_infer

CASES = [
    *((name, task, ("defect",), False) for name, entry in NETWORKS.items() for task in entry.cells),
    ("unet-lite", Task.SEGMENT, ("a", "b"), True),
    ("unet-lite", Task.DETECT, ("a", "b"), False),
    ("unet-lite", Task.CLASSIFY, ("a", "b"), False),
]
PlanFor = Callable[..., Plan]


@pytest.mark.parametrize(("name", "task", "classes", "separate"), CASES)
def test_scores_agree(name: str, task: Task, classes: tuple[str, ...], separate: bool, plan_for: PlanFor) -> None:
    plan = plan_for(task, classes, name, separate=separate)
    objective, stride, channels = objective_of(plan), plan.input.stride, 1 + 2 * (len(classes) > 1)
    torch.manual_seed(0)
    network = NETWORKS[name].make(channels, objective.planes, plan.input.cell)
    network.train()
    network(torch.randn(4, channels, 2 * stride, 2 * stride))  # moves the running statistics away from their start
    network.eval()
    model = to_onnx(network, objective, channels, stride)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for shape in ((1, channels, 2 * stride, 3 * stride), (3, channels, 4 * stride, stride)):
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        ours = torch_infer(network, objective)(x)
        np.testing.assert_allclose(session.run([OUTPUT], {INPUT: x})[0], ours, atol=1e-5 * max(1.0, ours.max()))


def test_normalisation_is_folded_into_the_convolutions(small_plan: Plan) -> None:
    network = NETWORKS["unet-lite"].make(1, 1, 1)
    graph = onnx.load_from_string(to_onnx(network, objective_of(small_plan), 1, 32)).graph
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]
