"""The networks have the size, shape and reach that they are described with."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from onspec.imaging.preparation import Extent, InputSpec, run_tiled
from onspec.training.networks import NETWORKS, UNetDeck, UNetLite, parameters
from onspec.training.validation import torch_infer


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


def test_the_default_costs_less_than_the_decks() -> None:
    assert gflop(UNetDeck()) == pytest.approx(7.0, abs=0.05)
    assert gflop(UNetLite()) < 0.6 * gflop(UNetDeck())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("channels", "classes"), [(1, 1), (3, 2)])
def test_logits_have_the_inputs_size(name: str, channels: int, classes: int) -> None:
    network = NETWORKS[name](channels, classes).eval()
    stride = network.stride
    assert network(torch.zeros(2, channels, 2 * stride, 3 * stride)).shape == (2, classes, 2 * stride, 3 * stride)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_halo_covers_the_networks_reach(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name](1, 1).eval()
    side = Extent(min=1, max=4096)
    whole = InputSpec(width=side, height=side, stride=32, tile=2048, halo=256)
    tiled = whole.model_copy(update={"tile": 640})
    x = np.random.default_rng(0).standard_normal((1, 832, 960)).astype(np.float32)
    infer = torch_infer(network)
    np.testing.assert_allclose(run_tiled(x, tiled, infer), run_tiled(x, whole, infer), atol=1e-5)
