"""Work done a few items ahead of whoever consumes it, in order and in bounded memory."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")

_POLL_S = 0.2


def run_ahead(
    work: Callable[[Item], Done], items: Iterable[Item], workers: int, ahead: int | None = None
) -> Generator[Done, None, None]:
    """Yield `work(item)` for each item, in order; `workers` threads run at most `ahead` items ahead (2 × `workers`).

    The items are taken in a thread of their own, so that a result never waits for the next item to be known, and what
    was yielded is not held while the next result is waited for. An error of `work` or of `items` is raised where its
    result would have come. A consumer that stops early leaves no thread at work but one that waits for a next item.
    """
    waiting: queue.Queue[Future[Done] | None] = queue.Queue(maxsize=max(1, 2 * workers if ahead is None else ahead))
    stop = threading.Event()
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="onspec-ahead")
    feeder = threading.Thread(target=_feed, args=(work, items, pool, waiting, stop), daemon=True, name="onspec-feed")
    feeder.start()
    try:
        while (future := waiting.get()) is not None:
            done = future.result()
            del future
            yield done
            del done
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _feed(
    work: Callable[[Item], Done],
    items: Iterable[Item],
    pool: ThreadPoolExecutor,
    waiting: "queue.Queue[Future[Done] | None]",
    stop: threading.Event,
) -> None:
    try:
        for item in items:
            if stop.is_set():
                return
            _put(waiting, pool.submit(work, item), stop)
    except Exception as error:  # raised again by the consumer
        if not stop.is_set():
            failed: Future[Done] = Future()
            failed.set_exception(error)
            _put(waiting, failed, stop)
    _put(waiting, None, stop)


def _put(waiting: "queue.Queue[Future[Done] | None]", future: "Future[Done] | None", stop: threading.Event) -> None:
    """Wait for room, but not for a consumer that has gone."""
    while not stop.is_set():
        try:
            waiting.put(future, timeout=_POLL_S)
        except queue.Full:
            continue
        return
