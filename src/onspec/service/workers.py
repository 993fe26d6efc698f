"""Several processes on one listening socket, each with an engine, and a supervisor that replaces what dies or hangs.

The socket belongs to all of them, so connections that wait to be accepted outlive a worker. A worker that changes
recipes writes the store, then the supervisor tells the others, and the change is answered when all have it. Each worker
says about once a second that its event loop and its engine are alive; one that is silent too long is killed, which
closes its connections, and replaced. Nobody ever waits for a process that does not read.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from types import FrameType
from typing import Any

from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.values import MultiProcessValue

from onspec.service.drift import ASKED, LEADER, SEEN, TOLD, WINDOWS
from onspec.service.events import Events
from onspec.service.metrics import METRICS, MULTIPROCESS
from onspec.service.outbox import Outbox
from onspec.service.recipes import Recipes
from onspec.service.watchdog import Watchdog

logger = logging.getLogger("onspec.service")

_REACH_S = 60.0
"""How long a change waits for the other workers, which check golden samples first."""

_SHORT_LIFE_S, _PAUSE_S = 10.0, 2.0
"""A worker that died younger than this is replaced after a pause: one that cannot start must not eat the machine."""

SILENT_S = 10.0
"""A worker that was silent so long is replaced, unless set otherwise."""

_BEAT_S = 1.0
"""How often a worker says that it lives, and the supervisor looks after all of them."""

_START_S = 600.0
"""What a worker may take until it says so for the first time: an engine may have to be built meanwhile."""

RELAYED = frozenset({SEEN, TOLD, ASKED, WINDOWS})
"""What workers tell each other about drift."""

REPLACED = "onspec_workers_replaced_total"
REASONS = ("died", "hung")
"""Why workers are replaced; values of the label `reason`."""


class Link:
    """A worker's end of the pipe to the supervisor. Without a supervisor there is none."""

    def __init__(self, connection: Connection, *, restarted: bool = False) -> None:
        self._connection = connection
        self._outbox = Outbox(connection)
        self._restarted = restarted
        self._closing = False
        self.heard: dict[str, Callable[[Any], None]] = {}
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def connected(self, recipes: Recipes, events: Events, alive: Callable[[], bool]) -> AsyncIterator[None]:
        """While the application runs. One that replaces a dead worker takes no connection before it can judge.

        `alive` says whether the engine answers; the event loop shows that it does by asking.
        """
        loop = asyncio.get_running_loop()

        def hear(kind: str, value: object) -> None:
            loop.call_soon_threadsafe(self._hear, recipes, events, kind, value)

        listening = threading.Thread(target=self._listen, args=[hear], name="supervisor's words", daemon=True)
        listening.start()
        recipes.spread = self._spread
        events.others = self._tell_others
        beating = loop.create_task(self._beat(alive))
        try:
            if self._restarted:
                await recipes.check_all()
            self._outbox.send("applied", recipes.generation)
            yield
        finally:
            beating.cancel()
            await asyncio.to_thread(self._outbox.close)
            self._closing = True
            with socket.socket(fileno=os.dup(self._connection.fileno())) as pipe:
                pipe.shutdown(socket.SHUT_RD)
            await asyncio.to_thread(listening.join)

    def tell(self, kind: str, value: object) -> None:
        """All other workers, soon, whose `heard` says what they do with it; one of `RELAYED`."""
        self._outbox.send(kind, value, needed=kind != SEEN)

    async def _beat(self, alive: Callable[[], bool]) -> None:
        while True:
            if alive():
                self._outbox.send("beat", None, needed=False)
            await asyncio.sleep(_BEAT_S)

    async def _spread(self, generation: int) -> int:
        reached = self._waiting.setdefault(generation, asyncio.get_running_loop().create_future())
        self._outbox.send("changed", generation)
        try:
            return await asyncio.wait_for(asyncio.shield(reached), _REACH_S)
        except TimeoutError:
            logger.warning("not all workers follow", extra={"fields": {"generation": generation}})
            return 1
        finally:
            self._waiting.pop(generation, None)

    def _tell_others(self, kind: str, value: object) -> None:
        self._outbox.send(kind, value, needed=kind != "event")

    def _listen(self, hear: Callable[[str, Any], object]) -> None:
        """In a thread: what uvloop watches it makes non-blocking, and then no message may be larger than a buffer."""
        while True:
            try:
                kind, value = self._connection.recv()
            except (EOFError, OSError):
                if not self._closing:  # the supervisor is gone; nobody would replace this worker or stop it
                    os.kill(os.getpid(), signal.SIGTERM)
                return
            hear(kind, value)

    def _hear(self, recipes: Recipes, events: Events, kind: str, value: Any) -> None:  # noqa: ANN401 - as `kind` says
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
        elif kind in self.heard:
            self.heard[kind](value)

    async def _sync(self, recipes: Recipes) -> None:
        try:
            self._outbox.send("applied", await recipes.sync())
        except Exception:  # the change is not taken over; what was active goes on judging, and the log says so
            logger.exception("fault", extra={"fields": {"doing": "following another worker's change"}})


