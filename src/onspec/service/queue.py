"""The bounded queue in front of the engines: what is accepted is judged, what is not is refused at once."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from onspec.domain import OnspecError, UsageError

T = TypeVar("T")


class QueueFullError(OnspecError):
    """As many images as allowed are waiting or in work."""


class JudgeQueue:
    """Runs work in threads of its own, so that the event loop goes on answering while an engine computes.

    At most `limit` pieces of work are accepted at a time, those in work included. Threads wait on a lock, not in a
    loop: an idle queue takes no CPU.
    """

    def __init__(self, limit: int, threads: int = 1) -> None:
        """Raises UsageError if `limit` is less than the number of threads."""
        if limit < threads:
            raise UsageError(f"the queue must hold at least {threads}; got {limit}")
        self.limit = limit
        self._free = threading.BoundedSemaphore(limit)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="judge")

    async def run(self, work: Callable[[], T]) -> T:
        """Wait for a turn, then for the result.

        Raises:
            QueueFullError: at once, when the queue is full. Nothing was done then.
        """
        if not self._free.acquire(blocking=False):
            raise QueueFullError(f"the queue is full ({self.limit} images waiting or in work); try again")
        try:
            future: Future[T] = self._pool.submit(work)
        except RuntimeError:  # closed
            self._free.release()
            raise
        # Released by the thread when the work is over, not when the asker is gone.
        future.add_done_callback(lambda _: self._free.release())
        return await asyncio.wrap_future(future)

    @property
    def full(self) -> bool:
        """Whether work would be refused now; a cheap look before a body is read."""
        if self._free.acquire(blocking=False):
            self._free.release()
            return False
        return True

    def close(self) -> None:
        """Finish what was accepted, then end the threads."""
        self._pool.shutdown(wait=True)
