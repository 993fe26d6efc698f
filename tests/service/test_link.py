"""A worker's words with its supervisor, on the event loop that the service runs on."""

import asyncio
import multiprocessing
import os
import threading
import time
from typing import Any, cast

import pytest
import uvloop

from onspec.service.events import Events
from onspec.service.recipes import Recipes
from onspec.service.workers import Link

_LARGE = b"x" * 5_000_000
"""More than any buffer of the system takes at a time."""


class _Recipes:
    generation = 1


def test_messages_of_any_size_pass_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker took a message that came in pieces for the end of its supervisor, and stopped in the middle of work."""
    ours, theirs = multiprocessing.Pipe()
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: ended.append(number))
    got: list[bytes] = []
    said: list[tuple[str, Any]] = []

    def supervise() -> None:
        for _ in range(3):
            theirs.send(("drift-windows", _LARGE))
        time.sleep(0.2)  # what the worker says is larger than what waits meanwhile
        while len([kind for kind, _ in said if kind == "drift-told"]) < 3:
            said.append(theirs.recv())

    async def work() -> None:
        link, supervisor = Link(ours), threading.Thread(target=supervise)
        link.heard["drift-windows"] = got.append
        async with link.connected(cast("Recipes", _Recipes()), Events(), lambda: True):
            supervisor.start()
            for _ in range(3):
                link.tell("drift-told", _LARGE)
            await asyncio.to_thread(supervisor.join, 20)
            for _ in range(100):
                if len(got) == 3:
                    break
                await asyncio.sleep(0.05)

    uvloop.run(work())
    assert got == [_LARGE] * 3
    assert [value for kind, value in said if kind == "drift-told"] == [_LARGE] * 3
    assert not ended
    ours.close()
    theirs.close()


def test_a_worker_without_its_supervisor_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = multiprocessing.Pipe()
    ended = threading.Event()
    monkeypatch.setattr(os, "kill", lambda *_: ended.set())

    async def work() -> None:
        async with Link(ours).connected(cast("Recipes", _Recipes()), Events(), lambda: True):
            theirs.close()
            assert await asyncio.to_thread(ended.wait, 5)

    uvloop.run(work())
    ours.close()
