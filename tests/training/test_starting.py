"""A network takes over what it shares with the one that saw surfaces, whatever its task, and then finds synthetic
defects that it was never shown."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from onspec.domain import Prediction, ScoreMap
from onspec.imaging.regions import image_score
from onspec.imaging.weighing import Evidence
from onspec.training.networks import NETWORKS, UNetLite
from onspec.training.starting import SURFACES, read_weights, start_from_surfaces, write_weights

Field = NDArray[np.float32]


@pytest.mark.parametrize("cell", [1, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_task_starts_from_them(cell: int, channels: int) -> None:
    network, untouched = UNetLite(channels, 5, cell), UNetLite(channels, 5, cell)
    taken = start_from_surfaces(network)
    state, before = network.state_dict(), untouched.state_dict()
    changed = {name.split(".")[0] for name in state if not torch.equal(state[name], before[name])}
    assert {"stem", "down", "reduce", "smooth"} <= changed
    assert taken > len(state) / 2


def test_levels_keep_their_weights() -> None:
    """The level of 1/8 is the third of a segmenter and the first of a classifier."""
    saved, network = read_weights(SURFACES), UNetLite(1, 3, 8)
    start_from_surfaces(network)
    assert torch.equal(network.state_dict()["smooth.0.0.weight"], saved["smooth.2.0.weight"])


def test_gray_and_colour_look_the_same_to_it() -> None:
    gray, colour = UNetLite(1, 1, 1).eval(), UNetLite(3, 1, 1).eval()
    start_from_surfaces(gray)
    start_from_surfaces(colour)
    x = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(gray(x), colour(x.expand(1, 3, 64, 64)), atol=1e-4)


def test_other_networks_have_none() -> None:
    with pytest.raises(TypeError, match="unet-lite alone; got UNetDeck"):
        start_from_surfaces(NETWORKS["unet-deck"].make(1, 1, 1))


def test_weights_written_are_those_read(tmp_path: Path) -> None:
    state = UNetLite().state_dict()
    write_weights(tmp_path / "new" / "w.npz", state)
    for name, value in read_weights(tmp_path / "new" / "w.npz").items():
        assert torch.allclose(value, state[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_a_defect_stands_out_before_anything_was_learned(sigma: float) -> None:
    """Dark spots on smooth noise: the image scores higher with than without."""
    network = UNetLite().eval()
    start_from_surfaces(network)
    grounds = [_ground(np.random.default_rng(i), sigma) for i in range(20)]
    better = [_score(network, _spotted(ground)) > _score(network, ground) for ground in grounds]
    assert np.mean(better) >= 0.9


def _ground(rng: Generator, sigma: float) -> Field:
    field = rng.standard_normal((128, 128)).astype(np.float32)
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)
    return field / np.float32(field.std())


def _spotted(ground: Field) -> Field:
    field = ground.copy()
    field[50:64, 40:56] -= 4
    return field


def _score(network: UNetLite, field: Field) -> float:
    x = torch.from_numpy((field - field.mean()) / field.std())[None, None]
    with torch.inference_mode():
        scores = network(x).sigmoid().numpy()[0, 0]
    return image_score(Prediction((ScoreMap(scores, "defect"),)), Evidence(0.5))
