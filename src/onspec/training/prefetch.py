"""The crops of the coming steps, cut while the network works on the present one."""

import itertools
import queue
import threading
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from onspec.training.sampling import CropSampler

Batch = tuple[Tensor, Tensor, Tensor]
"""Image, target and valid of one step, float32 (N, ·, S, S)."""


class Prefetch:
    """A context with an endless iterator of batches, from step `first` on, cut ahead in a thread."""

    def __init__(self, sampler: CropSampler, first: int, ahead: int = 4) -> None:
        self._queue: queue.Queue[Batch | BaseException] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(sampler, first), daemon=True)

    def __enter__(self) -> Iterator[Batch]:
        self._thread.start()
        return self._batches()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _fill(self, sampler: CropSampler, first: int) -> None:
        try:
            for step in itertools.count(first):
                if self._stop.is_set():
                    return
                self._queue.put(collate(sampler, step))
        except BaseException as error:  # handed to the loop, which raises it
            self._queue.put(error)

    def _batches(self) -> Iterator[Batch]:
        while True:
            item = self._queue.get()
            if isinstance(item, BaseException):
                raise item
            yield item


def collate(sampler: CropSampler, step: int) -> Batch:
    """Image, target and valid of one step, float32 (N, ·, S, S)."""
    crops = sampler.batch(step)
    stacks = (np.stack([getattr(c, name) for c in crops]) for name in ("tensor", "target", "valid"))
    image, target, valid = (torch.from_numpy(s) for s in stacks)
    return image, target, valid
