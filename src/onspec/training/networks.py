"""The networks. Each maps float32 (N, C, H, W) to logits (N, K, H, W); H and W are multiples of its `stride`."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
        """Logits of the size of `x` first; then coarser ones, if any, which only training looks at."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the size of `x`."""
        return self.outputs(x)[0]


class UNetDeck(Network):
    """The U-Net of the 2018 talk: 3×3 ReLU pairs of 8-16-32-64-128, max-pooling, nearest up-sampling, 1×1 head.

    It has no normalisation layers. Its sigmoid is applied outside, where the loss or the export needs it.
    """

    stride = 16
    widths: Sequence[int] = (8, 16, 32, 64, 128)

    def __init__(self, channels: int = 1, classes: int = 1) -> None:
        super().__init__()
        sizes = [channels, *self.widths]
        self.down = nn.ModuleList(_relu_pair(a, b) for a, b in zip(sizes, self.widths, strict=False))
        rising = list(reversed(self.widths))
        self.up = nn.ModuleList(_relu_pair(a + b, b) for a, b in itertools.pairwise(rising))
        self.head = nn.Conv2d(self.widths[0], classes, 1)

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
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3×3 convolutions around which the input passes unchanged (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return F.relu(x + self.second(self.first(x)))


class UNetLite(Network):
    """onspec's default: no convolution runs at full resolution, where the talk's network spends its time.

    A 5×5 stem of stride 2 sees the full resolution once; residual levels go down to 1/32, where a wide defect fits
    into the field of view; the way up adds (instead of concatenating) 1×1 projections, as feature pyramids do (Lin
    et al. 2017). The logits of half the resolution are enlarged bilinearly.
    """

    stride = 32
    widths: Sequence[int] = (16, 32, 64, 96, 128)

    def __init__(self, channels: int = 1, classes: int = 1) -> None:
        super().__init__()
        w = self.widths
        self.stem = nn.Sequential(ConvNorm(channels, w[0], 5, 2), ConvNorm(w[0], w[0]))
        self.down = nn.ModuleList(nn.Sequential(ConvNorm(a, b, 3, 2), Residual(b)) for a, b in itertools.pairwise(w))
        self.lateral = nn.ModuleList(nn.Conv2d(a, a, 1) for a in w[:-1])
        self.reduce = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in itertools.pairwise(w))
        self.smooth = nn.ModuleList(ConvNorm(a, a) for a in w[:-1])
        self.head = nn.Conv2d(w[0], classes, 1)
        self.coarse = nn.ModuleList(nn.Conv2d(a, classes, 1) for a in w[1:-1])
        # Most pixels are good: starting there spares the first steps of unlearning a half-defective world.
        for head in (self.head, *self.coarse):
            nn.init.constant_(head.bias, -3.0)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Logits of the size of `x`, then those of 1/4, 1/8 and 1/16 of it, which only training looks at."""
        x = self.stem(x)
        skips = []
        for level in self.down:
            skips.append(x)
            x = level(x)
        coarse: list[Tensor] = []
        for i in range(len(skips) - 1, -1, -1):
            x = F.interpolate(self.reduce[i](x), scale_factor=2.0, mode="nearest") + self.lateral[i](skips[i])
            x = self.smooth[i](x)
            if i:
                coarse.insert(0, self.coarse[i - 1](x))
        return [F.interpolate(self.head(x), scale_factor=2.0, mode="bilinear", align_corners=False), *coarse]


NETWORKS: dict[str, Callable[[int, int], Network]] = {
    "unet-lite": UNetLite,
    "unet-deck": UNetDeck,
}
"""Name → constructor of (channels, classes). The first is the default."""


def parameters(network: nn.Module) -> int:
    """How many numbers training adjusts."""
    return sum(p.numel() for p in network.parameters())
