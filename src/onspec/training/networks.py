"""The networks. Each maps float32 (N, C, H, W) to logits (N, P, H/c, W/c), one a cell of c px and output plane.

H and W are multiples of the network's `stride`.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onspec.domain import Task
from onspec.training.crosswise import Norm


def _relu_pair(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
    )


class Network(nn.Module, ABC):
    """What the loop and the export expect of a network."""

    stride: int

    @abstractmethod
    def outputs(self, x: Tensor) -> list[Tensor]:
        """Logits, one a cell, first; then coarser ones, if any, which only training looks at."""

    @abstractmethod
    def edges(self) -> list[nn.Module]:
        """The layer that sees the image, the one that gives logits, and those that give coarser ones."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits, one a cell."""
        return self.outputs(x)[0]

    def adjust_logits(self, by: Sequence[float]) -> None:
        """Add a constant to the logits of the first planes, one each."""
        bias = self.edges()[1].get_parameter("bias")
        with torch.no_grad():
            bias[: len(by)] += torch.tensor(by, dtype=bias.dtype, device=bias.device)


class UNetDeck(Network):
    """The U-Net of the 2018 talk: 3×3 ReLU pairs of 8-16-32-64-128, max-pooling, nearest up-sampling, 1×1 head.

    It has no normalisation layers. Its sigmoid is applied outside, where the loss or the export needs it.
    """

    stride = 16
    widths: Sequence[int] = (8, 16, 32, 64, 128)

    def __init__(self, channels: int = 1, planes: int = 1, cell: int = 1) -> None:
        super().__init__()
        if cell != 1:
            raise ValueError(f"unet-deck gives a score for every pixel; got cells of {cell} px")
        sizes = [channels, *self.widths]
        self.down = nn.ModuleList(_relu_pair(a, b) for a, b in zip(sizes, self.widths, strict=False))
        rising = list(reversed(self.widths))
        self.up = nn.ModuleList(_relu_pair(a + b, b) for a, b in itertools.pairwise(rising))
        self.head = nn.Conv2d(self.widths[0], planes, 1)

    def edges(self) -> list[nn.Module]:
        """The first convolution and the last."""
        return [self.get_submodule("down.0.0"), self.head]

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Logits of the size of `x`."""
        skips = []
        for level, pair in enumerate(self.down):
            x = pair(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for pair in self.up:
            x = pair(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1))
        return [self.head(x)]


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation, ReLU: at inference one convolution."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            Norm(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3×3 convolutions around which the input passes unchanged (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), Norm(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return F.relu(x + self.second(self.first(x)))


_HEAD = 64
"""Width of the head that tells boxes or evidence."""

_LAST = "2"
"""The place of its last layer."""


class UNetLite(Network):
    """onspec's default: no convolution runs at full resolution, where the talk's network spends its time.

    A 5×5 stem of stride 2 sees the full resolution once; residual levels go down to 1/32, where a wide defect fits
    into the field of view; the way up adds (instead of concatenating) 1×1 projections, as feature pyramids do (Lin
    et al. 2017), as far up as the output's cells ask for: to half of the resolution for a cell of 1 px, whose logits
    are enlarged bilinearly, to 1/4 for the boxes of a detector, to 1/8 for the evidence of a classifier.
    """

    stride = 32
    widths: Sequence[int] = (16, 32, 64, 96, 128)

    def __init__(self, channels: int = 1, planes: int = 1, cell: int = 1) -> None:
        super().__init__()
        w, self.cell = self.widths, cell
        self.finest = int(math.log2(max(cell, 2))) - 1
        self.stem = nn.Sequential(ConvNorm(channels, w[0], 5, 2), ConvNorm(w[0], w[0]))
        self.down = nn.ModuleList(nn.Sequential(ConvNorm(a, b, 3, 2), Residual(b)) for a, b in itertools.pairwise(w))
        up = w[self.finest :]
        self.lateral = nn.ModuleList(nn.Conv2d(a, a, 1) for a in up[:-1])
        self.reduce = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in itertools.pairwise(up))
        self.smooth = nn.ModuleList(ConvNorm(a, a) for a in up[:-1])
        last = nn.Conv2d(up[0] if cell == 1 else _HEAD, planes, 1)
        self.head = last if cell == 1 else nn.Sequential(_widened(up[0]), _unmoved(_HEAD), last)  # `last` is _LAST
        self.coarse = nn.ModuleList(nn.Conv2d(a, planes, 1) for a in (up[1:-1] if cell == 1 else ()))
        # Most pixels are good: starting there spares the first steps of unlearning a half-defective world.
        for head in (last, *self.coarse):
            nn.init.constant_(head.bias, -3.0)

    def name_in_full(self, name: str) -> str:
        """What a part of this network is called in the one that goes up to cells of 1 px: its levels count from the
        finest, and what tells evidence is one of its coarse outputs."""
        module, _, rest = name.partition(".")
        place, _, rest = rest.partition(".")
        if module in ("lateral", "reduce", "smooth"):
            return f"{module}.{int(place) + self.finest}.{rest}"
        if module == "head" and self.cell > 1 and place == _LAST:
            return f"coarse.{self.finest - 1}.{rest}"
        return name

    def edges(self) -> list[nn.Module]:
        """The stem's first convolution, and what gives the logits of each resolution."""
        last = "head" if self.cell == 1 else f"head.{_LAST}"
        return [self.get_submodule("stem.0.0"), self.get_submodule(last), *self.coarse]

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Logits of one a cell, then, for cells of one pixel, those of 1/4, 1/8 and 1/16 of it."""
        x = self.stem(x)
        skips = []
        for level in self.down:
            skips.append(x)
            x = level(x)
        coarse: list[Tensor] = []
        for i in range(len(self.smooth) - 1, -1, -1):
            lateral = self.lateral[i](skips[self.finest + i])
            x = self.smooth[i](F.interpolate(self.reduce[i](x), scale_factor=2.0, mode="nearest") + lateral)
            if i and self.cell == 1:
                coarse.insert(0, self.coarse[i - 1](x))
        if self.cell > 1:
            return [self.head(x)]
        return [_enlarged(self.head(x)), *coarse]


def _enlarged(logits: Tensor) -> Tensor:
    """Twice the size, bilinear.

    It is exported as a convolution to the four positions between pixels and their interleaving, which is the same:
    engines enlarge with one thread a plane, and take a tenth to a sixth of the time of the whole network for it.
    """
    if not torch.onnx.is_in_onnx_export():
        return F.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)
    planes, line = int(logits.shape[1]), np.array([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]], np.float32)
    phases = np.einsum("ok,ay,bx->oabkyx", np.eye(planes, dtype=np.float32), line, line)
    weight = torch.from_numpy(phases.reshape(4 * planes, planes, 3, 3))
    # The border is repeated. torch's own padding is exported with a dozen operators that reckon how much there is.
    logits = torch.cat([logits[:, :, :1], logits, logits[:, :, -1:]], dim=2)
    logits = torch.cat([logits[..., :1], logits, logits[..., -1:]], dim=3)
    return F.pixel_shuffle(F.conv2d(logits, weight), 2)


def _widened(inputs: int) -> nn.Module:
    """To the width of the head, if that is another one."""
    return nn.Identity() if inputs == _HEAD else ConvNorm(inputs, _HEAD)


def _unmoved(width: int) -> Residual:
    """A residual that adds nothing before anything was learned (Goyal et al. 2017)."""
    block = Residual(width)
    for parameter in block.second[1].parameters():
        nn.init.zeros_(parameter)
    return block


class CnnWeimer(Network):
    """The small classifier of Weimer et al. 2016 (CIRP Annals 65, 417), run over the whole image.

    3×3 convolutions of 32-32 and 64-64-64 with max-pooling, then two fully connected layers of 1024 on what a patch
    of 32×32 px gives. Here the fully connected layers are convolutions, so that every 16 px a patch is classified.
    """

    stride = 16

    def __init__(self, channels: int = 1, planes: int = 1, cell: int = 16) -> None:
        super().__init__()
        if cell != self.stride:
            raise ValueError(f"cnn-weimer classifies a patch every {self.stride} px; got cells of {cell} px")
        self.features = nn.Sequential(
            _relu_pair(channels, 32), nn.MaxPool2d(2), _relu_pair(32, 64), nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(inplace=True), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classify = nn.Sequential(
            nn.Conv2d(64, 1024, 8, stride=4, padding=2), nn.ReLU(inplace=True), nn.Dropout2d(0.5),
            nn.Conv2d(1024, 1024, 1), nn.ReLU(inplace=True), nn.Dropout2d(0.5), nn.Conv2d(1024, planes, 1),
        )  # fmt: skip

    def edges(self) -> list[nn.Module]:
        """The first convolution and the last."""
        return [self.get_submodule("features.0.0"), self.classify[-1]]

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Logits, one every 16 px."""
        return [self.classify(self.features(x))]


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """How a network is made, of (channels, planes, cell), what for: task → the cell, in px, of its output, and what
    it is trained with."""

    make: Callable[[int, int, int], Network]
    stride: int
    cells: Mapping[Task, int]
    optimiser: Literal["muon", "adamw"] = "adamw"


NETWORKS: dict[str, NetworkEntry] = {
    "unet-lite": NetworkEntry(UNetLite, UNetLite.stride, {Task.SEGMENT: 1, Task.DETECT: 4, Task.CLASSIFY: 8}, "muon"),
    "unet-deck": NetworkEntry(UNetDeck, UNetDeck.stride, {Task.SEGMENT: 1}),
    "cnn-weimer": NetworkEntry(CnnWeimer, CnnWeimer.stride, {Task.CLASSIFY: 16}),
}
"""Name → entry. The first is the default."""


def parameters(network: nn.Module) -> int:
    """How many numbers training adjusts."""
    return sum(p.numel() for p in network.parameters())
