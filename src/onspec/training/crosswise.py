"""Means over all processes of a run, so that many processes learn exactly what one would with all of their crops."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean(total: Tensor, count: Tensor, least: float = 1.0) -> Tensor:
    """`total` / `count` where both are summed over all processes; 0 where the count is under `least`.

    Each process gets its own share of it times the number of processes: the mean of the gradients, which is what DDP
    makes of them, is then the gradient of the whole.
    """
    if processes() > 1:
        whole = count.detach().clone()
        dist.all_reduce(whole)
        return total * processes() / whole.clamp(min=least)
    return total / count.clamp(min=least)


def total(values: Tensor) -> Tensor:
    """The sum over all processes, of one shape in each; what is made of it, each may make alike: see `mean`."""
    if processes() == 1:
        return values
    summed: Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return summed


def most(number: int) -> int:
    """The largest of the numbers that the processes have."""
    if processes() == 1:
        return number
    largest = torch.tensor(number)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def mean_of_highest(values: Tensor, share: float) -> Tensor | None:
    """The mean of the highest `share` of the values (n,) of all processes, at least of one; `None` without any."""
    count = int(total(values.detach().new_tensor(float(values.numel()))))
    if not count:
        return None
    kept = max(1, round(count * share))
    own = values.topk(min(kept, values.numel())).values
    if processes() == 1:
        return own.mean()
    padded = torch.cat([own.detach(), own.new_full((kept - own.numel(),), -torch.inf)])
    gathered = [torch.empty_like(padded) for _ in range(processes())]
    dist.all_gather(gathered, padded)
    highest = own[own >= torch.cat(gathered).topk(kept).values[-1]]
    return total(highest.sum()) / total(highest.detach().new_tensor(float(highest.numel())))


class Norm(nn.BatchNorm2d):
    """Batch normalisation whose statistics, while training, are those of the crops of all processes.

    torch's own `SyncBatchNorm` runs on GPUs only.
    """

    def forward(self, input: Tensor) -> Tensor:
        """float (N, C, H, W) of any precision → the same shape."""
        if not self.training or processes() == 1:
            return super().forward(input)
        x = input.float()
        mine = torch.cat([x.sum(dim=(0, 2, 3)), x.square().sum(dim=(0, 2, 3)), x.new_tensor([x.numel() / x.shape[1]])])
        sums = total(mine)
        count = sums[-1]
        centre = sums[: x.shape[1]] / count
        spread = sums[x.shape[1] : -1] / count - centre.square()
        self._remember(centre.detach(), spread.detach() * count.detach() / (count.detach() - 1))
        scale = self.weight * torch.rsqrt(spread.clamp(min=0) + self.eps)
        out = x * scale[:, None, None] + (self.bias - centre * scale)[:, None, None]
        result: Tensor = out.to(input.dtype)
        return result

    def _remember(self, centre: Tensor, spread: Tensor) -> None:
        share = self.momentum or 0.1
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(centre, share)
        self.running_var.lerp_(spread, share)
        self.num_batches_tracked.add_(1)
