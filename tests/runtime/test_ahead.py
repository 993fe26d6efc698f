"""Work ahead of its consumer."""

import threading
import time
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onspec.runtime.ahead import run_ahead


@settings(max_examples=30)
@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_every_result_in_order(items: list[int], workers: int) -> None:
    assert list(run_ahead(lambda x: 2 * x, items, workers)) == [2 * x for x in items]


def test_no_more_than_a_few_items_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    results = run_ahead(lambda x: x, items(), 2)
    assert next(results) == 0
    time.sleep(0.3)
    assert len(taken) <= 1 + 4 + 2  # the one taken, those that wait, and those in the feeder's hands
    results.close()


def test_a_result_does_not_wait_for_the_next_item() -> None:
    more = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        more.wait(10)
        yield 2

    results = run_ahead(lambda x: x, items(), 2)
    start = time.monotonic()
    assert next(results) == 1
    assert time.monotonic() - start < 5
    more.set()
    assert list(results) == [2]


def test_an_error_of_the_work_comes_where_its_result_would() -> None:
    results = run_ahead(lambda x: 1 // x, [1, 0, 1], 2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_error_of_the_items_comes_after_the_results_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the pipe is gone")

    results = run_ahead(lambda x: x, items(), 2)
    assert next(results) == 1
    with pytest.raises(OSError, match="the pipe is gone"):
        next(results)


def test_threads_end_with_a_consumer_that_stops_early() -> None:
    before = threading.active_count()
    results = run_ahead(lambda x: x, range(1000), 3)
    next(results)
    results.close()
    for _ in range(50):
        if threading.active_count() <= before:
            break
        time.sleep(0.1)
    assert threading.active_count() <= before


class Picture:
    """Something large."""


def test_nothing_that_was_taken_is_held_while_the_next_is_waited_for() -> None:
    more = threading.Event()
    alive: list[weakref.ref[Picture]] = []

    def make(number: int) -> Picture:
        if number:
            more.wait(10)
        picture = Picture()
        alive.append(weakref.ref(picture))
        return picture

    results = run_ahead(make, range(2), 1)
    first: Picture | None = next(results)
    taken: list[Picture] = []
    consumer = threading.Thread(target=lambda: taken.extend(results))
    consumer.start()
    first = None
    for _ in range(100):
        if alive[0]() is None:
            break
        time.sleep(0.02)
    assert (first, alive[0](), len(taken)) == (None, None, 0)
    more.set()
    consumer.join(10)
    assert len(taken) == 1


def test_as_few_ahead_as_asked_for() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        return number

    results = run_ahead(work, range(100), 8, ahead=1)
    assert next(results) == 0
    time.sleep(0.2)
    assert len(done) <= 1 + 1 + 1  # the one taken, the one that waits, and the one in the feeder's hands
    results.close()