class _Worker:
    """A process, and the two threads that talk with it: it may be stopped in the middle of a message.

    What it says goes to `heard`. What it is told it misses when it is dying; its successor reads the store.
    """

    def __init__(
        self, process: BaseProcess, connection: Connection, heard: "Callable[[_Worker, str, Any], None]"
    ) -> None:
        self.process = process
        self.started = self.last_beat = monotonic()
        self.begun = self.hung = self.listening = False
        self.applied = -1
        self._connection, self._heard, self._outbox = connection, heard, Outbox(connection)
        self._reader = threading.Thread(target=self._read, name="worker's words", daemon=True)
        self._reader.start()

    def send(self, kind: str, value: object) -> None:
        """Soon; verdicts for readers of events are dropped where it does not keep up."""
        self._outbox.send(kind, value, needed=kind != "event")

    def silent_s(self, now: float) -> float:
        """Since it last said that it lives, or was started."""
        return now - self.last_beat

    def end(self) -> None:
        """After its process ended: everything that it said was heard when this returns."""
        self.process.join()
        self._reader.join()
        self._outbox.close()
        self._connection.close()

    def _read(self) -> None:
        while True:
            try:
                kind, value = self._connection.recv()
            except (EOFError, OSError):
                return
            self._heard(self, kind, value)


class _Replaced:
    """Counts where the workers' own figures are, so that whichever is asked tells it; from 0, so that 1 is a rise."""

    def __init__(self) -> None:
        self._counts: dict[str, Any] = {}
        if MULTIPROCESS in os.environ:
            made, metric = MultiProcessValue(), METRICS[REPLACED]  # type: ignore[no-untyped-call]
            for reason in REASONS:
                name, labels = REPLACED.removesuffix("_total"), (metric.labels, (reason,))
                self._counts[reason] = made(metric.kind, name, REPLACED, *labels, metric.says)

    def count(self, reason: str) -> None:
        if reason in self._counts:
            self._counts[reason].inc(1)


Main = Callable[[Any, socket.socket, Connection, bool], None]
"""Runs a worker: what it needs (to be pickled), the socket, its end of the pipe, whether it replaces a dead one."""


