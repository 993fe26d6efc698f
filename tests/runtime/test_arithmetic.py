"""Operations are counted as they are; what is no network is refused."""

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from onspec.domain import EngineError
from onspec.runtime.arithmetic import count_operations, square_product
from onspec.runtime.precision import to_fp16
from onspec.runtime.rewrites import REWRITES, apply
from onspec.training.networks import NETWORKS


def by_hooks(name: str, side: int) -> float:
    """Operations of a network's convolutions, as torch runs them."""
    network = NETWORKS[name].make(1, 1, 1).eval()
    total = 0.0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += 2.0 * output.numel() * layer.weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network.outputs(torch.zeros(1, 1, side, side))
    return total


def test_the_talks_network_takes_7_gflop(make_exported: Callable[[str], bytes]) -> None:
    counted = count_operations(make_exported("deck"), np.zeros((1, 1, 256, 256), np.float32))
    assert counted == by_hooks("unet-deck", 256)
    assert 4 * counted / 1e9 == pytest.approx(7.0, abs=0.1)  # at 512×512 px


def test_a_batch_takes_as_much_for_each_image(make_model: Callable[..., bytes]) -> None:
    model = make_model(channels=3, classes=2)
    assert count_operations(model, np.zeros((1, 3, 16, 32), np.float32)) == 2 * 16 * 32 * 2 * 3
    assert count_operations(model, np.zeros((4, 3, 16, 32), np.float32)) == 4 * 2 * 16 * 32 * 2 * 3


def test_the_rewritten_network_takes_less(make_exported: Callable[[str], bytes]) -> None:
    """Its transposed convolutions are counted, too: 5.65 of 7.0 GFLOP are left."""
    batch, model = np.zeros((1, 1, 64, 64), np.float32), make_exported("deck")
    rewritten = apply(model, [entry.apply for entry in REWRITES.values()])
    ratio = count_operations(rewritten, batch) / count_operations(model, batch)
    assert ratio == pytest.approx(5.65 / 7.0, abs=0.02)


def test_other_precisions_are_the_same_network(make_exported: Callable[[str], bytes]) -> None:
    batch, model = np.zeros((1, 1, 64, 64), np.float32), make_exported("deck")
    assert count_operations(to_fp16(model, []), batch) == count_operations(model, batch)


def test_the_product_is_the_product() -> None:
    session = ort.InferenceSession(square_product(200), providers=["CPUExecutionProvider"])
    a, b = np.random.default_rng(0).standard_normal((2, 200, 200)).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"a": a, "b": b})[0], a @ b, atol=1e-3)


@given(st.binary(max_size=200))
def test_noise_is_no_network(data: bytes) -> None:
    with pytest.raises(EngineError):
        count_operations(data, np.zeros((1, 1, 16, 16), np.float32))
