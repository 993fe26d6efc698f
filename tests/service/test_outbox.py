"""What is sent to a process that reads nothing."""

import multiprocessing
import time

from onspec.service.outbox import MOST_WAITING, Outbox


def test_nobody_waits_for_an_end_that_does_not_read() -> None:
    ours, theirs = multiprocessing.Pipe()
    box, line = Outbox(ours), "x" * 10_000
    start = time.perf_counter()
    for number in range(3 * MOST_WAITING):
        box.send("event", f"{number} {line}", needed=False)
    box.send("sync", 17)
    box.close()
    assert time.perf_counter() - start < 10
    got = []
    while theirs.poll(1):
        got.append(theirs.recv())
    assert got[-1] == ("sync", 17)  # what is needed comes, however many events were before
    assert [int(value.split()[0]) for _, value in got[:-1]] == sorted(int(v.split()[0]) for _, v in got[:-1])
    assert MOST_WAITING <= len(got) < 2 * MOST_WAITING
    theirs.close()
    ours.close()


def test_an_end_that_is_gone_misses_it() -> None:
    ours, theirs = multiprocessing.Pipe()
    box = Outbox(ours)
    theirs.close()
    for _ in range(3):
        box.send("event", "x")
    box.close()
    ours.close()
