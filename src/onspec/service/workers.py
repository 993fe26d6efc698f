"""Several processes on one listening socket: each has its own engine, and a supervisor that replaces what dies.

The socket belongs to all of them, so connections that wait to be accepted outlive a worker. A worker that changes
recipes writes the store, then the supervisor tells the others, and the change is answered when all have it.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from types import FrameType
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from onspec.service.events import Events
from onspec.service.metrics import MULTIPROCESS
from onspec.service.recipes import Recipes

logger = logging.getLogger("onspec.service")

_REACH_S = 60.0
"""How long a change waits for the other workers, which check golden samples first."""

_SHORT_LIFE_S, _PAUSE_S = 10.0, 2.0
"""A worker that died younger than this is replaced after a pause: one that cannot start must not eat the machine."""


class Link:
    """A worker's end of the pipe to the supervisor. Without a supervisor there is none."""

    def __init__(self, connection: Connection, *, restarted: bool = False) -> None:
        self._connection = connection
        self._restarted = restarted
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def connected(self, recipes: Recipes, events: Events) -> AsyncIterator[None]:
        """While the application runs. One that replaces a dead worker takes no connection before it can judge."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._connection.fileno(), self._read, recipes, events)
        recipes.spread = self._spread
        events.others = self._tell_others
        try:
            if self._restarted:
                await recipes.check_all()
            self._connection.send(("applied", recipes.generation))
            yield
        finally:
            loop.remove_reader(self._connection.fileno())

    async def _spread(self, generation: int) -> int:
        reached = self._waiting.setdefault(generation, asyncio.get_running_loop().create_future())
        self._connection.send(("changed", generation))
        try:
            return await asyncio.wait_for(asyncio.shield(reached), _REACH_S)
        except TimeoutError:
            logger.warning("not all workers follow", extra={"fields": {"generation": generation}})
            return 1
        finally:
            self._waiting.pop(generation, None)

    def _tell_others(self, kind: str, value: object) -> None:
        self._connection.send((kind, value))

    def _read(self, recipes: Recipes, events: Events) -> None:
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError):  # the supervisor is gone; nobody would replace this worker or stop it
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if kind == "sync":
            task = asyncio.get_running_loop().create_task(self._sync(recipes))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif kind == "reached":
            for generation in [known for known in self._waiting if known <= value[0]]:
                if not self._waiting[generation].done():
                    self._waiting[generation].set_result(value[1])
        elif kind == "listening":
            events.listened_elsewhere = value
        elif kind == "event":
            events.pass_on(value)

    async def _sync(self, recipes: Recipes) -> None:
        try:
            self._connection.send(("applied", await recipes.sync()))
        except Exception:  # the change is not taken over; what was active goes on judging, and the log says so
            logger.exception("fault", extra={"fields": {"doing": "following another worker's change"}})


@dataclass(eq=False, slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    started: float = field(default_factory=monotonic)
    applied: int = -1
    listening: bool = False

    def send(self, kind: str, value: object) -> None:
        """A worker that is dying misses it, and its successor reads the store."""
        with contextlib.suppress(OSError):
            self.connection.send((kind, value))


Main = Callable[[Any, socket.socket, Connection, bool], None]
"""Runs a worker: what it needs (to be pickled), the socket, its end of the pipe, whether it replaces a dead one."""


class Supervisor:
    """Starts `count` workers and keeps as many."""

    def __init__(self, count: int, main: Main, argument: object, sock: socket.socket, grace_s: float) -> None:
        self._count, self._main, self._argument, self._sock, self._grace_s = count, main, argument, sock, grace_s
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._asked: list[tuple[_Worker, int]] = []
        self._due: list[float] = [0.0] * count
        self._stopping = False
        self._restarted = False

    def run(self) -> None:
        """Until SIGINT or SIGTERM; then every worker finishes what is in flight."""
        wake_read, wake_write = socket.socketpair()
        wake_write.setblocking(False)
        wakeup = signal.set_wakeup_fd(wake_write.fileno())
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._stopping:
                self._start_due()
                self._wait(wake_read)
        finally:
            self._end()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            wake_read.close()
            wake_write.close()
            self._sock.close()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start_due(self) -> None:
        now = monotonic()
        for due in [due for due in self._due if due <= now]:
            self._due.remove(due)
            ours, theirs = self._context.Pipe()
            arguments = (self._argument, self._sock, theirs, self._restarted)
            process = self._context.Process(target=self._main, args=arguments, name="onspec worker", daemon=False)
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours))
            self._tell_listening()
            logger.info("worker started", extra={"fields": {"pid": process.pid}})

    def _wait(self, wake: socket.socket) -> None:
        sleep = max(0.0, min(self._due) - monotonic()) if self._due else None
        sources: list[Any] = [
            wake,
            *(w.connection for w in self._workers),
            *(w.process.sentinel for w in self._workers),
        ]
        ready = wait(sources, sleep)
        if wake in ready:
            wake.recv(4096)
        for worker in list(self._workers):
            if worker.connection in ready:
                self._receive(worker)
            if worker.process.sentinel in ready:
                self._bury(worker)

    def _receive(self, worker: _Worker) -> None:
        try:
            kind, value = worker.connection.recv()
        except (EOFError, OSError):  # it is dying; its sentinel says so, too
            return
        others = [other for other in self._workers if other is not worker]
        if kind in ("changed", "applied"):
            worker.applied = max(worker.applied, value)
            if kind == "changed":
                self._asked.append((worker, value))
                for other in others:
                    other.send("sync", value)
            self._answer()
        elif kind == "listening":
            worker.listening = value
            self._tell_listening()
        elif kind == "event":
            for other in others:
                if other.listening:
                    other.send("event", value)

    def _tell_listening(self) -> None:
        """To each worker, whether another one has readers of events."""
        for worker in self._workers:
            worker.send("listening", any(other.listening for other in self._workers if other is not worker))

    def _answer(self) -> None:
        """Tell who asked that all workers have his change."""
        reached = min((worker.applied for worker in self._workers), default=-1)
        for worker, generation in [asked for asked in self._asked if asked[1] <= reached]:
            worker.send("reached", (generation, len(self._workers)))
            self._asked.remove((worker, generation))

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        if worker.process.pid is not None and MULTIPROCESS in os.environ:
            # What it had in its queue is gone.
            mark_process_dead(worker.process.pid, os.environ[MULTIPROCESS])  # type: ignore[no-untyped-call]
        self._asked = [asked for asked in self._asked if asked[0] is not worker]
        self._restarted = True
        self._tell_listening()
        if not self._stopping:
            fields = {"pid": worker.process.pid, "exit_code": worker.process.exitcode}
            logger.error("worker died", extra={"fields": fields})
            young = monotonic() - worker.started < _SHORT_LIFE_S
            self._due.append(monotonic() + (_PAUSE_S if young else 0.0))
        self._answer()

    def _end(self) -> None:
        for worker in self._workers:
            if worker.process.pid is not None and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGTERM)
        end = monotonic() + self._grace_s
        for worker in self._workers:
            worker.process.join(max(0.0, end - monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
