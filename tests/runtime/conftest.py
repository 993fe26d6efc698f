"""The networks that training exports, with weights by chance or learned."""

from collections.abc import Callable

import pytest
import torch

from onspec.training.export import to_onnx
from onspec.training.networks import NETWORKS, UNetLite
from onspec.training.objectives import Objective
from onspec.training.objectives.classification import Classification
from onspec.training.objectives.detection import Detection
from onspec.training.objectives.segmentation import Segmentation
from onspec.training.starting import start_from_surfaces

OBJECTIVES: dict[str, tuple[str, Objective, int]] = {
    "deck": ("unet-deck", Segmentation(1), 1),
    "lite": ("unet-lite", Segmentation(1), 1),
    "classes and cores": ("unet-lite", Segmentation(2, separate=True), 1),
    "boxes": ("unet-lite", Detection(2, 4), 4),
    "evidence": ("unet-lite", Classification(2, 8), 8),
    "weimer": ("cnn-weimer", Classification(1, 16), 16),
}
"""Every network for every task."""


def exported(which: str) -> bytes:
    """The network as ONNX. With `before` it enlarges as exports did at first; with `learned` it can tell defects."""
    kind, _, how = which.partition(", ")
    name, objective, cell = OBJECTIVES[kind]
    torch.manual_seed(0)
    network = NETWORKS[name].make(1, objective.planes, cell)
    if "learned" in how:
        assert isinstance(network, UNetLite)
        assert start_from_surfaces(network) > 100
    else:
        network.train()
        network(torch.randn(2, 1, 64, 64))  # moves the running statistics away from their start
    with pytest.MonkeyPatch.context() as patch:
        if "before" in how:
            patch.setattr(torch.onnx, "is_in_onnx_export", lambda: False)
        return to_onnx(network, objective, 1, NETWORKS[name].stride)


@pytest.fixture(scope="session")
def make_exported() -> Callable[[str], bytes]:
    """`exported`, made once."""
    made: dict[str, bytes] = {}

    def make(which: str) -> bytes:
        if which not in made:
            made[which] = exported(which)
        return made[which]

    return make
