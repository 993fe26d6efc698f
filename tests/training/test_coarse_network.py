"""The coarse network in whole numbers: as it learned, and exact."""

from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from onspec.domain import EngineError
from onspec.imaging.blocks import BLOCK, MOST
from onspec.runtime.coarse import HALO, CoarseNetwork, made_up_levels
from onspec.training import coarse_network
from onspec.training.coarse_network import MIDDLE, STEPS, to_whole_onnx

Make = Callable[[int], coarse_network.CoarseNetwork]


@pytest.fixture(scope="module")
def make() -> Make:
    """A network whose statistics have seen something."""

    def made(channels: int) -> coarse_network.CoarseNetwork:
        torch.manual_seed(channels)
        network = coarse_network.CoarseNetwork(channels).train()
        for _ in range(20):
            network(torch.rand(4, channels, 64, 96))
        return network.eval()

    return made


def answered(network: coarse_network.CoarseNetwork, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with closing(CoarseNetwork(to_whole_onnx(network), BLOCK)) as whole:
        return whole.answers(levels)


@pytest.mark.parametrize("channels", [1, 3])
def test_answers_are_the_logits(channels: int, make: Make) -> None:
    """Activations are rounded to 1/255 on the way, and the answer to a sixteenth."""
    network, levels = make(channels), made_up_levels((channels, 128, 160))
    with torch.no_grad():
        logits = network(torch.from_numpy(levels[None]).float() / MOST)[0, 0].numpy()
    apart = answered(network, levels).astype(float) - (logits * STEPS + MIDDLE)
    assert np.abs(apart).max() < 2.0
    assert np.abs(apart).mean() < 0.6


def test_sums_are_those_of_exact_arithmetic(make: Make) -> None:
    """float64 holds 53 bits, so that it sums whole numbers of this size exactly in any order."""
    network, levels = make(1), made_up_levels((1, 96, 128))
    x = torch.from_numpy(levels[None]).double()
    for layer in coarse_network._whole_layers(network):
        weight, bias, shift = (torch.from_numpy(values) for values in (layer.weight, layer.bias, layer.shift))
        assert (weight == weight.round()).all()
        assert (bias == bias.round()).all()
        sums = F.conv2d(x, weight, bias, layer.stride, layer.pad)
        assert float(sums.abs().max()) < 2**24
        x = torch.floor(sums / torch.exp2(shift)[:, None, None]).clamp(0, MOST)
    np.testing.assert_array_equal(answered(network, levels), x[0, 0].numpy())


def test_it_looks_no_farther_than_the_halo(make: Make) -> None:
    """Otherwise rows that are taken at a time would change its answers."""
    network, image = make(1), torch.zeros(1, 1, 12 * BLOCK, 12 * BLOCK, requires_grad=True)
    network(image)[0, 0, 6, 6].backward()
    assert image.grad is not None
    rows = torch.nonzero(image.grad.abs().sum(dim=3)[0, 0]).ravel()
    assert int(rows.min()) >= 6 * BLOCK - HALO
    assert int(rows.max()) < 7 * BLOCK + HALO


def test_weights_that_no_whole_numbers_hold_are_refused(make: Make) -> None:
    network = make(1)
    with torch.no_grad():
        network.head.weight *= 1e6
    with pytest.raises(EngineError, match="too large for whole numbers; train it with another --seed"):
        to_whole_onnx(network)
