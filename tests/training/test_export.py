"""The exported graph computes what the network computes, at any size and batch."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from onspec.training.export import INPUT, OUTPUT, to_onnx
from onspec.training.networks import NETWORKS
from onspec.training.validation import torch_infer


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("channels", [1, 3])
def test_scores_agree(name: str, channels: int) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](channels, 2)
    network.train()
    network(torch.randn(4, channels, 64, 64))  # moves the running statistics away from their start
    network.eval()
    session = onnxruntime.InferenceSession(to_onnx(network, channels, 32), providers=["CPUExecutionProvider"])
    for shape in ((1, channels, 64, 96), (3, channels, 128, 32)):
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        np.testing.assert_allclose(session.run([OUTPUT], {INPUT: x})[0], torch_infer(network)(x), atol=1e-5)


def test_normalisation_is_folded_into_the_convolutions() -> None:
    graph = onnx.load_from_string(to_onnx(NETWORKS["unet-lite"](1, 1), 1, 32)).graph
    assert not [node for node in graph.node if node.op_type == "BatchNormalization"]
