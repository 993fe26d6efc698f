"""The crops of the coming steps, cut by threads while the network works on the present one."""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from onspec.training.objectives import Objective
from onspec.training.packing import packed
from onspec.training.sampling import CropSampler

_CORNERS = 1 << 23
"""In place of a crop's place: the seed of the corners in which small images lie."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's crops, stacked: `image` float32 (N, C, H, W), `target` float32 (N, T, h, w) as the objective makes it,
    `valid` float32 (N, 1, H, W), `bags` int64 (N,)."""

    image: Tensor
    target: Tensor
    valid: Tensor
    bags: Tensor


@dataclass(frozen=True, slots=True)
class Feed:
    """Makes the batches of one process: every `processes`-th crop from `rank` on, without room that none needs."""

    sampler: CropSampler
    objective: Objective
    stride: int
    rank: int = 0
    processes: int = 1

    def __call__(self, step: int) -> Batch:
        """The batch of a step; a pure function of it."""
        rng = np.random.default_rng([self.sampler.seed, step, _CORNERS, self.rank])
        crops = packed(self.sampler.batch(step, self.rank, self.processes), self.stride, rng)
        return Batch(
            image=torch.from_numpy(np.stack([crop.tensor for crop in crops])),
            target=torch.from_numpy(np.stack([self.objective.target(crop.truth) for crop in crops])),
            valid=torch.from_numpy(np.stack([crop.truth.valid for crop in crops])),
            bags=torch.tensor([crop.bag for crop in crops], dtype=torch.int64),
        )


class Prefetch:
    """A context with an endless iterator of batches in order, from step `first` on, `ahead` of them under way."""

    def __init__(self, feed: Feed, first: int, *, ahead: int = 4, threads: int = 1) -> None:
        self._feed, self._first, self._ahead = feed, first, ahead
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="crops")

    def __enter__(self) -> Iterator[Batch]:
        return self._batches()

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _batches(self) -> Iterator[Batch]:
        under_way: deque[Future[Batch]] = deque()
        for step in itertools.count(self._first):
            under_way.append(self._pool.submit(self._feed, step))
            if len(under_way) > self._ahead:
                yield under_way.popleft().result()