class Supervisor:
    """Starts `count` workers and keeps as many; one that is silent for `silent_s` is replaced."""

    def __init__(
        self,
        count: int,
        main: Main,
        argument: object,
        sock: socket.socket,
        grace_s: float,
        silent_s: float = SILENT_S,
    ) -> None:
        self._count, self._main, self._argument, self._sock, self._grace_s = count, main, argument, sock, grace_s
        self._silent_s = silent_s
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._inbox: queue.SimpleQueue[tuple[_Worker, str, Any]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = socket.socketpair()
        self._replaced = _Replaced()
        self._looked = monotonic()
        self._asked: list[tuple[_Worker, int]] = []
        self._due: list[float] = [0.0] * count
        self._stopping = False
        self._restarted = False

    def run(self) -> None:
        """Until SIGINT or SIGTERM; then every worker finishes what is in flight."""
        watchdog = Watchdog()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        wakeup = signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while not self._stopping:
                self._start_due()
                self._wait()
                self._end_hung()
                watchdog.sign()
        finally:
            self._end()
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._wake_read.close()
            self._wake_write.close()
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
            self._workers.append(_Worker(process, ours, self._hear))
            self._tell_listening()
            logger.info("worker started", extra={"fields": {"pid": process.pid}})

    def _hear(self, worker: _Worker, kind: str, value: Any) -> None:  # noqa: ANN401
        """In a thread of the worker's."""
        self._inbox.put((worker, kind, value))
        with contextlib.suppress(OSError):  # so many wait that it is awake, or all is over
            self._wake_write.send(b"\0")

    def _wait(self) -> None:
        sleep = max(0.0, min([monotonic() + _BEAT_S, *self._due]) - monotonic())
        sources: list[Any] = [self._wake_read, *(w.process.sentinel for w in self._workers)]
        ready = wait(sources, sleep)
        if self._wake_read in ready:
            self._wake_read.recv(4096)
        gone = [worker for worker in self._workers if worker.process.sentinel in ready]
        for worker in gone:
            worker.end()
        while not self._inbox.empty():
            self._receive(*self._inbox.get())
        for worker in gone:
            self._bury(worker)

    def _end_hung(self) -> None:
        """Kill what is silent: its connections close, so that their clients ask again, and others are accepted."""
        now = monotonic()
        if now - self._looked > max(2 * _BEAT_S, self._silent_s / 2):  # we were stopped ourselves, and maybe all were
            for worker in self._workers:
                worker.last_beat = now
        self._looked = now
        for worker in self._workers:
            if worker.silent_s(now) > (self._silent_s if worker.begun else _START_S) and not worker.hung:
                fields = {"pid": worker.process.pid, "silent_s": round(worker.silent_s(now), 1)}
                logger.error("worker hung", extra={"fields": fields})
                worker.hung = True
                worker.process.kill()

    def _receive(self, worker: _Worker, kind: str, value: Any) -> None:  # noqa: ANN401
        if kind == "beat":
            worker.begun, worker.last_beat = True, monotonic()
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
        elif kind in RELAYED:
            for other in others:
                other.send(kind, value)
            if kind == ASKED:  # it listens from now on
                self._tell_leader()

    def _tell_listening(self) -> None:
        """To each worker, whether another one has readers of events."""
        for worker in self._workers:
            worker.send("listening", any(other.listening for other in self._workers if other is not worker))

    def _tell_leader(self) -> None:
        """To each worker, whether it is the one that speaks for all: the oldest."""
        for at, worker in enumerate(self._workers):
            worker.send(LEADER, at == 0)

    def _answer(self) -> None:
        """Tell who asked that all workers have his change."""
        reached = min((worker.applied for worker in self._workers), default=-1)
        for worker, generation in [asked for asked in self._asked if asked[1] <= reached]:
            worker.send("reached", (generation, len(self._workers)))
            self._asked.remove((worker, generation))

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        if worker.process.pid is not None and MULTIPROCESS in os.environ:
            # What it had in its queue is gone.
            mark_process_dead(worker.process.pid, os.environ[MULTIPROCESS])  # type: ignore[no-untyped-call]
        self._asked = [asked for asked in self._asked if asked[0] is not worker]
        self._restarted = True
        self._tell_listening()
        self._tell_leader()
        if not self._stopping:
            fields = {"pid": worker.process.pid, "exit_code": worker.process.exitcode}
            logger.error("worker died", extra={"fields": fields})
            self._replaced.count("hung" if worker.hung else "died")
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
            worker.end()
