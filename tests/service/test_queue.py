"""The bounded queue: what is accepted is done, what is not is refused at once."""

import asyncio
import threading
import time
from functools import partial

import pytest

from onspec.domain import UsageError
from onspec.service.queue import JudgeQueue, QueueFullError


def test_work_runs_in_another_thread_and_comes_back() -> None:
    queue = JudgeQueue(2)
    name = asyncio.run(queue.run(lambda: threading.current_thread().name))
    queue.close()
    assert name.startswith("judge")


def test_a_fault_of_the_work_reaches_the_asker_and_frees_the_place() -> None:
    queue = JudgeQueue(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(queue.run(lambda: 1 / 0))
    assert not queue.full
    queue.close()


def test_one_too_many_is_refused_at_once_and_the_others_are_done() -> None:
    gate = threading.Event()

    async def crowd() -> list[object]:
        tasks = [asyncio.create_task(queue.run(lambda: gate.wait(10))) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert queue.full
        start = time.perf_counter()
        with pytest.raises(QueueFullError, match="3 images"):
            await queue.run(lambda: True)
        assert time.perf_counter() - start < 1
        gate.set()
        return list(await asyncio.gather(*tasks))

    queue = JudgeQueue(3)
    assert asyncio.run(crowd()) == [True, True, True]
    assert not queue.full
    queue.close()


def test_an_asker_that_leaves_does_not_free_the_place_of_work_still_running() -> None:
    gate, started = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        gate.wait(10)

    async def leave() -> None:
        task = asyncio.create_task(queue.run(work))
        assert await asyncio.to_thread(started.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert queue.full
        gate.set()

    queue = JudgeQueue(1)
    asyncio.run(leave())
    queue.close()
    assert not queue.full


def test_closing_finishes_what_was_accepted() -> None:
    done: list[int] = []

    def work(n: int) -> None:
        time.sleep(0.02)
        done.append(n)

    async def accept() -> None:
        tasks = [asyncio.create_task(queue.run(partial(work, n))) for n in range(3)]
        await asyncio.sleep(0)
        await asyncio.to_thread(queue.close)
        await asyncio.gather(*tasks)

    queue = JudgeQueue(3)
    asyncio.run(accept())
    assert done == [0, 1, 2]


def test_an_idle_queue_takes_no_cpu() -> None:
    queue = JudgeQueue(4)
    asyncio.run(queue.run(lambda: None))  # the thread exists
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.05
    queue.close()


def test_a_queue_that_holds_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        JudgeQueue(0)
